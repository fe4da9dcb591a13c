"""Choose the sandbox: each tier runs a self-test for real, the first that passes is used, and the answer is remembered.

No tier is trusted for the look of the machine (a version, a file, a kernel setting): only what refused the self-test's
tries in a child process of its own counts. The self-test is harmless even where nothing is refused: it writes into a
folder that was made for it, and calls a port of this process.
Standard library only.
"""

from __future__ import annotations

import functools
import json
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from agentic_diffusion.foundation.errors import ConfigError, SandboxError
from agentic_diffusion.foundation.sandbox import inside
from agentic_diffusion.foundation.sandbox.base import MIB, Limits, Sandbox
from agentic_diffusion.foundation.sandbox.bubblewrap import Bubblewrap
from agentic_diffusion.foundation.sandbox.landlock import Landlock
from agentic_diffusion.foundation.sandbox.unsafe import Unsafe

TIERS: dict[str, Callable[[], Sandbox]] = {"bubblewrap": Bubblewrap, "landlock": Landlock}
"""The tiers that wall programs in, best first."""
UNSAFE = "none"
PROBE_LIMITS = Limits(seconds=20.0, cpu_seconds=10, processes=8, memory_bytes=256 * MIB)
FORKS = 60
SELF_TEST = Path(__file__).with_name("selftest.py")


def choose(*, unsafe: bool = False, only: str | None = None) -> Sandbox:
    """The best sandbox that works here.

    `only` names one tier and takes no other. `unsafe` permits tier "none" where nothing better works, and is needed
    to ask for it. SandboxError when no tier works; ConfigError for an unknown name.
    """
    if only is not None and only not in (*TIERS, UNSAFE):
        raise ConfigError(
            f"There is no sandbox tier {only!r}.", hint=f"use one of {', '.join((*TIERS, UNSAFE))}, or none at all"
        )
    reasons = {}
    for name in TIERS if only is None else [only]:
        if name == UNSAFE:
            continue
        sandbox, reason = probe(name)
        if sandbox is not None:
            return sandbox
        reasons[name] = reason
    if unsafe and only in (None, UNSAFE):
        return Unsafe()
    if only == UNSAFE:
        raise SandboxError(
            "Tier 'none' runs programs without a sandbox and has to be permitted.",
            hint="pass --unsafe-no-sandbox if you trust the programs",
        )
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise SandboxError(f"No sandbox works here, so nothing untrusted will be run ({told}).", hint=mend(reasons))


def describe() -> list[dict[str, object]]:
    """One row a tier for the doctor: {tier, works, reason, covers}; `reason` is empty where it works."""
    rows: list[dict[str, object]] = []
    for name in TIERS:
        sandbox, reason = probe(name)
        covers = dict(sandbox.covers) if sandbox is not None else {}
        rows.append({"tier": name, "works": sandbox is not None, "reason": reason, "covers": covers})
    reason = "only with --unsafe-no-sandbox"
    rows.append({"tier": UNSAFE, "works": True, "reason": reason, "covers": dict(Unsafe().covers)})
    return rows


@functools.cache
def probe(name: str) -> tuple[Sandbox | None, str]:
    """A tier's sandbox if it passes the self-test, else None and why; remembered for this process."""
    if sys.platform != "linux":
        return None, f"it needs Linux, and this is {sys.platform}"
    try:
        sandbox = TIERS[name]()
        leaks = self_test(sandbox)
    except SandboxError as error:
        return None, error.message
    if leaks:
        return None, "the self-test got through: " + ", ".join(leaks)
    return sandbox, ""


def self_test(sandbox: Sandbox, *, forks: int = FORKS) -> list[str]:
    """What the sandbox let through of what it has to refuse: empty when it holds. SandboxError when nothing ran."""
    home = str(Path.home())
    with tempfile.TemporaryDirectory(prefix="agd-canary-") as folder, socket.create_server(("127.0.0.1", 0)) as server:
        canary = Path(folder)
        canary.chmod(0o777)
        (canary / "readable").write_text("canary")
        port = server.getsockname()[1]
        done = sandbox.run(
            ["python", "-I", "-S", "selftest.py", folder, str(port), home, json.dumps(_on_the_way(home)), str(forks)],
            files={"selftest.py": SELF_TEST.read_bytes()},
            limits=PROBE_LIMITS,
        )
        written = (canary / "written").exists()
    try:
        report = json.loads(done.stdout)
    except ValueError:
        note = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"status {done.status}"]
        raise SandboxError(
            f"The self-test did not run to its end: {note[0]}.", hint="run `agd doctor` to see the other tiers"
        ) from None
    leaks = [f"{name} ({got})" for name, got in report.items() if got not in {"refused", "yes"}]
    return leaks + (["a file appeared outside"] if written else [])


def _on_the_way(home: str) -> list[str]:
    """The names inside home that lie on the way to the Python of the sandbox: these may be seen."""
    if home == "/":
        return [
            entry.name for entry in Path("/").iterdir()
        ]  # a home that is the root folder holds nothing private by itself
    names = []
    for folder in (*inside.python_folders(), *map(Path, inside.SYSTEM_FOLDERS)):
        if folder.is_relative_to(home):
            names.append(folder.relative_to(home).parts[0])
        if Path(home).is_relative_to(folder):
            return [entry.name for entry in Path(home).iterdir()]
    return names


def mend(reasons: dict[str, str]) -> str:
    """The next thing to do, from why the tiers failed."""
    if sys.platform != "linux":
        return "run on Linux or in a Linux container, or pass --unsafe-no-sandbox if you trust the programs"
    reason = reasons.get("bubblewrap", "")
    if "not installed" in reason:
        first = "install bubblewrap (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap)"
    elif "uid map" in reason or "RTM_NEWADDR" in reason or "loopback" in reason:
        first = (
            "Ubuntu 24.04 and later forbid user namespaces by AppArmor: give bwrap a profile with `userns,`"
            " (apt install apparmor-profiles, then enable bwrap-userns-restrict)"
        )
    elif "namespace" in reason:
        first = "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), or enable Landlock in the kernel"
    else:
        first = "run `agd doctor` for what each tier needs"
    return f"{first}; or pass --unsafe-no-sandbox if you trust the programs"

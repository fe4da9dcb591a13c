"""What `agd doctor` looks at: Python, processor, memory, disk, uv, torch, compiler, sandbox, model, store,
toolchains, network.

Each check is a function without arguments; what needs packages is imported when it runs, so that a missing package is
a finding and not the end.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from agentic_diffusion.foundation import config, resources, sandbox
from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.foundation.resources import format_size
from agentic_diffusion.foundation.settings import StoreSettings
from agentic_diffusion.installer import layout as layouts
from agentic_diffusion.installer import manifest as manifests
from agentic_diffusion.installer import models, toolchains
from agentic_diffusion.installer import probe as probing
from agentic_diffusion.installer.health import Check, Finding
from agentic_diffusion.packages import pip_settings, uv

_SETUP = "agd setup"
_GB = 1_000_000_000
_RUN_SECONDS = 9
_DAY = 86400
_TORCH = """
import json, torch
gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
print(json.dumps([torch.__version__, torch.version.cuda or "CPU build", gpu, torch.get_num_threads()]))
"""


def all_checks(*, offline: bool) -> dict[str, Check]:
    """Every check by name, in the order in which they are shown."""
    return {
        "python": python,
        "processor": processor,
        "cores": cores,
        "memory": memory,
        "disk": disk,
        "uv": package_tool,
        "torch": torch,
        "compiler": compiler,
        "sandbox": sandbox_tiers,
        "model": model,
        "store": store,
        **{name: partial(toolchain, name) for name in toolchains.NAMES},
        "proxy": partial(proxy, os.environ),
        "clock": clock,
        "network": partial(network, offline=offline),
    }


def python() -> Finding:
    """The Python that runs."""
    text = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < probing.PYTHON_FLOOR:
        return Finding(status="fail", message=f"{text} is too old", fix="install Python 3.11 or newer")
    return Finding(status="ok", message=text)


def processor() -> Finding:
    """The instruction sets that decide the speed of a model."""
    features = resources.cpu_features()
    return judged_processor(platform.machine(), features)


def judged_processor(machine: str, features: frozenset[str]) -> Finding:
    """What instruction sets mean for us."""
    names = {
        "AVX2": {"avx2"},
        "AVX-512": {"avx512f"},
        "AVX-512 BF16": {"avx512_bf16"},
        "AMX BF16": {"amx_bf16"},
        "Neon": {"asimd"},
        "Neon BF16": {"bf16"},
    }
    have = [name for name, needed in names.items() if needed <= features]
    if machine in ("x86_64", "amd64") and features and "avx2" not in features:
        return Finding(status="warn", message=f"{machine} without AVX2: models run several times slower")
    fast = {"avx512_bf16", "amx_bf16", "bf16"} & features
    note = "bfloat16 in hardware" if fast else "no bfloat16 instructions: bfloat16 weights are computed in float32"
    return Finding(status="ok", message=f"{machine}: {', '.join(have) or 'instruction sets unknown'}; {note}")


def cores() -> Finding:
    """Processors that may be used."""
    count = resources.usable_cpus()
    return Finding(status="ok" if count > 1 else "warn", message=f"{count} usable")


def memory() -> Finding:
    """Memory that is left."""
    free = resources.memory_available()
    text = f"{format_size(free)} available"
    if free < _GB:
        return Finding(status="fail", message=f"{text}, about 1 GB is needed", fix="close other programs")
    return Finding(status="ok" if free >= 2 * _GB else "warn", message=text)


def disk() -> Finding:
    """Space where models and data are kept."""
    place = resources.home()
    free = resources.disk_free(place)
    text = f"{format_size(free)} free at {place}"
    if free < _GB // 10:
        return Finding(status="fail", message=text, fix="free some space, or set AGD_HOME to a larger disk")
    return Finding(status="ok" if free >= 2 * _GB else "warn", message=text)


def package_tool() -> Finding:
    """The tool that installs packages."""
    found = _uv()
    if found is None:
        return Finding(status="warn", message="there is no uv: packages cannot be installed", fix="install uv")
    return Finding(status="ok", message=f"uv {found.version_text} at {found.path}")


def torch() -> Finding:
    """torch, really imported, in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _TORCH], capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(status="warn", message=f"torch was not imported within {_RUN_SECONDS} s")
    if done.returncode != 0:
        words = uv.last_words(done.stderr)
        if "No module named 'torch'" in done.stderr:
            return Finding(status="fail", message="torch is not installed", fix=_SETUP)
        return Finding(status="fail", message=f"torch does not load: {words}", fix=f"agd uninstall, then {_SETUP}")
    version, build, gpu, threads = json.loads(done.stdout)
    where = f"on {gpu}" if gpu else f"on the processor, {threads} threads"
    return Finding(status="ok", message=f"torch {version} ({build}), {where}")


def compiler() -> Finding:
    """A C compiler, which makes compiled kernels possible."""
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            done = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
            )
            if done.returncode == 0:
                return Finding(status="ok", message=f"{done.stdout.splitlines()[0]} at {path}")
    return Finding(status="warn", message="no C compiler: kernels cannot be compiled", fix="apt-get install gcc")


def sandbox_tiers() -> Finding:
    """Which sandbox tiers passed their self-test."""
    return judged_tiers(sandbox.describe())


def judged_tiers(rows: list[dict[str, object]]) -> Finding:
    """What the table of tiers (`sandbox.describe`) means: the best tier counts."""
    working = [str(row["tier"]) for row in rows if row["works"] and row["tier"] != "none"]
    broken = {str(row["tier"]): str(row["reason"]) for row in rows if not row["works"]}
    reasons = "; ".join(f"{tier} does not work: {reason}" for tier, reason in broken.items())
    if not working:
        return Finding(status="fail", message=reasons or "no tier works", fix="apt-get install bubblewrap")
    if "bubblewrap" in broken:
        return Finding(status="warn", message=f"{working[0]} is used; {reasons}", fix="apt-get install bubblewrap")
    return Finding(status="ok", message=f"{' and '.join(working)} passed the self-test{'; ' * bool(reasons)}{reasons}")


def model() -> Finding:
    """The default model, every byte of it."""
    entry = manifests.load().model()
    folder = models.folder_of(entry)
    problems = models.damage(entry, folder, every_byte=True)
    if problems:
        return Finding(status="fail", message=f"{entry.name}: {'; '.join(problems)}", fix=_SETUP)
    return Finding(status="ok", message=f"{entry.name} at {folder}, checksums right")


def store() -> Finding:
    """The database opens."""
    try:
        from agentic_diffusion.foundation.store import Store
    except ImportError as error:
        return Finding(status="fail", message=f"{error.name} is not installed", fix=_SETUP)
    with Store.open(config.load().section(StoreSettings).url) as opened:
        return Finding(status="ok", message=f"{opened.name} opens")


def toolchain(name: str) -> Finding:
    """The toolchain of a language, really run; one that is missing is no failure, since not everybody needs it."""
    found = toolchains.find(name)
    if found is None:
        needing = [language for language, tools in toolchains.LANGUAGES.items() if name in tools]
        return Finding(
            status="skip", message=f"not installed; {' and '.join(needing)} cannot be run",
            fix=toolchains.setup_command(name),
        )  # fmt: skip
    return Finding(status="ok", message=f"{name} {found.version} at {found.program}")


def network(*, offline: bool) -> Finding:
    """Whether the package index answers, asked in the way that set-up asks."""
    if offline:
        return Finding(status="skip", message="offline was asked for")
    found = _uv()
    if found is None:
        return Finding(status="skip", message="there is no uv to ask with")
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder, "requirements.in")
        listing.write_text("uv\n", encoding="utf-8")
        try:
            found.run(
                ["pip", "compile", "--quiet", "--no-cache", "--no-deps", "--python", sys.executable, str(listing)],
                purpose="ask the package index",
                extra={"UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"},
            )
        except SetupError as error:
            return Finding(status="warn", message=error.message, fix="only set-up needs it; see HTTPS_PROXY")
    return Finding(status="ok", message="the package index answers")


def proxy(environ: Mapping[str, str]) -> Finding:
    """The proxies that the environment names; their passwords are not shown."""
    found = {}
    for name in ("https_proxy", "http_proxy", "all_proxy"):
        value = environ.get(name) or environ.get(name.upper()) or ""
        if value:
            parts = urlsplit(value if "://" in value else f"http://{value}")
            found[name] = f"{parts.hostname or value}{f':{parts.port}' if parts.port else ''}"
            if not parts.hostname:
                return Finding(
                    status="warn", message=f"{name} is no address", fix=f"write {name} with host and port, or unset it"
                )
    words = ", ".join(f"{name} is {value}" for name, value in found.items())
    return Finding(status="ok", message=words or "none is set")


def clock(now: float | None = None) -> Finding:
    """A clock that is behind makes every certificate look not valid yet."""
    released = manifests.SHIPPED.stat().st_mtime
    if (time.time() if now is None else now) < released - _DAY:
        return Finding(
            status="warn", message="the clock is before this release was made: certificates will look invalid",
            fix="set the date and time",
        )  # fmt: skip
    return Finding(status="ok", message="it is after this release was made")


def _uv() -> uv.Uv | None:
    place = layouts.current()
    settings = pip_settings.parse("", os.environ)
    return uv.find(
        [str(place.tools / "uv" / "bin" / "uv"), shutil.which("uv")], environment=settings.transport(os.environ)
    )

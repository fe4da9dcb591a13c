"""How long a bundle takes to make, and how long a set-up from it takes where there is no network.

    python benchmarks/bundle.py [--keep FOLDER] [--out benchmarks/results/bundle.json]

Makes the bundle of the committed state for this machine (the default model has to be set up here), clones that state
into an empty folder, and sets it up there in a network namespace without a route, with an empty cache, an empty home
and no uv. Prints a table in Markdown.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from first_run import STEP, in_folder  # noqa: E402 - beside this file
from results import write_result  # noqa: E402

from agentic_diffusion.foundation.resources import format_size  # noqa: E402
from agentic_diffusion.installer import bundle, manifest, probe  # noqa: E402
from agentic_diffusion.installer.programs import run  # noqa: E402
from agentic_diffusion.packages import pip_settings, platforms  # noqa: E402

NO_ROUTE = (["unshare", "--net"], ["unshare", "--map-root-user", "--net"])


def main() -> int:
    """Measure and print."""
    return in_folder(measure, __doc__, prefix="agd-bundle-")


def download(arguments: Sequence[str], purpose: str) -> None:
    """By the pip of the Python that the launcher would take."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    run([probe.base_python(), "-m", "pip", "download", *quiet, *arguments], purpose=purpose, tool="pip")


def no_route() -> list[str]:
    """What makes a command see no network; SystemExit where that is not allowed."""
    for way in NO_ROUTE:
        if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
            return list(way)
    raise SystemExit("a network namespace of its own is not allowed here")


def measure(folder: Path, out: Path | None) -> int:
    """Make, set up, print; the exit code of the set-up."""
    checkout = folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
    machine = probe.this_machine()
    order = bundle.Order(
        root=checkout, platform=platforms.name_of(machine), python=machine.python,
        find_links=pip_settings.read(probe.base_python()).folders(), cpu_index_answers=probe.cpu_index_answers(),
    )  # fmt: skip
    tar = folder / "agd.tar"
    started = time.monotonic()
    facts = bundle.make(order, tar, manifest.load(), download)
    made = time.monotonic() - started
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "UV_CACHE_DIR": str(folder / "cache"),
        "AGD_PYTHON": probe.base_python(), "PIP_CONFIG_FILE": os.devnull,
    }  # fmt: skip
    started = time.monotonic()
    setup = subprocess.run(
        [*no_route(), str(checkout / "agd"), "--bundle", str(tar)], env=environment, stderr=subprocess.PIPE, text=True,
        check=False, cwd=folder,
    )  # fmt: skip
    seconds = time.monotonic() - started
    sys.stderr.write(setup.stderr)
    print("| step | seconds |\n|---|---|")
    print(f"| making the bundle: {len(facts.files)} files, {format_size(tar.stat().st_size)} | {made:.1f} |")
    steps = [{"step": "make", "seconds": round(made, 1)}]
    for line in setup.stderr.splitlines():
        if match := STEP.match(line):
            steps.append({"step": match["name"], "seconds": float(match["seconds"])})
            print(f"| {match['name']} | {match['seconds']} |")
    print(f"| all of `./agd --bundle agd.tar`, without a route | {seconds:.1f} |")
    asked = subprocess.run(
        [*no_route(), str(checkout / "agd"), "doctor", "python", "torch", "model", "store"], env=environment,
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    print(f"\n`agd doctor` afterwards: exit code {asked.returncode}\n\n```\n{asked.stdout}```")
    if setup.returncode == 0:
        size = tar.stat().st_size
        write_result(out, "bundle", steps, setup_seconds=round(seconds, 1), bundle_bytes=size, files=len(facts.files))
    return setup.returncode or asked.returncode


if __name__ == "__main__":
    raise SystemExit(main())

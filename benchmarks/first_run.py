"""What a first run costs: time by step and disk, from an empty folder, an empty cache and no model.

    python benchmarks/first_run.py [--keep FOLDER] [--out benchmarks/results/first_run.json]

Clones the committed state of this checkout into a fresh folder and sets it up there, with uv's cache and the data
folder inside that folder, so that nothing of an earlier run helps. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from results import write_result  # noqa: E402 - beside this file

from agentic_diffusion.foundation.resources import format_size  # noqa: E402 - from the checkout, nothing is installed
from agentic_diffusion.installer.fetch import tree_size  # noqa: E402

STEP = re.compile(r"^\[\d+/\d+\] (?P<name>\w+): (?P<result>.*) \((?P<seconds>[\d.]+) s\)$")
WARM_STARTS = 5


def main() -> int:
    """Measure and print."""
    return in_folder(measure, __doc__, prefix="agd-first-run-")


def in_folder(measure: Callable[[Path, Path | None], int], about: str | None, *, prefix: str) -> int:
    """Read the flags, call `measure(folder, out)` on a fresh folder, and give its exit code."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="work in this folder, which must not exist, and leave it")
    parser.add_argument("--out", type=Path, help="write the figures to this result file, too")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True)
        return measure(options.keep.absolute(), options.out)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        return measure(Path(folder), options.out)


def measure(folder: Path, out: Path | None) -> int:
    """Set up in `folder` and print the table; the exit code of the set-up."""
    checkout = folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
    environment = os.environ | {"UV_CACHE_DIR": str(folder / "uv-cache"), "AGD_HOME": str(folder / "home")}
    environment.pop("AGD_OFFLINE", None)
    started = time.monotonic()
    setup = subprocess.run(
        [checkout / "agd", "setup"], env=environment, stderr=subprocess.PIPE, text=True, check=False, cwd=folder
    )
    seconds = time.monotonic() - started
    sys.stderr.write(setup.stderr)
    print("| step | seconds | result |\n|---|---|---|")
    steps, disk = [], {}
    for line in setup.stderr.splitlines():
        if match := STEP.match(line):
            steps.append({"step": match["name"], "seconds": float(match["seconds"])})
            print(f"| {match['name']} | {match['seconds']} | {match['result'].replace(str(folder), '...')} |")
    print(f"| all of `./agd setup` | {seconds:.1f} | exit code {setup.returncode} |")
    warm = []
    for _ in range(WARM_STARTS):
        started = time.monotonic()
        subprocess.run([checkout / "agd", "--version"], env=environment, capture_output=True, check=False)
        warm.append(time.monotonic() - started)
    print(f"| `./agd --version` afterwards, best of {WARM_STARTS} | {min(warm):.2f} | |")
    print("\n| place | disk |\n|---|---|")
    for name, place in (
        ("environment", checkout / ".agd" / "venv"),
        ("tools", checkout / ".agd" / "tools"),
        ("model", folder / "home"),
        ("uv's cache and the environment together (hard links)", None),
        ("everything", folder),
    ):
        size = tree_size(place) if place else tree_size(folder) - tree_size(folder / "home")
        disk[name] = size
        print(f"| {name} | {format_size(size)} |")
    if setup.returncode == 0:
        write_result(out, "first_run", steps, total_seconds=seconds, warm_seconds=min(warm), disk_bytes=disk)
    return setup.returncode


if __name__ == "__main__":
    raise SystemExit(main())

"""What a start of the command line costs: processor time of commands that load no model.

    python benchmarks/start_up.py [--repeat 5]

Each command runs in processes of its own, once to fill the caches of compiled modules and then `--repeat` times; the
table shows the smallest and the median processor time (user and system, in seconds). The aim for
`agd --help` is below 0.3 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

COMMANDS = (("--help",), ("--version",), ("config", "show"), ("generate", "--help"), ("runs", "list"))


def main() -> int:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    print("| command | smallest CPU s | median CPU s |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        # Compiled modules are cached even where this environment forbids it, as in any installed package.
        environment = {**os.environ, "AGD_HOME": folder, "PYTHONPYCACHEPREFIX": f"{folder}/pyc"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for words in COMMANDS:
            seconds = [_cpu_seconds(words, environment) for _ in range(repeat + 1)][1:]
            print(f"| `agd {' '.join(words)}` | {min(seconds):.2f} | {statistics.median(seconds):.2f} |")
    return 0


def _cpu_seconds(words: tuple[str, ...], environment: dict[str, str]) -> float:
    """Processor time of one run, from the times that the system keeps for ended children."""
    before = os.times()
    command = [sys.executable, "-m", "agentic_diffusion", *words]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    sys.exit(main())

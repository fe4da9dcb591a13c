"""Mutants a second of `agd test mutate`, beside mutmut on the same module with the same tests.

    python benchmarks/mutation.py --out benchmarks/results/mutation.json
    python benchmarks/mutation.py --mutmut PYTHON     an interpreter that has mutmut 3 installed, and pytest

Both judge a module of small functions that this script writes, with one test a function. Counted is what each reports
as judged; time is wall-clock from start to end, and processor time of all its processes, since the tools start
processes in different numbers. A figure of processor time is that of a calm machine with one core.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import write_result

FUNCTIONS = 20
TEMPLATE = '''
def inside_{n}(value, low={n}, high={m}):
    """Whether a value lies between two others."""
    if low > high:
        low, high = high, low
    return low <= value <= high and value != {k}


def folded_{n}(numbers):
    """A sum with a twist."""
    total = {n}
    for place, number in enumerate(numbers):
        if number % 2 == 0 or place > {k}:
            total += number * {m}
        else:
            total -= number
    return total
'''
TESTS = """
def test_inside_{n}():
    assert inside_{n}({n}) and inside_{n}({m}) and inside_{n}({m}, {m}, {n})
    assert not inside_{n}({k}) and not inside_{n}({m} + 1)


def test_folded_{n}():
    assert folded_{n}([1, 2, 3]) == {n} - 1 + 2 * {m} - 3
    assert folded_{n}([1] * ({k} + 2)) == {n} - ({k} + 1) + {m}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutmut", type=Path, help="an interpreter with mutmut")
    parser.add_argument("--out", type=Path, help="write the result here")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_project(root)
        rows.append(measured("agd test mutate", own(root), root, r"(\d+) mutants in"))
        if given.mutmut is not None:
            command = [str(given.mutmut), "-m", "mutmut", "run", "--max-children", "1"]
            rows.append(measured("mutmut", command, root, r"(\d+)/\d+"))
    for row in rows:
        print(
            f"{row['tool']:16} {row['mutants']:5} mutants  {row['seconds']:7.2f} s"
            f"  {row['cpu_seconds']:7.2f} s of processor  {row['per_cpu_second']:7.1f} a second of processor"
        )
    write_result(given.out, "mutation", rows)


def write_project(root: Path) -> None:
    """The module, its tests, and the settings that both tools read."""
    numbers = [{"n": n, "m": n + 7, "k": n + 3} for n in range(FUNCTIONS)]
    (root / "small.py").write_text("".join(TEMPLATE.format(**one) for one in numbers))
    (root / "tests").mkdir()
    (root / "tests" / "test_small.py").write_text(
        "from small import *\n" + "".join(TESTS.format(**one) for one in numbers)
    )
    (root / "pyproject.toml").write_text('[tool.mutmut]\npaths_to_mutate = ["small.py"]\ntests_dir = ["tests"]\n')


def own(root: Path) -> list[str]:
    """Our command, with a data folder of its own so that nothing is recalled."""
    os.environ["AGD_HOME"] = str(root / ".home")
    return [sys.executable, "-m", "agentic_diffusion", "test", "mutate", "small.py", "--python", sys.executable]


def measured(tool: str, command: list[str], root: Path, pattern: str) -> dict[str, object]:
    """One run of one tool: mutants, wall-clock seconds, processor seconds."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - began, os.times()
    counts = re.findall(pattern, done.stdout)
    if not counts:
        raise SystemExit(f"{tool} said nothing of mutants:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    mutants = int(counts[-1])
    return {
        "tool": tool, "mutants": mutants, "seconds": seconds, "cpu_seconds": cpu, "per_second": mutants / seconds,
        "per_cpu_second": mutants / cpu,
    }  # fmt: skip


if __name__ == "__main__":
    main()

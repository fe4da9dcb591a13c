"""How many candidates a second: one server process for each sandbox tier, beside a plain process for each candidate.

Claim: the fork server inside a sandbox judges a trivial candidate faster than a bare Python process starts.
Prints one table.

    python benchmarks/sandbox_throughput.py [--candidates 400] [--out FILE]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from results import ROOT, write_result

from agentic_diffusion.foundation.sandbox import describe
from agentic_diffusion.foundation.sandbox.base import Limits, Sandbox
from agentic_diffusion.foundation.sandbox.inside import interpreter
from agentic_diffusion.foundation.sandbox.probe import probe
from agentic_diffusion.foundation.sandbox.unsafe import Unsafe
from agentic_diffusion.testing.execution import inline_suite, judge

ASSERTIONS = ["assert f(1) == 2", "assert f(2) == 3", "assert f(-1) == 0"]
CANDIDATE = "def f(x):\n    return x + 1\n"


def processor_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def plain_processes(count: int) -> None:
    """A bare interpreter for each candidate, no sandbox and no limits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(CANDIDATE + "\n".join(ASSERTIONS))
        for _ in range(count):
            subprocess.run([str(interpreter()), "-I", "-S", str(path)], check=True)


def judged(sandbox: Sandbox) -> Callable[[int], None]:
    """One server for all candidates."""

    def run(count: int) -> None:
        verdicts = judge(inline_suite(ASSERTIONS), [CANDIDATE] * count, sandbox)
        assert all(verdict.ok for verdict in verdicts)

    return run


def one_sandbox_each(sandbox: Sandbox) -> Callable[[int], None]:
    """A sandbox of its own for each candidate."""

    def run(count: int) -> None:
        source = (CANDIDATE + "\n".join(ASSERTIONS)).encode()
        for _ in range(count):
            done = sandbox.run(["python", "-I", "-S", "p.py"], files={"p.py": source}, limits=Limits())
            assert done.status == 0

    return run


def main(count: int, out: Path) -> None:
    """Measure every tier that works here."""
    table: list[dict[str, object]] = []
    rows: list[tuple[str, Callable[[int], None], int]] = [("plain process each, no sandbox", plain_processes, count)]
    for row in describe():
        name = str(row["tier"])
        sandbox = Unsafe() if name == "none" else probe(name)[0]
        if sandbox is None:
            print(f"{name} does not work here: {row['reason']}", file=sys.stderr)
            continue
        rows.append((f"{name}, one server", judged(sandbox), count))
        rows.append((f"{name}, a sandbox each", one_sandbox_each(sandbox), max(1, count // 10)))
    print("| way | candidates | per second | wall ms each | CPU ms each |\n|---|---|---|---|---|")
    for label, run, number in rows:
        run(1)
        wall, used = time.perf_counter(), processor_seconds()
        run(number)
        wall, used = time.perf_counter() - wall, processor_seconds() - used
        measured = {
            "way": label,
            "per_second": round(number / wall),
            "wall_milliseconds": round(1000 * wall / number, 1),
            "cpu_milliseconds": round(1000 * used / number, 1),
        }
        table.append(measured)
        print(f"| {label} | {number} | " + " | ".join(str(value) for value in list(measured.values())[1:]) + " |")
    write_result(out, "sandbox", table, candidates=count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=400)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "sandbox.json")
    options = parser.parse_args()
    main(options.candidates, options.out)

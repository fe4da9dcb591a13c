"""How many programs a second each language's runner judges, beside a plain process for each program.

Claim: the runner judges at least three times as many small programs a second as plain processes do, in every language.
Both ways take turns (A B A B); the ratio is the median of the rounds. A plain process compiles and runs one file that
holds the program and its three assertions, without a sandbox. Languages whose toolchain is missing are left out.
Python has a second row, for one sandbox instead of two. With `--peers` other evaluators of Python judge the same
programs in the same rounds, as many at once (see `peer_evaluators.py`): HumanEval's way, and EvalPlus where
`--evalplus` names an interpreter that has the package.

    python benchmarks/runner_throughput.py [--languages javascript go] [--programs 48] [--rounds 3] [--out FILE]
                                           [--peers] [--evalplus PYTHON]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from results import ROOT, write_result

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.resources import usable_cpus
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.foundation.sandbox.base import Sandbox
from agentic_diffusion.foundation.sandbox.inside import interpreter
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.execution import inline_suite, judge

BAR = 3.0
PEERS = Path(__file__).with_name("peer_evaluators.py")
CALLS = [(value, value + 1) for value in (1, 2, -1)]
AT_ONCE = min(2, usable_cpus())
"""How many Python programs the runner judges at once where there are many, and the peers too."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One small program, and how it is run by itself."""

    source: str
    """The program; {n} makes each copy another text."""
    tests: tuple[str, ...]
    """Three assertions as the runner takes them."""
    plain: str
    """The file of a plain process; {source} is the program."""
    file: str
    """Name of that file."""
    commands: tuple[tuple[str, ...], ...]
    """What compiles and runs it; {tool} words are paths of toolchains."""


_JS = tuple(f"assert.strictEqual(f({value}), {value + 1})" for value in (1, 2, -1))
PROGRAMS: Mapping[str, Program] = {
    "python": Program(
        source="def f(x):\n    # {n}\n    return x + 1\n",
        tests=tuple(f"assert f({value}) == {value + 1}" for value in (1, 2, -1)),
        plain="{source}assert f(1) == 2\nassert f(2) == 3\nassert f(-1) == 0\n",
        file="p.py",
        commands=(("{python}", "-I", "-S", "p.py"),),
    ),
    "javascript": Program(
        source="function f(x) {{\n  // {n}\n  return x + 1;\n}}\n",
        tests=_JS,
        plain="const assert = require('assert');\n{source}" + ";\n".join(_JS),
        file="p.js",
        commands=(("{node}", "p.js"),),
    ),
    "typescript": Program(
        source="function f(x: number): number {{\n  // {n}\n  return x + 1;\n}}\n",
        tests=_JS,
        plain="declare function require(name: string): any;\nconst assert = require('assert');\n{source}"
        + ";\n".join(_JS),
        file="p.ts",
        commands=(
            (
                "{tsc}",
                "--target",
                "es2022",
                "--lib",
                "es2022",
                "--module",
                "commonjs",
                "--types",
                "",
                "--ignoreConfig",
                "p.ts",
            ),
            ("{node}", "p.js"),
        ),
    ),
    "java": Program(
        source="class Solution {{\n    // {n}\n    static int f(int x) {{\n        return x + 1;\n    }}\n}}\n",
        tests=tuple(f"assert Solution.f({value}) == {value + 1};" for value in (1, 2, -1)),
        plain="public class P {{\n  public static void main(String[] a) {{\n    assert Solution.f(1) == 2;\n"
        "    assert Solution.f(2) == 3;\n    assert Solution.f(-1) == 0;\n  }}\n}}\n{source}",
        file="P.java",
        commands=(("{jdk}c", "P.java"), ("{jdk}", "-ea", "P")),
    ),
    "go": Program(
        source="package main\n\n// {n}\nfunc f(x int) int {{\n\treturn x + 1\n}}\n",
        tests=tuple(f'if f({value}) != {value + 1} {{ t.Error("wrong") }}' for value in (1, 2, -1)),
        plain='{source}\nfunc main() {{\n\tif f(1) != 2 || f(2) != 3 || f(-1) != 0 {{\n\t\tpanic("wrong")\n\t}}\n}}\n',
        file="p.go",
        commands=(("{go}", "run", "p.go"),),
    ),
}


def plain_processes(name: str, sources: list[str]) -> None:
    """Each program in processes of its own, no sandbox and no limits."""
    program = PROGRAMS[name]
    tools = [toolchains.require(tool) for tool in languages.get(name).tools]
    paths = {"python": str(interpreter()), **{tool.name: str(tool.program) for tool in tools}}
    env = {**os.environ, **{key: value for tool in tools for key, value in tool.env.items()}}
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            Path(folder, program.file).write_text(program.plain.replace("{{", "{").replace("}}", "}").replace("{source}", source))  # fmt: skip  # noqa: E501
            for words in program.commands:
                argv = [word.format(**paths) for word in words]
                subprocess.run(argv, check=True, cwd=folder, env=env, stdout=subprocess.DEVNULL)


def judged(name: str, sources: list[str], sandbox: Sandbox, workers: int | None = None) -> None:
    """All programs by the runner."""
    suite = inline_suite(PROGRAMS[name].tests, language=name)
    for verdict in judge(suite, sources, sandbox, workers=workers):
        if not verdict.ok:
            raise SystemExit(f"{name}: {verdict.message}")


def seconds(work: Callable[[], None]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peer_seconds(kind: str, python: str, sources: list[str]) -> float:
    """What another evaluator needs for the same programs; its start is not counted."""
    asked = json.dumps({"programs": sources, "calls": CALLS, "at_once": AT_ONCE})
    done = subprocess.run([python, str(PEERS), kind], input=asked, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def measure(name: str, count: int, rounds: int, sandbox: Sandbox, peers: dict[str, str]) -> list[dict[str, object]]:
    """The rows of a language; `peers` maps other evaluators to their interpreters."""
    sources = [PROGRAMS[name].source.format(n=number) for number in range(count)]
    ways: dict[str, Callable[[], float]] = {"runner": lambda: seconds(lambda: judged(name, sources, sandbox))}
    if name == "python":
        ways["runner, one sandbox"] = lambda: seconds(lambda: judged(name, sources, sandbox, workers=1))
        for kind, python in peers.items():
            ways[kind] = partial(peer_seconds, kind, python, sources)
    times: dict[str, list[float]] = {way: [] for way in [*ways, "plain"]}
    for _ in range(rounds):
        for way, work in ways.items():
            times[way].append(work())
        times["plain"].append(seconds(lambda: plain_processes(name, sources)))
    rows: list[dict[str, object]] = []
    for way in ways:
        ratios = [plain / own for own, plain in zip(times[way], times["plain"], strict=True)]
        rows.append(
            {
                "language": name,
                "evaluator": way,
                "programs": count,
                "programs_per_second": round(count / statistics.median(times[way]), 1),
                "plain_programs_per_second": round(count / statistics.median(times["plain"]), 1),
                "ratio": round(statistics.median(ratios), 2),
                "ratios": [round(ratio, 2) for ratio in ratios],
            }
        )
    return rows


def main(names: list[str], count: int | None, rounds: int, peers: dict[str, str], out: Path) -> None:
    """Measure every language whose toolchain is here."""
    sandbox = choose()
    rows = []
    print("language     evaluator             programs/s  plain/s  ratio")
    for name in names:
        missing = name not in plugins.discover("languages")
        if missing or any(toolchains.find(tool) is None for tool in languages.get(name).tools):
            print(f"{name} is left out: it, or its toolchain, is not installed", file=sys.stderr)
            continue
        for row in measure(name, count or (200 if name == "python" else 48), rounds, sandbox, peers):
            rows.append(row)
            speeds = f"{row['programs_per_second']:10} {row['plain_programs_per_second']:8}"
            below = row["evaluator"] == "runner" and float(str(row["ratio"])) < BAR
            print(f"{name:12} {row['evaluator']:20} {speeds}  {row['ratio']:5} {'below the bar' if below else ''}")
    write_result(out, "runner_throughput", rows, rounds=rounds, tier=sandbox.tier, bar=BAR, at_once_in_python=AT_ONCE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", nargs="+", default=list(PROGRAMS), choices=list(PROGRAMS))
    parser.add_argument("--programs", type=int, help="a round (default: 200 in Python, 48 elsewhere)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="measure other evaluators of Python too")
    parser.add_argument("--evalplus", metavar="PYTHON", help="an interpreter that has evalplus, as one more peer")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "runner_throughput.json")
    given = parser.parse_args()
    others = {"process": str(interpreter())} if given.peers else {}
    others |= {"evalplus": given.evalplus} if given.peers and given.evalplus else {}
    main(given.languages, given.programs, given.rounds, others, given.out)

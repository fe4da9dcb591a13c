"""Exercises from their stubs: `agd solve` beside generation alone, equal seconds for each.

    python benchmarks/solve.py --folder DIR [--seconds 300] [--languages python go ...] [--limit 6] [--out RESULT.json]

DIR holds files exercism_LANGUAGE*.jsonl or .jsonl.gz. Every exercise becomes a git repository with the stub and its
tests; the instructions are the goal. An exercise counts where its example solution passes the tests here.
    solve      the agent: stubs filled, the file written whole, what is there repaired
    generate   whole programs from the instructions and the stub alone
Every finished (exercise, method) is noted in a journal beside the result file, so that a run that was ended goes on.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from results import ROOT, wilson, write_result

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.generator import generate
from agentic_diffusion.codegen.request import GenerationRequest, decode_settings
from agentic_diffusion.codegen.solve_project import ProjectRequest, prepare, solve_project
from agentic_diffusion.codegen.worktree import git
from agentic_diffusion.domains.code import languages
from agentic_diffusion.evaluation.journal import Journal
from agentic_diffusion.evaluation.repair_rows import exercism
from agentic_diffusion.evaluation.rows import read_rows
from agentic_diffusion.evaluation.tasks import BenchTask, LeftOutError
from agentic_diffusion.foundation.errors import AgdError, UsageError
from agentic_diffusion.foundation.sandbox import Limits, Sandbox, choose
from agentic_diffusion.foundation.settings import GenerateSettings, ModelSettings
from agentic_diffusion.testing.execution import judge
from agentic_diffusion.testing.suite import Suite, make_suite

LANGUAGES = ("python", "javascript", "typescript", "java", "go")
METHODS = ("solve", "generate")
TESTS = {
    "python": "test_solution.py",
    "javascript": "solution.test.js",
    "typescript": "solution.test.ts",
    "java": "SolutionTest.java",
    "go": "solution_test.go",
}


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise."""

    task: BenchTask
    """The instructions, the tests, the example."""
    suite: Suite
    """The tests, read."""
    stub: str
    """What is there at first."""
    goal: str
    """The instructions."""


def exercises(folder: Path, language: str, sandbox: Sandbox) -> Iterator[Exercise]:
    """The exercises of a language whose example passes here."""
    path = next(iter(sorted(folder.glob(f"exercism_{language}*.jsonl*"))), folder / f"exercism_{language}.jsonl")
    for row in read_rows(str(path))[0]:
        try:
            task = exercism(row)
            suite = make_suite(task.tests, origin=task.id, language=task.language)
        except (LeftOutError, UsageError) as problem:
            print(f"left out: {problem}", file=sys.stderr)
            continue
        assert task.canonical is not None
        if not judge(suite, [task.canonical], sandbox, Limits(seconds=10.0))[0].ok:
            print(f"left out: {task.id}: its example does not pass its tests here", file=sys.stderr)
            continue
        (stub,) = row.files("solution").values()
        yield Exercise(task=task, suite=suite, stub=stub, goal=row.text("instructions").strip())


def repository(exercise: Exercise, folder: Path) -> tuple[str, ...]:
    """A git repository with the stub and the tests; the paths of the tests."""
    language = languages.get(exercise.task.language)
    name = language.candidate_file
    if language.name == "java" and (found := re.search(r"\bclass\s+(\w+)", exercise.stub)):
        name = f"{found[1]}.java"
    (folder / name).write_text(exercise.stub)
    (folder / TESTS[language.name]).write_text(exercise.task.tests)
    for words in (("init", "-q"), ("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "stub")):
        git(folder, *words)
    return (TESTS[language.name],)


def solved(exercise: Exercise, coder: Coder, sandbox: Sandbox, seconds: float, seed: int) -> dict[str, Any]:
    """The agent."""
    decode = decode_settings(GenerateSettings(), seed=seed)
    with tempfile.TemporaryDirectory() as place:
        tests = repository(exercise, Path(place))
        asked = ProjectRequest(repository=Path(place), tests=tests, goal=exercise.goal, seconds=seconds, decode=decode)
        found = solve_project(prepare(asked), coder, sandbox).result
    actions = [event.data["action"] for event in found.events if event.kind == "chose"]
    return {
        "solved": found.solved, "passed": found.verdict.passed, "before": found.first.passed,
        "total": found.verdict.total, "actions": actions, "why": found.events[-1].message,
    }  # fmt: skip


def generated(exercise: Exercise, coder: Coder, sandbox: Sandbox, seconds: float, seed: int) -> dict[str, Any]:
    """Whole programs alone."""
    request = GenerationRequest(
        prompt=f"{exercise.goal}\n\nGo on from this:\n{exercise.stub.strip()}", suite=exercise.suite,
        language=exercise.task.language, seconds=seconds, decode=decode_settings(GenerateSettings(), seed=seed),
    )  # fmt: skip
    found = generate(request, coder, sandbox)
    passed = found.best.verdict.passed if found.best is not None and found.best.verdict is not None else 0
    return {"solved": found.verified, "passed": passed, "total": len(exercise.suite.cases), "drawn": found.drawn}


def measured(
    name: str, exercise: Exercise, coder: Coder, sandbox: Sandbox, options: argparse.Namespace
) -> dict[str, Any]:
    """One record; an exercise that cannot be worked on is one that is not solved."""
    begun = time.monotonic()
    method = {"solve": solved, "generate": generated}[name]
    try:
        found = method(exercise, coder, sandbox, options.seconds, options.seed)
    except AgdError as problem:
        found = {"solved": False, "passed": 0, "total": len(exercise.suite.cases), "why": problem.message}
    said = {"language": exercise.task.language, "method": name, "seconds": round(time.monotonic() - begun, 1)}
    return said | found


def table(records: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Counts by language and method, and which were solved."""
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for key, record in records.items():
        for language in (record["language"], "all"):
            groups.setdefault((language, record["method"]), {})[key] = record
    rows = []
    for (language, method), found in sorted(groups.items()):
        names = [key.rpartition(" ")[0] for key, record in found.items() if record["solved"]]
        low, high = wilson(len(names), len(found))
        share = sum(record["passed"] / record["total"] for record in found.values()) / len(found)
        rows.append(
            {
                "language": language, "method": method, "solved": len(names), "exercises": len(found), "low": low,
                "high": high, "share_of_cases": share, "names": names,
            }
        )  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=LANGUAGES)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "solve.json")
    options = parser.parse_args()
    coder, sandbox = Coder.load(ModelSettings()), choose()
    run = {"seconds": options.seconds, "seed": options.seed, "weights": coder.weights}
    journal = Journal(options.out.with_name(f"{options.out.name}.journal"), run)
    for language in options.languages:
        for exercise in islice(exercises(options.folder, language, sandbox), options.limit):
            for name in options.methods:
                key = f"{exercise.task.id} {name}"
                if key not in journal.done:
                    journal.add(key, measured(name, exercise, coder, sandbox, options))
                    print(f"{key}: {journal.done[key]}", file=sys.stderr, flush=True)
    rows = table(journal.done)
    print("| language | method | solved | 95 % interval | cases passed | which |\n" + "|---" * 6 + "|")
    for row in rows:
        print(
            f"| {row['language']} | {row['method']} | {row['solved']} of {row['exercises']}"
            f" | {row['low']:.0%} to {row['high']:.0%} | {row['share_of_cases']:.0%} | {', '.join(row['names'])} |"
        )
    write_result(options.out, "solve", rows, **run, tier=sandbox.tier, exercises=journal.done)
    journal.close()
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())

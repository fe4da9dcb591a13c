"""What to do next about a project's tests, the most telling first, each with the command or the edit that mends it.

    fails       a case that fails, or a file that breaks       uncovered   lines and branches that no test runs
    flaky       ended differently in remembered runs           unnoticed   mutants that no test noticed
    order       fails when its file runs backwards             edge case   a value that a type has and no test gives
    no assert   a test that checks nothing                     slow        far slower than its neighbours

The left column tells of tests that mislead, the right one of tests that are missing, and last of those that cost. Lines
count from 1, times are seconds.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from agentic_diffusion.domains.code.files import read_program
from agentic_diffusion.foundation.sandbox.base import Sandbox
from agentic_diffusion.testing.coverage import FileCoverage, ProjectCoverage
from agentic_diffusion.testing.coverage_reports import spans
from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.generation import Target
from agentic_diffusion.testing.generation_search import PATIENCE, START_SECONDS, Explorer
from agentic_diffusion.testing.mutation import UNNOTICED, Journal, plan
from agentic_diffusion.testing.mutation_operators import function_lines
from agentic_diffusion.testing.project import Project
from agentic_diffusion.testing.project_outcomes import ProjectRun
from agentic_diffusion.testing.project_run import ProjectWorker, RunSettings

Rule = Literal["fails", "flaky", "order", "no assert", "uncovered", "unnoticed", "edge case", "slow"]
RANKS: Mapping[Rule, int] = {rule: place for place, rule in enumerate(get_args(Rule))}
SLOW_SECONDS, SLOW_TIMES = 1.0, 10.0
"""A slow case takes so long, and so many times as long as the middle one."""
EDGES: Mapping[str, tuple[object, ...]] = {
    "int": (0, -1),
    "float": (0.0, -1.0),
    "str": ("",),
    "list": ([],),
    "dict": ({},),
    "None": (None,),
}
"""Values that a type has and that programs forget."""
_CHECKS = ("assert", "raises", "warns", "fail", "expect", "check", "verify")


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One thing to do."""

    rule: Rule
    """One of those above."""
    path: str
    """The file that it is about."""
    line: int | None
    """Where."""
    what: str
    """What was seen, in a sentence."""
    mend: str
    """The command, or what to write."""
    weight: float = 0.0
    """How much it matters among its like."""


def ranked(found: Iterable[Suggestion]) -> list[Suggestion]:
    """The most telling first."""
    return sorted(found, key=lambda one: (RANKS[one.rule], -one.weight, one.path, one.line or 0, one.what))


def of_run(run: ProjectRun, flaky: Iterable[tuple[str, str]]) -> Iterator[Suggestion]:
    """What a run, and what is remembered of earlier ones, tells: failing, flaky and slow cases."""
    for one in run.files:
        again = f"agd test run {one.found.path}"
        if one.problem:
            yield Suggestion(
                rule="fails", path=one.found.path, line=one.line, what=f"the file {one.problem}", mend=again
            )
        for case in one.cases:
            if not case.ok and not one.problem:
                said = (case.message.splitlines() or [""])[-1].strip()
                yield Suggestion(
                    rule="fails", path=case.file, line=case.line, what=f"{case.name} {case.status}: {said}", mend=again
                )
    for file, name in sorted(set(flaky)):
        yield Suggestion(
            rule="flaky", path=file, line=None, what=f"{name} passed in some runs and failed in others",
            mend=f"agd test run {file} --repeat 10",
        )  # fmt: skip
    seconds = [case.seconds for case in run.cases]
    middle = statistics.median(seconds) if seconds else 0.0
    for case in run.cases:
        if case.seconds > SLOW_SECONDS and case.seconds > SLOW_TIMES * middle:
            yield Suggestion(
                rule="slow", path=case.file, line=case.line, weight=case.seconds,
                what=f"{case.name} takes {case.seconds:.1f} s, the middle case {middle:.3f} s",
                mend="make its input smaller, or share its set-up in a fixture of wider scope",
            )  # fmt: skip


def of_order(project: Project, run: ProjectRun, sandbox: Sandbox, settings: RunSettings) -> Iterator[Suggestion]:
    """Cases of Python that pass in their order and fail when their file runs backwards."""
    files = [one for one in run.files if one.found.framework == "pytest" and one.ok and len(one.cases) > 1]
    if not files:
        return
    with ProjectWorker(project, "python", [one.found for one in files], sandbox, settings) as worker:
        for one in files:
            backwards = worker.file(one.found, names=[case.name for case in reversed(one.cases)])
            for case in backwards.cases:
                if not case.ok:
                    yield Suggestion(
                        rule="order", path=case.file, line=case.line,
                        what=f"{case.name} fails when its file runs backwards: it needs what another one left",
                        mend="make in the test, or in a fixture, what it needs",
                    )  # fmt: skip


def of_tests(project: Project, founds: Sequence[Found]) -> Iterator[Suggestion]:
    """Tests of Python that check nothing: no assert, no call whose name speaks of a check."""
    for found in founds:
        if found.language != "python":
            continue
        for node in ast.walk(_tree(project, found.path)):
            is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
            if not is_test or any(_is_check(inner) for inner in ast.walk(node)):
                continue
            assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if not _is_skipped(node):
                yield Suggestion(
                    rule="no assert", path=found.path, line=node.lineno, what=f"{node.name} asserts nothing",
                    mend="assert what the call gives, or that it raises",
                )  # fmt: skip


def of_coverage(
    project: Project, covered: ProjectCoverage, sandbox: Sandbox, *, seconds: float, seed: int
) -> Iterator[Suggestion]:
    """Functions with lines or branches that no test runs; for Python with an input that reaches them, where found."""
    for one in covered.files:
        gone = set(one.missing) | {start for start, _ in one.missing_branches}
        if not gone:
            continue
        source = read_program(project.root / one.path)
        places = function_lines(source, one.language)
        inner = {name: gone & set(range(first, last + 1)) for name, (first, last) in places.items()}
        inner = {name: lines for name, lines in inner.items() if lines and not _holds_another(name, inner)}
        reached = (
            _reaching(project, one, inner, sandbox, seconds=seconds, seed=seed) if one.language == "python" else {}
        )
        for name, lines in inner.items():
            found = f"; {reached[name]} reaches some of them" if name in reached else ""
            mend = (
                f"agd test generate {one.path}::{name}"
                if one.language == "python"
                else f"write a test that calls {name}"
            )
            yield Suggestion(
                rule="uncovered", path=one.path, line=min(lines), mend=mend, weight=float(len(lines)),
                what=f"no test of {name} runs line {spans(lines)}, or not every way out of it{found}",
            )  # fmt: skip


def _holds_another(name: str, inner: Mapping[str, set[int]]) -> bool:
    """Whether a class or function only holds what is told of those inside it."""
    below = [lines for other, lines in inner.items() if other.startswith(f"{name}.")]
    return bool(below) and inner[name] <= set().union(*below)


def _reaching(
    project: Project, one: FileCoverage, inner: Mapping[str, set[int]], sandbox: Sandbox, *, seconds: float, seed: int
) -> dict[str, str]:  # fmt: skip
    """A call that runs a missing line or takes a missing jump, by function."""
    parts = one.path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").split("/")
    if not all(part.isidentifier() for part in parts):
        return {}
    target = Target(project=project, path=one.path, module=".".join(parts), function=None)
    jumps, found = {tuple(jump) for jump in one.missing_branches}, {}
    with Explorer(target, sandbox) as explorer:
        for function in explorer.functions:
            name = function["name"]
            if name not in inner:
                continue
            order = {"function": name, "seconds": seconds, "seed": seed, "most": 10_000}
            told = explorer.ask({"explore": order}, PATIENCE * seconds + START_SECONDS)["inputs"]
            lines = inner[name] & set(one.missing)
            hits = [
                item["call"] for item in told
                if any(tuple(arc) in jumps or arc[1] in lines for arc in item["arcs"])
            ]  # fmt: skip
            if hits:
                found[name] = min(hits, key=len)
    return found


def of_mutants(project: Project, paths: Iterable[str], founds: Sequence[Found]) -> Iterator[Suggestion]:
    """Changes that no test noticed, as far as `agd test mutate` has judged these very texts."""
    for path in paths:
        if path.rpartition(".")[2] != "py":
            continue
        tests = [found for found in founds if found.language == "python"]
        known = Journal(project, path, tests).known
        left = [one for one in plan(project, path) if known.get(one.id, ("", ""))[0] in UNNOTICED]
        if not known:
            yield Suggestion(
                rule="unnoticed", path=path, line=None, what=f"nobody knows whether the tests notice changes of {path}",
                mend=f"agd test mutate {path}",
            )  # fmt: skip
        for one in left:
            where = f" of {one.function}" if one.function else ""
            yield Suggestion(
                rule="unnoticed", path=path, line=one.line, weight=1.0,
                what=f"no test notices a changed {one.operator} in line {one.line}{where}",
                mend=f"agd test generate {path}::{one.function}" if one.function else f"agd test mutate {path}",
            )  # fmt: skip


def of_edges(project: Project, paths: Iterable[str], founds: Sequence[Found]) -> Iterator[Suggestion]:
    """Values that the written types of a Python function have, and with which no test calls it."""
    calls = list(_calls(project, founds))
    for path in paths:
        if not path.endswith(".py"):
            continue
        for node in _tree(project, path).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            own = [call for call in calls if _called(call) == node.name]
            for place, parameter in enumerate(node.args.args):
                given = {ast.dump(call.args[place]) for call in own if len(call.args) > place}
                given |= {ast.dump(word.value) for call in own for word in call.keywords if word.arg == parameter.arg}
                if not own or not given:
                    continue
                for value in _edges(parameter.annotation):
                    if ast.dump(ast.parse(repr(value), mode="eval").body) not in given:
                        yield Suggestion(
                            rule="edge case", path=path, line=node.lineno,
                            what=f"no test calls {node.name} with {parameter.arg} = {value!r}",
                            mend=f"write a test of {node.name} with {parameter.arg} = {value!r}",
                        )  # fmt: skip


def _edges(annotation: ast.expr | None) -> Iterator[object]:
    for node in ast.walk(annotation) if annotation is not None else ():
        name = (
            node.id
            if isinstance(node, ast.Name)
            else "None"
            if isinstance(node, ast.Constant) and node.value is None
            else ""
        )
        yield from EDGES.get(name, ())
        if isinstance(node, ast.Subscript):
            return  # what is inside a list is another matter


def _calls(project: Project, founds: Sequence[Found]) -> Iterator[ast.Call]:
    for found in founds:
        if found.language == "python":
            yield from (node for node in ast.walk(_tree(project, found.path)) if isinstance(node, ast.Call))


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _is_check(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert | ast.Raise):
        return True
    return isinstance(node, ast.Call) and any(word in _called(node).lower() for word in _CHECKS)


def _is_skipped(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("skip" in ast.unparse(one) for one in node.decorator_list)


def _tree(project: Project, path: str) -> ast.Module:
    """The tree of a Python file; empty for one that does not parse, which its run has told."""
    try:
        return ast.parse(read_program(project.root / path))
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])

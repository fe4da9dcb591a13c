"""Faulty programs whose tests notice the fault: rows of repair benchmarks, and mutants of right solutions.

A fault knows the lines in which it differs from the right program: a repair is judged by tests alone, these lines
measure localisation and are handed over where the place is told. Lines count from 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.testing.execution import judge
from agentic_diffusion.testing.mutation_operators import mutants
from agentic_diffusion.testing.pace import Pace
from agentic_diffusion.testing.suite import Suite, make_suite

if TYPE_CHECKING:
    from agentic_diffusion.evaluation.tasks import BenchTask
    from agentic_diffusion.foundation.sandbox import Limits, Sandbox

TRIED_MUTANTS = 8
"""Mutants of one solution of which the first that the tests notice is taken."""
_PACE = Pace(cpu_seconds=1.0, wall_seconds=4.0)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A faulty program, the tests that notice it, and where it differs from a right one."""

    id: str
    """Its name."""
    source: str
    """Where it comes from: the benchmark's name, or "mutants"."""
    program: str
    """The faulty program."""
    suite: Suite
    """Tests of which some fail."""
    lines: frozenset[int]
    """Lines that a right program has not, or between which it has more."""
    text: str
    """What the program shall do, in words; may be empty."""
    signature: str
    """The head of its function, which a prompt may show; may be empty."""
    operator: str = ""
    """How a mutant was made."""

    @property
    def language(self) -> str:
        """Its language."""
        return self.suite.language


def changed_lines(faulty: str, right: str) -> frozenset[int]:
    """The lines of `faulty` that `right` has otherwise; where lines are missing, those around the gap."""
    old = [(number, line.strip()) for number, line in enumerate(faulty.splitlines(), 1) if _says(line)]
    new = [line.strip() for line in right.splitlines() if _says(line)]
    numbers = [number for number, _ in old]
    found: set[int] = set()
    matcher = difflib.SequenceMatcher(None, [line for _, line in old], new, autojunk=False)
    for kind, begin, end, _first, _last in matcher.get_opcodes():
        if kind != "equal":
            found |= set(numbers[begin:end] or numbers[max(0, begin - 1) : begin + 1])
    return frozenset(found)


def _says(line: str) -> bool:
    """Whether a line holds more than blanks and a comment."""
    return bool(line.strip()) and not line.strip().startswith(("#", "//", "/*", "*"))


def of_rows(tasks: Sequence[BenchTask], sandbox: Sandbox, limits: Limits) -> Iterator[Fault]:
    """The faults of repair tasks whose tests pass for the right program and fail for the faulty one."""
    for task in tasks:
        if task.kind != "repair" or task.canonical is None or not task.tests.strip():
            continue
        suite = _suite(task)
        program = task.preamble + task.faulty
        if suite is None:
            continue
        faulty, right = judge(suite, [program, task.canonical], sandbox, limits, pace=_PACE, seed=0)
        if right.ok and not faulty.ok:
            yield Fault(
                id=task.id, source=task.id.partition("/")[0], program=program, suite=suite, text=task.text,
                lines=changed_lines(program, task.canonical), signature=task.signature,
            )  # fmt: skip


def of_mutants(
    tasks: Sequence[BenchTask], sandbox: Sandbox, limits: Limits, *, count: int, seed: int
) -> Iterator[Fault]:
    """At most `count` mutants of solutions that their tests notice, one a task, in an order drawn by `seed`."""
    order = sorted(tasks, key=lambda task: derive(seed, "order", task.id))
    made = 0
    for task in order:
        if made >= count:
            return
        fault = _mutant(task, sandbox, limits, seed)
        if fault is not None:
            made += 1
            yield fault


def _mutant(task: BenchTask, sandbox: Sandbox, limits: Limits, seed: int) -> Fault | None:
    suite = _suite(task)
    if suite is None or task.canonical is None:
        return None
    right = task.canonical
    found = mutants(languages.get(task.language).candidate_file, right, task.language)
    drawn = Random(derive(seed, f"mutants {task.id}")).sample(found, k=min(TRIED_MUTANTS, len(found)))  # noqa: S311
    programs = [mutant.apply(right.encode()).decode() for mutant in drawn]
    if not programs:
        return None
    first, *verdicts = judge(suite, [right, *programs], sandbox, limits, pace=_PACE, seed=0)
    if not first.ok:
        return None
    for mutant, program, verdict in zip(drawn, programs, verdicts, strict=True):
        compiled = all(outcome.error_type != "SyntaxError" for outcome in verdict.outcomes)
        if compiled and not verdict.ok:
            return Fault(
                id=f"{task.id}#{mutant.operator}@{mutant.line}", source="mutants", program=program, suite=suite,
                lines=frozenset(range(mutant.line, mutant.last_line + 1)), text=task.text, signature=task.signature,
                operator=mutant.operator,
            )  # fmt: skip
    return None


def _suite(task: BenchTask) -> Suite | None:
    try:
        return make_suite(task.tests, origin=task.id, language=task.language)
    except UsageError:
        return None

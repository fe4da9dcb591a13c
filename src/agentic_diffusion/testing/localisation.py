"""Where a fault is: lines of a program ranked by which tests pass over them, what they throw, and the model's doubt.

A spectrum says for every case which statements it passed and whether it held; it comes from one run of the program as
it is and one of the same program with counters in it (`counters`). Suspiciousness is Ochiai (Abreu, Zoeteweij and van
Gemund 2006, eq. 3): ef / sqrt((ef + nf) (ef + ep)), with ef and ep the failing and passing cases that passed the line
and nf the failing ones that did not. In a short function most lines share one number, so the model's doubt, which a
caller above hands in, decides between them.
Lines count from 1. A place is known by its first line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentic_diffusion.foundation.sandbox.base import Limits, Sandbox
from agentic_diffusion.testing.counters import Unit, counted
from agentic_diffusion.testing.execution import judge
from agentic_diffusion.testing.pace import Pace
from agentic_diffusion.testing.suite import Suite
from agentic_diffusion.testing.verdicts import Verdict

DOUBT_WEIGHT = 0.3
"""Share of a suspect's score that the model's doubt decides where it is known."""
THROWN = 0.25
"""What a line gains in which a failing case ended."""
IDLE = 0.5
"""Share of its suspiciousness that a field or constant keeps, which every case is taken to have passed."""
SYNTAX = "SyntaxError"


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """What the cases of a suite passed over in a program."""

    units: tuple[Unit, ...]
    """The statements that are counted."""
    idle: tuple[Unit, ...]
    """Fields and constants, which are not."""
    covered: tuple[frozenset[int], ...]
    """For every case the first lines of the statements that it passed."""
    failed: tuple[bool, ...]
    """For every case whether it failed."""
    thrown: Mapping[int, str]
    """The lines in which failing cases ended, with what was said."""
    verdict: Verdict
    """The run of the program as it is."""


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A place where the fault may be."""

    line: int
    """Its first line."""
    end: int
    """Its last line."""
    score: float
    """How much it is suspected, from 0 up; the ranking goes by it."""
    ochiai: float
    """Suspiciousness by tests, in [0, 1]."""
    doubt: float | None
    """The model's doubt, in [0, 1]; None where no model was asked."""
    reasons: tuple[str, ...]
    """Why, in words."""

    def as_json(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "line": self.line, "end": self.end, "score": round(self.score, 4), "ochiai": round(self.ochiai, 4),
            "doubt": None if self.doubt is None else round(self.doubt, 4), "reasons": list(self.reasons),
        }  # fmt: skip


def spectrum(
    suite: Suite, program: str, sandbox: Sandbox, limits: Limits | None = None, *, pace: Pace | None = None,
    verdict: Verdict | None = None, seed: int | None = None,
) -> Spectrum:  # fmt: skip
    """Run a program as it is (unless its `verdict` is given) and counted; without any unit where it does not compile.

    A case that never ran, since one before it did not end, is judged by its counted run, which ends every case.
    """
    if verdict is None:
        verdict = judge(suite, [program], sandbox, limits, pace=pace, seed=seed)[0]
    rewritten = counted(program, suite.language)
    thrown = {
        outcome.line: outcome.message
        for outcome in reversed(verdict.outcomes)
        if outcome.status != "passed" and outcome.line is not None
    }
    passed = [outcome.status == "passed" for outcome in verdict.outcomes]
    empty = tuple(frozenset[int]() for _ in verdict.outcomes)
    none = Spectrum(
        units=(), idle=(), covered=empty, failed=tuple(not ok for ok in passed), thrown=thrown, verdict=verdict
    )
    if rewritten is None:
        return none
    run = judge(suite, [rewritten.program], sandbox, limits, pace=pace, seed=seed, counted=True)[0]
    for number, (plain, traced) in enumerate(zip(verdict.outcomes, run.outcomes, strict=True)):
        if plain.status == "timeout" and plain.message.startswith("not run"):
            passed[number] = traced.status == "passed"
    known = {unit.line for unit in rewritten.units}
    return replace(
        none,
        units=rewritten.units,
        idle=rewritten.idle,
        covered=tuple(frozenset(outcome.lines) & known for outcome in run.outcomes),
        failed=tuple(not ok for ok in passed),
    )


def ochiai(failing: int, passing: int, failing_in_all: int) -> float:
    """Suspiciousness of what `failing` and `passing` cases passed, of `failing_in_all` failing ones; in [0, 1]."""
    return failing / math.sqrt(failing_in_all * (failing + passing)) if failing else 0.0


def localise(found: Spectrum, doubts: Mapping[int, float] | None = None) -> list[Suspect]:
    """The suspects of a program, the likeliest first; none where every case passes.

    `doubts` are numbers in [0, 1] by line; a statement has the greatest of its lines. Without coverage (the program
    does not compile) the lines that the compiler named are the suspects.
    """
    if not any(found.failed):
        return []
    suspects = [_suspect(found, unit, doubts) for unit in found.units]
    suspects += [_idle(found, unit, doubts) for unit in found.idle]
    inside = {line for suspect in suspects for line in range(suspect.line, suspect.end + 1)}
    for line, said in found.thrown.items():
        if line not in inside:
            suspects.append(_named(line, said, found))
    kept = [suspect for suspect in suspects if suspect.score > 0]
    return sorted(kept, key=lambda suspect: (-suspect.score, suspect.line))


def _suspect(found: Spectrum, unit: Unit, doubts: Mapping[int, float] | None) -> Suspect:
    cases = list(zip(found.covered, found.failed, strict=True))
    failing = sum(bad for lines, bad in cases if unit.line in lines)
    passing = sum(not bad for lines, bad in cases if unit.line in lines)
    value = ochiai(failing, passing, sum(found.failed))
    reasons = [f"{failing} of {sum(found.failed)} failing and {passing} passing cases pass it"] if failing else []
    lines = range(unit.line, unit.end + 1)
    said = next((found.thrown[line] for line in lines if line in found.thrown), None)
    if said is not None:
        reasons.append(f"a failing case ends here: {said}")
    return _weighed(unit, value, _doubt(lines, doubts), reasons, THROWN if said is not None else 0.0)


def _idle(found: Spectrum, unit: Unit, doubts: Mapping[int, float] | None) -> Suspect:
    failing = sum(found.failed)
    value = IDLE * ochiai(failing, len(found.failed) - failing, failing)
    reasons = ["a value that is set before any case runs"]
    return _weighed(unit, value, _doubt(range(unit.line, unit.end + 1), doubts), reasons, 0.0)


def _named(line: int, said: str, found: Spectrum) -> Suspect:
    kind = next((outcome.error_type for outcome in found.verdict.outcomes if outcome.line == line), None)
    what = "it does not parse or compile here" if kind == SYNTAX else "a failing case ends here"
    return Suspect(line=line, end=line, score=1.0 + THROWN, ochiai=1.0, doubt=None, reasons=(f"{what}: {said}",))


def _doubt(lines: range, doubts: Mapping[int, float] | None) -> float | None:
    return None if doubts is None else max((doubts.get(line, 0.0) for line in lines), default=0.0)


def _weighed(unit: Unit, value: float, doubt: float | None, reasons: list[str], bonus: float) -> Suspect:
    score = value
    if doubt is not None:
        score = value * (1 - DOUBT_WEIGHT + DOUBT_WEIGHT * doubt)
        reasons = [*reasons, f"the model doubts it by {doubt:.2f}"]
    if value > 0:
        score += bonus
    return Suspect(line=unit.line, end=unit.end, score=score, ochiai=value, doubt=doubt, reasons=tuple(reasons))

"""Evidence: what tells that a part of a program is wrong, and from which line it is denoised again.

A kind of evidence looks at an attempt and names a line, or nothing. Kinds are asked in the order of their rank, and the
first one that names a line decides. They are found through the entry-point group `agentic_diffusion.evidence`, so that
a package can bring another (a profiler's hot line, a reviewer's remark). Lines count from 1.

    kind              rank   names
    parse_error         10   the line that does not parse
    type_error          20   the line that a type checker named beside a failing case
    undefined_name      25   the line of a name that nothing declares, where no failing case named a line
    failing_test        30   the first line that a failing case ended in, or a compiler refused
    coverage            40   the line that failing cases passed over most exclusively
    low_value           50   the line that a predictor of the value thinks least of
    low_confidence      90   the line of the token that the model was least sure of
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, cast

from agentic_diffusion.foundation import plugins

if TYPE_CHECKING:
    from agentic_diffusion.testing.verdicts import Outcome, Verdict


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A program that is not right yet, and what is known of it. What is not known is None, or empty."""

    lines: Sequence[int]
    """Line on which each written token stands."""
    confidences: Sequence[float]
    """Probability of each written token when it was committed."""
    head: int
    """First line of the part that was written; what stands before it, and on it, was given."""
    parses: bool = True
    """Whether it parses."""
    line: int | None = None
    """The line that the parser or the first failing case named, counted in this text; None where none is known."""
    undefined: int | None = None
    """The first line with a name that nothing declares (`domains.code.scope`), counted in this text."""
    verdict: Verdict | None = None
    """What the tests said."""
    suspiciousness: Mapping[int, float] = field(default_factory=dict)
    """How much each line is suspected by coverage, see `testing.localisation`."""
    values: Mapping[int, float] = field(default_factory=dict)
    """Predicted value of the program up to and with each line."""


@dataclass(frozen=True)
class Blame:
    """What a kind of evidence says."""

    line: int
    """The line from which the program is written again."""
    reason: str
    """Why, in words."""


class Evidence(Protocol):
    """A kind of evidence."""

    @property
    def rank(self) -> int:
        """Kinds of lower rank are asked first."""

    def blame(self, attempt: Attempt) -> Blame | None:
        """The line that it blames; None where it says nothing."""


@dataclass(frozen=True)
class ParseError:
    """The line that does not parse."""

    rank: int = 10

    def blame(self, attempt: Attempt) -> Blame | None:
        """See `Evidence`."""
        return Blame(attempt.line, "parse error") if not attempt.parses and attempt.line is not None else None


@dataclass(frozen=True)
class TypeErrorLine:
    """The line that a type checker named beside a failing case."""

    rank: int = 20

    def blame(self, attempt: Attempt) -> Blame | None:
        """See `Evidence`."""
        told = failure_of(attempt.verdict) == "type error"
        return Blame(attempt.line, "type error") if attempt.parses and told and attempt.line is not None else None


@dataclass(frozen=True)
class UndefinedName:
    """The line of a name that nothing declares, where no failing case named a line."""

    rank: int = 25

    def blame(self, attempt: Attempt) -> Blame | None:
        """See `Evidence`."""
        if attempt.line is not None or attempt.undefined is None:
            return None
        return Blame(attempt.undefined, "undefined name")


@dataclass(frozen=True)
class FailingTest:
    """The first line that a failing case ended in, or that a compiler refused."""

    rank: int = 30

    def blame(self, attempt: Attempt) -> Blame | None:
        """See `Evidence`."""
        if not attempt.parses or attempt.line is None:
            return None
        return Blame(attempt.line, failure_of(attempt.verdict))


@dataclass(frozen=True)
class Coverage:
    """The written line that failing cases passed over most exclusively; of several the first."""

    rank: int = 40

    def blame(self, attempt: Attempt) -> Blame | None:
        """See `Evidence`."""
        written = set(attempt.lines)
        known = {line: much for line, much in attempt.suspiciousness.items() if line in written and much > 0}
        if not known:
            return None
        return Blame(min(known, key=lambda line: (-known[line], line)), "coverage of the failing tests")


@dataclass(frozen=True)
class LowValue:
    """The written line at which the predicted value falls most."""

    rank: int = 50

    def blame(self, attempt: Attempt) -> Blame | None:
        """See `Evidence`."""
        lines = sorted(set(attempt.lines) & attempt.values.keys())
        falls = {
            line: attempt.values[line] - attempt.values[before]
            for before, line in pairwise(lines)
            if line > attempt.head
        }
        line = min(falls, key=lambda line: (falls[line], line), default=None)
        return Blame(line, "the predicted value") if line is not None and falls[line] < 0 else None


@dataclass(frozen=True)
class LowConfidence:
    """The line of the token that the model was least sure of; never the head, which the prompt opened."""

    rank: int = 90

    def blame(self, attempt: Attempt) -> Blame | None:
        """See `Evidence`."""
        body = [place for place in range(len(attempt.lines)) if attempt.lines[place] > attempt.head]
        if not body:
            return None
        doubted = min(body, key=lambda place: attempt.confidences[place])
        return Blame(attempt.lines[doubted], "the model's own doubt")


@cache
def kinds() -> tuple[Evidence, ...]:
    """All installed kinds of evidence, in the order in which they are asked."""
    found = {name: cast("Evidence", plugins.load("evidence", name)) for name in plugins.discover("evidence")}
    return tuple(found[name] for name in sorted(found, key=lambda name: (found[name].rank, name)))


def blame(attempt: Attempt, asked: Sequence[Evidence] | None = None) -> Blame | None:
    """What the first kind says that says anything; `asked` in the place of all installed kinds."""
    said = (kind.blame(attempt) for kind in (kinds() if asked is None else asked))
    return next((one for one in said if one is not None), None)


def failure_of(verdict: Verdict | None) -> str:
    """What the verdict's line tells of: a compile or type error, a stack trace, or a failed assertion."""
    bad: list[Outcome] = [item for item in verdict.outcomes if item.status != "passed"] if verdict is not None else []
    if not bad:
        return "no evidence"
    # the line of a verdict is the first one that an outcome names
    first = next((item for item in bad if item.line is not None), bad[0])
    if first.error_type == "SyntaxError" and first.message.startswith("SyntaxError: line "):
        return "compile error"
    if "(type error in line " in first.message:
        return "type error"
    return "failed assertion" if first.status == "failed" else "stack trace"


PARSE_ERROR, TYPE_ERROR, FAILING_TEST = ParseError(), TypeErrorLine(), FailingTest()
UNDEFINED_NAME = UndefinedName()
COVERAGE, LOW_VALUE, LOW_CONFIDENCE = Coverage(), LowValue(), LowConfidence()
"""The objects that the entry points name."""

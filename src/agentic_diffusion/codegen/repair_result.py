"""What a repair is asked for and what it gives back: the request, what was tried, the best program."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from agentic_diffusion.codegen.reading import ALTERNATIVES
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from agentic_diffusion.testing.localisation import Suspect
    from agentic_diffusion.testing.suite import Suite
    from agentic_diffusion.testing.verdicts import Verdict

State = Literal["passing", "repaired", "improved", "unchanged"]
"""passing: nothing failed; repaired: all cases pass now, confirmed; improved: more pass, none fewer; unchanged."""


@dataclass(frozen=True, kw_only=True)
class RepairRequest:
    """A program, the tests that it fails, and the limits of the search."""

    program: str
    """The text; lines end in "\\n"."""
    suite: Suite
    """The tests; they are never changed."""
    seconds: float = 60.0
    """Budget of the whole request, without loading the model."""
    candidates: int = 4
    """Fillings asked for a hole, after a first turn over all holes with one each."""
    edits: int = 32
    """Changes of a single token that are judged before any hole is filled."""
    alternatives: int = ALTERNATIVES
    """Tokens that are looked at in every place."""
    lines: tuple[int, ...] = ()
    """Where the fault is, when that is known; () looks for it."""
    most: int | None = None
    """Distinct programs that are judged at most; None is as many as the budget allows."""
    decode: DecodeSettings = field(default_factory=lambda: DecodeSettings(temperature=0.8))
    """How fillings are denoised; the first one of a hole is greedy."""
    case_seconds: float = 10.0
    """Limit of one program's run on the suite."""
    memory_bytes: int = 512 << 20
    """Memory limit of one program."""

    def __post_init__(self) -> None:
        """Check the limits and the lines."""
        if min(self.candidates, self.alternatives) < 1 or self.edits < 0 or (self.most is not None and self.most < 1):
            raise UsageError("At least one candidate is needed.", hint="use --candidates 4, or leave it out.")
        if not self.seconds > 0:
            raise UsageError(f"A budget of {self.seconds} seconds leaves no time.", hint="use --budget 60s.")
        if not self.program.strip():
            raise UsageError(
                "The program is empty: there is nothing to repair.", hint='`agd generate "..."` writes one from words.'
            )
        count = self.program.count("\n") + 1
        if any(not 1 <= line <= count for line in self.lines):
            raise UsageError(f"The program has {count} lines, and another one was named.", hint="count lines from 1.")


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A changed program, before it is judged."""

    program: str
    """The whole text."""
    line: int
    """First line of the change in the program that it was made from."""
    origin: str
    """How the model made it: a token replaced, a hole in a line filled, ..."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A changed program and what the tests said."""

    proposal: Proposal
    """The program."""
    verdict: Verdict
    """What became of it."""
    seconds: float
    """When its verdict was there, from the start of the search."""


@dataclass(frozen=True, kw_only=True)
class RepairResult:
    """The best program and how it was found."""

    state: State
    """What became of the request."""
    before: str = field(repr=False)
    """The program as it was given."""
    program: str = field(repr=False)
    """The best one; `before` itself where nothing better was found."""
    first: Verdict = field(repr=False)
    """The verdict on the program as it was given."""
    verdict: Verdict = field(repr=False)
    """The verdict on `program`."""
    suspects: tuple[Suspect, ...]
    """Where the fault was looked for, the likeliest first."""
    winner: Tried | None = field(repr=False, default=None)
    """What `program` came from."""
    judged: int = 0
    """Distinct changed programs that were judged."""
    holes: int = 0
    """Holes that were filled."""
    seconds: float = 0.0
    """Wall seconds in all, without loading the model."""
    model_seconds: float = 0.0
    """Seconds of them in the model."""
    judge_seconds: float = 0.0
    """Seconds of them in the sandbox."""

    def diff(self, name: str) -> str:
        """A unified diff from the program as given to the best one; empty where nothing changed."""
        lines = [text.splitlines(keepends=True) for text in (self.before, self.program)]
        made = difflib.unified_diff(lines[0], lines[1], f"a/{name}", f"b/{name}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in made)

    def explain(self) -> str:
        """What was done, in sentences."""
        total = self.first.total
        if self.state == "passing":
            return f"All {total} tests pass already; nothing was changed."
        looked = f"{self.judged} changed program(s) were judged, {self.holes} hole(s) filled, in {self.seconds:.1f} s"
        if self.winner is None:
            return f"No change passed more than the {self.first.passed} of {total} tests that pass already; {looked}."
        how = f"line {self.winner.proposal.line}: {self.winner.proposal.origin}"
        if self.state == "improved":
            return (
                f"PARTIAL: {self.verdict.passed} of {total} tests pass, {self.first.passed} did before, and none that"
                f" passed fails now ({how}); {looked}."
            )
        return (
            f"All {total} tests pass, {self.first.passed} did before ({how}), and again alone in a fresh process in"
            f" which a planted false assertion failed; {looked}."
        )

    def as_json(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "state": self.state,
            "explanation": self.explain(),
            "program": self.program,
            "passed_before": self.first.passed,
            "passed": self.verdict.passed,
            "total": self.first.total,
            "message": self.verdict.message,
            "line": None if self.winner is None else self.winner.proposal.line,
            "origin": None if self.winner is None else self.winner.proposal.origin,
            "suspects": [suspect.as_json() for suspect in self.suspects[:20]],
            "judged": self.judged,
            "holes": self.holes,
            "seconds": self.seconds,
            "model_seconds": self.model_seconds,
            "judge_seconds": self.judge_seconds,
        }

"""What a generation gives back: candidates, the best of them, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentic_diffusion.testing.verdicts import summary

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.findings import Issue
    from agentic_diffusion.testing.execution import Verdict
    from agentic_diffusion.testing.suite import Suite


@dataclass(kw_only=True)
class Candidate:
    """One distinct program."""

    number: int
    """Its random stream; 0 is the greedy one."""
    origin: str
    """How it came about: greedy, sample, or remasked from a line of another candidate."""
    program: str
    """The program, prose removed."""
    tokens: list[int]
    """Answer tokens, those kept from another candidate included."""
    confidences: list[float]
    """Probability of each answer token when it was committed; 1 for kept ones."""
    finished: bool
    """Whether the model ended the text itself."""
    confidence: float
    """Mean log-probability of the committed tokens, in nats."""
    parse_error: str | None = None
    """Why it does not parse."""
    parse_line: int | None = None
    """Line of the parse error."""
    undefined: Issue | None = None
    """The first name that it says and nothing declares; only in languages whose compiler does not tell."""
    style_distance: float | None = None
    """How far its style is from the one asked for, in [0, 1]; None when none was asked for."""
    verdict: Verdict | None = None
    """What the tests said."""
    remasked: int = 0
    """How often it was taken as a start for another candidate."""

    @property
    def parses(self) -> bool:
        """Whether it is a program at all."""
        return self.parse_error is None and bool(self.program)

    @property
    def share_passed(self) -> float:
        """Share of the tests that it passes."""
        return self.verdict.share_passed if self.verdict is not None else 0.0

    def as_json(self) -> dict[str, object]:
        """JSON-ready; tokens are left out."""
        return {
            "number": self.number,
            "origin": self.origin,
            "program": self.program,
            "finished": self.finished,
            "mean_log_probability": self.confidence,
            "parse_error": self.parse_error,
            "undefined": None if self.undefined is None else f"line {self.undefined.line}: {self.undefined.message}",
            "style_distance": self.style_distance,
            **summary(self.verdict),
        }


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """The best program and how it was found."""

    program: str
    """The verified program, or the best unverified one; "" when nothing came."""
    verified: bool
    """True when it passed all tests, and passed them again alone beside a planted false assertion."""
    best: Candidate | None
    """The candidate that `program` is of."""
    candidates: list[Candidate] = field(repr=False)
    """All distinct candidates, in the order in which they were made."""
    drawn: int
    """Samples drawn, duplicates included."""
    suite: Suite | None = field(repr=False)
    """The tests."""
    language: str
    """Name of the language of the programs."""
    mode: str
    """denoise, verify or ar."""
    seed: int
    """Seed of the run."""
    forwards: int
    """Forwards of batches."""
    row_forwards: int
    """Denoising steps summed over the samples of their batches."""
    new_tokens: int
    """Tokens committed, up to the end of each text."""
    denoise_seconds: float
    """Wall seconds spent denoising."""
    judge_seconds: float
    """Wall seconds spent in the sandbox."""
    seconds: float
    """Wall seconds in all, without loading the model."""
    tier: str
    """Sandbox tier that judged."""
    weights: str
    """SHA-256 of the weights."""

    @property
    def tokens_per_second(self) -> float:
        """New tokens a second of denoising."""
        return self.new_tokens / self.denoise_seconds if self.denoise_seconds > 0 else 0.0

    @property
    def tokens_per_forward(self) -> float:
        """New tokens a forward of one sample."""
        return self.new_tokens / self.row_forwards if self.row_forwards else 0.0

    def explain(self) -> str:
        """Why this candidate won, in sentences."""
        if self.best is None:
            return "No candidate held any code."
        made = f"Candidate {self.best.number} ({self.best.origin})"
        others = len(self.candidates) - 1
        if self.suite is None:
            if not self.best.parses:
                return f"{made} came closest, but it does not parse ({self.best.parse_error}); nothing was tested."
            return f"{made} was taken because it parses and the model was surest of it; nothing was tested."
        verdict = self.best.verdict
        tests = f"{verdict.passed} of {verdict.total} tests" if verdict is not None else "no test"
        if self.verified:
            return (
                f"{made} passed {tests}, and again alone in a fresh process in which a planted false assertion failed. "
                f"{others} other distinct candidate(s) were judged before or beside it and failed or were less likely."
            )
        why = f"; {verdict.message}" if verdict is not None and verdict.message else ""
        return f"{made} came closest of {others + 1} distinct candidate(s): it passed {tests}{why}."

    def as_json(self) -> dict[str, object]:
        """JSON-ready, candidates included."""
        return {
            "program": self.program,
            "language": self.language,
            "verified": self.verified,
            "explanation": self.explain(),
            "mode": self.mode,
            "seed": self.seed,
            "drawn": self.drawn,
            "forwards": self.forwards,
            "row_forwards": self.row_forwards,
            "new_tokens": self.new_tokens,
            "tokens_per_forward": self.tokens_per_forward,
            "tokens_per_second": self.tokens_per_second,
            "seconds": self.seconds,
            "denoise_seconds": self.denoise_seconds,
            "judge_seconds": self.judge_seconds,
            "sandbox": self.tier,
            "weights_sha256": self.weights,
            "candidates": [candidate.as_json() for candidate in self.candidates],
        }

"""From a file with holes and its tests to a filled file.

Holes are filled from left to right, each with the best filling of those before it in view. With tests the fillings of
all holes are combined, the likeliest combination first, and judged in the sandbox; the first program that passes all
tests is confirmed in a process of its own. While none does and there is time, further fillings are drawn.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.infill import LONGEST_LINES, fill
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import Budget
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.testing.execution import confirm, judge_each
from agentic_diffusion.testing.verdicts import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.document import Document
    from agentic_diffusion.codegen.hole import Filling
    from agentic_diffusion.diffusion.block_state import StepView
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.testing.suite import Suite
    from agentic_diffusion.testing.verdicts import Verdict

CANDIDATES = 8
"""Answers drawn for a hole in one round."""
_COMBINATIONS = 32
"""Combinations of fillings judged in one round at most."""
_WARMER, _HOTTEST = 0.15, 1.3
"""Every further round is warmer by this much, up to this."""
_IDLE_ROUNDS = 4
"""So many rounds without a new program end the search."""
_LAST_SECONDS = 2.0
"""Limit of a candidate's run when the budget is spent."""


@dataclass(frozen=True, kw_only=True)
class InfillRequest:
    """A file with holes, the tests that decide, and the limits of the search."""

    document: Document
    """The file; it has at least one hole."""
    language: str
    """Name of its language."""
    note: str = ""
    """What shall stand in the hole, in words; may be empty."""
    suite: Suite | None = None
    """Tests; without them nothing is verified."""
    candidates: int | None = None
    """Answers drawn for a hole at most; None is one round without tests, and rounds until the time is up with them."""
    seconds: float = 60.0
    """Budget of the whole request."""
    longest_lines: int = LONGEST_LINES
    """Lines of a filling at most."""
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    """How blocks are denoised; the first answer is greedy, the temperature is that of the others."""
    constraint: bool = True
    """Whether the grammar of the language, where it has one, holds the answers."""
    case_seconds: float = 10.0
    """Limit of one program's run on the suite."""
    memory_bytes: int = 512 << 20
    """Memory limit of one program."""

    def __post_init__(self) -> None:
        """Check the holes and the limits."""
        if not self.document.holes:
            raise UsageError("There is no hole to fill.", hint="name a place, or write a marker into the file.")
        if self.candidates is not None and self.candidates < 1:
            raise UsageError("At least one candidate is needed.", hint="use --candidates 8, or leave it out.")
        if not self.seconds > 0:
            raise UsageError(f"A budget of {self.seconds} seconds leaves no time.", hint="use --seconds 60s.")
        if self.longest_lines < 1:
            raise UsageError("A filling needs at least one line.", hint="use --lines 8, or leave it out.")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One program with all holes filled."""

    fillings: tuple[Filling, ...]
    """What is in the holes."""
    document: Document
    """The file with it."""
    parses: bool
    """Whether it parses."""
    verdict: Verdict | None = None
    """What the tests said."""

    @property
    def score(self) -> float:
        """Mean score of its fillings, in nats a token."""
        return sum(filling.score for filling in self.fillings) / len(self.fillings)

    @property
    def share_passed(self) -> float:
        """Share of the tests that it passes."""
        return self.verdict.share_passed if self.verdict is not None else 0.0

    def as_json(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "fillings": [
                {"text": f.text, "confidence": f.confidence, "score": f.score, "tokens": f.tokens}
                for f in self.fillings
            ],
            "parses": self.parses,
            **summary(self.verdict),
        }


@dataclass(frozen=True, kw_only=True)
class InfillResult:
    """The best program and how it was found."""

    best: Attempt | None
    """The verified program, or the best unverified one; None when nothing came."""
    verified: bool
    """Whether it passed all tests, and again alone beside a planted false assertion."""
    attempts: list[Attempt] = field(repr=False)
    """All programs looked at, the best first; without tests one for every distinct filling."""
    tested: bool
    """Whether there were tests."""
    seconds: float
    """Wall seconds in all, without loading the model."""
    denoise_seconds: float
    """Wall seconds spent on writing and ranking fillings."""
    seed: int
    """Seed of the run."""
    weights: str
    """SHA-256 of the weights."""

    def as_json(self) -> dict[str, object]:
        """JSON-ready, all attempts included."""
        return {
            "program": None if self.best is None else self.best.document.text,
            "verified": self.verified,
            "parses": self.best is not None and self.best.parses,
            "seconds": self.seconds,
            "denoise_seconds": self.denoise_seconds,
            "seed": self.seed,
            "weights_sha256": self.weights,
            "candidates": [attempt.as_json() for attempt in self.attempts],
        }


def infill(
    request: InfillRequest,
    coder: Coder,
    sandbox: Sandbox | None,
    *,
    observe: Callable[[StepView], None] | None = None,
) -> InfillResult:
    """Fill all holes; with tests, until a program is verified, the candidates are used up or the time is spent.

    `observe` sees every denoising step. With tests a sandbox is needed: UsageError without one.
    """
    if request.suite is not None and sandbox is None:
        raise UsageError("Tests can only be run in a sandbox.", hint="hand over `sandbox.choose()`.")
    return _Search(request, coder, sandbox, observe).run()


class _Search:
    """One request in the making."""

    def __init__(
        self,
        request: InfillRequest,
        coder: Coder,
        sandbox: Sandbox | None,
        observe: Callable[[StepView], None] | None,
    ) -> None:
        self.request, self.coder, self.sandbox, self.observe = request, coder, sandbox, observe
        self.language = languages.get(request.language)
        self.budget = Budget(request.seconds)
        self.attempts: list[Attempt] = []
        self.known: set[str] = set()
        self.drawn = self.rounds = 0
        self.denoise_seconds = 0.0

    def run(self) -> InfillResult:
        """Rounds of fillings and verdicts."""
        winner, idle = None, 0
        while winner is None and not self._over() and idle < _IDLE_ROUNDS:
            begun = time.monotonic()
            fresh = self._round()
            self.denoise_seconds += time.monotonic() - begun
            idle = 0 if fresh else idle + 1
            winner = self._judge(fresh)
        ordered = sorted(self.attempts, key=lambda a: (a is not winner, -a.share_passed, not a.parses, -a.score))
        return InfillResult(
            best=ordered[0] if ordered else None,
            verified=winner is not None,
            attempts=ordered,
            tested=self.request.suite is not None,
            seconds=self.budget.spent(),
            denoise_seconds=self.denoise_seconds,
            seed=self.request.decode.seed,
            weights=self.coder.weights,
        )

    def _over(self) -> bool:
        most = self.request.candidates
        if self.rounds and (self.request.suite is None or (most is not None and self.drawn >= most)):
            return True
        return self.budget.exhausted()

    def _round(self) -> list[Attempt]:
        """New programs, the likeliest first."""
        count = self.request.candidates or CANDIDATES
        if self.request.suite is not None:
            count = min(count - self.drawn, CANDIDATES) if self.request.candidates else CANDIDATES
        decode = self.request.decode
        warm = decode.temperature if not self.rounds else max(decode.temperature, 0.5) + _WARMER * self.rounds
        columns: list[list[Filling]] = []
        document = self.request.document
        for _ in document.holes:
            hole = document.hole(0, self.language.name, self.request.note)
            fillings = fill(
                hole,
                self.coder,
                candidates=count,
                settings=replace(decode, temperature=min(warm, max(_HOTTEST, decode.temperature))),
                seed=decode.seed + self.rounds,
                longest_lines=self.request.longest_lines,
                stop=self.budget.exhausted,
                observe=self.observe,
                constraint=self.request.constraint,
            )
            if not fillings:
                break
            columns.append(fillings)
            document = document.filled([fillings[0].text])
        self.drawn += count
        self.rounds += 1
        return self._combined(columns) if len(columns) == len(self.request.document.holes) else []

    def _combined(self, columns: Sequence[Sequence[Filling]]) -> list[Attempt]:
        """Programs out of one filling for every hole, those of the best fillings first, known ones left out."""
        made = []
        for chosen in _by_rank(columns):
            fillings = tuple(column[index] for column, index in zip(columns, chosen, strict=True))
            document = self.request.document.filled([filling.text for filling in fillings])
            if document.text in self.known:
                continue
            self.known.add(document.text)
            parses = self.language.parse_error(document.text) is None
            made.append(Attempt(fillings=fillings, document=document, parses=parses))
            if len(made) == _COMBINATIONS:
                break
        return sorted(made, key=lambda attempt: not attempt.parses)

    def _judge(self, fresh: list[Attempt]) -> Attempt | None:
        """Verdicts until a program is confirmed or the time is up; without tests nothing is judged."""
        suite, sandbox = self.request.suite, self.sandbox
        if suite is None or sandbox is None or not fresh:
            self.attempts += fresh
            return None
        seconds = min(self.request.case_seconds, max(self.budget.remaining(), _LAST_SECONDS))
        limits = Limits(seconds=seconds, memory_bytes=self.request.memory_bytes)
        texts = [attempt.document.text for attempt in fresh]
        for attempt, verdict in zip(fresh, judge_each(suite, texts, sandbox, limits), strict=False):
            told = confirm(suite, attempt.document.text, sandbox, limits) if verdict.ok else verdict
            judged = replace(attempt, verdict=told)
            self.attempts.append(judged)
            if told.ok:
                return judged
            if self.budget.exhausted():
                break
        return None


def _by_rank(columns: Sequence[Sequence[Filling]]) -> Iterator[tuple[int, ...]]:
    """Index tuples, one index a column, by their sum: (0, 0), (0, 1), (1, 0), ...; a heap, so that few are made."""
    first = (0,) * len(columns)
    heap, seen = [(0, first)], {first}
    while heap:
        total, chosen = heapq.heappop(heap)
        yield chosen
        for place, column in enumerate(columns):
            index = chosen[place] + 1
            if index < len(column):
                further = (*chosen[:place], index, *chosen[place + 1 :])
                if further not in seen:
                    seen.add(further)
                    heapq.heappush(heap, (total + 1, further))

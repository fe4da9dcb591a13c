"""From a program that fails its tests to one that passes them.

The loop is deterministic, the model fills. The tests run; the lines are ranked (`testing.localisation`) by coverage and
by the model's doubt; then two kinds of changed programs are tried in turn, every one written by the model: single
tokens of suspect lines taken back and denoised again, read off one forward of the whole program (`reading`), and holes
around the suspects filled in (`repair_holes`, `infill`), many suspects with few fillings first, wider holes later.
Every distinct program is judged once. The first that passes all tests is confirmed in a process of its own, beside a
planted false assertion. What passes more than before without failing anything new is kept, and gone on from.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.infill import fill
from agentic_diffusion.codegen.local_parse import LocalParse
from agentic_diffusion.codegen.reading import Reading, read
from agentic_diffusion.codegen.repair_holes import STAGES, holes
from agentic_diffusion.codegen.repair_result import Proposal, RepairRequest, RepairResult, State, Tried
from agentic_diffusion.codegen.request import first_assertion
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.resources import Budget
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.testing.execution import confirm, judge
from agentic_diffusion.testing.localisation import Suspect, localise, spectrum
from agentic_diffusion.testing.pace import Pace
from agentic_diffusion.testing.standing_judge import StandingJudge

if TYPE_CHECKING:
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.testing.verdicts import Verdict

MORE_EDITS = 96
"""Token edits that are judged between two stages of holes."""
SUSPECTS = 24
"""Suspects that are looked at."""
IMPROVED = 2
"""Improved programs that are gone on from."""
_EDITED_BEFORE_FILLED = 0.35
"""Share of the budget that the first token edits may take."""
_SLOWEST_CASES, _LEAST_CASE = 6.0, 0.25
"""A changed program's case may take so many times as long as the slowest one that passed; at least so many seconds."""
_LONGEST_RUN, _LEAST_SECONDS = 0.25, 2.0
"""One program may run for this share of the budget, and for so many seconds."""
_WARMER, _HOTTEST = 0.2, 1.4
"""Every further round over all stages is warmer by this much, up to this."""
_ROUNDS = 6
"""Rounds over all stages at most."""
_NOTE_LENGTH = 300
_LINE_TOKENS = 48
"""Tokens that a line of a filling is given."""


def repair(
    request: RepairRequest,
    coder: Coder,
    sandbox: Sandbox,
    *,
    first: Verdict | None = None,
    report: Callable[[Tried], None] | None = None,
) -> RepairResult:
    """Search until a program passes everything and is confirmed, or the budget or the programs are used up.

    `first` is the verdict on the program where it is known; `report` sees every judged program. Never gives back what
    passes fewer tests than `request.program`.
    """
    return _Repair(request, coder, sandbox, report).run(first)


@dataclass(frozen=True)
class _Base:
    """A program that is gone on from."""

    program: str
    verdict: Verdict
    suspects: list[Suspect]
    reading: Reading


class _Repair:
    """One request in the making."""

    def __init__(
        self, request: RepairRequest, coder: Coder, sandbox: Sandbox, report: Callable[[Tried], None] | None
    ) -> None:
        self.request, self.coder, self.sandbox, self.report = request, coder, sandbox, report
        self.language = languages.get(request.suite.language)
        self.budget = Budget(request.seconds)
        self.limits = Limits(seconds=request.case_seconds, memory_bytes=request.memory_bytes)
        self.pace = Pace()
        self.seen = {_key(request.program)}
        self.judged = self.holes = 0
        self.model_seconds = self.judge_seconds = 0.0
        self.improved: list[Tried] = []
        self.waiting: list[Proposal] = []

    def run(self, first: Verdict | None) -> RepairResult:
        """Judge, look for the place, change it in ever wider ways."""
        program, suite = self.request.program, self.request.suite
        if first is None:
            begun = time.monotonic()
            first = judge(suite, [program], self.sandbox, self.limits, seed=self.request.decode.seed)[0]
            self.judge_seconds += time.monotonic() - begun
        if first.ok:
            return self._result("passing", first, (), None)
        passing = [outcome.seconds for outcome in first.outcomes if outcome.status == "passed"]
        slowest = max(_LEAST_CASE, _SLOWEST_CASES * max(passing, default=_LEAST_CASE))
        self.pace = Pace(cpu_seconds=min(2.0, slowest), wall_seconds=min(6.0, 3 * slowest))
        self.first = first
        base = self._base(program, first)
        seconds = min(self.request.case_seconds, max(_LEAST_SECONDS, _LONGEST_RUN * self.request.seconds))
        limits = replace(self.limits, seconds=seconds)
        with StandingJudge(suite, self.sandbox, limits, self.pace) as self.court:
            winner = self._search(base)
        if winner is not None:
            return self._result("repaired", first, base.suspects, winner)
        best = self._checked_again(first)
        return self._result("improved" if best is not None else "unchanged", first, base.suspects, best)

    def _base(self, program: str, verdict: Verdict) -> _Base:
        """Where a program is suspected, and how the model reads those lines."""
        begun = time.monotonic()
        found = spectrum(self.request.suite, program, self.sandbox, self.limits, pace=self.pace, verdict=verdict)
        self.judge_seconds += time.monotonic() - begun
        suspects = localise(found) or [_anywhere(program)]
        if not found.units:
            suspects += _neighbours(program, suspects)
        if self.request.lines:
            suspects = [s for s in suspects if set(range(s.line, s.end + 1)) & set(self.request.lines)] or [
                _named(line) for line in self.request.lines
            ]
        begun = time.monotonic()
        lines = _near([suspect.line for suspect in suspects[:SUSPECTS]] + [s.end for s in suspects[:SUSPECTS]])
        reading = read(
            program, self.coder, lines, request=self._request_text(), fence=self.language.fences[0],
            alternatives=self.request.alternatives,
        )  # fmt: skip
        self.model_seconds += time.monotonic() - begun
        if not self.request.lines and found.units:
            suspects = localise(found, reading.doubts()) or suspects
        return _Base(program, verdict, suspects[:SUSPECTS], reading)

    def _request_text(self) -> str:
        """What the program shall do, as far as the tests tell it."""
        example = first_assertion(self.request.suite, self.language)
        text = f"Write this program in {self.language.title}."
        return text + (f"\nYour code should pass this test:\n{example}" if example else "")

    def _search(self, base: _Base) -> Tried | None:
        """Token edits and stages of holes in turn, then the same from what was improved, then warmer."""
        edits = self._edits(base)
        found = self._judge(islice(edits, self.request.edits), base, until=_EDITED_BEFORE_FILLED * self.request.seconds)
        went_on: set[str] = set()
        for turn in range(_ROUNDS):
            temperature = min((self.request.decode.temperature or 0.8) + _WARMER * turn, _HOTTEST)
            for stage in STAGES:
                if found is not None or self._over():
                    return found
                found = self._from_improved(went_on)
                found = found or self._fillings(base, stage, temperature, turn)
                found = found or self._judge(islice(edits, MORE_EDITS), base)
        return found

    def _from_improved(self, went_on: set[str]) -> Tried | None:
        """Token edits of the best improved programs, each once."""
        ranked = sorted(self.improved, key=lambda tried: -tried.verdict.passed)[:IMPROVED]
        for tried in ranked:
            if tried.proposal.program in went_on or self._over():
                continue
            went_on.add(tried.proposal.program)
            base = self._base(tried.proposal.program, tried.verdict)
            found = self._judge(islice(self._edits(base), self.request.edits), base)
            if found is not None:
                return found
        return None

    def _edits(self, base: _Base) -> Iterator[Proposal]:
        """Programs with one token changed, by suspicion of the line and the model's probability of the token."""
        scores = {line: s.score for s in reversed(base.suspects) for line in range(s.line, s.end + 1)}
        top = max(scores.values(), default=1.0)
        made = base.reading.edits(self.coder, list(scores))
        ranked = sorted(made, key=lambda edit: -(edit.log_probability + math.log(scores[edit.line] / top)))
        local = LocalParse(base.program, self.language)
        for edit in ranked:
            if local.parses(edit):
                yield Proposal(program=edit.applied(base.program), line=edit.line, origin=f"a token {edit.kind}")

    def _fillings(self, base: _Base, stage: str, temperature: float, turn: int) -> Tried | None:
        """The holes of a stage around every suspect, judged after each suspect; in the first turn one filling each."""
        note = _note(base.verdict)
        for number, suspect in enumerate(base.suspects):
            proposals: list[Proposal] = []
            for hole in holes(base.program, suspect, stage, self.language.name, note):
                if self._over():
                    break
                begun = time.monotonic()
                longest = min(self.request.decode.max_new_tokens, _LINE_TOKENS * hole.lines)
                settings = replace(self.request.decode, temperature=temperature, max_new_tokens=longest)
                fillings = fill(
                    hole.hole, self.coder, candidates=self.request.candidates if turn else 1, settings=settings,
                    seed=self.request.decode.seed + 1000 * turn + number, longest_lines=hole.lines,
                    stop=self.budget.exhausted,
                )  # fmt: skip
                self.model_seconds += time.monotonic() - begun
                self.holes += 1
                origin = f"a hole filled ({hole.stage})"
                proposals += [
                    Proposal(program=hole.hole.filled(filling.text), line=hole.line, origin=origin)
                    for filling in fillings
                    if filling.parses
                ]
            found = self._judge(iter(proposals), base)
            if found is not None or self._over():
                return found
        return None

    def _over(self) -> bool:
        most = self.request.most
        return self.budget.exhausted() or (most is not None and self.judged >= most)

    def _judge(self, proposals: Iterator[Proposal], base: _Base, *, until: float = math.inf) -> Tried | None:
        """Judge what is new until a program is confirmed, the time `until` has come, or the budget is spent."""
        fresh: list[Proposal] = []
        waiting, self.waiting = self.waiting, []
        room = math.inf if self.request.most is None else self.request.most - self.judged
        for proposal in chain(waiting, proposals):
            if _key(proposal.program) not in self.seen and len(fresh) < room:
                self.seen.add(_key(proposal.program))
                fresh.append(proposal)
        if not fresh:
            return None
        begun = time.monotonic()
        try:
            return self._judged(fresh, base, until)
        finally:
            self.judge_seconds += time.monotonic() - begun

    def _judged(self, fresh: Sequence[Proposal], base: _Base, until: float) -> Tried | None:
        verdicts = self.court.each([item.program for item in fresh])
        for number, (proposal, verdict) in enumerate(zip(fresh, verdicts, strict=False), 1):
            tried = self._tried(proposal, verdict)
            if tried.verdict.ok:
                return tried
            if not verdict.ok and better(verdict, self.first) and better(verdict, base.verdict):
                self.improved.append(tried)
            known = number % self.court.batch != 0  # verdicts of a batch come at once
            if not known and (self.budget.exhausted() or self.budget.spent() > until):
                # what was not judged has its turn with the next ones
                self.waiting = list(fresh[number:])
                self.seen -= {_key(left.program) for left in self.waiting}
                break
        return None

    def _tried(self, proposal: Proposal, verdict: Verdict) -> Tried:
        """A judged program; one that passes is confirmed first."""
        self.judged += 1
        if verdict.ok:
            verdict = confirm(self.request.suite, proposal.program, self.sandbox, self.limits)
        tried = Tried(proposal=proposal, verdict=verdict, seconds=self.budget.spent())
        if self.report is not None:
            self.report(tried)
        return tried

    def _checked_again(self, first: Verdict) -> Tried | None:
        """The best improved program that keeps its verdict alone in a fresh process, with the full time for a case."""
        for tried in sorted(self.improved, key=lambda item: -item.verdict.passed):
            again = confirm(self.request.suite, tried.proposal.program, self.sandbox, self.limits)
            if better(again, first):
                return replace(tried, verdict=again)
        return None

    def _result(self, state: State, first: Verdict, suspects: Sequence[Suspect], winner: Tried | None) -> RepairResult:
        return RepairResult(
            state=state,
            before=self.request.program,
            program=self.request.program if winner is None else winner.proposal.program,
            first=first,
            verdict=first if winner is None else winner.verdict,
            suspects=tuple(suspects),
            winner=winner,
            judged=self.judged,
            holes=self.holes,
            seconds=self.budget.spent(),
            model_seconds=self.model_seconds,
            judge_seconds=self.judge_seconds,
        )


def _key(program: str) -> bytes:
    """What stands for a program in the memory of those that were tried."""
    return hashlib.blake2b(program.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def better(verdict: Verdict, than: Verdict) -> bool:
    """Whether more cases pass, and none fails that passed."""
    pairs = zip(verdict.outcomes, than.outcomes, strict=True)
    kept = all(new.status == "passed" for new, old in pairs if old.status == "passed")
    return kept and verdict.passed > than.passed


def _note(verdict: Verdict) -> str:
    """The first failing case in words: what it asks and what was said."""
    failing = next((outcome for outcome in verdict.outcomes if outcome.status != "passed"), None)
    if failing is None:
        return ""
    asked = " ".join(failing.case.source.split())[:_NOTE_LENGTH]
    return f"This test fails: {asked}\n{failing.message}"[: 2 * _NOTE_LENGTH]


def _near(lines: list[int]) -> list[int]:
    """The lines that can be read at once with the first of them, which is the most suspected one."""
    reach = 150
    return [line for line in lines if abs(line - lines[0]) <= reach]


def _anywhere(program: str) -> Suspect:
    """The whole program, where nothing tells a line."""
    first = next((number for number, line in enumerate(program.split("\n"), 1) if line.strip()), 1)
    return Suspect(
        line=first, end=first, score=1.0, ochiai=0.0, doubt=None, reasons=("no test tells where the fault is",)
    )


def _neighbours(program: str, suspects: Sequence[Suspect]) -> list[Suspect]:
    """The lines that hold something before and behind those that a parser or compiler named."""
    lines, known = program.split("\n"), {suspect.line for suspect in suspects}
    filled = [number for number, line in enumerate(lines, 1) if line.strip()]
    found: dict[int, None] = {}
    for suspect in suspects:
        before = [number for number in filled if number < suspect.line][-1:]
        behind = [number for number in filled if number > suspect.line][:1]
        found |= dict.fromkeys(number for number in (*before, *behind) if number not in known)
    reasons = ("it stands beside a line that does not parse or compile",)
    return [Suspect(line=line, end=line, score=0.5, ochiai=1.0, doubt=None, reasons=reasons) for line in found]


def _named(line: int) -> Suspect:
    return Suspect(line=line, end=line, score=1.0, ochiai=1.0, doubt=None, reasons=("it was named",))

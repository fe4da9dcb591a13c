"""From a prompt and its tests to a verified program.

The loop is deterministic, the model fills: a first greedy candidate; then batches of samples, half of them fresh, half
of them failed candidates whose suspect part was remasked; every distinct program is judged in the sandbox; the first
one that passes all tests is confirmed in a process of its own, beside a planted false assertion that must fail.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.remasking import RemaskPlan, plan_remask
from agentic_diffusion.codegen.request import build_prompt
from agentic_diffusion.codegen.result import Candidate, GenerationResult
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.events import get_logger
from agentic_diffusion.foundation.resources import Budget
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.testing.execution import confirm, judge_each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.constraint import TextConstraint
    from agentic_diffusion.codegen.request import GenerationRequest
    from agentic_diffusion.diffusion.block_decoder import BlockDecoder
    from agentic_diffusion.diffusion.block_state import Sample, StepView
    from agentic_diffusion.domains.code.findings import Issue
    from agentic_diffusion.domains.code.languages.language import Language
    from agentic_diffusion.domains.code.style import StyleProfile
    from agentic_diffusion.domains.code.tokenizer import Prompt
    from agentic_diffusion.foundation.sandbox import Sandbox

_REMASK_SHARE = 0.5
"""Share of a batch that goes on from failed candidates instead of starting anew."""
_WARMER, _HOTTEST = 0.1, 1.5
"""A batch without a new program makes the next one warmer by this much, up to this."""
_IDLE_ROUNDS = 12
"""So many batches without a new program end the search: the model has nothing else to say."""
_QUORUM = 0.75
"""A batch is over when this share of it has ended: with the last rows alone a forward is mostly empty."""
_SHORTEST_LIMIT, _SLACK = 64, 3
"""Once an answer has ended by itself, later ones may be so many times as long as the longest such; at least 64."""
_LAST_SECONDS = 2.0
"""Limit of a candidate's run when the budget is spent."""
_ATTEMPTS_WITHOUT_TESTS = 4
"""Samples drawn at most, without tests, until one parses."""


def generate(
    request: GenerationRequest,
    coder: Coder,
    sandbox: Sandbox | None,
    *,
    observe: Callable[[StepView], None] | None = None,
    report: Callable[[Candidate], None] | None = None,
) -> GenerationResult:
    """Search until a candidate is verified, the candidates are used up, or the budget is spent.

    `observe` sees every denoising step, `report` every judged candidate. With tests a sandbox is needed. Raises
    UsageError for a prompt that does not fit the model's context.
    """
    if request.suite is not None and sandbox is None:
        raise UsageError("Tests can only be run in a sandbox.", hint="hand over `sandbox.choose()`.")
    search = _Search(request, coder, sandbox, observe, report)
    return search.run()


class _Search:
    """One request in the making."""

    def __init__(
        self,
        request: GenerationRequest,
        coder: Coder,
        sandbox: Sandbox | None,
        observe: Callable[[StepView], None] | None,
        report: Callable[[Candidate], None] | None,
    ) -> None:
        self.request, self.coder, self.sandbox = request, coder, sandbox
        self.observe, self.report = observe, report
        self.language: Language = languages.get(request.language)
        self.prompt: Prompt = build_prompt(request, self.language, coder.tokenizer)
        self.budget = Budget(request.seconds)
        self.candidates: list[Candidate] = []
        self.drawn = 0
        self.decoders: list[BlockDecoder] = []
        self.denoise_seconds = self.judge_seconds = 0.0

    def run(self) -> GenerationResult:
        """Greedy first, then batches; those that bring nothing new are followed by warmer ones."""
        winner = self._round([None], temperature=0.0)
        base, idle = self.request.decode.temperature, 0
        while winner is None and not self._over() and idle < _IDLE_ROUNDS:
            known = len(self.candidates)
            winner = self._round(self._starts(), temperature=min(base + _WARMER * idle, _HOTTEST))
            idle = idle + 1 if len(self.candidates) == known else 0
        return self._result(winner)

    def _over(self) -> bool:
        if self.request.decode.temperature == 0:
            return True  # greedy twice would be the same text twice
        most = self.request.candidates
        if self.request.suite is None and most is None:
            parsed = any(candidate.parses and candidate.undefined is None for candidate in self.candidates)
            return parsed or self.drawn >= _ATTEMPTS_WITHOUT_TESTS or self.budget.exhausted()
        return self.budget.exhausted() or (most is not None and self.drawn >= most)

    def _starts(self) -> list[Candidate | None]:
        """What the next batch starts from: None is the bare prompt, a candidate is gone on from where it failed."""
        size = self.request.batch if self.request.suite is not None else 1
        if self.request.candidates is not None:
            size = min(size, self.request.candidates - self.drawn)
        failed = sorted(
            (c for c in self.candidates if c.verdict is not None and not c.verdict.ok and c.remasked < 2),
            key=lambda c: (-c.share_passed, c.remasked, -c.confidence),
        )
        count = min(len(failed), int(size * _REMASK_SHARE))
        return [*failed[:count], *[None] * (size - count)]

    def _round(self, starts: Sequence[Candidate | None], *, temperature: float) -> Candidate | None:
        """Denoise one batch, judge what is new, and return the confirmed winner if there is one."""
        begun = time.monotonic()
        fresh = self._denoise(starts, temperature)
        self.denoise_seconds += time.monotonic() - begun
        begun = time.monotonic()
        winner = self._judge(fresh)
        self.judge_seconds += time.monotonic() - begun
        return winner

    def _denoise(self, starts: Sequence[Candidate | None], temperature: float) -> list[Candidate]:
        prompts, kept = [], []
        for start in starts:
            tokens: list[int] = []
            origin = "greedy" if temperature == 0 else "sample"
            if start is not None:
                start.remasked += 1  # also where nothing can be kept, so that another one has its turn
                plan = self._plan(start)
                if plan is not None and self._fits(plan):
                    tokens = plan.kept
                    origin = f"remasked from line {plan.line} of candidate {start.number} ({plan.reason})"
            prompts.append([*self.prompt.tokens, *tokens])
            kept.append((tokens, origin))
        settings = replace(
            self.request.decode,
            temperature=temperature,
            stop_tokens=(self.coder.tokenizer.fence_id,),
            max_new_tokens=self._longest_answer(),
            quorum=_QUORUM,
        )
        decoder = self.coder.decoder(settings)
        self.decoders.append(decoder)
        streams = range(self.drawn, self.drawn + len(starts))
        # Only where the prompt opened the one function that is asked for: then nothing after it is needed.
        ends = self.coder.answer_end(self.language, self.prompt)
        samples = decoder.decode(
            prompts,
            streams,
            observe=self.observe,
            stop=self.budget.exhausted,
            ends=ends,
            constraints=[self._constraint(tokens) for tokens, _ in kept],
        )
        self.drawn += len(starts)
        made = [self._candidate(sample, *start) for sample, start in zip(samples, kept, strict=True)]
        known = {candidate.program for candidate in self.candidates}
        fresh = []
        for candidate in made:
            if candidate.program and candidate.program not in known:
                known.add(candidate.program)
                fresh.append(candidate)
        return fresh

    def _constraint(self, kept: list[int]) -> TextConstraint | None:
        """The constraint on an answer that goes on from `kept`; None where there is none or the text is beyond it."""
        constraint = self.coder.constraint(self.request.language) if self.request.constraint else None
        if constraint is None:
            return None
        try:
            return constraint.start(self.prompt.opening, kept=kept)
        except UsageError as problem:
            get_logger(__name__).warning("a candidate goes without the grammar: %s", problem)
            return None

    def _longest_answer(self) -> int:
        """Tokens after which a sample is cut: a batch is as slow as its longest row, and ramblers seldom pass."""
        finished = [len(candidate.tokens) for candidate in self.candidates if candidate.finished]
        most = self.request.decode.max_new_tokens
        return min(most, max(_SHORTEST_LIMIT, _SLACK * max(finished))) if finished else most

    def _candidate(self, sample: Sample, kept: list[int], origin: str) -> Candidate:
        tokens = [*kept, *sample.tokens]
        text = self.prompt.opening + self.coder.tokenizer.decode(tokens)
        program = self.language.with_imports(self._program(text))
        problem = self.language.parse_error(program)
        return Candidate(
            number=sample.stream,
            origin=origin,
            program=program,
            tokens=tokens,
            confidences=[1.0] * len(kept) + sample.confidences[: len(sample.tokens)],
            finished=sample.finished,
            confidence=sample.confidence,
            parse_error=None if problem is None else f"line {problem.line}: {problem.message}",
            parse_line=None if problem is None else problem.line,
            undefined=_undefined(program, self.language.name) if problem is None else None,
            style_distance=None if self.request.style is None else _distance(self.request.style, program),
        )

    def _program(self, text: str) -> str:
        """The program in an answer; where leaving out what looks like prose would break it, the whole answer."""
        program = self.language.extract(text)
        if self.request.constraint and self.language.parse_error(program) is not None:
            whole = text.strip("\n") + "\n"
            return whole if self.language.parse_error(whole) is None else program
        return program

    def _plan(self, start: Candidate) -> RemaskPlan | None:
        verdict = start.verdict
        line = start.parse_line if start.parse_line is not None else (verdict.failure_line if verdict else None)
        text = self.prompt.opening + self.coder.tokenizer.decode(start.tokens)
        above = _lines_before(start.program, text)
        if line is not None:
            line += above
            if line > text.count("\n") + 1:
                line = None  # something is missing at the end, and no line can tell where it should have been
        return plan_remask(
            start.tokens,
            start.confidences,
            self.prompt.opening,
            self.coder.tokenizer,
            line,
            verdict=verdict,
            parses=start.parse_line is None,
            undefined=None if start.undefined is None else start.undefined.line + above,
        )

    def _fits(self, plan: RemaskPlan) -> bool:
        """Whether prompt, kept part and the longest answer stay within the model's context."""
        longest = len(self.prompt.tokens) + len(plan.kept) + self.request.decode.max_new_tokens
        return longest <= self.coder.parent.shape.context

    def _judge(self, fresh: list[Candidate]) -> Candidate | None:
        """Verdicts for the new candidates until one of them is confirmed or the time is up.

        Those nearest to the style come first, then the likeliest. Those that say a name which nothing declares come
        last: they fail where it is looked at, but only there, so they are run all the same.
        """
        self.candidates += fresh
        suite, sandbox = self.request.suite, self.sandbox
        if suite is None or sandbox is None or not fresh:
            return None
        # A cut-off round still gets a moment, so that what it found is not thrown away unseen.
        seconds = min(self.request.case_seconds, max(self.budget.remaining(), _LAST_SECONDS))
        limits = Limits(seconds=seconds, memory_bytes=self.request.memory_bytes)
        ordered = sorted(fresh, key=lambda c: (c.undefined is not None, c.style_distance or 0.0, -c.confidence))
        for candidate, verdict in zip(
            ordered, judge_each(suite, [c.program for c in ordered], sandbox, limits), strict=False
        ):
            # Alone in a fresh process, beside a planted false assertion: code that fakes its result fails there.
            candidate.verdict = confirm(suite, candidate.program, sandbox, limits) if verdict.ok else verdict
            if self.report is not None:
                self.report(candidate)
            if candidate.verdict.ok:
                return candidate
            if self.budget.exhausted():
                break
        return None

    def _result(self, winner: Candidate | None) -> GenerationResult:
        counts = [decoder.counts for decoder in self.decoders]
        best = winner or max(
            self.candidates,
            key=lambda c: (
                c.share_passed,
                c.parses,
                c.undefined is None,
                c.finished,
                -(c.style_distance or 0.0),
                c.confidence,
            ),
            default=None,
        )
        return GenerationResult(
            program=best.program if best is not None else "",
            verified=winner is not None,
            best=best,
            candidates=self.candidates,
            drawn=self.drawn,
            suite=self.request.suite,
            language=self.language.name,
            mode=self.request.decode.mode,
            seed=self.request.decode.seed,
            forwards=sum(count.forwards for count in counts),
            row_forwards=sum(count.row_forwards for count in counts),
            new_tokens=sum(count.new_tokens for count in counts),
            denoise_seconds=self.denoise_seconds,
            judge_seconds=self.judge_seconds,
            seconds=self.budget.spent(),
            tier=self.sandbox.tier if self.sandbox is not None and self.request.suite is not None else "not used",
            weights=self.coder.weights,
        )


def _distance(style: StyleProfile, program: str) -> float:
    from agentic_diffusion.domains.code.style import distance  # parsers that only a style needs

    return distance(style, program)


def _undefined(program: str, language: str) -> Issue | None:
    from agentic_diffusion.domains.code.scope import undefined_names  # parsers, as for a style

    return next(iter(undefined_names(program, language)), None)


def _lines_before(program: str, text: str) -> int:
    """How many lines further down a line of `program` stands in the answer `text` that it was taken out of.

    Prose before the program makes it positive, imports that were added to the program make it negative.
    """
    places = {line.strip(): number for number, line in reversed(list(enumerate(text.splitlines()))) if line.strip()}
    for number, line in enumerate(program.splitlines()):
        if line.strip() in places:
            return places[line.strip()] - number
    return 0

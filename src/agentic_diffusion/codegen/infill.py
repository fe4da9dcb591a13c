"""Filling a hole: the block decoder writes answers, every place where one may end is tried, the best come first.

A prompt form puts the hole to the model; the answers are denoised in batches, the first one greedily; the form of the
hole and the suffix say where an answer may end; every distinct (answer, end) is a filling; fillings are ranked by how
well the suffix goes on from them, and those with which the program does not parse come last. The length is therefore
the model's choice: no number of tokens is told to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.hole import Filling, Hole
from agentic_diffusion.codegen.infill_constraint import HoleConstraint
from agentic_diffusion.codegen.infill_ends import Ends, HoleEnd
from agentic_diffusion.codegen.infill_prompt import PromptForm, form_named, healed
from agentic_diffusion.codegen.infill_ranking import Ranking, Terms, terms
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.constraint import TextConstraint
    from agentic_diffusion.codegen.infill_prompt import InfillPrompt
    from agentic_diffusion.diffusion.block_decoder import DecodeSettings
    from agentic_diffusion.diffusion.block_state import Sample, StepView

LONGEST_LINES = 8
"""Lines of a filling at most, unless the caller says otherwise."""
_SHORTEST_LIMIT, _LINE_TOKENS = 48, 16
"""Tokens that an answer may have: so many at least, and so many for each line that a filling may have."""
_SLACK = 3
"""Once the greedy answer has ended by itself, the others may be so many times as long; at least 48 tokens."""
_WINDOW = 1024
"""Tokens of a prompt at most; what is farther from the hole than that is seldom needed, and every token costs time."""
_GRAMMAR_LIMIT = 20_000
"""Characters of a prefix that the grammar still reads; answers after longer ones are held to nothing."""
_BATCH = 16
"""Answers denoised together."""
_MOST_FILLINGS = 64
"""Fillings that are ranked at most: those of the first answers."""
_QUORUM = 0.75
"""A batch is over when this share of it has ended; a cut answer still offers its whole lines."""
_WARM = 0.7
"""Temperature of the samples where the settings are greedy."""


@dataclass
class _Draft:
    """A filling before it is ranked."""

    text: str
    confidences: list[float]


def fill(
    hole: Hole,
    coder: Coder,
    *,
    candidates: int,
    settings: DecodeSettings,
    seed: int,
    longest_lines: int = LONGEST_LINES,
    stop: Callable[[], bool] = lambda: False,
    observe: Callable[[StepView], None] | None = None,
    form: PromptForm | None = None,
    ranking: Ranking | None = None,
    length: int | None = None,
    constraint: bool = True,
) -> list[Filling]:
    """Distinct fillings of a hole, the best first; empty when `stop` came first or the model had nothing to say.

    Args:
        hole: The hole.
        coder: The model.
        candidates: Answers drawn, the first one greedily; each may offer several fillings.
        settings: How blocks are denoised; their temperature is that of the answers after the first.
        seed: Seed of all answers.
        longest_lines: Lines of a filling at most.
        stop: Asked after every forward; True cuts the answers where they are, and no further ones are drawn.
        observe: Sees every denoising step.
        form: How the hole is put to the model; None is the form that the adapter was trained on, if any.
        ranking: What fillings are ranked by.
        length: Tokens of the filling where they are known ("oracle length"); None lets the model choose.
        constraint: Whether the grammar of the language, where it has one, holds the answers.

    Raises UsageError where less than one candidate or line is asked for.
    """
    if candidates < 1 or longest_lines < 1:
        raise UsageError("At least one candidate and one line are needed.", hint="ask for one or more.")
    task = _Task(
        hole,
        coder,
        settings,
        seed=seed,
        longest_lines=longest_lines,
        form=form or form_named(coder.holes),
        length=length,
        constraint=constraint,
    )
    drafts = task.drafts(candidates, stop, observe)
    return _ranked(hole, drafts, coder, ranking or Ranking())


class _Task:
    """One hole in the making."""

    def __init__(
        self,
        hole: Hole,
        coder: Coder,
        settings: DecodeSettings,
        *,
        seed: int,
        longest_lines: int,
        form: PromptForm,
        length: int | None,
        constraint: bool,
    ) -> None:
        self.hole, self.coder, self.length = hole, coder, length
        self.rule = HoleEnd(hole, longest_lines=longest_lines)
        self.grammar = constraint
        context = coder.parent.shape.context
        # The open end of the prefix is part of the answer.
        spare = len(coder.tokenizer.encode(healed(hole.prefix, coder.tokenizer)[1]))
        longest = max(_SHORTEST_LIMIT, _LINE_TOKENS * (longest_lines + 1) if hole.whole_lines else 0)
        longest = (min(longest, settings.max_new_tokens) if length is None else length) + spare
        longest = max(1, min(longest, context // 3))
        self.prompt: InfillPrompt = form.prompt(hole, coder.tokenizer, min(_WINDOW, context - longest))
        self.settings = replace(
            settings, max_new_tokens=longest, stop_tokens=self.prompt.enders, quorum=_QUORUM, seed=seed
        )

    def drafts(
        self, candidates: int, stop: Callable[[], bool], observe: Callable[[StepView], None] | None
    ) -> list[_Draft]:
        """Distinct fillings of so many answers: a greedy one, then samples in batches."""
        [greedy] = self._denoise([0], 0.0, stop, observe)
        samples = [greedy]
        if greedy.finished and self.length is None:
            limit = min(self.settings.max_new_tokens, max(_SHORTEST_LIMIT, _SLACK * len(greedy.tokens)))
            self.settings = replace(self.settings, max_new_tokens=limit)
        warm = self.settings.temperature or _WARM
        for start in range(1, candidates, _BATCH):
            if stop():
                break
            samples += self._denoise(list(range(start, min(start + _BATCH, candidates))), warm, stop, observe)
        found = [draft for sample in samples for draft in self._offered(sample)]
        known: dict[str, _Draft] = {}
        for draft in found:
            known.setdefault(draft.text, draft)
        return list(known.values())[:_MOST_FILLINGS]

    def _denoise(
        self,
        streams: list[int],
        temperature: float,
        stop: Callable[[], bool],
        observe: Callable[[StepView], None] | None,
    ) -> list[Sample]:
        decoder = self.coder.decoder(replace(self.settings, temperature=temperature))
        ends = Ends(self.rule, self.coder.tokenizer, begin=len(self.prompt.tokens), forced=self.prompt.forced)
        return decoder.decode(
            [self.prompt.tokens] * len(streams),
            streams,
            observe=observe,
            stop=stop,
            ends=None if self.length is not None else ends,
            constraints=[self._constraint() for _ in streams],
        )

    def _constraint(self) -> HoleConstraint:
        """Open end and grammar; the grammar is left out where it does not know the text before the hole."""
        enders = frozenset({*self.prompt.enders, self.coder.parent.shape.eos_id})
        return HoleConstraint(self.coder.token_texts, self.prompt.forced, self._grammar(), enders)

    def _grammar(self) -> TextConstraint | None:
        if not self.grammar or len(self.hole.prefix) > _GRAMMAR_LIMIT:
            return None
        grammar = self.coder.constraint(self.hole.language)
        if grammar is None:
            return None
        try:
            prefix = self.hole.prefix
            return grammar.start(prefix[: len(prefix) - len(self.prompt.forced)] if self.prompt.forced else prefix)
        except UsageError:
            return None

    def _offered(self, sample: Sample) -> list[_Draft]:
        """The fillings that one answer offers."""
        text = self.coder.tokenizer.decode(sample.tokens)
        if not text.startswith(self.prompt.forced):
            return []  # cut before it began
        text = text[len(self.prompt.forced) :]
        if self.length is not None:
            texts = [text.rstrip() + ("\n" if self.hole.ends_line else "")] if text.strip() else []
        else:
            texts = self.rule.ends(text, complete=sample.finished)
            if self.prompt.tells_end and sample.finished:
                texts = texts[-1:]
        reached, shown = [], 0
        for piece in self.coder.tokenizer.pieces(sample.tokens):
            shown += len(piece)
            reached.append(shown - len(self.prompt.forced))
        made = []
        for filling in texts:
            first = max(text.find(filling.strip()), 0)
            last = first + len(filling.strip())
            own = [c for c, end in zip(sample.confidences, reached, strict=False) if first < end]
            inside = sum(first < end <= last for end in reached) or 1
            made.append(_Draft(filling, own[:inside]))
        return made


def _ranked(hole: Hole, drafts: Sequence[_Draft], coder: Coder, ranking: Ranking) -> list[Filling]:
    """Fillings out of drafts, the best first."""
    if not drafts:
        return []
    language = languages.get(hole.language)
    told = terms(hole, [d.text for d in drafts], coder) if ranking.asks_parent else [Terms(0.0, 0.0)] * len(drafts)
    made = []
    for draft, said in zip(drafts, told, strict=True):
        chances = [max(chance, 1e-30) for chance in draft.confidences] or [1e-30]
        own = sum(map(math.log, chances)) / len(chances)
        made.append(
            Filling(
                draft.text,
                confidence=sum(chances) / len(chances),
                score=ranking.filling * said.filling + ranking.suffix * said.suffix + ranking.own * own,
                parses=language.parse_error(hole.filled(draft.text)) is None,
                tokens=len(draft.confidences),
            )
        )
    return sorted(made, key=lambda filling: (not filling.parses, -filling.score))

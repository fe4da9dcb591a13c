"""A program as the parent reads it: in one forward, what it would have written in the place of every token.

    N tokens of the program that were asked for, K alternatives, V vocabulary

Two things come of it. The model's doubt of a line: by how much it preferred another token somewhere in it. And edits:
a single token is taken back and the model's own choice put there, before it, or in the place of the token and what it
is known to skip. (LLaDA2.1, "Speeding up text diffusion via token editing", calls the first kind token-to-token
editing.) Offsets count characters of the program from 0, lines count from 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from agentic_diffusion.diffusion.block_packing import pack_clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float, Int
    from torch import Tensor

    from agentic_diffusion.codegen.coder import Coder

ALTERNATIVES = 24
"""Tokens K that are looked at in every place, unless told otherwise."""
LONGEST = 1024
"""Tokens of a program that are read at once; of a longer one the part around the lines that are asked for."""
LINES_BEFORE = 80
"""Lines before the first asked one that are read in a long program."""
_ROWS = 128
"""Places whose logits are made at once."""


@dataclass(frozen=True)
class Edit:
    """One token changed; the whole text is made when it is asked for, for there are thousands of edits."""

    start: int
    """First offset that is taken out."""
    end: int
    """The one behind the last."""
    new: str
    """What stands there instead."""
    line: int
    """The line of the change."""
    log_probability: float
    """Of the token that the model put there, given what stands before, in nats."""
    kind: str
    """replaced, inserted or left out."""

    def applied(self, program: str) -> str:
        """The program with the change."""
        return program[: self.start] + self.new + program[self.end :]


@dataclass(frozen=True)
class Reading:
    """What the model would have written in the places of some lines."""

    program: str
    """The text that was read."""
    spans: list[tuple[int, int]]
    """First and last offset of each of N tokens."""
    lines: list[int]
    """The line of the visible part of each token."""
    own: Float[Tensor, " N"]
    """Probability of the token that stands there."""
    best: Float[Tensor, " N"]
    """Probability of the likeliest token."""
    ids: Int[Tensor, "N K"]
    """The likeliest tokens."""
    log_probabilities: Float[Tensor, "N K"]
    """Theirs, in nats."""

    def doubts(self) -> dict[int, float]:
        """By line, the greatest lead of the model's own choice over the token that stands there, in [0, 1]."""
        found: dict[int, float] = {}
        for line, lead in zip(self.lines, (self.best - self.own).tolist(), strict=True):
            found[line] = max(found.get(line, 0.0), lead)
        return found

    def edits(self, coder: Coder, lines: Sequence[int]) -> Iterator[Edit]:
        """Every change by which one token of these lines is another one, follows a new one, or is left out."""
        wanted = set(lines)
        for place, (start, end) in enumerate(self.spans):
            if self.lines[place] not in wanted:
                continue
            yield from self._at(coder, place, start, end)

    def _at(self, coder: Coder, place: int, start: int, end: int) -> Iterator[Edit]:
        old, line = self.program[start:end], self.lines[place]
        behind_next = ""
        if place + 1 < len(self.spans) and self.lines[place + 1] == line:
            behind_next = self.program[slice(*self.spans[place + 1])]
        likely = zip(self.ids[place].tolist(), self.log_probabilities[place].tolist(), strict=True)
        for token, chance in likely:
            new = coder.tokenizer.decode([token])
            if not new.strip() or "\ufffd" in new or "\n" in new:
                continue
            if new != old:
                yield Edit(start, end, new, line, chance, "replaced")
                yield Edit(start, start, new, line, chance, "inserted")
            if new.strip() == behind_next.strip() and new.strip():
                # the model goes on with what comes next: it would have left this token out
                yield Edit(start, end, "", line, chance, "left out")


@torch.inference_mode()
def read(
    program: str,
    coder: Coder,
    lines: Sequence[int],
    *,
    request: str = "",
    fence: str = "python",
    alternatives: int = ALTERNATIVES,
) -> Reading:
    """Read the lines of a program in view of `request` (what it shall do) and of what stands before them."""
    first, last = min(lines, default=1), max(lines, default=1)
    text_lines = program.splitlines(keepends=True)
    begin = 0 if len(coder.tokenizer.encode(program)) <= LONGEST else max(0, first - 1 - LINES_BEFORE)
    skipped = sum(map(len, text_lines[:begin]))
    prompt = coder.tokenizer.chat(request or "Write this program.", language=fence).tokens
    room = min(LONGEST, coder.parent.shape.context - 1) - min(len(prompt), LONGEST // 2)
    tokens, places = coder.tokenizer.encode_with_places(program[skipped:])
    tokens, places = tokens[: max(room, 0)], places[: max(room, 0)]
    prompt = prompt[-(coder.parent.shape.context - 1 - len(tokens)) :]
    spans = [(skipped + start, skipped + end) for start, end in places]
    at = [_line(program, *span) for span in spans]
    kept = [place for place, line in enumerate(at) if first <= line <= last]
    logits = _logits(coder, [*prompt, *tokens], [len(prompt) + place - 1 for place in kept])
    own, best, ids, chances = [], [], [], []
    for rows, part in logits:
        stands = torch.tensor([tokens[kept[row]] for row in rows], device=part.device)
        own.append(part.gather(1, stands[:, None])[:, 0].exp())
        top = part.topk(min(alternatives, part.shape[1]), dim=1)
        best.append(top.values[:, 0].exp())
        ids.append(top.indices)
        chances.append(top.values)
    return Reading(
        program,
        [spans[place] for place in kept],
        [at[place] for place in kept],
        _joined(own).float().cpu(),
        _joined(best).float().cpu(),
        _joined(ids).long().cpu(),
        _joined(chances).float().cpu(),
    )


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if parts else torch.zeros(0, 1)


def _logits(coder: Coder, tokens: list[int], places: list[int]) -> Iterator[tuple[range, Float[Tensor, "M V"]]]:
    """Log-probabilities of what follows some places of a text, by pieces."""
    if not places:
        return
    parent = coder.parent
    packing, _ = pack_clean(torch.zeros(1, dtype=torch.long), torch.tensor([len(tokens)]))
    cache = parent.new_cache(rows=1, slots=len(tokens))
    hidden = parent.forward(parent.embed(torch.tensor(tokens, device=parent.device)), packing, cache)
    for start in range(0, len(places), _ROWS):
        rows = range(start, min(start + _ROWS, len(places)))
        yield rows, parent.logits(hidden[places[start : rows.stop]]).float().log_softmax(1)


def _line(program: str, start: int, end: int) -> int:
    """The line on which the visible part of a token stands; blank tokens belong to the line that they end or indent."""
    piece = program[start:end]
    lead = len(piece) - len(piece.lstrip()) if piece.strip() else 0
    return program.count("\n", 0, start + lead) + 1

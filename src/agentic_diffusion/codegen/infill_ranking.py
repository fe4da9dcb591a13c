"""Ranking fillings: how likely the parent finds a filling after its prefix, and the suffix after both.

    score = w_filling * mean log p(filling | prefix)
          + w_suffix * mean log p(first lines of the suffix | prefix, filling)
          + w_own * mean log p(filling) as the denoiser committed it, with the suffix in view

`benchmarks/infill_ranking.py` measures the weights. Both terms of the parent come from one clean forward of rows that
share the prefix. Log-probabilities in nats a token.
R rows, T tokens of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from agentic_diffusion.codegen.infill_prompt import cut_begin, cut_end, healed
from agentic_diffusion.diffusion.block_packing import pack_clean
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.tokenizer import FENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.hole import Hole

_CONTEXT = 256
"""Tokens of the prefix that the parent reads."""
_SUFFIX = 32
"""Tokens of the suffix that are scored at most."""
_SUFFIX_LINES = 3
"""Lines of the suffix that are scored at most."""
_ROWS = 16
"""Rows of one forward."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The weights of the terms."""

    filling: float = 1.0
    """Of the filling's mean log-probability under the parent."""
    suffix: float = 3.0
    """Of the suffix's mean log-probability under the parent."""
    own: float = 0.0
    """Of the filling's mean log-probability under the denoiser."""

    @property
    def asks_parent(self) -> bool:
        """Whether the parent has to be asked at all."""
        return self.filling != 0 or self.suffix != 0


@dataclass(frozen=True)
class Terms:
    """What the parent says of a filling."""

    filling: float
    """Mean log-probability of its tokens."""
    suffix: float
    """Mean log-probability of the suffix's first tokens; 0 without a suffix."""


@torch.inference_mode()
def terms(hole: Hole, texts: Sequence[str], coder: Coder) -> list[Terms]:
    """The parent's two terms for every filling text."""
    tokenizer = coder.tokenizer
    context = min(_CONTEXT, coder.parent.shape.context // 3)
    kept, forced = healed(hole.prefix, tokenizer)
    fence = f"{FENCE}{languages.get(hole.language).fences[0]}\n"
    begin = tokenizer.encode(fence + cut_begin(kept, tokenizer, context))
    lines = hole.suffix.split("\n")
    head = [i for i, line in enumerate(lines) if line.strip()][:_SUFFIX_LINES]
    after = cut_end("\n".join(lines[: head[-1] + 1]) if head else "", tokenizer, _SUFFIX)
    room = coder.parent.shape.context - len(begin)
    rows = []
    for text in texts:
        tokens = tokenizer.encode(forced + text + after)[:room]
        reached = list(accumulate(len(piece) for piece in tokenizer.pieces(tokens)))
        rows.append((tokens, sum(end <= len(forced + text) for end in reached) or 1))
    found: list[Terms] = []
    for start in range(0, len(rows), _ROWS):
        found += _scored(begin, rows[start : start + _ROWS], coder)
    return found


def _scored(begin: list[int], rows: list[tuple[list[int], int]], coder: Coder) -> list[Terms]:
    """Terms of rows that all follow `begin`, whose keys and values are computed once."""
    parent = coder.parent
    longest = max(len(tokens) for tokens, _ in rows)
    cache = parent.new_cache(rows=1, slots=len(begin) + longest)
    common = len(begin) - 1
    if common:
        packing, _ = pack_clean(torch.tensor([0]), torch.tensor([common]))
        parent.forward(parent.embed(torch.tensor(begin[:common])), packing, cache)
    cache = cache.repeat_row(common, len(rows))
    # A row reads the last token of the beginning and all of its own but the last, whose successor is nobody's.
    packing, _ = pack_clean(torch.full((len(rows),), common), torch.tensor([len(tokens) for tokens, _ in rows]))
    flat = [token for tokens, _ in rows for token in (begin[-1], *tokens[:-1])]
    states = parent.forward(parent.embed(torch.tensor(flat)), packing, cache)
    found, place = [], 0
    for tokens, count in rows:
        logits = parent.logits(states[place : place + len(tokens)]).float()
        chances = logits.log_softmax(-1)[torch.arange(len(tokens)), torch.tensor(tokens)]
        behind = chances[count:]
        found.append(Terms(float(chances[:count].mean()), float(behind.mean()) if len(behind) else 0.0))
        place += len(tokens)
    return found

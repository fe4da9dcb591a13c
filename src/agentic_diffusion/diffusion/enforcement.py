"""Holding the rows of a decoding to their constraints, and the random numbers of a decoding.

B rows, K places, V vocabulary. Every number is a function of (seed, stream, position, step) and a constraint's answer
one of its own row's text, so a row's text does not depend on its batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from agentic_diffusion.diffusion.samplers import sample_tokens
from agentic_diffusion.foundation.randomness import uniforms

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from agentic_diffusion.diffusion.block_state import Rows
    from agentic_diffusion.diffusion.constraint import RowConstraint

_STEPS = 1 << 20
"""Draws of one position are this far apart from draws of the next in the counter of a sample's stream."""
_TRIES = 32
"""Tokens drawn one after the other where those that the grammar allows are refused for what they mean."""


class Sampling(Protocol):
    """The settings that a draw needs."""

    @property
    def temperature(self) -> float:
        """0 is greedy."""

    @property
    def top_p(self) -> float:
        """The nucleus."""

    @property
    def seed(self) -> int:
        """Seed of all streams."""


def draws(settings: Sampling, rows: Rows, places: Int[Tensor, "B K"], step: int) -> Float[Tensor, "B K"]:
    """The random number of every place, in [0, 1); zeros where decoding is greedy."""
    if settings.temperature == 0:
        return torch.zeros(places.shape)
    counters = (places - rows.prompt[:, None]).cpu().numpy() * _STEPS + step
    numbers = [uniforms(settings.seed, int(s), c) for s, c in zip(rows.streams, counters, strict=True)]
    return torch.from_numpy(np.stack(numbers)).float()


def enforce(
    settings: Sampling,
    rows: Rows,
    tokens: Int[Tensor, "B K"],
    confidence: Float[Tensor, "B K"],
    counts: Int[Tensor, " B"],
    *,
    logits: Float[Tensor, "B V"],
    step: int,
) -> Int[Tensor, " B"]:
    """How many of the first `counts` tokens of each row its constraint lets pass; those are committed to it.

    Where the first one is forbidden another is drawn from the allowed ones, with the place's own random number, and
    written into `tokens` and `confidence`. A row that nothing can follow is noted as stuck and keeps none.
    """
    kept = counts.clone()
    for row in range(len(rows.streams)) if rows.constraints else ():
        constraint = rows.constraint(row)
        if constraint is None or bool(rows.done[row]) or int(counts[row]) == 0:
            continue
        wanted = tokens[row, : int(counts[row])].tolist()
        count = constraint.accepts(wanted)
        if count == 0:
            found = _redraw(settings, rows, row, constraint=constraint, logits=logits[row], step=step)
            if found is None:
                rows.stuck.add(int(rows.streams[row]))
                kept[row] = 0
                continue
            tokens[row, 0], confidence[row, 0] = found
            wanted, count = [found[0]], 1
        constraint.commit(wanted[:count])
        kept[row] = count
    return kept


def _redraw(
    settings: Sampling, rows: Rows, row: int, *, constraint: RowConstraint, logits: Float[Tensor, " V"], step: int
) -> tuple[int, float] | None:
    """A token that the constraint lets follow, and its probability among the allowed ones; None when there is none."""
    allowed = constraint.allowed_tokens().to(logits.device)
    random = draws(settings, rows, rows.known[:, None], step)[row, 0].to(logits.device)
    for _ in range(_TRIES):
        if not bool(allowed.any()):
            return None
        token, sure = sample_tokens(
            logits.float(), settings.temperature, settings.top_p, random, allowed_tokens=allowed
        )
        if constraint.accepts([int(token)]) == 1:
            return int(token), float(sure)
        allowed[token] = False
    return None

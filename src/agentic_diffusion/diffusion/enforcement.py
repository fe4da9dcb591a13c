"""Holding the rows of a decoding to their constraints, and the random numbers of a decoding.

B rows, K places, V vocabulary. Every number is a function of (seed, stream, position, step) and a constraint's answer
one of its own row's text, so a row's text does not depend on its batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def draws(rows: Rows, places: Int[Tensor, "B K"], steps: Int[Tensor, " B"]) -> Float[Tensor, "B K"]:
    """The random number of every place, in [0, 1); zeros where decoding is greedy."""
    random = torch.zeros(places.shape)
    if all(one.temperature == 0 for one in rows.settings):
        return random
    counters = ((places - rows.prompt[:, None]) * _STEPS + steps[:, None]).cpu().numpy()
    for row, one in enumerate(rows.settings):
        if one.temperature:
            numbers = uniforms(one.seed, int(rows.streams[row]), counters[row])
            random[row] = torch.from_numpy(numbers).float()
    return random


def sample_rows(
    logits: Float[Tensor, "B K V"], rows: Rows, random: Float[Tensor, "B K"]
) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
    """One token a place and its confidence, each row by its own temperature and nucleus."""
    kinds = {(one.temperature, one.top_p) for one in rows.settings}
    if len(kinds) == 1:
        return sample_tokens(logits.float(), *kinds.pop(), random)
    tokens = torch.zeros(random.shape, dtype=torch.long, device=logits.device)
    confidence = torch.zeros(random.shape, device=logits.device)
    for kind in kinds:
        mine = [row for row, one in enumerate(rows.settings) if (one.temperature, one.top_p) == kind]
        tokens[mine], confidence[mine] = sample_tokens(logits[mine].float(), *kind, random[mine])
    return tokens, confidence


def enforce(
    rows: Rows,
    tokens: Int[Tensor, "B K"],
    confidence: Float[Tensor, "B K"],
    counts: Int[Tensor, " B"],
    *,
    logits: Float[Tensor, "B V"],
    steps: Int[Tensor, " B"],
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
            found = _redraw(rows, row, constraint=constraint, logits=logits[row], steps=steps)
            if found is None:
                rows.stuck.add(int(rows.keys[row]))
                kept[row] = 0
                continue
            tokens[row, 0], confidence[row, 0] = found
            wanted, count = [found[0]], 1
        constraint.commit(wanted[:count])
        kept[row] = count
    return kept


def _redraw(
    rows: Rows, row: int, *, constraint: RowConstraint, logits: Float[Tensor, " V"], steps: Int[Tensor, " B"]
) -> tuple[int, float] | None:
    """A token that the constraint lets follow, and its probability among the allowed ones; None when there is none."""
    allowed = constraint.allowed_tokens().to(logits.device)
    settings = rows.settings[row]
    random = draws(rows, rows.known[:, None], steps)[row, 0].to(logits.device)
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

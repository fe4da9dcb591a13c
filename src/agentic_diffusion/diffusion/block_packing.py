"""How clean and noised tokens of a batch are packed into one forward of the backbone.

    B rows, n known tokens a row, the first `cached` of them with exact keys and values in the cache

Every row gives its clean segment (known tokens not yet cached, causal) and its noised tokens. Segments have different
lengths; they are packed without padding, noised tokens first. Attention alone works on a padded [B, Q] layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from agentic_diffusion.diffusion.backbones.llama import Packing

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor


@dataclass(frozen=True)
class Segments:
    """Ragged runs of positions: row and position of each entry, and its offset within its run."""

    rows: Int[Tensor, " N"]
    positions: Int[Tensor, " N"]
    offsets: Int[Tensor, " N"]


def segments(start: Int[Tensor, " B"], length: Int[Tensor, " B"]) -> Segments:
    """Positions start[b], ..., start[b] + length[b] - 1 of every row, concatenated row by row."""
    rows = torch.repeat_interleave(torch.arange(len(start), device=start.device), length)
    first = length.cumsum(0) - length
    offsets = torch.arange(len(rows), device=start.device) - first[rows]
    return Segments(rows, start[rows] + offsets, offsets)


def pack_block(known: Int[Tensor, " B"], cached: Int[Tensor, " B"], block: int) -> tuple[Packing, Segments]:
    """Pack, for every row, `block` noised tokens and the clean tokens that are not cached yet.

    Noised inputs stand at positions known - 1, ..., known + block - 2 (the last known token opens the block: logits are
    shifted by one) and see everything up to the block's end. They are written to their own slots and overwritten when
    the clean tokens arrive. Clean tokens at positions cached, ..., known - 2 see the past causally.
    Returns the packing and the clean segments; the first B * block packed tokens are the noised ones, row by row.
    """
    noised = segments(known - 1, torch.full_like(known, block))
    clean = segments(cached, known - 1 - cached)
    end = known + block - 2
    limit_noised, limit_clean = end[noised.rows], clean.positions
    longest = block + int(clean.offsets.max()) + 1 if len(clean.rows) else block
    return _packing(noised, clean, (limit_noised, limit_clean), (len(known), block, longest)), clean


def pack_clean(cached: Int[Tensor, " B"], length: Int[Tensor, " B"]) -> tuple[Packing, Segments]:
    """Pack `length` clean tokens a row (some rows may have none) from position `cached` on: the parent itself."""
    clean = segments(cached, length)
    none = Segments(clean.rows[:0], clean.positions[:0], clean.offsets[:0])
    longest = int(length.max())
    return _packing(none, clean, (none.positions, clean.positions), (len(cached), 0, longest)), clean


def _packing(
    noised: Segments,
    clean: Segments,
    limits: tuple[Int[Tensor, " A"], Int[Tensor, " C"]],
    layout: tuple[int, int, int],
) -> Packing:
    """Lay the segments out for attention; `layout` is B, the noised tokens a row and Q. A row may have no token."""
    batch, block, longest = layout
    rows = torch.cat((noised.rows, clean.rows))
    positions = torch.cat((noised.positions, clean.positions))
    padded = torch.cat((noised.rows * longest + noised.offsets, clean.rows * longest + block + clean.offsets))
    limit = torch.cat(limits)
    seen = int(limit.max()) + 1
    # Padding queries look at slot 0: a softmax over nothing would be NaN. Nobody reads what they compute.
    table = torch.zeros(batch * longest, dtype=limit.dtype, device=limit.device).index_copy_(0, padded, limit)
    slots = torch.arange(seen, device=limit.device)
    allowed = slots <= table.view(batch, longest, 1)
    return Packing(len(noised.rows), rows, positions, positions, padded, allowed)


def pack_verify(
    known: Int[Tensor, " B"], drafts: Int[Tensor, " B"], block: int, scratch: int
) -> tuple[Packing, Segments, Segments]:
    """Pack the draft to be verified and, for every number of accepted drafts, the noised block that drafts next.

    Clean: the last known token and the row's drafts, causal, at positions known - 1, ..., known - 1 + drafts.
    Branch j (0 <= j <= drafts) assumes that j drafts are accepted: `block` noised inputs at positions
    known - 1 + j, ..., the first of them the last accepted token; it sees the clean slots before its first input and
    itself. Branches overlap in position, so their keys live in scratch slots, from slot `scratch` on.
    Returns packing, branch entries (offset = branch * block + place) and clean segments.
    """
    clean = segments(known - 1, drafts + 1)
    branches = segments(torch.zeros_like(known), (drafts + 1) * block)
    branch, place = branches.offsets // block, branches.offsets % block
    first = known[branches.rows] - 1 + branch
    noised = Segments(branches.rows, first + place, branches.offsets)
    widest = int((drafts.max() + 1) * block)
    longest = widest + int(drafts.max()) + 1
    padded = torch.cat((noised.rows * longest + noised.offsets, clean.rows * longest + widest + clean.offsets))
    slots = torch.arange(scratch + widest, device=known.device)
    own = scratch + (branch * block)[:, None]
    sees_noised = (slots < first[:, None]) | ((slots >= own) & (slots < own + block))
    sees = torch.cat((sees_noised, slots <= clean.positions[:, None]))
    allowed = torch.zeros(len(known) * longest, len(slots), dtype=torch.bool, device=known.device)
    allowed[:, 0] = True
    allowed.index_copy_(0, padded, sees)
    packing = Packing(
        len(noised.rows),
        torch.cat((noised.rows, clean.rows)),
        torch.cat((scratch + noised.offsets, clean.positions)),
        torch.cat((noised.positions, clean.positions)),
        padded,
        allowed.view(len(known), longest, len(slots)),
    )
    return packing, noised, clean

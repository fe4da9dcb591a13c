"""Self- and cross-attention, rotary positions, and who may look at whom in block diffusion.

Shapes: B batch, L length of the queries, M length of the context, D width, H heads, K block length.
`attention_mask` and `context_mask`: True = may look. A query that may look nowhere gets zeros, never NaN.

Block diffusion trains all blocks in one forward over [clean ; noised] (Arriola et al. 2025, section 3, the specialised
attention mask): a noised token sees the clean blocks before its own and the whole of its own noised block.

    clean_noised_mask, 6 tokens in blocks of 2      clean 0 1 | 2 3 | 4 5     noised 0 1 | 2 3 | 4 5
    noised token 2 (block 1) may look at                  x x                            x x
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from agentic_diffusion.foundation.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AttentionSettings:
    """Sizes of one attention layer."""

    width: int
    """Width D of the stream that asks."""
    heads: int
    """Query heads H; each has width / heads numbers, an even count."""
    kv_heads: int | None = None
    """Key and value heads, a divisor of `heads` (grouped attention); None: as many as `heads`."""
    rotary_base: float = 10_000.0
    """Base of the rotary positions in self-attention; Su et al. 2021 (RoFormer) use 10000."""

    def __post_init__(self) -> None:
        """Check that the sizes divide; raises ConfigError."""
        if min(self.width, self.heads) < 1 or self.width % self.heads or (self.width // self.heads) % 2:
            raise ConfigError(
                f"{self.heads} heads do not fit a width of {self.width}: width / heads must be an even whole number.",
                hint="Choose for example width 64 and 4 heads.",
            )
        if self.heads % self.groups or self.groups < 1:
            raise ConfigError(
                f"{self.groups} key heads do not divide {self.heads} query heads.",
                hint="Choose a divisor, or None for one key head a query head.",
            )

    @property
    def head_width(self) -> int:
        """Numbers a head."""
        return self.width // self.heads

    @property
    def groups(self) -> int:
        """Key and value heads."""
        return self.heads if self.kv_heads is None else self.kv_heads


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, with rotary positions; bidirectional unless a mask says less."""

    def __init__(self, settings: AttentionSettings) -> None:
        """Make the projections; weights are drawn later by the owner of the generator."""
        super().__init__()
        self.settings = settings
        narrow = settings.groups * settings.head_width
        self.query = nn.Linear(settings.width, settings.width, bias=False)
        self.key = nn.Linear(settings.width, narrow, bias=False)
        self.value = nn.Linear(settings.width, narrow, bias=False)
        self.output = nn.Linear(settings.width, settings.width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        *,
        attention_mask: Bool[Tensor, "L L"] | Bool[Tensor, "B L L"] | None = None,
        positions: Int[Tensor, " L"] | Int[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """Mix the sequence; `positions` default to 0 .. L - 1."""
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device)
        angles = rotary_angles(positions, self.settings.head_width, base=self.settings.rotary_base)
        query = rotate(_split(self.query(x), self.settings.heads), angles)
        key = rotate(_split(self.key(x), self.settings.groups), angles)
        value = _split(self.value(x), self.settings.groups)
        allowed = attention_mask if attention_mask is None or attention_mask.ndim == 3 else attention_mask[None]
        mixed: Tensor = self.output(attend(query, key, value, allowed))
        return mixed


class CrossAttention(nn.Module):
    """Multi-head attention of a sequence to a context of any length and width."""

    def __init__(self, settings: AttentionSettings, context_width: int) -> None:
        """Make the projections for a context of `context_width` numbers a token."""
        super().__init__()
        self.settings = settings
        narrow = settings.groups * settings.head_width
        self.query = nn.Linear(settings.width, settings.width, bias=False)
        self.key = nn.Linear(context_width, narrow, bias=False)
        self.value = nn.Linear(context_width, narrow, bias=False)
        self.output = nn.Linear(settings.width, settings.width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        context: Float[Tensor, "G M C"],
        *,
        context_mask: Bool[Tensor, "G M"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """What the sequence reads from the context; zeros where the whole context is masked.

        G divides B: each context serves B / G neighbouring sequences and is projected once for all of them.
        """
        if len(context) != len(x):
            together = x.reshape(len(context), -1, x.shape[2])
            return self.forward(together, context, context_mask=context_mask).view(x.shape)
        query = _split(self.query(x), self.settings.heads)
        key = _split(self.key(context), self.settings.groups)
        value = _split(self.value(context), self.settings.groups)
        allowed = None if context_mask is None else context_mask[:, None, :].expand(-1, x.shape[1], -1)
        mixed: Tensor = self.output(attend(query, key, value, allowed))
        return mixed


def attend(
    query: Float[Tensor, "B H L W"],
    key: Float[Tensor, "B G M W"],
    value: Float[Tensor, "B G M W"],
    allowed: Bool[Tensor, "#B L M"] | None,
) -> Float[Tensor, "B L D"]:
    """softmax(q k' / sqrt(W)) v with G key heads shared by H query heads; Vaswani et al. 2017, eq. 1."""
    grouped = query.shape[1] != key.shape[1]
    if allowed is None:
        mixed = F.scaled_dot_product_attention(query, key, value, enable_gqa=grouped)
    else:
        # A row without a single True has no softmax: let it look anywhere, then put zeros in its place.
        blind = ~allowed.any(dim=-1, keepdim=True)
        mask = (allowed | blind)[:, None]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=grouped)
        mixed = mixed.masked_fill(blind[:, None], 0.0)
    return mixed.transpose(1, 2).flatten(2)


def rotary_angles(
    positions: Int[Tensor, "*shape L"], head_width: int, *, base: float
) -> tuple[Float[Tensor, "*shape L half"], Float[Tensor, "*shape L half"]]:
    """Cosines and sines of position * base^(-2 i / head_width), i < head_width / 2; Su et al. 2021 (RoFormer)."""
    half = head_width // 2
    exponent = torch.arange(half, device=positions.device, dtype=torch.float32) / half
    angles = positions[..., None].float() * torch.exp(-math.log(base) * exponent)
    return angles.cos(), angles.sin()


def rotate(x: Float[Tensor, "B H L W"], angles: tuple[Tensor, Tensor]) -> Float[Tensor, "B H L W"]:
    """Turn each pair (i, i + W / 2) by its angle, so that products depend on relative positions only."""
    cosine, sine = (a if a.ndim == 2 else a[:, None] for a in angles)
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1).to(x.dtype)


def block_causal_mask(
    length: int, block: int, *, prefix: int = 0, device: torch.device | None = None
) -> Bool[Tensor, "L L"]:
    """Causal over the first `prefix` tokens, then over blocks: a token sees all earlier blocks and its own whole block.

    `block` 1 is the causal mask; `block` >= length without a prefix is full attention. This is also the view of a
    sampler that denoises one block behind a clean past of `prefix` tokens.
    """
    ids = block_ids(length, block, torch.tensor([prefix], device=device))[0]
    place = torch.arange(length, device=device)
    causal = place[:, None] >= place[None, :]
    same_block = (ids[:, None] == ids[None, :]) & (ids >= 0)[:, None]
    return causal | same_block


def block_ids(length: int, block: int, prefix: Int[Tensor, " B"]) -> Int[Tensor, "B L"]:
    """The block of each token when blocks begin after a prefix that differs by row; -1 inside the prefix."""
    if block < 1 or length < 1:
        raise ConfigError(
            f"A block of {block} tokens in a text of {length} is not possible: both must be 1 or more.",
            hint="Choose a block length such as 4.",
        )
    after = torch.arange(length, device=prefix.device)[None, :] - prefix[:, None]
    return torch.where(after >= 0, after // block, -1)


def clean_noised_mask(
    clean_ids: Int[Tensor, "B L"], noised_ids: Int[Tensor, "B M"], *, clean_causal: bool = True
) -> Bool[Tensor, "B L+M L+M"]:
    """Who may look at whom in one forward over [clean ; noised], from the block of each token (-1: prefix).

    clean i   looks at clean j <= i (or, with `clean_causal` False, at clean blocks up to its own), never at noise
    noised i  looks at the clean blocks before its own, prefix included, and at every noised token of its own block

    A noised copy of a prefix token sees itself alone: it carries no loss and must not be an empty row.
    Arriola et al. 2025, section 3, whose clean part is block-causal; here it is causal by default, so that the keys of
    the clean past are those of the autoregressive parent.
    """
    rows, columns = clean_ids.shape[1], noised_ids.shape[1]
    place = torch.arange(rows, device=clean_ids.device)
    causal = (place[:, None] >= place[None, :]).expand(len(clean_ids), -1, -1)
    if not clean_causal:
        own = (clean_ids[:, :, None] == clean_ids[:, None, :]) & (clean_ids >= 0)[:, :, None]
        causal = causal | own
    past = noised_ids[:, :, None] > clean_ids[:, None, :]
    own_block = noised_ids[:, :, None] == noised_ids[:, None, :]
    itself = torch.eye(columns, dtype=torch.bool, device=noised_ids.device)
    noised = torch.where((noised_ids >= 0)[:, :, None], own_block, itself)
    no_noise = causal.new_zeros((len(clean_ids), rows, columns))
    return torch.cat([torch.cat([causal, no_noise], dim=2), torch.cat([past, noised], dim=2)], dim=1)


def _split(x: Tensor, heads: int) -> Tensor:
    """[B, L, heads * W] to [B, heads, L, W]."""
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)

"""Teaching an adapter to denoise blocks: the batch, the noised copies and the loss.

    B rows (texts) of T tokens, Q noised inputs a row, K block length, M masked targets of a batch, V vocabulary

The clean text runs once through the frozen parent without gradient; its keys, values and states serve all noised copies
(BD3-LM, Arriola et al. 2025, sec. 4, evaluates all blocks of a text in one pass the same way). A block that predicts
tokens n, ..., n + K - 1 has inputs n - 1, ..., n + K - 2: the last known token, then [MASK] or revealed tokens.
The loss mixes cross-entropy with the Kullback-Leibler divergence to the parent, which has seen the whole past that the
block has not: its soft targets have less variance than the one token of the text. Where the parent is no teacher, as
at the token that ends the middle of a program, which it was never shown, the cross-entropy counts alone.

Complementary copies (Wu et al. 2025, "Fast-dLLM v2", sec. 3) mask in one copy of a block what the other shows, so that
every token is a target once; a block in which the draw masked nothing gets one mask by force, so that none is wasted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from agentic_diffusion.diffusion.backbones.llama import Packing
from agentic_diffusion.diffusion.block_packing import pack_clean
from agentic_diffusion.foundation.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from agentic_diffusion.diffusion.backbones.adapter import Adapter
    from agentic_diffusion.diffusion.backbones.llama import Cache, Llama


@dataclass(frozen=True, kw_only=True)
class NoiseSettings:
    """How the blocks of a text are noised."""

    block: int = 4
    """Length K of a block."""
    copies: int = 2
    """Noised copies of each text that share one clean pass."""
    fully_masked: float = 0.5
    """Share of blocks that are masked whole, as every block is when it opens."""
    lowest_rate: float = 0.3
    """Smallest masking rate t of the other blocks; t is uniform from here to 1."""
    first_masked: float = 0.85
    """Probability that a partly masked block keeps its first token masked, as it is while a window waits for it."""
    distillation: float = 0.5
    """Weight of the divergence to the parent; the rest is cross-entropy."""
    complementary: bool = False
    """Whether every second copy masks what the one before it shows, in blocks that are not masked whole."""
    force_one: bool = False
    """Whether a block in which nothing was masked gets one mask."""

    def __post_init__(self) -> None:
        """Check ranges."""
        shares = (self.fully_masked, self.lowest_rate, self.first_masked, self.distillation)
        if not 2 <= self.block <= 64 or self.copies < 1 or any(not 0 <= share <= 1 for share in shares):
            raise ConfigError(
                f"A block of {self.block}, {self.copies} copies or a share in {shares} is out of range.",
                hint="block 2 to 64, at least one copy, shares in [0, 1].",
            )


@dataclass(frozen=True)
class NoisedBatch:
    """Noised copies of a batch of texts."""

    inputs: Int[Tensor, "B Q"]
    """Token at each noised input (its true value, also where it is masked)."""
    is_masked: Bool[Tensor, "B Q"]
    """Whether the input is [MASK]."""
    positions: Int[Tensor, "B Q"]
    """Position of the input in its text; the target is the next one."""
    block: Int[Tensor, "B Q"]
    """Running number of the block within the row, copies told apart; -1 is padding."""
    first: Int[Tensor, "B Q"]
    """Position of the block's first input: clean keys before it are visible."""
    counts: Bool[Tensor, "B Q"]
    """Whether the target is masked, so that its prediction is in the loss."""

    def to(self, device: torch.device) -> NoisedBatch:
        """The same on a device."""
        return NoisedBatch(**{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})


def noise_texts(
    texts: Int[Tensor, "B T"],
    begin: Int[Tensor, " B"],
    end: Int[Tensor, " B"],
    settings: NoiseSettings,
    generator: torch.Generator,
) -> NoisedBatch:
    """Cut tokens begin..end - 1 of every text into blocks at a random offset, `copies` times, and mask them."""
    k = settings.block
    rows = len(texts)
    most = int((end - begin).max()) // k + 2
    shift = torch.randint(0, k, (rows, settings.copies, 1), generator=generator)
    number = torch.arange(most)
    first_target = begin[:, None, None] - shift + number * k
    place = torch.arange(k)
    target = (first_target[..., None] + place).flatten(1)
    shape = (rows, settings.copies, most, k)
    rate = torch.rand(shape[:3], generator=generator) * (1 - settings.lowest_rate) + settings.lowest_rate
    whole = torch.rand(shape[:3], generator=generator) < settings.fully_masked
    masked = torch.rand(shape, generator=generator) < rate[..., None]
    masked[..., 0] = torch.rand(shape[:3], generator=generator) < settings.first_masked
    if settings.complementary:
        _complete(masked, whole, shift)
        first_target = begin[:, None, None] - shift + number * k
        target = (first_target[..., None] + place).flatten(1)
    masked = (masked | whole[..., None]).flatten(1)
    inside = (target >= begin[:, None]) & (target < end[:, None])
    # Targets before `begin` belong to the prompt: known, never masked. Targets past the end pad the last block.
    masked &= target >= begin[:, None]
    if settings.force_one:
        masked |= _forced(masked, inside, k, generator)
    block = (torch.arange(settings.copies)[:, None] * most + number).expand(rows, -1, -1)
    block = block[..., None].expand(shape).flatten(1)
    first_input = (first_target - 1)[..., None].expand(shape).flatten(1)
    usable = (first_input >= 0) & (first_input + 1 < end[:, None])
    positions = (target - 1).clamp(min=0, max=texts.shape[1] - 1)
    input_masked = torch.roll(masked, 1, dims=1) & (torch.arange(k) > 0).repeat(settings.copies * most)
    input_masked |= target - 1 >= end[:, None]
    return NoisedBatch(
        inputs=texts.gather(1, positions),
        is_masked=input_masked,
        positions=positions,
        block=torch.where(usable, block, -1),
        first=first_input,
        counts=masked & inside & usable,
    )


def _complete(masked: Bool[Tensor, "B C N K"], whole: Bool[Tensor, "B C N"], shift: Int[Tensor, "B C 1"]) -> None:
    """Make every second copy the complement of the one before it, cut at the same places; in place.

    Where the first of the two is masked whole, the second keeps its own draw, since nothing would be left for it.
    """
    pairs = masked.shape[1] // 2 * 2
    shift[:, 1:pairs:2] = shift[:, 0:pairs:2]
    first, second = masked[:, 0:pairs:2], masked[:, 1:pairs:2]
    partly = ~whole[:, 0:pairs:2]
    masked[:, 1:pairs:2] = torch.where(partly[..., None], ~first, second)
    whole[:, 1:pairs:2] &= ~partly


def _forced(
    masked: Bool[Tensor, "B Q"], allowed: Bool[Tensor, "B Q"], block: int, generator: torch.Generator
) -> Bool[Tensor, "B Q"]:
    """One place, drawn among the allowed ones, in each block where nothing allowed is masked."""
    draw = torch.rand(masked.shape, generator=generator).where(allowed, torch.tensor(-1.0)).view(len(masked), -1, block)
    best, place = draw.max(-1)
    empty = ~(masked & allowed).view(draw.shape).any(-1) & (best >= 0)
    return (F.one_hot(place, block).bool() & empty[..., None]).flatten(1)


class _TextMemory:
    """Clean keys and values without gradient, followed by the noised ones with it."""

    def __init__(self, clean: Cache) -> None:
        self._clean = clean

    def exchange(
        self, index: int, packing: Packing, key: Float[Tensor, "N kv"], value: Float[Tensor, "N kv"]
    ) -> tuple[Float[Tensor, "B S kv"], Float[Tensor, "B S kv"]]:
        """All clean slots of the row, then its noised inputs in the padded layout of the queries."""
        rows, queries, _ = packing.allowed.shape
        view = (rows, self._clean.slots, -1)
        out = []
        for clean, noised in ((self._clean.keys, key), (self._clean.values, value)):
            padded = noised.new_zeros(rows * queries, noised.shape[1]).index_copy(0, packing.padded, noised)
            out.append(torch.cat((clean[index].view(view), padded.view(rows, queries, -1)), dim=1))
        return out[0], out[1]


def block_loss(
    parent: Llama,
    adapter: Adapter,
    texts: Sequence[Sequence[int]],
    begin: Sequence[int],
    *,
    settings: NoiseSettings,
    generator: torch.Generator,
    taught: Sequence[int] | None = None,
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Loss of one batch: texts are token lists, `begin` where each one's answer starts (at least 1).

    `taught` is, for each text, the first place whose token the parent does not teach; None: it teaches all.
    Noise is drawn on the CPU, all else runs where the parent is; an adapter of another dtype is used in the parent's.

    Returns the mean loss over masked targets and figures: targets, cross-entropy, divergence, and top-1 hits at each
    offset of wholly masked blocks. A batch in which no target happens to be masked has loss 0.
    Raises UsageError for a text without prompt or without answer.
    """
    if not texts or any(not 1 <= first < len(text) for text, first in zip(texts, begin, strict=True)):
        raise UsageError(
            "A training text has no prompt or no answer.", hint="`begin` lies between 1 and the text's last token."
        )
    lengths = torch.tensor([len(text) for text in texts])
    padded = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
    for row, text in enumerate(texts):
        padded[row, : len(text)] = torch.tensor(text)
    noised = noise_texts(padded, torch.tensor(begin), lengths, settings, generator)
    if not noised.counts.any():
        names = ("targets", "cross_entropy", "divergence", *(f"hits_{k}" for k in range(settings.block)), "blocks")
        return adapter.mask_embedding.sum() * 0, dict.fromkeys(names, 0.0)
    noised, padded, lengths = noised.to(parent.device), padded.to(parent.device), lengths.to(parent.device)
    adapter = adapter.to(dtype=parent.dtype, device=parent.device)
    states, cache = _clean_pass(parent, padded, lengths)
    used = noised.block >= 0
    hidden = _noised_pass(parent, adapter, noised, used, cache)
    counts = noised.counts[used]
    rows, positions = used.nonzero(as_tuple=True)[0][counts], noised.positions[used][counts]
    targets = padded[rows, positions + 1]
    logits = parent.logits(hidden[counts]).float()
    with torch.no_grad():
        teacher = parent.logits(states[rows, positions]).float()
    loss, figures = _mixed(
        logits, teacher, targets, _teaches(rows, positions + 1, lengths, taught), settings.distillation
    )
    figures |= _hits(logits.argmax(-1) == targets, counts, settings.block)
    return loss, figures


def _teaches(
    rows: Int[Tensor, " M"], places: Int[Tensor, " M"], lengths: Int[Tensor, " B"], taught: Sequence[int] | None
) -> Bool[Tensor, " M"]:
    """Whether the parent teaches each target."""
    until = lengths if taught is None else torch.tensor(list(taught), device=rows.device)
    return places < until[rows]


def _mixed(
    logits: Float[Tensor, "M V"],
    teacher: Float[Tensor, "M V"],
    targets: Int[Tensor, " M"],
    teaches: Bool[Tensor, " M"],
    weight: float,
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Mean over targets of (1 - w) cross-entropy + w divergence where the parent teaches, cross-entropy elsewhere.

    The logged divergence is the mean over the targets that the parent teaches; 0 where it teaches none.
    """
    entropy = F.cross_entropy(logits, targets, reduction="none")
    divergence = F.kl_div(logits.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="none").sum(-1)
    weights = weight * teaches
    loss = ((1 - weights) * entropy + weights * divergence).mean()
    told = divergence[teaches].mean().item() if bool(teaches.any()) else 0.0
    return loss, {"targets": float(len(targets)), "cross_entropy": entropy.mean().item(), "divergence": told}


def _clean_pass(
    parent: Llama, padded: Int[Tensor, "B T"], lengths: Int[Tensor, " B"]
) -> tuple[Float[Tensor, "B T D"], Cache]:
    """States, keys and values of the clean texts under the parent."""
    rows, longest = padded.shape
    cache = parent.new_cache(rows=rows, slots=longest)
    with torch.no_grad():
        packing, clean = pack_clean(torch.zeros_like(lengths), lengths)
        packed = parent.forward(parent.embed(padded[clean.rows, clean.positions]), packing, cache)
        states = packed.new_zeros(rows, longest, packed.shape[1])
        states[clean.rows, clean.positions] = packed
    return states, cache


def _noised_pass(
    parent: Llama, adapter: Adapter, noised: NoisedBatch, used: Bool[Tensor, "B Q"], cache: Cache
) -> Float[Tensor, "N D"]:
    """States of the noised inputs `used`, packed row by row."""
    place = used.long().cumsum(1) - 1
    longest = int(place.max()) + 1
    rows = used.nonzero(as_tuple=True)[0]
    padded = rows * longest + place[used]
    shape = (len(used), longest)
    block = padded.new_full((len(used) * longest,), -1).index_copy_(0, padded, noised.block[used]).view(shape)
    first = padded.new_zeros(len(used) * longest).index_copy_(0, padded, noised.first[used]).view(shape)
    sees_clean = torch.arange(cache.slots, device=first.device) < first[..., None]
    sees_own = block[:, :, None] == block[:, None, :]
    positions = noised.positions[used]
    packing = Packing(len(rows), rows, positions, positions, padded, torch.cat((sees_clean, sees_own), dim=2))
    embedded = parent.embed(noised.inputs[used])
    embedded = torch.where(noised.is_masked[used][:, None], adapter.mask_embedding, embedded)
    return parent.forward(embedded, packing, _TextMemory(cache), adapter)


def _hits(right: Bool[Tensor, " M"], counts: Bool[Tensor, " N"], block: int) -> dict[str, float]:
    """Top-1 hits and counts at each offset of blocks whose targets are all in the loss."""
    whole = counts.view(-1, block).all(-1)
    hits = torch.zeros_like(counts)
    hits[counts] = right
    hits = hits.view(-1, block)[whole]
    figures = {f"hits_{place}": float(hits[:, place].sum()) for place in range(block)}
    return figures | {"blocks": float(whole.sum())}

"""The absorbing (masked) process for tokens: noising, posterior and loss, for whole sequences and for blocks.

Time: t in [0, 1]; 0 clean, 1 noise. alpha(t) = P(token kept), from `schedule`.
Shapes: B batch, L length, V vocabulary, K block length, N = ceil(L / K) blocks.

Full-sequence diffusion gives a sequence one time t; block diffusion gives every block its own (Arriola et al. 2025,
"Block diffusion", BD3-LM), and the loss of a block is conditioned on the clean blocks before it (`attention`).

`noisable` marks the tokens that the process may mask; a prompt is False there, stays clean and carries no loss.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from agentic_diffusion.diffusion.schedule import NoiseSchedule, elbo_weight
from agentic_diffusion.foundation.errors import ConfigError


def sample_times(
    shape: tuple[int, ...], generator: torch.Generator, *, t_min: float = 0.0, t_max: float = 1.0
) -> Float[Tensor, "*shape"]:
    """Times of `shape` in [t_min, t_max), one in each of as many equal strata along the first dimension.

    Stratifying keeps each time uniform and lowers the variance of the loss (Kingma et al. 2021, the low-discrepancy
    sampler). A floor t_min > 0 bounds the loss weight; a band keeps blocks informative (Arriola et al. 2025, clipped
    schedules). Raises ConfigError for an empty or foreign band.
    """
    if not 0 <= t_min < t_max <= 1:
        raise ConfigError(
            f"Times cannot be drawn from [{t_min:g}, {t_max:g}]: 0 <= t_min < t_max <= 1 is needed.",
            hint="Use a band such as t_min = 0.05 and t_max = 1.",
        )
    uniform = torch.rand(shape, generator=generator, device=generator.device)
    strata = torch.rand(shape, generator=generator, device=generator.device).argsort(dim=0)  # a permutation a column
    place = (strata + uniform) / shape[0]
    return t_min + (t_max - t_min) * place


def q_sample(
    x_0: Int[Tensor, "B L"],
    t: Float[Tensor, " B"] | Float[Tensor, "B L"],
    schedule: NoiseSchedule,
    mask_id: int,
    generator: torch.Generator,
    *,
    noisable: Bool[Tensor, "B L"] | None = None,
) -> Int[Tensor, "B L"]:
    """Draw x_t ~ q(x_t | x_0): each token independently stays with probability alpha(t), else becomes MASK.

    Sahoo et al. 2024, section 3 (the absorbing case of Austin et al. 2021, D3PM). `t` is one time a sequence, or one a
    token.
    """
    uniform = _uniforms(x_0, generator)
    return torch.where(_masks(x_0, uniform, t, schedule, noisable), mask_id, x_0)


def q_sample_blocks(
    x_0: Int[Tensor, "B L"],
    t: Float[Tensor, "B N"],
    schedule: NoiseSchedule,
    mask_id: int,
    generator: torch.Generator,
    *,
    block: int,
    force_one: bool = False,
    noisable: Bool[Tensor, "B L"] | None = None,
) -> Int[Tensor, "B L"]:
    """Draw x_t with a time of its own for each block of `block` tokens; the last block may be shorter.

    With `force_one`, every block that has a noisable token gets at least one MASK: where the draw masked none, the
    token nearest to being masked is. No block is wasted then, but for small t a block has more masks than
    q(x_t | x_0) says, so the loss is no longer an exact bound; with t >= 1 / block the difference is small.
    """
    uniform = _uniforms(x_0, generator)
    times = spread_blocks(t, block, x_0.shape[1])
    is_masked = _masks(x_0, uniform, times, schedule, noisable)
    if force_one:
        is_masked = is_masked | _nearest_of_unmasked_blocks(uniform, is_masked, noisable, block)
    return torch.where(is_masked, mask_id, x_0)


def spread_blocks(per_block: Float[Tensor, "B N"], block: int, length: int) -> Float[Tensor, "B L"]:
    """Repeat each block's value for its tokens and cut to `length`; raises ConfigError where the blocks do not fit."""
    blocks = per_block.shape[1]
    if block < 1 or blocks != -(-length // block):
        raise ConfigError(
            f"{blocks} blocks of {block} tokens do not cover {length} tokens: ceil(length / block) blocks are needed.",
            hint="Give one time for each block.",
        )
    return per_block.repeat_interleave(block, dim=1)[:, :length]


def complement(
    x_0: Int[Tensor, "B L"], x_t: Int[Tensor, "B L"], mask_id: int, *, noisable: Bool[Tensor, "B L"] | None = None
) -> Int[Tensor, "B L"]:
    """The other half of a complementary pair: masked exactly where x_t is not, so the two cover every noisable token.

    Used together they give each token one loss (Wu et al. 2025, Fast-dLLM v2). The right weight of the complement is
    `complementary_weight`.
    """
    flip = x_t != mask_id
    if noisable is not None:
        flip = flip & noisable
    return torch.where(flip, mask_id, x_0)


def complementary_weight(schedule: NoiseSchedule, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
    """-alpha'(t) / alpha(t): the loss weight of the complement of a draw at time t.

    The complement masks a token with probability alpha(t), which is the process at the time t' with
    1 - alpha(t') = alpha(t). Changing variables from t' to t in the bound gives |alpha'(t)| dt / alpha(t).
    """
    time = t.double()
    return (-schedule.alpha_prime(time) / schedule.alpha(time)).to(t.dtype)


def unmask_probability(
    s: Float[Tensor, "*times"], t: Float[Tensor, "*times"], schedule: NoiseSchedule
) -> Float[Tensor, "*times"]:
    """(alpha(s) - alpha(t)) / (1 - alpha(t)) for s <= t: P(a token masked at t is already clean at s)."""
    late, early = schedule.alpha(t.double()), schedule.alpha(s.double())
    return ((early - late) / (1 - late).clamp(min=torch.finfo(torch.float64).tiny)).clamp(0, 1).to(t.dtype)


def posterior(
    x_t: Int[Tensor, "B L"],
    x_0: Int[Tensor, "B L"] | Float[Tensor, "B L V"],
    *,
    s: Float[Tensor, " B"],
    t: Float[Tensor, " B"],
    schedule: NoiseSchedule,
    mask_id: int,
    vocabulary: int,
) -> Float[Tensor, "B L V"]:
    """q(x_s | x_t, x_0) as probabilities over the vocabulary, MASK included; Sahoo et al. 2024, section 3.

    An unmasked token stays. A masked one becomes x_0 with `unmask_probability`, else stays MASK. Given probabilities
    of x_0 instead of tokens, the result is the model's reverse step p(x_s | x_t); they must give MASK none.
    """
    clean = x_0 if x_0.is_floating_point() else F.one_hot(x_0, vocabulary).to(t.dtype)
    stay = F.one_hot(x_t, vocabulary).to(clean.dtype)
    reveal = unmask_probability(s, t, schedule).to(clean.dtype)[:, None, None]
    masked = (x_t == mask_id)[:, :, None]
    return torch.where(masked, reveal * clean + (1 - reveal) * stay, stay)


def shift_logits(logits: Float[Tensor, "B L V"]) -> Float[Tensor, "B L V"]:
    """Let the logits at i - 1 predict token i, as a model that was trained autoregressively does.

    The first position has no predecessor and keeps its own logits; mask no first token where that matters.
    """
    return torch.cat([logits[:, :1], logits[:, :-1]], dim=1)


def masked_cross_entropy(
    logits: Float[Tensor, "B L V"],
    x_0: Int[Tensor, "B L"],
    is_masked: Bool[Tensor, "B L"],
    weight: Float[Tensor, "B L"],
    *,
    noisable: Bool[Tensor, "B L"] | None = None,
    shift: bool = False,
) -> Float[Tensor, ""]:
    """Sum over masked tokens of weight * -log p(x_0), divided by the number of noisable tokens: nats a token.

    Only masked positions are put through the softmax, so the cost is that of the masked tokens. Differentiable and 0
    where nothing is masked. Pass weight = 1 for the plain cross-entropy of a warm-up.
    """
    predicted = shift_logits(logits) if shift else logits
    nats = F.cross_entropy(predicted[is_masked].float(), x_0[is_masked], reduction="none")
    count = is_masked.numel() if noisable is None else int(noisable.sum())
    return (nats * weight[is_masked]).sum() / max(1, count)


def elbo_loss(
    logits: Float[Tensor, "B L V"],
    x_0: Int[Tensor, "B L"],
    x_t: Int[Tensor, "B L"],
    t: Float[Tensor, " B"],
    schedule: NoiseSchedule,
    *,
    mask_id: int,
    noisable: Bool[Tensor, "B L"] | None = None,
    shift: bool = False,
) -> Float[Tensor, ""]:
    """The negative ELBO of full-sequence diffusion at t, in nats a token; Sahoo et al. 2024, eq. 10 and 11.

    With t uniform on (0, 1] its mean over draws is an upper bound of -log p(x_0) / L. The weight grows without bound
    as t falls to 0: draw t with a floor.
    """
    weight = elbo_weight(schedule, t)[:, None].expand(x_0.shape)
    return masked_cross_entropy(logits, x_0, x_t == mask_id, weight, noisable=noisable, shift=shift)


def block_elbo_loss(
    logits: Float[Tensor, "B L V"],
    x_0: Int[Tensor, "B L"],
    x_t: Int[Tensor, "B L"],
    t: Float[Tensor, "B N"],
    schedule: NoiseSchedule,
    *,
    mask_id: int,
    block: int,
    noisable: Bool[Tensor, "B L"] | None = None,
    shift: bool = False,
) -> Float[Tensor, ""]:
    """The negative ELBO of block diffusion, in nats a token; Arriola et al. 2025, section 3.

    The logits of each block must come from a denoiser that saw the clean blocks before it and the noised block itself
    (`attention.clean_noised_mask`). With one block it equals `elbo_loss`.
    """
    weight = spread_blocks(elbo_weight(schedule, t), block, x_0.shape[1])
    return masked_cross_entropy(logits, x_0, x_t == mask_id, weight, noisable=noisable, shift=shift)


def _uniforms(x_0: Tensor, generator: torch.Generator) -> Tensor:
    """One uniform number a token, on the tokens' device."""
    return torch.rand(x_0.shape, generator=generator, device=generator.device).to(x_0.device)


def _masks(
    x_0: Tensor, uniform: Tensor, t: Tensor, schedule: NoiseSchedule, noisable: Tensor | None
) -> Bool[Tensor, "B L"]:
    """Where the draw masks: uniform >= alpha(t), so that alpha(0) = 1 masks nothing and alpha(1) = 0 everything."""
    alpha = schedule.alpha(t.to(x_0.device))
    is_masked = uniform >= (alpha[:, None] if alpha.ndim == 1 else alpha)
    return is_masked if noisable is None else is_masked & noisable


def _nearest_of_unmasked_blocks(
    uniform: Tensor, is_masked: Tensor, noisable: Tensor | None, block: int
) -> Bool[Tensor, "B L"]:
    """In each block without a mask, the noisable token with the largest uniform number; False elsewhere."""
    batch, length = uniform.shape
    rest = -length % block
    allowed = torch.ones_like(is_masked) if noisable is None else noisable
    draw = F.pad(uniform.where(allowed, torch.full_like(uniform, -1.0)), (0, rest), value=-1.0)
    draw = draw.view(batch, -1, block)
    best, place = draw.max(dim=-1)
    empty = ~F.pad(is_masked, (0, rest)).view(batch, -1, block).any(dim=-1) & (best >= 0)
    chosen = F.one_hot(place, block).bool() & empty[:, :, None]
    return chosen.view(batch, -1)[:, :length]

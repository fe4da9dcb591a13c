"""The reverse process: sampler objects, and whole denoisings of sequences and of blocks.

Time: t in [0, 1]; a denoising goes from t = 1 to 0 in equal steps of time; `step` counts them from 0.
Shapes: B batch, L length, V vocabulary, K block length.

A sampler turns logits into the next canvas (`samplers` has the functions); the loops here only call the denoiser, hand
out uniform numbers and stop. For a pretrained backbone with a cache see `block_decoder`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agentic_diffusion.diffusion.attention import block_causal_mask
from agentic_diffusion.diffusion.denoiser import Denoiser
from agentic_diffusion.diffusion.masked import shift_logits
from agentic_diffusion.diffusion.samplers import (
    Canvas,
    ancestral_step,
    check_sampling,
    confidence_step,
    sample_tokens,
    threshold_step,
)
from agentic_diffusion.diffusion.schedule import LinearSchedule, NoiseSchedule
from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.foundation.randomness import uniforms as stateless_uniforms

Uniforms = Callable[[int], Tensor]
"""Gives for a step the numbers [2, B, L] in [0, 1): which token, and whether to reveal or mask it."""


def sample_uniforms(seed: int, samples: list[int], length: int) -> Uniforms:
    """Numbers that depend on (seed, sample, step, position) alone, so a sample is the same in any batch."""

    def draw(step: int) -> Tensor:
        counter = torch.arange(2 * length).numpy() + step * 2 * length
        rows = [torch.from_numpy(stateless_uniforms(seed, sample, counter)) for sample in samples]
        return torch.stack(rows).view(len(samples), 2, length).transpose(0, 1)

    return draw


@runtime_checkable
class Sampler(Protocol):
    """How one reverse step is made."""

    @property
    def may_remask(self) -> bool:
        """Whether a committed token can become MASK again, so that a full canvas is not the end."""
        ...

    def step(
        self,
        logits: Float[Tensor, "B L V"],
        canvas: Canvas,
        *,
        s: float,
        t: float,
        uniforms: Float[Tensor, "2 B L"],
        allowed_tokens: Bool[Tensor, "B L V"] | Bool[Tensor, " V"] | None = None,
    ) -> Canvas:
        """The canvas at s < t from the canvas at t and the denoiser's logits; `uniforms`: token, then reveal."""
        ...


@dataclass(frozen=True, kw_only=True)
class TokenChoice:
    """How a token is chosen from its logits; the base of the samplers' settings."""

    temperature: float = 1.0
    """Divides the logits; 0 is greedy."""
    top_p: float = 1.0
    """Mass of the nucleus, in (0, 1]."""
    candidates: int | None = 128
    """How many most likely tokens are sorted; None: all."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        check_sampling(self.temperature, self.top_p)

    def choose(
        self, logits: Tensor, uniforms: Tensor, mask_id: int, allowed_tokens: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`sample_tokens` with these settings; MASK is never chosen, whatever the denoiser says."""
        blocked = logits.clone()
        blocked[..., mask_id] = -math.inf
        if allowed_tokens is not None:
            allowed_tokens = allowed_tokens.clone()
            allowed_tokens[..., mask_id] = False
        return sample_tokens(
            blocked,
            self.temperature,
            self.top_p,
            uniforms,
            allowed_tokens=allowed_tokens,
            candidates=self.candidates,
        )


@dataclass(frozen=True, kw_only=True)
class AncestralSampler(TokenChoice):
    """`ancestral_step` as a sampler."""

    schedule: NoiseSchedule = field(default_factory=LinearSchedule)
    """The schedule that the denoiser was trained with, or any other: a masked denoiser carries over."""
    remask: float = 0.0
    """Share of the largest allowed remasking probability, in [0, 1]; 0 never masks again."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        super().__post_init__()
        _check_share("remask", self.remask)

    @property
    def may_remask(self) -> bool:
        """True when `remask` is above 0."""
        return self.remask > 0

    def step(
        self,
        logits: Tensor,
        canvas: Canvas,
        *,
        s: float,
        t: float,
        uniforms: Tensor,
        allowed_tokens: Tensor | None = None,
    ) -> Canvas:
        """One `ancestral_step`."""
        tokens, confidence = self.choose(logits, uniforms[0], canvas.mask_id, allowed_tokens)
        return ancestral_step(
            canvas, tokens, confidence, uniforms=uniforms[1], s=s, t=t, schedule=self.schedule, remask=self.remask
        )


@dataclass(frozen=True, kw_only=True)
class ConfidenceSampler(TokenChoice):
    """`confidence_step` as a sampler."""

    schedule: NoiseSchedule = field(default_factory=LinearSchedule)
    """Says how many tokens are left at each s."""
    remask: float = 0.0
    """Tokens masked again for each one committed, in [0, 1)."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        super().__post_init__()
        _check_share("remask", self.remask)

    @property
    def may_remask(self) -> bool:
        """True when `remask` is above 0."""
        return self.remask > 0

    def step(
        self,
        logits: Tensor,
        canvas: Canvas,
        *,
        s: float,
        t: float,  # noqa: ARG002 - one signature for all samplers
        uniforms: Tensor,
        allowed_tokens: Tensor | None = None,
    ) -> Canvas:
        """One `confidence_step`."""
        tokens, confidence = self.choose(logits, uniforms[0], canvas.mask_id, allowed_tokens)
        return confidence_step(canvas, tokens, confidence, s=s, schedule=self.schedule, remask=self.remask)


@dataclass(frozen=True, kw_only=True)
class ThresholdSampler(TokenChoice):
    """`threshold_step` as a sampler."""

    threshold: float = 0.9
    """Confidence from which a token is committed."""
    minimum: int = 1
    """Tokens committed in any case."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        super().__post_init__()
        _check_share("threshold", self.threshold)
        if self.minimum < 1:
            raise ConfigError(
                f"A minimum of {self.minimum} commits a step would never end: it must be 1 or more.",
                hint="Leave it at 1.",
            )

    @property
    def may_remask(self) -> bool:
        """Never."""
        return False

    def step(
        self,
        logits: Tensor,
        canvas: Canvas,
        *,
        s: float,
        t: float,  # noqa: ARG002 - one signature for all samplers
        uniforms: Tensor,
        allowed_tokens: Tensor | None = None,
    ) -> Canvas:
        """One `threshold_step`."""
        tokens, confidence = self.choose(logits, uniforms[0], canvas.mask_id, allowed_tokens)
        return threshold_step(canvas, tokens, confidence, s=s, threshold=self.threshold, minimum=self.minimum)


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What the denoiser sees beside the tokens."""

    context: Float[Tensor, "B M C"] | None = None
    """What cross-attention reads."""
    context_mask: Bool[Tensor, "B M"] | None = None
    """Which of it may be read."""
    allowed_tokens: Bool[Tensor, " V"] | Bool[Tensor, "B L V"] | None = None
    """Which tokens may be written."""
    shift: bool = False
    """Whether the denoiser's logits at i - 1 predict token i."""


def denoise(
    denoiser: Denoiser,
    x_1: Int[Tensor, "B L"],
    sampler: Sampler,
    uniforms: Uniforms,
    *,
    steps: int,
    mask_id: int,
    conditioning: Conditioning = Conditioning(),
    on_step: Callable[[int, Canvas], None] | None = None,
) -> Int[Tensor, "B L"]:
    """Write every MASK of `x_1` in at most `steps` forwards; the other tokens are given and stay.

    Ends early when nothing is masked and the sampler never masks again. `on_step(step, canvas)` sees every step.
    Raises ConfigError for no steps.
    """

    def forward(canvas: Canvas, t: float) -> Tensor:
        time = torch.full((len(x_1),), t, device=x_1.device)
        logits = denoiser(canvas.x_t, time, conditioning.context, conditioning.context_mask, None)
        return shift_logits(logits) if conditioning.shift else logits

    canvas = Canvas.start(x_1, mask_id)
    allowed = conditioning.allowed_tokens
    return _run(forward, canvas, sampler, uniforms, steps=steps, allowed_tokens=allowed, on_step=on_step).x_t


def denoise_blocks(
    denoiser: Denoiser,
    prompt: Int[Tensor, "B P"],
    sampler: Sampler,
    uniforms: Callable[[int], Uniforms],
    *,
    blocks: int,
    block: int,
    steps: int,
    mask_id: int,
    conditioning: Conditioning = Conditioning(),
    on_block: Callable[[int, Tensor], None] | None = None,
) -> Int[Tensor, "B L"]:
    """Write `blocks` blocks of `block` tokens after the prompt, one after another, each in at most `steps` forwards.

    The past is clean (t = 0) and causal, the active block sees it and all of itself: the view that
    `attention.clean_noised_mask` gives in training. `uniforms(k)` serves block k; `allowed_tokens` must be [V].
    Arriola et al. 2025, the sampling algorithm, without a cache.
    """
    text = prompt
    for index in range(blocks):
        past = text.shape[1]
        sight = block_causal_mask(past + block, block, prefix=past, device=text.device)

        def forward(canvas: Canvas, t: float, past: int = past, text: Tensor = text, sight: Tensor = sight) -> Tensor:
            tokens = torch.cat([text, canvas.x_t], dim=1)
            time = torch.full(tokens.shape, t, device=tokens.device)
            time[:, :past] = 0.0
            logits = denoiser(tokens, time, conditioning.context, conditioning.context_mask, sight)
            return (shift_logits(logits) if conditioning.shift else logits)[:, past:]

        canvas = Canvas.start(text.new_full((len(text), block), mask_id), mask_id)
        allowed = conditioning.allowed_tokens
        written = _run(forward, canvas, sampler, uniforms(index), steps=steps, allowed_tokens=allowed).x_t
        text = torch.cat([text, written], dim=1)
        if on_block is not None:
            on_block(index, written)
    return text


@torch.no_grad()
def _run(
    forward: Callable[[Canvas, float], Tensor],
    canvas: Canvas,
    sampler: Sampler,
    uniforms: Uniforms,
    *,
    steps: int,
    allowed_tokens: Tensor | None,
    on_step: Callable[[int, Canvas], None] | None = None,
) -> Canvas:
    """The loop from t = 1 to s = 0."""
    if steps < 1:
        raise ConfigError(f"{steps} steps cannot denoise anything: 1 or more are needed.", hint="Use 1 step a token.")
    for step in range(steps):
        if not sampler.may_remask and not bool(canvas.is_masked.any()):
            break
        t, s = 1 - step / steps, 1 - (step + 1) / steps
        logits = forward(canvas, t)
        draws = uniforms(step).to(logits.device)
        # The last s is 0 exactly: 1 - steps / steps has no rounding.
        canvas = sampler.step(logits, canvas, s=s, t=t, uniforms=draws, allowed_tokens=allowed_tokens)
        if on_step is not None:
            on_step(step, canvas)
    return canvas


def _check_share(name: str, value: float) -> None:
    """Raise ConfigError unless value is in [0, 1]."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value:g} and must lie in [0, 1].", hint="It is a share or a probability.")

"""Guidance: steering a denoising, without training, towards a context or towards a value.

Time: t in [0, 1]; 0 clean, 1 noise.
Shapes: B batch, *data the shape of one sample, L length, M context length, K context width.

    classifier-free    pred = uncond + w (cond - uncond); a denoiser made of a denoiser, so it serves both processes
    gradient, mean     mean + scale * variance * grad value(mean)      the step's mean, before its noise is added
    gradient, x_0      x_0 + scale * sigma(t)^2 * grad value(x_0)      the estimate of the clean data, before the step

The first gradient is that of Dhariwal and Nichol 2021 (algorithm 1) and Janner et al. 2022 (algorithm 1): the value
must know noised data, and the sampler must have noise. The second asks a value of clean data only and serves every
sampler. Its factor comes from guiding the score: eps - sigma grad log p(y | x_t) moves x_0 by sigma^2 / alpha times the
gradient at x_t (Dhariwal and Nichol 2021, algorithm 2), which is about alpha times the gradient at x_0; for standard
normal data both are exact, so a linear value tilts the samples exactly by scale * its slope.

A `Guidance` has one method for each place of a Gaussian step where it may act; a masked step has another place (the
logits), for which a guidance may have a method beside these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from agentic_diffusion.diffusion.denoiser import Denoiser
from agentic_diffusion.foundation.errors import ConfigError, UsageError

Value = Callable[[Tensor, Tensor], Tensor]
"""value(x [B, *data], t [B]) -> [B]: what is to be high, differentiable in x; t is the time at which x stands."""


@runtime_checkable
class Guidance(Protocol):
    """Acts on the two quantities of a Gaussian step; what it does not guide it gives back as it came."""

    def guide_x_0(self, x_0: Float[Tensor, " B *data"], *, t: float, sigma: float) -> Float[Tensor, " B *data"]:
        """The estimate of the clean data at t, where the noise has the deviation `sigma`."""
        ...

    def guide_mean(self, mean: Float[Tensor, " B *data"], *, s: float, deviation: float) -> Float[Tensor, " B *data"]:
        """The mean of x_s, to which noise of that deviation will be added."""
        ...


@dataclass(frozen=True, kw_only=True)
class GradientGuidance:
    """Follows the gradient of a value."""

    value: Value
    """What is to be high."""
    scale: float
    """Factor of the gradient: how many nats a unit of the value is worth; 0 is none, negative makes the value low."""
    on: Literal["x_0", "mean"] = "x_0"
    """Where the gradient is taken: at the estimate of the clean data, or at the mean of the step."""
    repeats: int = 1
    """Gradient steps in each denoising step (Janner et al. 2022 use 2)."""
    until: float = 0.0
    """Steps that end before this time are left alone, so that the last details are the denoiser's own."""
    longest: float | None = None
    """Bound of the Euclidean length of one gradient step, for values that are steep somewhere; None: no bound."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if not math.isfinite(self.scale):
            raise ConfigError(f"A gradient scale of {self.scale} is not possible.", hint="Use a number such as 1.")
        if self.on not in get_args(Literal["x_0", "mean"]):
            raise ConfigError(f"A gradient cannot be taken on {self.on!r}.", hint="Choose x_0 or mean.")
        if self.repeats < 1:
            raise ConfigError(f"repeats is {self.repeats} and must be 1 or more.", hint="Leave it at 1.")
        if not 0 <= self.until <= 1:
            raise ConfigError(f"until is {self.until:g} and must lie in [0, 1].", hint="It is a diffusion time.")
        if self.longest is not None and not self.longest > 0:
            raise ConfigError(f"longest is {self.longest:g} and must be above 0.", hint="Leave it out for no bound.")

    def guide_x_0(self, x_0: Float[Tensor, " B *data"], *, t: float, sigma: float) -> Float[Tensor, " B *data"]:
        """x_0 + scale * sigma^2 * grad value(x_0), at the time 0 for the value."""
        if self.on != "x_0" or t <= self.until:
            return x_0
        return self._climb(x_0, time=0.0, factor=self.scale * sigma**2)

    def guide_mean(self, mean: Float[Tensor, " B *data"], *, s: float, deviation: float) -> Float[Tensor, " B *data"]:
        """mean + scale * deviation^2 * grad value(mean), at the time s; no noise, no step."""
        if self.on != "mean" or s < self.until:
            return mean
        return self._climb(mean, time=s, factor=self.scale * deviation**2)

    def _climb(self, x: Tensor, *, time: float, factor: float) -> Tensor:
        """`repeats` gradient steps."""
        if factor == 0:
            return x
        for _ in range(self.repeats):
            move = factor * value_gradient(self.value, x, torch.full((len(x),), time, dtype=x.dtype, device=x.device))
            if self.longest is not None:
                length = move.flatten(1).norm(dim=1).clamp(min=torch.finfo(x.dtype).tiny)
                shrink = (self.longest / length).clamp(max=1.0)
                move = move * shrink.view(-1, *[1] * (x.ndim - 1))
            x = x + move
        return x


def value_gradient(value: Value, x: Float[Tensor, " B *data"], t: Float[Tensor, " B"]) -> Float[Tensor, " B *data"]:
    """The gradient of each sample's value at that sample; carries no graph.

    Raises UsageError for a value that is not one number a sample, not differentiable in x, or not finite.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        place = x.detach().clone().requires_grad_()
        values = value(place, t.clone())
        if values.shape != (len(x),):
            raise UsageError(
                f"The value gives shape {tuple(values.shape)} for {len(x)} samples: one number a sample is needed.",
                hint="Sum over all axes but the first.",
            )
        if not values.requires_grad:
            raise UsageError(
                "The value does not depend on the data through torch, so it has no gradient.",
                hint="Write it with torch functions, without detach or no_grad.",
            )
        (gradient,) = torch.autograd.grad(values.sum(), place)
    if not bool(torch.isfinite(gradient).all()):
        raise UsageError(
            "The gradient of the value is not finite.", hint="Look for a root or a logarithm that reaches 0."
        )
    return gradient


class ClassifierFreeDenoiser:
    """A denoiser with classifier-free guidance; Ho and Salimans 2022, in the form pred = uncond + w (cond - uncond).

    Without guidance (w = 1), or with none but the unconditional (w = 0), it costs one forward, else one of twice the
    batch. "Without context" is a context whose mask is False everywhere, as `drop_context` trains it. The guided
    quantity is whatever the denoiser predicts: epsilon, x_0, velocity, or logits.
    """

    def __init__(self, denoiser: Denoiser, w: float) -> None:
        """Guide `denoiser` with the scale `w`; raises ConfigError where it is not finite."""
        if not math.isfinite(w):
            raise ConfigError(f"A guidance scale of {w} is not possible.", hint="Use 1 for none, or for example 2.")
        self.denoiser, self.w = denoiser, w

    def __call__(
        self,
        x_t: Shaped[Tensor, " B *data"],
        t: Float[Tensor, " B"] | Float[Tensor, "B L"],
        context: Float[Tensor, "B M K"] | None = None,
        context_mask: Bool[Tensor, "B M"] | None = None,
        attention_mask: Bool[Tensor, "L L"] | Bool[Tensor, "B L L"] | None = None,
    ) -> Float[Tensor, " B *out"]:
        """The guided prediction."""
        if context is None or self.w == 1:
            return self.denoiser(x_t, t, context, context_mask, attention_mask)
        seen = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
        seen = seen if context_mask is None else context_mask
        if self.w == 0:
            return self.denoiser(x_t, t, context, torch.zeros_like(seen), attention_mask)
        sight = attention_mask
        if sight is not None and sight.ndim == 3:
            sight = torch.cat([sight, sight])
        both = self.denoiser(
            torch.cat([x_t, x_t]),
            torch.cat([t, t]),
            torch.cat([context, context]),
            torch.cat([seen, torch.zeros_like(seen)]),
            sight,
        )
        with_context, without = both.chunk(2)
        # Equal logits stay as they are: minus infinity on both sides has no difference.
        return torch.where(with_context == without, without, without + self.w * (with_context - without))


def drop_context(
    context: Float[Tensor, "B M K"],
    probability: float,
    generator: torch.Generator,
    *,
    context_mask: Bool[Tensor, "B M"] | None = None,
) -> Bool[Tensor, "B M"]:
    """A context mask that hides the whole context of each sample with `probability`; Ho and Salimans 2022, algorithm 1.

    Training with it lets one denoiser predict with and without its context. Raises ConfigError for a probability
    outside [0, 1].
    """
    if not 0 <= probability <= 1:
        raise ConfigError(
            f"A context cannot be dropped with probability {probability:g}: it must lie in [0, 1].", hint="Use 0.1."
        )
    seen = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
    seen = seen if context_mask is None else context_mask
    kept = torch.rand(len(context), generator=generator, device=generator.device) >= probability
    return seen & kept.to(seen.device)[:, None]

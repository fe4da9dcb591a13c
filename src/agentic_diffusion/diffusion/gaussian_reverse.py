"""The reverse process for continuous data: whole denoisings, free, conditional, in-painted and guided.

Time: t in [0, 1]; a denoising goes from `t_max` (1: pure noise) to 0; `step` counts its steps from 0.
Shapes: B batch, *data the shape of one sample, M context length, K context width.

One step of the loop: predict -> x_0 -> put in what is known -> guide x_0 -> sampler's step (which guides the mean) ->
put in what is known. Process, denoiser, sampler, guidance and noise are handed in; the loop owns nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agentic_diffusion.diffusion.denoiser import Denoiser
from agentic_diffusion.diffusion.gaussian import GaussianProcess, Known, coefficients
from agentic_diffusion.diffusion.gaussian_samplers import GaussianSampler, PathPoint
from agentic_diffusion.diffusion.guidance import GradientGuidance, Guidance
from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.foundation.randomness import normals

Noise = Callable[[int], Tensor]
"""Gives standard normal numbers [B, *data]: for 0 the start, for k + 1 those of step k."""


def sample_noise(seed: int, samples: Sequence[int], shape: Sequence[int]) -> Noise:
    """Noise that depends on (seed, sample, step, entry) alone, so a sample is the same in any batch.

    `samples` names the stream of each row; `shape` is that of one sample.
    """
    size = torch.Size(shape).numel()

    def draw(index: int) -> Tensor:
        counter = torch.arange(size).numpy() + index * size
        return torch.from_numpy(normals(seed, samples, counter)).float().view(len(samples), *shape)

    return draw


def uniform_times(steps: int, *, t_max: float = 1.0) -> tuple[float, ...]:
    """steps + 1 times from t_max to 0 in equal steps; raises ConfigError for no steps."""
    if steps < 1:
        raise ConfigError(f"{steps} steps cannot denoise anything: 1 or more are needed.", hint="Use for example 20.")
    return tuple(t_max * (1 - step / steps) for step in range(steps + 1))


@dataclass(frozen=True, kw_only=True)
class GaussianConditioning:
    """What the denoiser sees beside the noised data, and what is given of the data."""

    context: Float[Tensor, "B M K"] | None = None
    """What cross-attention reads."""
    context_mask: Bool[Tensor, "B M"] | None = None
    """Which of it may be read."""
    known: Known | None = None
    """Entries that are given: clean in every x_t, and never moved."""


@torch.no_grad()
def denoise_gaussian(
    denoiser: Denoiser,
    process: GaussianProcess,
    sampler: GaussianSampler,
    noise: Noise,
    *,
    steps: int | None = None,
    times: Sequence[float] | None = None,
    conditioning: GaussianConditioning = GaussianConditioning(),
    guidance: Sequence[Guidance] = (),
    start: Float[Tensor, " B *data"] | None = None,
    on_step: Callable[[int, PathPoint], None] | None = None,
) -> Float[Tensor, " B *data"]:
    """Samples [B, *data], by `steps` equal steps of time from the process's t_max, or through `times`.

    Without `start` the path begins at `temperature` times noise(0). With it, it begins at that x_t, which stands at
    times[0]: a sample that was noised half-way by `q_sample` is written anew from there. `on_step(step, point)` sees
    every step. Raises ConfigError for steps or times that do not fit, UsageError for known entries of a foreign shape.
    """
    path = _checked_times(steps, times, process)
    _check_guidance(sampler, guidance)
    x_t = noise(0) * sampler.temperature if start is None else start
    known = conditioning.known
    held = x_t if known is None else known.hold(x_t)
    point = PathPoint(x_t=held, t=path[0])
    for step, s in enumerate(path[1:]):
        x_0 = _estimate(denoiser, process, point, conditioning, guidance)
        draws = noise(step + 1).to(x_0) if sampler.is_random and s > 0 else torch.zeros_like(x_0)
        point = sampler.step(point, x_0, s=s, schedule=process.schedule, noise=draws, guidance=guidance)
        if known is not None:
            point = PathPoint(x_t=known.hold(point.x_t), t=s, x_0=point.x_0, estimated_at=point.estimated_at)
        if on_step is not None:
            on_step(step, point)
    return point.x_t


def _estimate(
    denoiser: Denoiser,
    process: GaussianProcess,
    point: PathPoint,
    conditioning: GaussianConditioning,
    guidance: Sequence[Guidance],
) -> Tensor:
    """The estimate of x_0 at a point, with what is known, guided."""
    time = torch.full((len(point.x_t),), point.t, dtype=point.x_t.dtype, device=point.x_t.device)
    predicted = denoiser(point.x_t, time, conditioning.context, conditioning.context_mask)
    x_0 = process.x_0(predicted, point.x_t, point.t)
    known = conditioning.known
    x_0 = x_0 if known is None else known.hold(x_0)
    if not guidance:
        return x_0
    _, sigma = coefficients(point.t, process.schedule, x_0)
    for guide in guidance:
        x_0 = guide.guide_x_0(x_0, t=point.t, sigma=float(sigma))
    return x_0 if known is None else known.hold(x_0)


def _checked_times(steps: int | None, times: Sequence[float] | None, process: GaussianProcess) -> tuple[float, ...]:
    """The path's times; raises ConfigError unless exactly one of both is given and times fall to 0."""
    if (steps is None) == (times is None):
        raise ConfigError("A denoising needs either a number of steps or a list of times.", hint="Give one of both.")
    if times is None:
        return uniform_times(steps or 0, t_max=process.t_max)
    path = tuple(float(time) for time in times)
    falling = all(later < earlier for earlier, later in pairwise(path))
    if len(path) < 2 or not falling or path[-1] != 0 or path[0] > process.t_max:
        raise ConfigError(
            f"The times of a denoising must fall strictly from {process.t_max:g} or less to 0.",
            hint="Use `uniform_times`, or a list such as (1, 0.6, 0.3, 0.1, 0).",
        )
    return path


def _check_guidance(sampler: GaussianSampler, guidance: Sequence[Guidance]) -> None:
    """Refuse a gradient that no step would feel."""
    idle = any(isinstance(guide, GradientGuidance) and guide.on == "mean" for guide in guidance)
    if idle and not sampler.is_random:
        raise ConfigError(
            "A gradient on the mean is multiplied by the variance of the step, and this sampler's steps have none.",
            hint="Take the gradient on x_0, or sample with noise (ancestral, or DDIM with eta above 0).",
        )

"""Samplers of the Gaussian process: from noise to data; one step = one function, all of them pure.

Time: t in [0, 1]; a step goes from t to s < t; the last one ends at s = 0, where x_s is the estimate itself.
Shapes: B batch, *data the shape of one sample.

Every step is linear in what is at hand, so a sampler is a choice of four numbers (double precision, `StepWeights`):

    x_s = on_x_t x_t + on_x_0 x_0 + on_last x_0(last) + deviation z        z standard normal

    ancestral    the posterior q(x_s | x_t, x_0) with the estimate for x_0 (Ho et al. 2020, eq. 7 and 11)
    DDIM         eta = 0 deterministic, eta = 1 as noisy as ancestral (Song et al. 2021, eq. 12 and 16)
    DPM++ 2M     second order, by the estimate of the step before (Lu et al. 2022b, "DPM-Solver++", algorithm 2)

x_0 is the estimate at t, x_0(last) the one before it. `gaussian_reverse` has the loop.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from agentic_diffusion.diffusion.gaussian import posterior_weights
from agentic_diffusion.diffusion.guidance import Guidance
from agentic_diffusion.diffusion.schedule import NoiseSchedule
from agentic_diffusion.foundation.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PathPoint:
    """A batch in the middle of its denoising, and the estimate that led there."""

    x_t: Float[Tensor, " B *data"]
    """The noised data."""
    t: float
    """Their time."""
    x_0: Float[Tensor, " B *data"] | None = None
    """The estimate of the clean data that the step to t used, guided and with what is known; None at the start."""
    estimated_at: float | None = None
    """The time at which `x_0` was estimated."""


@dataclass(frozen=True, kw_only=True)
class StepWeights:
    """The four numbers of a step."""

    on_x_t: float
    """Factor of x_t."""
    on_x_0: float
    """Factor of the estimate at t."""
    on_last: float = 0.0
    """Factor of the estimate before that one."""
    deviation: float = 0.0
    """Standard deviation of the noise."""


def ancestral_weights(*, s: float, t: float, schedule: NoiseSchedule) -> StepWeights:
    """x_s ~ q(x_s | x_t, x_0); Ho et al. 2020, eq. 7 with the variance of q (their eq. 11 has the same mean)."""
    on_x_t, on_x_0, deviation = posterior_weights(s, t, schedule)
    return StepWeights(on_x_t=float(on_x_t), on_x_0=float(on_x_0), deviation=float(deviation))


def ddim_weights(*, s: float, t: float, schedule: NoiseSchedule, eta: float = 0.0) -> StepWeights:
    """x_s = alpha_s x_0 + sqrt(sigma_s^2 - d^2) eps + d z with d = eta * the posterior's deviation; Song et al. 2021.

    Their eq. 12 and 16, with eps = (x_t - alpha_t x_0) / sigma_t.
    """
    (alpha_s, sigma_s), (alpha_t, sigma_t) = _coefficients(s, schedule), _coefficients(t, schedule)
    deviation = eta * float(posterior_weights(s, t, schedule)[2])
    on_x_t = math.sqrt(max(0.0, sigma_s**2 - deviation**2)) / sigma_t
    return StepWeights(on_x_t=on_x_t, on_x_0=alpha_s - on_x_t * alpha_t, deviation=deviation)


def dpm_weights(*, s: float, t: float, last: float | None, schedule: NoiseSchedule) -> StepWeights:
    """One step of DPM-Solver++(2M) when the estimate before was made at `last` > t; Lu et al. 2022b, algorithm 2.

    With lambda = log(alpha / sigma), h = lambda_s - lambda_t and r = (lambda_t - lambda_last) / h:

        x_s = sigma_s / sigma_t x_t + (alpha_s - alpha_t sigma_s / sigma_t) ((1 + 1 / 2r) x_0 - 1 / 2r x_0(last))

    First order (DDIM with eta = 0) without an estimate before, where that one was made at infinite lambda (t = 1), and
    in the step to s = 0, where h is infinite.
    """
    (alpha_s, sigma_s), (alpha_t, sigma_t) = _coefficients(s, schedule), _coefficients(t, schedule)
    on_estimate = alpha_s - alpha_t * sigma_s / sigma_t
    share = 0.0
    if last is not None and sigma_s > 0:
        step = _half_log_snr(s, schedule) - _half_log_snr(t, schedule)
        before = _half_log_snr(t, schedule) - _half_log_snr(last, schedule)
        share = step / (2 * before) if math.isfinite(step) else 0.0
    return StepWeights(on_x_t=sigma_s / sigma_t, on_x_0=on_estimate * (1 + share), on_last=-on_estimate * share)


def take_step(
    point: PathPoint,
    x_0: Float[Tensor, " B *data"],
    weights: StepWeights,
    *,
    s: float,
    noise: Float[Tensor, " B *data"],
    temperature: float = 1.0,
    guidance: Sequence[Guidance] = (),
) -> PathPoint:
    """The point at s: the mean by `weights`, guided, and the noise times `temperature`."""
    mean = weights.on_x_t * point.x_t + weights.on_x_0 * x_0
    if weights.on_last and point.x_0 is not None:
        mean = mean + weights.on_last * point.x_0
    for guide in guidance:
        mean = guide.guide_mean(mean, s=s, deviation=weights.deviation)
    x_s = mean + (weights.deviation * temperature) * noise if weights.deviation else mean
    return PathPoint(x_t=x_s, t=s, x_0=x_0, estimated_at=point.t)


@runtime_checkable
class GaussianSampler(Protocol):
    """How one reverse step is made."""

    @property
    def temperature(self) -> float:
        """Factor of all noise: that of the start and that of the steps; 1 samples the model."""
        ...

    @property
    def is_random(self) -> bool:
        """Whether steps add noise, so that their mean can be guided."""
        ...

    def step(
        self,
        point: PathPoint,
        x_0: Float[Tensor, " B *data"],
        *,
        s: float,
        schedule: NoiseSchedule,
        noise: Float[Tensor, " B *data"],
        guidance: Sequence[Guidance] = (),
    ) -> PathPoint:
        """The point at s < t from the point at t, the estimate x_0 made there, and normal noise."""
        ...


@dataclass(frozen=True, kw_only=True)
class _WeightedSampler(ABC):
    """A sampler whose step is a weighted mean and noise; a kind of it says the weights."""

    temperature: float = 1.0
    """Factor of all noise: that of the start and that of the steps. Below 1 samples are likelier and less diverse."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ConfigError(
                f"A temperature of {self.temperature:g} is not possible: it must be 0 (no noise) or more.",
                hint="Use a temperature between 0 and 1.",
            )

    @abstractmethod
    def weights(self, point: PathPoint, *, s: float, schedule: NoiseSchedule) -> StepWeights:
        """Those of one step from `point` to s."""

    def step(
        self,
        point: PathPoint,
        x_0: Tensor,
        *,
        s: float,
        schedule: NoiseSchedule,
        noise: Tensor,
        guidance: Sequence[Guidance] = (),
    ) -> PathPoint:
        """One step; see `GaussianSampler.step`."""
        weights = self.weights(point, s=s, schedule=schedule)
        return take_step(point, x_0, weights, s=s, noise=noise, temperature=self.temperature, guidance=guidance)


@dataclass(frozen=True, kw_only=True)
class GaussianAncestralSampler(_WeightedSampler):
    """`ancestral_weights` as a sampler."""

    @property
    def is_random(self) -> bool:
        """Always."""
        return True

    def weights(self, point: PathPoint, *, s: float, schedule: NoiseSchedule) -> StepWeights:
        """Those of one step."""
        return ancestral_weights(s=s, t=point.t, schedule=schedule)


@dataclass(frozen=True, kw_only=True)
class DDIMSampler(_WeightedSampler):
    """`ddim_weights` as a sampler."""

    eta: float = 0.0
    """Share of the ancestral noise, in [0, 1]; 0 is deterministic after the start."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ConfigError(f"eta is {self.eta:g} and must lie in [0, 1].", hint="Use 0 for no noise in the steps.")

    @property
    def is_random(self) -> bool:
        """True when `eta` is above 0."""
        return self.eta > 0

    def weights(self, point: PathPoint, *, s: float, schedule: NoiseSchedule) -> StepWeights:
        """Those of one step."""
        return ddim_weights(s=s, t=point.t, schedule=schedule, eta=self.eta)


@dataclass(frozen=True, kw_only=True)
class DPMSolverSampler(_WeightedSampler):
    """`dpm_weights` as a sampler: the choice for few steps without noise."""

    @property
    def is_random(self) -> bool:
        """Never."""
        return False

    def weights(self, point: PathPoint, *, s: float, schedule: NoiseSchedule) -> StepWeights:
        """Those of one step."""
        return dpm_weights(s=s, t=point.t, last=point.estimated_at, schedule=schedule)


def _coefficients(t: float, schedule: NoiseSchedule) -> tuple[float, float]:
    """alpha and sigma as numbers."""
    time = torch.tensor(t, dtype=torch.float64)
    return float(schedule.alpha(time)), float(schedule.sigma(time))


def _half_log_snr(t: float, schedule: NoiseSchedule) -> float:
    """lambda = log(alpha / sigma); minus infinity where nothing is left."""
    alpha, sigma = _coefficients(t, schedule)
    return -math.inf if alpha == 0 else math.inf if sigma == 0 else math.log(alpha / sigma)

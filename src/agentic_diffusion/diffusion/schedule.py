"""Noise schedules: how much of the data is left at time t.

Time: t in [0, 1]; 0 clean, 1 noise. A schedule takes a tensor of times of any shape and gives a tensor of that shape.

One schedule object serves both processes of the core:

    masked    alpha(t) = P(token kept): q(x_t | x_0) = alpha(t) [x_t = x_0] + (1 - alpha(t)) [x_t = MASK]
              (Sahoo et al. 2024, "Simple and effective masked diffusion language models", MDLM);
              its loss weighs the cross-entropy with `elbo_weight`
    Gaussian  x_t = alpha(t) x_0 + sigma(t) eps with alpha^2 + sigma^2 = 1, "variance preserving"
              (Ho et al. 2020, eq. 4, where their sqrt(alpha-bar_t) is our alpha(t)); `gaussian` has it

Both ask the same of alpha: alpha(0) = 1, never rising, and nearly 0 at t = 1, because sampling starts from pure noise.

    name             alpha(t)             -alpha'(t) / (1 - alpha(t))
    linear           1 - t                1 / t
    cosine           cos(pi t / 2)        (pi / 2) sin(pi t / 2) / (1 - cos(pi t / 2))
    masking-cosine   1 - sin(pi t / 2)    (pi / 2) cot(pi t / 2)

Which schedule is used does not change the bound that a masked model reaches in continuous time (only its variance and
where a sampler spends its steps): the weight and the density of masks cancel (Kingma et al. 2021; Sahoo et al. 2024).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from agentic_diffusion.foundation.errors import ConfigError

Times = Float[Tensor, "*times"]

_GRID = 1025
_START_TOLERANCE = 1e-5
_END_LIMIT = 0.05
_RISE_TOLERANCE = 1e-6


@runtime_checkable
class NoiseSchedule(Protocol):
    """Anything with alpha(t), its derivative, and the Gaussian sigma(t)."""

    def alpha(self, t: Times) -> Times:
        """The share of the data that is left: 1 at t = 0, never rising."""
        ...

    def alpha_prime(self, t: Times) -> Times:
        """The derivative d alpha / dt, never positive."""
        ...

    def sigma(self, t: Times) -> Times:
        """The standard deviation of the Gaussian noise; a masked process does not read it."""
        ...


class VariancePreserving(ABC):
    """Gives a schedule its sigma(t) = sqrt(1 - alpha(t)^2)."""

    @abstractmethod
    def alpha(self, t: Times) -> Times:
        """The share of the data that is left."""

    def sigma(self, t: Times) -> Times:
        """sqrt(1 - alpha(t)^2), so that data of unit variance keep it at every t."""
        return (1 - self.alpha(t).square()).clamp(min=0).sqrt()


@dataclass(frozen=True)
class LinearSchedule(VariancePreserving):
    """alpha(t) = 1 - t: the share of masks is the time itself."""

    def alpha(self, t: Times) -> Times:
        """1 - t."""
        return 1 - t

    def alpha_prime(self, t: Times) -> Times:
        """-1 everywhere."""
        return -torch.ones_like(t)


@dataclass(frozen=True)
class CosineSchedule(VariancePreserving):
    """alpha(t) = cos(pi t / 2) and sigma(t) = sin(pi t / 2).

    Nichol and Dhariwal 2021, eq. 17, with their offset s = 0 (their alpha-bar is our alpha squared). As a masked
    process it stays clean for long: half the tokens are masked at t = 2/3.
    """

    def alpha(self, t: Times) -> Times:
        """cos(pi t / 2), set to the exact 0 at t = 1."""
        return torch.where(t < 1, torch.cos(t * (math.pi / 2)), torch.zeros_like(t))

    def alpha_prime(self, t: Times) -> Times:
        """-(pi / 2) sin(pi t / 2)."""
        return -(math.pi / 2) * torch.sin(t * (math.pi / 2))

    def sigma(self, t: Times) -> Times:
        """sin(pi t / 2), which keeps its digits near t = 0 where 1 - alpha^2 would lose them."""
        return torch.sin(t * (math.pi / 2))


@dataclass(frozen=True)
class MaskingCosineSchedule(VariancePreserving):
    """alpha(t) = 1 - sin(pi t / 2): a sampler commits few tokens first and many at the end.

    The cosine of MaskGIT (Chang et al. 2022) and of Shi et al. 2024: with r = 1 - t, the masked share is cos(pi r / 2).
    """

    def alpha(self, t: Times) -> Times:
        """1 - sin(pi t / 2)."""
        return 1 - torch.sin(t * (math.pi / 2))

    def alpha_prime(self, t: Times) -> Times:
        """-(pi / 2) cos(pi t / 2)."""
        return -(math.pi / 2) * torch.cos(t * (math.pi / 2))


class CustomSchedule(VariancePreserving):
    """Any callable alpha(t) that works element by element and that autograd can differentiate.

    The callable is checked on 1025 times when the schedule is made; what lies between them is trusted.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        """Keep and check `function`; raises ConfigError in one sentence for each law that it breaks."""
        self._function = function
        grid = torch.linspace(0, 1, _GRID, dtype=torch.float64)
        value = function(grid)
        if not isinstance(value, Tensor) or value.shape != grid.shape:
            raise ConfigError(
                "The noise schedule does not work element by element: alpha(t) must have the shape of t.",
                hint="Write alpha with torch functions of t, for example lambda t: 1 - t**2.",
            )
        _check_alpha(grid, value)
        self.alpha_prime(grid)

    def alpha(self, t: Times) -> Times:
        """The callable's value."""
        return self._function(t)

    def alpha_prime(self, t: Times) -> Times:
        """The callable's derivative by autograd; carries no gradient of its own."""
        with torch.inference_mode(mode=False), torch.enable_grad():
            time = t.detach().clone().requires_grad_()
            value = self._function(time)
            if not value.requires_grad:
                raise ConfigError(
                    "The noise schedule cannot be differentiated: alpha(t) does not depend on t through torch.",
                    hint="Write alpha with torch functions of t, or give a table of values.",
                )
            (slope,) = torch.autograd.grad(value.sum(), time)
        return slope


class TableSchedule(VariancePreserving):
    """alpha from a table, by a monotone piecewise cubic (Fritsch and Carlson 1980; their slopes as a harmonic mean).

    The curve meets every entry, never rises where the table does not, and has a continuous derivative.
    """

    def __init__(self, times: Sequence[float], values: Sequence[float]) -> None:
        """`times` rise from 0 to 1, `values` fall from 1 to (nearly) 0; raises ConfigError otherwise."""
        if len(times) != len(values) or len(times) < 2:
            raise ConfigError(
                f"A schedule table needs as many values as times and at least 2, not {len(values)} and {len(times)}.",
                hint="Give pairs such as times (0, 0.5, 1) and values (1, 0.4, 0).",
            )
        self._times = torch.tensor(list(times), dtype=torch.float64)
        self._values = torch.tensor(list(values), dtype=torch.float64)
        rising = bool((self._times.diff() > 0).all())
        if not rising or self._times[0] != 0 or self._times[-1] != 1:
            raise ConfigError(
                "The times of a schedule table must rise strictly from 0 to 1.",
                hint="Sort the table by time, without repeats, and let it span [0, 1].",
            )
        _check_alpha(self._times, self._values)
        self._slopes = _monotone_slopes(self._times, self._values)

    def alpha(self, t: Times) -> Times:
        """The cubic Hermite interpolant."""
        u, width, v_0, v_1, m_0, m_1 = self._piece(t)
        value = (
            (1 + 2 * u) * (1 - u) ** 2 * v_0
            + u * (1 - u) ** 2 * width * m_0
            + u**2 * (3 - 2 * u) * v_1
            + u**2 * (u - 1) * width * m_1
        )
        return value.to(t.dtype)

    def alpha_prime(self, t: Times) -> Times:
        """The interpolant's derivative."""
        u, width, v_0, v_1, m_0, m_1 = self._piece(t)
        slope = 6 * u * (1 - u) * (v_1 - v_0) / width + (1 - u) * (1 - 3 * u) * m_0 + u * (3 * u - 2) * m_1
        return slope.to(t.dtype)

    def _piece(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Place in the piece (0 to 1), its width, the values and the slopes at its ends."""
        times, values, slopes = (x.to(t.device) for x in (self._times, self._values, self._slopes))
        time = t.detach().double().contiguous()
        left = (torch.searchsorted(times, time, right=True) - 1).clamp(0, len(times) - 2)
        width = times[left + 1] - times[left]
        u = (time - times[left]) / width
        return u, width, values[left], values[left + 1], slopes[left], slopes[left + 1]


SCHEDULES: dict[str, Callable[[], NoiseSchedule]] = {
    "cosine": CosineSchedule,
    "linear": LinearSchedule,
    "masking-cosine": MaskingCosineSchedule,
}


def make_schedule(name: str) -> NoiseSchedule:
    """The built-in schedule of that name; raises ConfigError with the list of names."""
    if name not in SCHEDULES:
        raise ConfigError(
            f"There is no noise schedule {name!r}: {', '.join(sorted(SCHEDULES))} are built in.",
            hint="Choose one of these, or hand in a CustomSchedule or a TableSchedule.",
        )
    return SCHEDULES[name]()


def elbo_weight(schedule: NoiseSchedule, t: Times) -> Times:
    """-alpha'(t) / (1 - alpha(t)): the weight of a masked token's cross-entropy; Sahoo et al. 2024, eq. 10.

    Computed in double precision because 1 - alpha loses digits near t = 0, where the weight is infinite: clip t.
    """
    time = t.double()
    return (-schedule.alpha_prime(time) / (1 - schedule.alpha(time))).to(t.dtype)


def log_snr(schedule: NoiseSchedule, t: Times) -> Times:
    """log(alpha(t)^2 / sigma(t)^2), which falls with t; Kingma et al. 2021, "Variational diffusion models"."""
    time = t.double()
    return (2 * (schedule.alpha(time).log() - schedule.sigma(time).log())).to(t.dtype)


def _check_alpha(times: Tensor, values: Tensor) -> None:
    """Raise ConfigError unless `values` start at 1, stay in [0, 1], never rise and end near 0."""
    hint = "A schedule falls from alpha(0) = 1 to alpha(1) = 0, for example 1 - t."
    if not bool(torch.isfinite(values).all()):
        raise ConfigError("The noise schedule has values that are not finite numbers.", hint=hint)
    start, end = float(values[0]), float(values[-1])
    if abs(start - 1) > _START_TOLERANCE:
        raise ConfigError(f"The noise schedule starts at alpha(0) = {start:g} and must start at 1.", hint=hint)
    if float(values.min()) < -_RISE_TOLERANCE or float(values.max()) > 1 + _START_TOLERANCE:
        wrong = float(values.min()) if float(values.min()) < 0 else float(values.max())
        raise ConfigError(f"The noise schedule reaches {wrong:g} and must stay within [0, 1].", hint=hint)
    rises = values.diff()
    if float(rises.max()) > _RISE_TOLERANCE:
        place = float(times[int(rises.argmax())])
        raise ConfigError(f"The noise schedule rises after t = {place:g} and must never rise.", hint=hint)
    if end > _END_LIMIT:
        raise ConfigError(
            f"The noise schedule ends at alpha(1) = {end:g} and must end at {_END_LIMIT} or less.", hint=hint
        )


def _monotone_slopes(times: Tensor, values: Tensor) -> Tensor:
    """Slopes at the entries that keep a cubic Hermite curve monotone: 0 at a plateau, else a weighted harmonic mean."""
    width = times.diff()
    secant = values.diff() / width
    if len(secant) == 1:
        return secant.repeat(2)
    before, after = secant[:-1], secant[1:]
    weight_before, weight_after = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    flat = (before == 0) | (after == 0)
    divisor = weight_before / before.where(~flat, torch.ones_like(before)) + weight_after / after.where(
        ~flat, torch.ones_like(after)
    )
    inner = torch.where(flat, torch.zeros_like(divisor), (weight_before + weight_after) / divisor)
    # One-sided ends: any slope between 0 and 3 times the secant keeps the piece monotone; the secant is inside.
    return torch.cat([secant[:1], inner, secant[-1:]])

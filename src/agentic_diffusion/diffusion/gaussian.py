"""The Gaussian process for continuous data of any shape: noising, posterior, three predictions, and the loss.

Time: t in [0, 1]; 0 clean, 1 noise. x_t = alpha(t) x_0 + sigma(t) eps with alpha^2 + sigma^2 = 1, from `schedule`.
Shapes: B batch, *data the shape of one sample: [2] for a point, [8, 8] for a picture, [H, C] for H states of C numbers.

A network may predict any of three things; each gives the other two (Salimans and Ho 2022, section 4 and appendix D):

    prediction   what the network gives            x_0                          eps
    epsilon      eps                               (x_t - sigma eps) / alpha    eps
    x_0          x_0                               x_0                          (x_t - alpha x_0) / sigma
    velocity     v = alpha eps - sigma x_0         alpha x_t - sigma v          sigma x_t + alpha v

Entries that are known (a start and a goal, a part of a picture) are held: they are clean in every x_t, in training and
in sampling, and carry no loss (in-painting as in Janner et al. 2022, section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agentic_diffusion.diffusion.denoiser import Denoiser
from agentic_diffusion.diffusion.masked import sample_times
from agentic_diffusion.diffusion.schedule import CosineSchedule, NoiseSchedule
from agentic_diffusion.foundation.errors import ConfigError, UsageError

Prediction = Literal["epsilon", "x_0", "velocity"]
"""What a network gives."""

Weighting = Literal["plain", "x_0", "snr", "snr+1", "min-snr"]
"""How the squared error is weighed over time; see `loss_weight`."""

Time = float | Float[Tensor, " B"]
"""One time for all samples, or one a sample."""

_LEAST_ALPHA = 1e-3
_TINY = 1e-30


@dataclass(frozen=True, kw_only=True)
class Known:
    """Entries that are given and never move."""

    is_known: Bool[Tensor, " #B *#data"]
    """Which entries are given; broadcasts over samples and entries, so [1, H, 1] marks whole states."""
    values: Float[Tensor, " #B *#data"]
    """Their clean values; what stands elsewhere is not read."""

    def hold(self, x: Float[Tensor, " B *data"]) -> Float[Tensor, " B *data"]:
        """`x` with the given entries put in their places; raises UsageError where the shapes do not fit."""
        for name, part in (("is_known", self.is_known), ("values", self.values)):
            fits = part.ndim == x.ndim and all(p in (1, n) for p, n in zip(part.shape, x.shape, strict=False))
            if not fits:
                raise UsageError(
                    f"{name} of shape {tuple(part.shape)} does not fit data of shape {tuple(x.shape)}.",
                    hint="Give it the shape of the data, with 1 where an axis is shared.",
                )
        return torch.where(self.is_known, self.values.to(x.dtype), x)


@dataclass(frozen=True, kw_only=True)
class GaussianProcess:
    """A schedule, what the network predicts, and how its error is weighed; the network itself is handed in."""

    schedule: NoiseSchedule = field(default_factory=CosineSchedule)
    """alpha(t) and sigma(t)."""
    prediction: Prediction = "velocity"
    """What the network gives."""
    weighting: Weighting = "plain"
    """Weight of the squared error over time."""
    gamma: float = 5.0
    """The bound of "min-snr"; Hang et al. 2023 use 5."""
    t_min: float = 1e-3
    """The smallest time that training draws; there almost nothing is left to predict."""
    t_max: float = 1.0
    """The largest time: training draws below it and sampling starts there, from pure noise."""
    clip: float | None = None
    """Bound of |x_0| in sampling, for data that are known to lie within it; None: no bound."""

    def __post_init__(self) -> None:
        """Check names and ranges; raises ConfigError."""
        _check_name("prediction", self.prediction, get_args(Prediction))
        _check_name("weighting", self.weighting, get_args(Weighting))
        for name, bound in (("gamma", self.gamma), ("clip", self.clip)):
            if bound is not None and not bound > 0:
                raise ConfigError(f"{name} is {bound:g} and must be above 0.", hint="Leave it out for the default.")
        if not 0 < self.t_min < self.t_max <= 1:
            raise ConfigError(
                f"Times from {self.t_min:g} to {self.t_max:g} are not possible: 0 < t_min < t_max <= 1 is needed.",
                hint="Leave both out for the defaults.",
            )
        alpha = float(self.schedule.alpha(torch.tensor(self.t_max, dtype=torch.float64)))
        if self.prediction == "epsilon" and alpha < _LEAST_ALPHA:
            raise ConfigError(
                f"A prediction of epsilon says nothing about x_0 at t_max = {self.t_max:g}, where alpha is {alpha:g}.",
                hint="Set t_max to 0.98, or predict x_0 or the velocity.",
            )

    def q_sample(
        self, x_0: Float[Tensor, " B *data"], t: Time, noise: Float[Tensor, " B *data"]
    ) -> Float[Tensor, " B *data"]:
        """`q_sample` with this schedule."""
        return q_sample(x_0, t, noise, self.schedule)

    def posterior(
        self, x_t: Float[Tensor, " B *data"], x_0: Float[Tensor, " B *data"], *, s: Time, t: Time
    ) -> tuple[Float[Tensor, " B *data"], Float[Tensor, " ..."]]:
        """`posterior` with this schedule."""
        return posterior(x_t, x_0, s=s, t=t, schedule=self.schedule)

    def target(
        self, x_0: Float[Tensor, " B *data"], noise: Float[Tensor, " B *data"], t: Time
    ) -> Float[Tensor, " B *data"]:
        """What a perfect network would give; for the velocity Salimans and Ho 2022, v = alpha eps - sigma x_0."""
        if self.prediction == "velocity":
            return velocity(x_0, noise, t, self.schedule)
        return noise if self.prediction == "epsilon" else x_0

    def x_0(
        self, predicted: Float[Tensor, " B *data"], x_t: Float[Tensor, " B *data"], t: Time
    ) -> Float[Tensor, " B *data"]:
        """The clean data that a network's output stands for, within `clip`."""
        estimate = to_x_0(predicted, x_t, t, self.schedule, self.prediction)
        return estimate if self.clip is None else estimate.clamp(-self.clip, self.clip)

    def loss(
        self,
        denoiser: Denoiser,
        x_0: Float[Tensor, " B *data"],
        generator: torch.Generator,
        *,
        context: Float[Tensor, "B M K"] | None = None,
        context_mask: Bool[Tensor, "B M"] | None = None,
        is_known: Bool[Tensor, " #B *#data"] | None = None,
        weight: Float[Tensor, " #B *#data"] | None = None,
    ) -> Float[Tensor, ""]:
        """The training loss at stratified random times; Ho et al. 2020, eq. 14, for any prediction and weighting.

        1. draw t and the noise; 2. noise x_0, holding what is known; 3. predict; 4. the weighted squared error.
        `is_known` entries and entries of weight 0 (padding) carry no loss; the mean is over the others.
        """
        t = sample_times((len(x_0),), generator, t_min=self.t_min, t_max=self.t_max).to(x_0)
        noise = torch.randn(x_0.shape, generator=generator, device=generator.device).to(x_0)
        x_t = self.q_sample(x_0, t, noise)
        if is_known is not None:
            x_t = Known(is_known=is_known, values=x_0).hold(x_t)
        predicted = denoiser(x_t, t, context, context_mask)
        return self.error(predicted, x_0, noise, t, is_known=is_known, weight=weight)

    def error(
        self,
        predicted: Float[Tensor, " B *data"],
        x_0: Float[Tensor, " B *data"],
        noise: Float[Tensor, " B *data"],
        t: Time,
        *,
        is_known: Bool[Tensor, " #B *#data"] | None = None,
        weight: Float[Tensor, " #B *#data"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean over entries of weight * loss_weight(t) * (predicted - target)^2; 0 where every entry is known."""
        over_time = loss_weight(t, self.schedule, self.prediction, self.weighting, gamma=self.gamma)
        squared = (predicted - self.target(x_0, noise, t)).square() * _spread(over_time, x_0)
        counted = torch.ones_like(squared) if weight is None else weight.to(squared).expand_as(squared)
        if is_known is not None:
            counted = counted.masked_fill(is_known, 0.0)
        return (squared * counted).sum() / counted.sum().clamp(min=_TINY)


def q_sample(
    x_0: Float[Tensor, " B *data"], t: Time, noise: Float[Tensor, " B *data"], schedule: NoiseSchedule
) -> Float[Tensor, " B *data"]:
    """Draw x_t ~ q(x_t | x_0) = N(alpha(t) x_0, sigma(t)^2 I) from standard normal `noise`; Ho et al. 2020, eq. 4."""
    alpha, sigma = coefficients(t, schedule, x_0)
    return alpha * x_0 + sigma * noise


def posterior(
    x_t: Float[Tensor, " B *data"], x_0: Float[Tensor, " B *data"], *, s: Time, t: Time, schedule: NoiseSchedule
) -> tuple[Float[Tensor, " B *data"], Float[Tensor, " ..."]]:
    """Mean and standard deviation of q(x_s | x_t, x_0) for s < t; the deviation broadcasts over the mean.

    Ho et al. 2020, eq. 6 and 7; in continuous time Kingma et al. 2021, appendix A. With a = alpha_t / alpha_s and
    b = sigma_t^2 - a^2 sigma_s^2, the variance of q(x_t | x_s):

        mean = a sigma_s^2 / sigma_t^2 x_t + alpha_s b / sigma_t^2 x_0        variance = b sigma_s^2 / sigma_t^2
    """
    on_x_t, on_x_0, deviation = posterior_weights(s, t, schedule)
    mean = _spread(on_x_t, x_t) * x_t + _spread(on_x_0, x_t) * x_0
    return mean, _spread(deviation, x_t)


def posterior_weights(s: Time, t: Time, schedule: NoiseSchedule) -> tuple[Tensor, Tensor, Tensor]:
    """The weights of x_t and of x_0 in the mean of q(x_s | x_t, x_0), and its standard deviation; double precision."""
    alpha_s, sigma_s = _exact(s, schedule)
    alpha_t, sigma_t = _exact(t, schedule)
    kept = alpha_t / alpha_s.clamp(min=_TINY)
    added = (sigma_t**2 - kept**2 * sigma_s**2).clamp(min=0)
    total = (sigma_t**2).clamp(min=_TINY)
    return kept * sigma_s**2 / total, alpha_s * added / total, (added * sigma_s**2 / total).sqrt()


def velocity(
    x_0: Float[Tensor, " B *data"], noise: Float[Tensor, " B *data"], t: Time, schedule: NoiseSchedule
) -> Float[Tensor, " B *data"]:
    """v = alpha eps - sigma x_0; Salimans and Ho 2022, section 4."""
    alpha, sigma = coefficients(t, schedule, x_0)
    return alpha * noise - sigma * x_0


def to_x_0(
    predicted: Float[Tensor, " B *data"],
    x_t: Float[Tensor, " B *data"],
    t: Time,
    schedule: NoiseSchedule,
    prediction: Prediction,
) -> Float[Tensor, " B *data"]:
    """x_0 from a prediction at x_t (the table above); an epsilon prediction needs alpha(t) > 0."""
    alpha, sigma = coefficients(t, schedule, x_t)
    if prediction == "epsilon":
        return (x_t - sigma * predicted) / alpha
    return predicted if prediction == "x_0" else alpha * x_t - sigma * predicted


def to_epsilon(
    x_0: Float[Tensor, " B *data"], x_t: Float[Tensor, " B *data"], t: Time, schedule: NoiseSchedule
) -> Float[Tensor, " B *data"]:
    """The noise that x_0 and x_t imply: (x_t - alpha x_0) / sigma; needs sigma(t) > 0."""
    alpha, sigma = coefficients(t, schedule, x_t)
    return (x_t - alpha * x_0) / sigma


def loss_weight(
    t: Time, schedule: NoiseSchedule, prediction: Prediction, weighting: Weighting, *, gamma: float = 5.0
) -> Float[Tensor, "*times"]:
    """The factor of the squared error of `prediction` at t, so that the error of x_0 has the weight that is named.

    With SNR = alpha^2 / sigma^2 the squared errors of eps and v are SNR and SNR + 1 times that of x_0 (Salimans and Ho
    2022, section 4), so that each named weight means the same whatever the network predicts:

        plain      1 on what the network predicts
        x_0        1 on x_0
        snr        SNR on x_0: the plain error of epsilon (Ho et al. 2020, eq. 14)
        snr+1      SNR + 1 on x_0: the plain error of the velocity
        min-snr    min(SNR, gamma) on x_0 (Hang et al. 2023, "Efficient diffusion training via min-SNR weighting")
    """
    alpha, sigma = _exact(t, schedule)
    signal, noise = alpha.square().clamp(min=_TINY), sigma.square().clamp(min=_TINY)
    own = {"x_0": torch.ones_like(signal), "epsilon": signal / noise, "velocity": (signal + noise) / noise}
    wanted = {
        "plain": own[prediction],
        "x_0": own["x_0"],
        "snr": own["epsilon"],
        "snr+1": own["velocity"],
        "min-snr": own["epsilon"].clamp(max=gamma),
    }
    return wanted[weighting] / own[prediction]


def coefficients(t: Time, schedule: NoiseSchedule, like: Float[Tensor, " B *data"]) -> tuple[Tensor, Tensor]:
    """alpha(t) and sigma(t) in the type of `like`, of a shape that broadcasts over it."""
    alpha, sigma = _exact(t, schedule)
    return _spread(alpha, like), _spread(sigma, like)


def _exact(t: Time, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
    """alpha and sigma in double precision, which the differences near the ends need."""
    time = t.double() if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
    return schedule.alpha(time), schedule.sigma(time)


def _spread(value: Tensor, like: Tensor) -> Tensor:
    """One number a sample (or one for all) as a tensor that broadcasts over `like`."""
    shaped = value if value.ndim == 0 else value.view(-1, *[1] * (like.ndim - 1))
    return shaped.to(like)


def _check_name(what: str, given: str, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError unless `given` is one of the names."""
    if given not in allowed:
        raise ConfigError(f"There is no {what} {given!r}.", hint=f"Choose one of: {', '.join(allowed)}.")

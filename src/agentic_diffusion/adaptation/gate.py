"""The gate: new weights are accepted only if held-out tasks say that they are better.

Both sets of weights do the same tasks, whose seeds serve nothing else; the confidence that the mean reward rose comes
from a paired bootstrap over tasks (Efron and Tibshirani 1993, chapter 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.foundation.errors import ConfigError, UsageError


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """What the gate asks for."""

    confidence: float = 0.95
    """Least share of bootstrap means in which the new weights are better."""
    resamples: int = 4000
    """Bootstrap samples."""
    seed: int = 0
    """Seed of the bootstrap."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if not (0.5 <= self.confidence < 1 and self.resamples >= 100):
            raise ConfigError(
                f"A gate of confidence {self.confidence} over {self.resamples} resamples is not possible.",
                hint="Use a confidence in [0.5, 1) and at least 100 resamples.",
            )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says."""

    accepted: bool
    """Whether the new weights stay."""
    confidence: float
    """Share of bootstrap means in which the new weights are better."""
    gain: float
    """Mean reward of the new weights less that of the old."""
    interval: tuple[float, float]
    """The middle 95 % of the bootstrap means of the gain."""


def judge(before: NDArray[np.float64], after: NDArray[np.float64], settings: GateSettings) -> Verdict:
    """Compare rewards [tasks] of the same tasks; raises UsageError unless both have the same length, 2 or more.

    A tie is not better: identical rewards are refused.
    """
    if before.shape != after.shape or before.ndim != 1 or len(before) < 2:
        raise UsageError(
            f"The gate was given rewards of shapes {before.shape} and {after.shape}.",
            hint="Measure both weights on the same two tasks or more.",
        )
    gains = after - before
    rng = np.random.default_rng(settings.seed)
    means = gains[rng.integers(len(gains), size=(settings.resamples, len(gains)))].mean(1)
    confidence = float((means > 0).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    return Verdict(
        accepted=confidence >= settings.confidence,
        confidence=confidence,
        gain=float(gains.mean()),
        interval=(float(low), float(high)),
    )

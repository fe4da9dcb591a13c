"""The tracking controller: knots become a reference for every environment step, and inverse dynamics follow it.

Reference: the cubic Hermite curve through the knots' positions and velocities. Action: what the known physics need to
reach, within one step, the reference's next velocity plus a correction of the position's error; behind the end of the
plan, the velocity from which the ball can still stop at the goal. Actions are clipped by the environment.

Shapes: N plans, K knots, T environment steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.environment import DAMPING, GEAR, MASS, TIME_STEP
from agentic_diffusion.foundation.errors import ConfigError

Array = NDArray[np.float64]
_INERTIA = (MASS + TIME_STEP * DAMPING) / TIME_STEP


@dataclass(frozen=True, kw_only=True)
class TrackerSettings:
    """Gains of the tracker."""

    stiffness: float = 10.0
    """Velocity added for each metre of error, in 1/s."""
    braking: float = 20.0
    """Deceleration in m/s^2 that the way to the goal counts on behind the end of the plan; the motor has 23.9."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if not (self.stiffness > 0 and self.braking > 0):
            raise ConfigError("The tracker's gains must be above 0.", hint="Leave them out for the defaults.")


class Tracker:
    """Follows N plans; `action` is asked once for every environment step."""

    def __init__(self, knots: Array, durations: Array, goal: Array, settings: TrackerSettings) -> None:
        """Lay the references: knots [N, K, 4], durations [N] in environment steps (1 at least), goals [N, 2]."""
        self._settings, self._goal = settings, goal
        self.steps = np.maximum(np.rint(durations).astype(np.int64), 1)
        self._position, self._velocity = hermite(knots, self.steps)

    def action(self, states: Array, env_step: int) -> Array:
        """[N, 2] the actions that lead from `states` [N, 4] at `env_step` to the reference one step later."""
        place = min(env_step + 1, self._position.shape[1] - 1)
        settings = self._settings
        ahead, speed = self._position[:, place], self._velocity[:, place]
        error = ahead - states[:, :2] - TIME_STEP * speed
        wanted = speed + settings.stiffness * error
        over = env_step + 1 > self.steps
        if over.any():
            away = self._goal - states[:, :2]
            brake = np.sign(away) * np.minimum(np.sqrt(2 * settings.braking * np.abs(away)), 10 * np.abs(away))
            wanted = np.where(over[:, None], brake, wanted)
        return inverse_dynamics(states[:, 2:], wanted)


def inverse_dynamics(velocity: Array, wanted: Array) -> Array:
    """The actions that turn `velocity` into `wanted` within one step of free flight; not clipped."""
    return np.asarray((_INERTIA * (wanted - velocity) + DAMPING * velocity) / GEAR)


def hermite(knots: Array, steps: NDArray[np.int64]) -> tuple[Array, Array]:
    """Positions and velocities [N, T + 1, 2] at every step, T the longest plan; shorter ones stay at their end.

    The knots [N, K, 4] lie equally spaced over `steps` [N] environment steps.
    """
    count, pieces = len(knots), knots.shape[1] - 1
    time = np.minimum(np.arange(int(steps.max()) + 1), steps[:, None])
    along = time * (pieces / steps[:, None])
    left = np.minimum(along.astype(np.int64), pieces - 1)
    u = (along - left)[..., None]
    width = (steps * TIME_STEP / pieces)[:, None, None]
    row = np.arange(count)[:, None]
    a, b = knots[row, left], knots[row, left + 1]
    p, q, m, n = a[..., :2], b[..., :2], a[..., 2:] * width, b[..., 2:] * width
    position = (1 + 2 * u) * (1 - u) ** 2 * p + u * (1 - u) ** 2 * m + u**2 * (3 - 2 * u) * q + u**2 * (u - 1) * n
    slope = 6 * u * (1 - u) * (q - p) + (1 - u) * (1 - 3 * u) * m + u * (3 * u - 2) * n
    return position, slope / width

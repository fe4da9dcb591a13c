"""Rollouts: plans driven through the maze by the tracker, and what they are worth.

The strict return of D4RL counts the environment steps that end inside the goal's disc. The latched return, which some
papers report, counts every step after the first of these.

Shapes: N plans, T environment steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.environment import Tasks, step_states
from agentic_diffusion.planning.tracker import Tracker, TrackerSettings

Array = NDArray[np.float64]
Physics = Callable[[Array, Array], Array]
"""physics(states [N, 4], actions [N, 2]) -> the next states."""

NEVER = np.iinfo(np.int64).max
_SETTLE = 70
"""Environment steps behind the longest plan that a shortened rollout still drives."""
_RESTING = 0.5


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What N plans did."""

    returns: Array
    """[N] steps inside the disc."""
    latched: Array
    """[N] steps since the first one inside the disc."""
    arrival: NDArray[np.int64]
    """[N] the step that first ended inside the disc; NEVER where none did."""
    nearest: Array
    """[N] smallest distance to the point to pass; zeros where there was none."""
    states: Array | None
    """[N, T + 1, 4] all states, if they were kept."""

    @property
    def success(self) -> NDArray[np.bool_]:
        """[N] whether the disc was reached."""
        return self.arrival < NEVER


def roll_out(
    tasks: Tasks,
    knots: Array,
    durations: Array,
    *,
    env_steps: int,
    tracker: TrackerSettings | None = None,
    physics: Physics | None = None,
    shortened: bool = False,
    keep_states: bool = False,
    passing: Array | None = None,
) -> Rollout:
    """Drive plans (knots [N, K, 4], durations [N]) for `env_steps`.

    `shortened` stops when every plan is over and counts a ball that rests in its disc as staying there. `physics`
    replaces our own step (MuJoCo as the judge). `passing` [N, 2] are points whose distance is watched.
    """
    follow = Tracker(knots, durations, tasks.goal, tracker or TrackerSettings())
    step = physics or (lambda states, actions: step_states(states, actions, tasks.mazes, tasks.which))
    driven = min(env_steps, int(follow.steps.max()) + _SETTLE) if shortened else env_steps
    states, count = tasks.start.copy(), len(tasks)
    kept = [states] if keep_states else []
    returns, arrival = np.zeros(count), np.full(count, NEVER)
    nearest = np.zeros(count) if passing is None else np.linalg.norm(states[:, :2] - passing, axis=1)
    inside = np.zeros(count, bool)
    for env_step in range(driven):
        states = step(states, follow.action(states, env_step))
        inside = tasks.reached(states)
        returns += inside
        arrival = np.where(inside & (arrival == NEVER), env_step + 1, arrival)
        if passing is not None:
            nearest = np.minimum(nearest, np.linalg.norm(states[:, :2] - passing, axis=1))
        if keep_states:
            kept.append(states)
    resting = inside & (np.abs(states[:, 2:]).max(1) < _RESTING)
    returns = returns + np.where(resting, env_steps - driven, 0)
    return Rollout(
        returns=returns,
        latched=np.where(arrival < NEVER, env_steps - np.minimum(arrival, env_steps) + 1.0, 0.0),
        arrival=arrival,
        nearest=nearest,
        states=np.stack(kept, 1) if keep_states else None,
    )

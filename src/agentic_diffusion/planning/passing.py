"""Plans that pass a point on their way (picking gold): two legs, each in-painted, and the pair that does it best.

The point is no part of any training task. The first leg ends at it, the second begins in the state in which the driven
first leg really is there; pairs are judged as single plans are, by a rollout.

Shapes: N tasks, A candidates, K knots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.environment import GOAL_RADIUS, Tasks
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.planning.planner import Planner, Plans
from agentic_diffusion.planning.rollout import Rollout, roll_out
from agentic_diffusion.planning.tracker import hermite

Array = NDArray[np.float64]
REACH = 0.3
"""A point counts as passed within this distance."""


def gold_scores(driven: Rollout) -> Array:
    """[N] 100 (0.3 - nearest) / 0.3 where the goal was reached and the gold passed within 0.3, else 0."""
    passed = (driven.nearest <= REACH) & driven.success
    return np.asarray(np.where(passed, 100 * (REACH - driven.nearest) / REACH, 0.0))


def plan_through(planner: Planner, tasks: Tasks, passing: Array, *, env_steps: int, seed: int = 0) -> Plans:
    """One plan [N, 1] a task through `passing` [N, 2] to the goal: the best of A pairs of legs."""
    count = planner.settings.candidates
    many = tasks.select(np.repeat(np.arange(len(tasks)), count))
    gold = np.repeat(passing, count, axis=0)
    first = planner.propose(_to(tasks, passing), seed=derive(seed, "first leg")).flat()
    at_gold = _state_at(_to(many, gold), first, env_steps)
    turned = Tasks(mazes=many.mazes, which=many.which, start=at_gold, goal=many.goal)
    second = planner.propose(turned, seed=derive(seed, "second leg"), speeds=np.ones((len(many), 1))).flat()
    knots, durations = joined(first, second)
    driven = roll_out(
        many, knots, durations, env_steps=env_steps, tracker=planner.settings.tracker, shortened=True, passing=gold
    )
    # A thousandth of the return breaks ties, so that of two good ways the faster one is taken.
    value = gold_scores(driven) + 1e-3 * driven.returns / env_steps
    choice = value.reshape(len(tasks), count).argmax(1) + np.arange(len(tasks)) * count
    return Plans(knots=knots[choice][:, None], durations=durations[choice][:, None])


def joined(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    """Two legs [N, K, 4] as one plan with 2 K knots, equally spaced in time."""
    knots = first[0].shape[1] * 2
    steps = [np.maximum(np.rint(leg[1]).astype(np.int64), 1) for leg in (first, second)]
    curves = [hermite(leg[0], own) for leg, own in zip((first, second), steps, strict=True)]
    total = steps[0] + steps[1]
    times = np.rint(np.linspace(0.0, 1.0, knots) * total[:, None]).astype(np.int64)
    row = np.arange(len(total))[:, None]
    early = times < steps[0][:, None]
    ahead = np.minimum(times, curves[0][0].shape[1] - 1)
    behind = np.clip(times - steps[0][:, None], 0, curves[1][0].shape[1] - 1)
    parts = [np.where(early[..., None], one[row, ahead], two[row, behind]) for one, two in zip(*curves, strict=True)]
    return np.concatenate(parts, axis=-1), total.astype(np.float64)


def _to(tasks: Tasks, goal: Array) -> Tasks:
    return Tasks(mazes=tasks.mazes, which=tasks.which, start=tasks.start, goal=goal)


def _state_at(tasks: Tasks, leg: tuple[Array, Array], env_steps: int) -> Array:
    """[N, 4] the states in which the driven legs are nearest to their ends; the start of those that never arrive."""
    knots, durations = leg
    driven = roll_out(tasks, knots, durations, env_steps=env_steps, shortened=True, keep_states=True)
    assert driven.states is not None
    away = np.linalg.norm(driven.states[..., :2] - tasks.goal[:, None], axis=-1)
    time = np.arange(driven.states.shape[1])
    # The nearest moment until shortly after the leg's time: later the ball stands still at its end.
    away = np.where(time <= durations[:, None] + 5, away, np.inf)
    nearest = driven.states[np.arange(len(tasks)), away.argmin(1)]
    return np.asarray(np.where((away.min(1) <= GOAL_RADIUS)[:, None], nearest, tasks.start))

"""The Maze2D benchmark: D4RL's protocol, Multi2D, gold picking, and layouts that no model has seen.

Scores are D4RL-normalised x 100 from strict returns; the latched ones, which some papers report, stand beside them.
Every number is a mean over all episodes of fixed seeds with its standard error. Starts are D4RL's resets; old seeds of
gym cannot be replayed, so they are drawn anew from seeds that serve nothing else.

Shapes: N episodes, K knots.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.environment import Array, Tasks, multi_tasks, single_tasks
from agentic_diffusion.domains.trajectories.maze import MAZES, Maze
from agentic_diffusion.domains.trajectories.mujoco_maze import MujocoMaze
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.planning.passing import gold_scores
from agentic_diffusion.planning.rollout import Physics, Rollout, roll_out

PlanFunction = Callable[[Tasks, int], tuple[Array, Array]]
"""plan(tasks, env_steps) -> knots [N, K, 4] and durations [N]."""

GoldPlanFunction = Callable[[Tasks, Array, int], tuple[Array, Array]]
"""plan(tasks, points to pass [N, 2], env_steps) -> knots and durations."""

GOLD_CELLS = {
    "large": "1,6 1,9 4,10 1,7 5,9 2,6 5,9 3,3 4,1 6,6 3,10 2,4 5,10 5,9 7,10 6,4 1,6 6,6 7,6 7,4",
    "medium": "3,3 3,4 2,2 5,4 3,4 2,4 4,4 3,4 3,4 2,5 6,3 6,2 5,4 5,4 3,3 4,4 6,3 4,2 3,2 2,5",
}
"""The gold cells of the 20 single-task problems of Test-time Diffusion Planning's protocol, by maze."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A mean over episodes."""

    mean: float
    """The mean."""
    error: float
    """Its standard error."""
    episodes: int
    """How many."""

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Measured:
        """Mean and standard error of independent values, 2 or more."""
        error = float(values.std(ddof=1) / len(values) ** 0.5)
        return cls(mean=float(values.mean()), error=error, episodes=len(values))

    def as_json(self) -> dict[str, float]:
        """Rounded to what the error allows."""
        return {"mean": round(self.mean, 2), "error": round(self.error, 2), "episodes": self.episodes}


@dataclass(frozen=True, kw_only=True)
class MazeResult:
    """One maze under one planner."""

    strict: Measured
    """Normalised strict score."""
    latched: Measured
    """Normalised latched score."""
    success: float
    """Share of episodes that reached the disc."""
    seconds: float
    """Seconds a plan, selection included, in the batch."""

    def as_json(self) -> dict[str, object]:
        """Ready for a result file."""
        return {
            "strict": self.strict.as_json(),
            "latched": self.latched.as_json(),
            "success": round(self.success, 4),
            "seconds_a_plan": round(self.seconds, 4),
        }


def maze_score(maze: Maze, plan: PlanFunction, *, episodes: int, seed: int, multi: bool = False,
               mujoco: bool = False) -> MazeResult:  # fmt: skip
    """Maze2D's single task, or Multi2D; `mujoco` lets MuJoCo itself be the judge of the driven plans."""
    tasks = (multi_tasks if multi else single_tasks)(maze, episodes, _generator(seed, maze.name, multi=multi))
    driven, seconds = drive(tasks, maze.env_steps, plan, mujoco=mujoco)
    return MazeResult(
        strict=Measured.of(maze.score(driven.returns)),
        latched=Measured.of(maze.score(driven.latched)),
        success=float(driven.success.mean()),
        seconds=seconds,
    )


def drive(tasks: Tasks, env_steps: int, plan: PlanFunction, *, mujoco: bool = False) -> tuple[Rollout, float]:
    """Plan once at the start of each episode and drive; gives the rollout and the seconds a plan."""
    began = time.perf_counter()
    knots, durations = plan(tasks, env_steps)
    seconds = (time.perf_counter() - began) / len(tasks)
    physics = mujoco_physics(tasks) if mujoco else None
    return roll_out(tasks, knots, durations, env_steps=env_steps, physics=physics), seconds


def success_in(maze: Maze, plan: PlanFunction, *, episodes: int, seed: int) -> NDArray[np.float64]:
    """[N] 1 where an episode of Multi2D reached its disc: the measure for layouts without reference returns."""
    tasks = multi_tasks(maze, episodes, _generator(seed, maze.layout, multi=True))
    driven, _ = drive(tasks, maze.env_steps, plan)
    return driven.success.astype(np.float64)


def gold_tasks(name: str, *, starts: int, seed: int) -> tuple[Tasks, Array]:
    """The 20 gold problems of a maze's single task with `starts` starts each, and the points to pass."""
    maze = MAZES[name]
    cells = np.array([[int(v) for v in pair.split(",")] for pair in GOLD_CELLS[name].split()], dtype=float)
    passing = np.repeat(cells, starts, axis=0)
    return single_tasks(maze, len(passing), _generator(seed, name, "gold")), passing


def gold_score(name: str, plan: GoldPlanFunction, *, starts: int, seed: int) -> Measured:
    """Mean gold score; `plan` also gets the points to pass. A problem counts once for each of its starts."""
    tasks, passing = gold_tasks(name, starts=starts, seed=seed)
    env_steps = MAZES[name].env_steps
    knots, durations = plan(tasks, passing, env_steps)
    return Measured.of(gold_scores(roll_out(tasks, knots, durations, env_steps=env_steps, passing=passing)))


def mujoco_physics(tasks: Tasks) -> Physics:
    """MuJoCo in the place of our own step: one ball a task; ImportError where mujoco is not installed."""
    balls = [MujocoMaze(tasks.mazes.mazes[place]) for place in tasks.which]
    for ball, state in zip(balls, tasks.start, strict=True):
        ball.set_state(state)

    def step(states: Array, actions: Array) -> Array:  # noqa: ARG001 - MuJoCo holds the states itself
        return np.stack([ball.step(action) for ball, action in zip(balls, actions, strict=True)])

    return step


def _generator(seed: int, *names: str, multi: bool = False) -> np.random.Generator:
    return np.random.default_rng([derive(seed, "maze2d", *names, int(multi))])

"""The way-point controller that drove D4RL's maze2d data, for many balls at once.

It walks a shortest path of cells: each way-point but the last is a cell's index minus U(0, 0.2) in each axis, and the
next one is taken when the ball is within 0.1. Action: clip(10 (way-point - position) - velocity) to [-1, 1].

A controller is made fresh for its tasks. The published "expert" returns come from one controller that was reused over
episodes and then often waits at an old goal (about half of its episodes fail); this one does not have that defect.
Shapes: N balls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.environment import Array, MazeSet, Tasks
from agentic_diffusion.domains.trajectories.maze import cells_of

GAIN = 10.0
DRAG = 1.0
CLOSE = 0.1
"""A way-point counts as reached within this distance."""
_MOVES = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])


class WaypointController:
    """Way-points of N balls; `target` gives a ball a new goal."""

    def __init__(self, mazes: MazeSet, which: NDArray[np.int64], rng: np.random.Generator) -> None:
        """Know the mazes; balls have no goal before `target`."""
        count = len(which)
        self._which, self._rng, self._distance = which, rng, mazes.floods
        self._goal = np.zeros((count, 2), np.int64)
        self._cell = np.zeros((count, 2), np.int64)
        self._waypoint = np.zeros((count, 2))

    @classmethod
    def for_tasks(cls, tasks: Tasks, rng: np.random.Generator) -> WaypointController:
        """A fresh controller with each task's goal."""
        controller = cls(tasks.mazes, tasks.which, rng)
        controller.target(np.arange(len(tasks)), tasks.start[:, :2], tasks.goal)
        return controller

    def target(self, rows: NDArray[np.int64], positions: Array, goals: Array) -> None:
        """Send the balls `rows` from `positions` [len(rows), 2] to the cells of `goals` (rounded, as D4RL does)."""
        self._goal[rows] = np.rint(goals).astype(np.int64)
        self._cell[rows] = cells_of(positions)
        self._advance(rows)

    def actions(self, states: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Actions [N, 2] for states [N, 4], and whether the ball is within 0.1 of its goal cell's indices."""
        position, velocity = states[:, :2], states[:, 2:]
        done = np.linalg.norm(position - self._goal, axis=1) < CLOSE
        reached = np.linalg.norm(position - self._waypoint, axis=1) < CLOSE
        self._advance(np.flatnonzero(reached & (self._cell != self._goal).any(1)))
        return np.clip(GAIN * (self._waypoint - position) - DRAG * velocity, -1.0, 1.0), done

    def _advance(self, rows: NDArray[np.int64]) -> None:
        """Take the next cell on a shortest path, ties at random."""
        if len(rows) == 0:
            return
        which, goal, cell = self._which[rows], self._goal[rows], self._cell[rows]
        near = cell[:, None] + _MOVES
        distance = self._distance[which[:, None], goal[:, :1], goal[:, 1:], near[..., 0], near[..., 1]]
        here = self._distance[which, goal[:, 0], goal[:, 1], cell[:, 0], cell[:, 1]]
        better = (distance >= 0) & (distance < here[:, None])
        choice = np.where(better, self._rng.random(better.shape), -1.0).argmax(1)
        moved = np.where(better.any(1)[:, None], near[np.arange(len(rows)), choice], cell)
        self._cell[rows] = moved
        last = (moved == goal).all(1)[:, None]
        self._waypoint[rows] = moved - np.where(last, 0.0, self._rng.uniform(0.0, 0.2, size=(len(rows), 2)))

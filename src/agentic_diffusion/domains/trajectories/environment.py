"""The physics, resets and rewards of D4RL's maze2d, for many balls in many mazes at once.

A ball of radius 0.1 m and mass 4.189 kg slides in x and y; a motor pushes each axis with up to 100 N, each axis is
damped by 1 N s/m, velocities are clipped to 5 m/s before each step of 0.01 s, and walls are MuJoCo's soft contacts
without friction. The contact problem is solved exactly (a ball touches three boxes at most), so that a step agrees with
MuJoCo's own to its solver's tolerance; `mujoco_maze` is the same model for MuJoCo; a test and a benchmark compare them.

Shapes: N balls, M mazes, X Y cells of the largest maze. State: (x, y, vx, vy) in m and m/s. Action: in [-1, 1].
Sources: Fu et al. 2020, "D4RL"; the chapter "Computation" of MuJoCo's documentation for contacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.maze import BALL_RADIUS, CELL_OFFSET, Maze
from agentic_diffusion.foundation.errors import UsageError

Array = NDArray[np.float64]

TIME_STEP = 0.01
MASS = 4.0 / 3.0 * np.pi * BALL_RADIUS**3 * 1000.0
GEAR = 100.0
DAMPING = 1.0
SPEED_LIMIT = 5.0
GOAL_RADIUS = 0.5
TOP_SPEED = SPEED_LIMIT + TIME_STEP * (GEAR - DAMPING * SPEED_LIMIT) / (MASS + TIME_STEP * DAMPING)
"""The fastest that an axis moves: one step of full force from the clipped velocity; 5.2262554 m/s."""
_MARGIN = 0.004
"""Two geoms of margin 0.002 each, which MuJoCo adds up."""
_SOLREF = 0.02
_SOLIMP = (0.9, 0.95, 0.001)
_ACTIVE_SET_STEPS = 8


class MazeSet:
    """The walls of several mazes in one array, so that one step serves balls of all of them."""

    def __init__(self, mazes: Sequence[Maze]) -> None:
        """Stack the walls [M, X, Y], smaller mazes filled up with walls."""
        self.mazes = list(mazes)
        rows = max(maze.walls.shape[0] for maze in mazes)
        columns = max(maze.walls.shape[1] for maze in mazes)
        self.walls = np.ones((len(mazes), rows, columns), dtype=bool)
        for place, maze in zip(self.walls, mazes, strict=True):
            place[: maze.walls.shape[0], : maze.walls.shape[1]] = maze.walls

    @cached_property
    def floods(self) -> NDArray[np.int16]:
        """[M, X, Y, X, Y] steps between all pairs of cells of each maze; -1 where there is no way."""
        count, rows, columns = self.walls.shape
        tables = np.full((count, rows, columns, rows, columns), -1, np.int16)
        for table, maze in zip(tables, self.mazes, strict=True):
            x, y = maze.walls.shape
            table[:x, :y, :x, :y] = maze.floods
        return tables

    def blocked(self, which: NDArray[np.int64], points: Array) -> NDArray[np.bool_]:
        """Whether points [N, 2] of mazes `which` [N] lie in a wall or outside."""
        cell = np.floor(points + 0.5 + CELL_OFFSET).astype(np.int64)
        inside = ((cell >= 0) & (cell < self.walls.shape[1:])).all(-1)
        cell = np.clip(cell, 0, np.array(self.walls.shape[1:]) - 1)
        return np.asarray(~inside | self.walls[which, cell[..., 0], cell[..., 1]])


def step_states(states: Array, actions: Array, mazes: MazeSet, which: NDArray[np.int64]) -> Array:
    """The states [N, 4] one time step after `states` [N, 4] under `actions` [N, 2], which are clipped to [-1, 1].

    MuJoCo's Euler step with implicit damping: v' = v + h m a / (m + h d), x' = x + h v', where a solves the contacts.
    """
    position, velocity = states[:, :2], np.clip(states[:, 2:], -SPEED_LIMIT, SPEED_LIMIT)
    acceleration = (GEAR * np.clip(actions, -1.0, 1.0) - DAMPING * velocity) / MASS
    acceleration = _with_contacts(position, velocity, acceleration, mazes, which)
    velocity = velocity + TIME_STEP * MASS * acceleration / (MASS + TIME_STEP * DAMPING)
    return np.concatenate([position + TIME_STEP * velocity, velocity], axis=1)


def _with_contacts(position: Array, velocity: Array, free: Array, mazes: MazeSet, which: NDArray[np.int64]) -> Array:
    """The accelerations [N, 2] with contact forces, from those without, `free`.

    Only the boxes beside the nearer wall of each axis and the one at their common corner can touch the ball.
    """
    place = position + 0.5 + CELL_OFFSET
    cell = np.floor(place).astype(np.int64)
    within = place - cell
    side = np.where(within > 0.5, 1, -1)
    gap = np.where(within > 0.5, 1.0 - within, within)
    near = (gap < BALL_RADIUS + _MARGIN).any(1)
    if not near.any():
        return free
    rows = np.flatnonzero(near)
    cell, side, gap, maze = cell[rows], side[rows], gap[rows], which[rows]
    limit = np.array(mazes.walls.shape[1:]) - 1
    own, far = np.clip(cell, 0, limit), np.clip(cell + side, 0, limit)
    boxes = np.stack(
        [mazes.walls[maze, far[:, 0], own[:, 1]], mazes.walls[maze, own[:, 0], far[:, 1]],
         mazes.walls[maze, far[:, 0], far[:, 1]]], axis=1,
    )  # fmt: skip
    corner = np.hypot(gap[:, 0], gap[:, 1])
    distance = np.stack([gap[:, 0], gap[:, 1], corner], axis=1) - BALL_RADIUS
    touching = boxes & (distance < _MARGIN)
    some = touching.any(1)
    if not some.any():
        return free
    rows, side, gap, corner = rows[some], side[some], gap[some], corner[some]
    distance, touching = distance[some], touching[some]
    normal = np.zeros((len(rows), 3, 2))
    normal[:, 0, 0], normal[:, 1, 1] = -side[:, 0], -side[:, 1]
    normal[:, 2] = -side * gap / np.maximum(corner, 1e-12)[:, None]
    solved = free.copy()
    solved[rows] = _solve_contacts(normal, distance, touching, velocity[rows], free[rows])
    return solved


def _solve_contacts(normal: Array, distance: Array, touching: NDArray[np.bool_], velocity: Array, free: Array) -> Array:
    """min_a m/2 |a - free|^2 + sum_i D_i/2 min(0, n_i a - r_i)^2, MuJoCo's contact problem, by its active set.

    r = -B n v - K d (distance - margin) is the reference acceleration, d the impedance, and D = d m / (1 - d).
    """
    low, high, width = _SOLIMP
    share = np.minimum(np.abs(distance - _MARGIN) / width, 1.0)
    impedance = low + (high - low) * np.where(share <= 0.5, 2 * share**2, 1 - 2 * (1 - share) ** 2)
    stiffness, drag = 1.0 / (high * _SOLREF) ** 2, 2.0 / (high * _SOLREF)
    approach = np.einsum("nkc,nc->nk", normal, velocity)
    wanted = -drag * approach - stiffness * impedance * (distance - _MARGIN)
    weight = np.where(touching, impedance / (1 - impedance), 0.0)  # D / m
    a = free
    for _ in range(_ACTIVE_SET_STEPS):
        active = weight * (np.einsum("nkc,nc->nk", normal, a) < wanted)
        xx = 1 + (active * normal[:, :, 0] ** 2).sum(1)
        yy = 1 + (active * normal[:, :, 1] ** 2).sum(1)
        xy = (active * normal[:, :, 0] * normal[:, :, 1]).sum(1)
        right = free + np.einsum("nk,nkc->nc", active * wanted, normal)
        determinant = xx * yy - xy**2
        new = np.stack([yy * right[:, 0] - xy * right[:, 1], xx * right[:, 1] - xy * right[:, 0]], axis=1)
        new /= determinant[:, None]
        if np.array_equal(new, a):
            break
        a = new
    return a


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """Where N balls start and what they shall reach."""

    mazes: MazeSet
    """The mazes that they are in."""
    which: NDArray[np.int64]
    """[N] index into the mazes."""
    start: Array
    """[N, 4] states."""
    goal: Array
    """[N, 2] positions."""

    def __post_init__(self) -> None:
        """Check the shapes; raises UsageError."""
        count = len(self.which)
        wanted = {"which": (count,), "start": (count, 4), "goal": (count, 2)}
        for name, shape in wanted.items():
            given = getattr(self, name).shape
            if given != shape:
                raise UsageError(
                    f"The {name} of {count} tasks has shape {given} and must have {shape}.",
                    hint="A start is x, y, vx, vy; a goal is x, y; each task has one maze.",
                )

    def __len__(self) -> int:
        return len(self.which)

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Tasks:
        """Some of the tasks, in that order; a row may come several times."""
        return Tasks(mazes=self.mazes, which=self.which[rows], start=self.start[rows], goal=self.goal[rows])

    def reached(self, states: Array) -> NDArray[np.bool_]:
        """[N] whether the balls lie in their goals' discs."""
        return np.asarray(np.linalg.norm(states[:, :2] - self.goal, axis=1) <= GOAL_RADIUS)


def reset_states(maze: Maze, count: int, rng: np.random.Generator) -> Array:
    """[count, 4] starts as D4RL draws them: a free cell's indices + U(-0.1, 0.1), velocities 0.1 N(0, 1)."""
    cells = maze.free_cells[rng.integers(len(maze.free_cells), size=count)]
    position = cells + rng.uniform(-0.1, 0.1, size=(count, 2))
    return np.concatenate([position, 0.1 * rng.standard_normal((count, 2))], axis=1)


def draw_goals(maze: Maze, count: int, rng: np.random.Generator) -> Array:
    """[count, 2] goals as D4RL's `set_target()` draws them: a free cell's indices + U(-0.1, 0.1)."""
    cells = maze.free_cells[rng.integers(len(maze.free_cells), size=count)]
    return np.asarray(cells + rng.uniform(-0.1, 0.1, size=(count, 2)))


def single_tasks(maze: Maze, count: int, rng: np.random.Generator) -> Tasks:
    """Episodes of the single task: D4RL's resets, the goal at the marked cell's indices; UsageError without one."""
    if maze.goal is None:
        raise UsageError(f"The layout of maze {maze.name!r} marks no goal.", hint="Mark a free cell with G.")
    goal = np.tile(np.array(maze.goal, dtype=float), (count, 1))
    return Tasks(
        mazes=MazeSet([maze]), which=np.zeros(count, np.int64), start=reset_states(maze, count, rng), goal=goal
    )


def multi_tasks(maze: Maze, count: int, rng: np.random.Generator) -> Tasks:
    """Episodes of Multi2D: D4RL's resets, and a goal drawn anew for each."""
    start = reset_states(maze, count, rng)
    return Tasks(mazes=MazeSet([maze]), which=np.zeros(count, np.int64), start=start, goal=draw_goals(maze, count, rng))


def task_between(maze: Maze, start: tuple[float, float], goal: tuple[float, float]) -> Tasks:
    """One task from a point at rest to another; raises UsageError for points outside or in walls, or without a way."""
    begin, end = maze.require_free("start", start), maze.require_free("goal", goal)
    maze.path(begin, end)
    state = np.array([[*start, 0.0, 0.0]], dtype=float)
    return Tasks(mazes=MazeSet([maze]), which=np.zeros(1, np.int64), start=state, goal=np.array([goal], dtype=float))

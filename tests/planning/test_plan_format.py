"""Plans survive their writing, layouts are read the same in all eight symmetries, and wrong shapes are refused."""

import numpy as np
import pytest

from agentic_diffusion.domains.trajectories.environment import MazeSet, multi_tasks
from agentic_diffusion.domains.trajectories.maze import MAZES, Maze
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.planning.plan_format import (
    CELL_FEATURES,
    SYMMETRIES,
    PlanFormat,
    cell_features,
    reference_durations,
)

PLAN = PlanFormat(knots=8, patch=2)


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_plans_come_back_from_x_0(symmetry, rng):
    states, durations = rng.normal(size=(5, 8, 4)), rng.uniform(20, 200, 5)
    reference = rng.uniform(50, 100, 5)
    x_0 = PLAN.encode(states, durations, reference, symmetry)
    assert x_0.shape == (5, PLAN.tokens, PLAN.channels)
    back, times = PLAN.decode(x_0, states[:, 0, :2], reference, symmetry)
    assert np.allclose(back, states, atol=1e-5)
    assert np.allclose(times, durations, rtol=1e-5)


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_what_is_known_is_the_start_and_the_goal(symmetry, rng):
    states = rng.normal(size=(3, 8, 4))
    x_0 = PLAN.encode(states, np.full(3, 50.0), np.full(3, 40.0), symmetry)
    given, values = PLAN.known(states[:, 0], states[:, -1, :2], symmetry)
    assert given.sum() == 6
    kept = np.broadcast_to(given, x_0.shape)
    assert np.allclose(x_0[kept], values[kept])


def test_a_mirrored_maze_reads_as_the_mirrored_features(rng):
    maze = MAZES["medium"]
    mirrored = Maze(name="mirror", layout="/".join(row[::-1] for row in maze.layout.split("/")), env_steps=600)
    tasks = multi_tasks(maze, 30, rng)
    flip = lambda points: np.stack([points[:, 0], 7 - 0.4 - points[:, 1]], 1)  # noqa: E731
    which = np.zeros(30, int)
    here, mask = cell_features(MazeSet([maze]), which, tasks.start[:, :2], tasks.goal, slack=2, symmetry=2)
    there, other = cell_features(MazeSet([mirrored]), which, flip(tasks.start[:, :2]), flip(tasks.goal), slack=2)
    assert here.shape[2] == CELL_FEATURES
    for a, b, m, n in zip(here, there, mask, other, strict=True):
        rows = lambda x, seen: sorted(map(tuple, np.round(x[seen], 4).tolist()))  # noqa: E731
        assert np.allclose(rows(a, m), rows(b, n), atol=2e-4)


def test_cells_on_long_detours_are_not_seen():
    maze = MAZES["umaze"]
    start, goal = np.array([[1.0, 2.0]]), np.array([[1.0, 1.0]])
    _, near = cell_features(MazeSet([maze]), np.zeros(1, int), start, goal, slack=0)
    _, far = cell_features(MazeSet([maze]), np.zeros(1, int), start, goal, slack=20)
    assert (near.sum(), far.sum()) == (2, 7)
    assert reference_durations(MazeSet([maze]), np.zeros(1, int), start, goal)[0] == 34.0


def test_wrong_shapes_and_settings_are_refused():
    with pytest.raises(UsageError, match=r"The knots have shape \(2, 7, 4\) and must have \[plans, 8, 4\]"):
        PLAN.encode(np.zeros((2, 7, 4)), np.ones(2), np.ones(2))
    with pytest.raises(ConfigError, match="is not possible"):
        PlanFormat(knots=9, patch=2)
    halves = Maze(name="halves", layout="#####/#O#O#/#####", env_steps=10)
    with pytest.raises(UsageError, match="There is no way from the start to the goal"):
        cell_features(MazeSet([halves]), np.zeros(1, int), np.array([[1.0, 1.0]]), np.array([[1.0, 3.0]]), slack=2)

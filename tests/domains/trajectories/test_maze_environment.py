"""The physics agree with MuJoCo, and resets and rewards have the returns of the published environment."""

import numpy as np
import pytest

from agentic_diffusion.domains.trajectories.controller import WaypointController
from agentic_diffusion.domains.trajectories.environment import (
    TOP_SPEED,
    MazeSet,
    Tasks,
    multi_tasks,
    reset_states,
    single_tasks,
    step_states,
    task_between,
)
from agentic_diffusion.domains.trajectories.maze import MAZES, Maze, cells_of
from agentic_diffusion.domains.trajectories.mujoco_maze import MujocoMaze
from agentic_diffusion.foundation.errors import UsageError

EMPTY = Maze(name="empty", layout="/".join(["#" * 14, *["#" + "O" * 12 + "#"] * 10, "#" * 14]), env_steps=9)
RING = Maze(name="ring", layout="######/#OOOO#/#O##O#/#O##O#/#OOOO#/######", env_steps=9)


def drive(tasks, policy, env_steps):
    states, returns = tasks.start, np.zeros(len(tasks))
    for _ in range(env_steps):
        states = step_states(states, policy(states), tasks.mazes, tasks.which)
        returns += tasks.reached(states)
    return returns


@pytest.mark.parametrize("name", ["umaze", "medium", "large"])
def test_every_step_agrees_with_mujoco_walls_included(name):
    maze, rng = MAZES[name], np.random.default_rng(5)
    mazes, which, touched = MazeSet([maze]), np.zeros(1, int), 0
    for _ in range(3):
        judge, ours = MujocoMaze(maze), reset_states(maze, 1, rng)
        judge.set_state(ours[0])
        for t in range(150):
            if t % 25 == 0:
                action = np.clip(2 * rng.standard_normal(2), -1, 1)
            before = ours
            ours = step_states(ours, action[None], mazes, which)
            theirs = judge.step(action)
            free = step_states(before, action[None], MazeSet([EMPTY]), which)
            touched += int(np.abs(free - ours).max() > 1e-6)
            assert np.abs(ours[0] - theirs).max() < 2e-5
    assert touched > 15, "the pushes met walls"


def test_many_balls_in_many_mazes_step_as_each_alone():
    rng = np.random.default_rng(0)
    mazes = [MAZES["umaze"], MAZES["large"]]
    which = rng.integers(2, size=40)
    states = np.concatenate([reset_states(mazes[k], 1, rng) for k in which])
    together = MazeSet(mazes)
    alone = [MazeSet([maze]) for maze in mazes]
    for _ in range(60):
        actions = rng.uniform(-1, 1, (40, 2))
        each = [
            step_states(states[r : r + 1], actions[r : r + 1], alone[k], np.zeros(1, int)) for r, k in enumerate(which)
        ]
        states = step_states(states, actions, together, which)
        assert np.array_equal(states, np.concatenate(each))


def test_top_speed_is_the_published_bound():
    assert pytest.approx(5.2262554, abs=1e-6) == TOP_SPEED


@pytest.mark.parametrize(("name", "expected"), [("umaze", 142.7), ("medium", 156.5), ("large", 206.4)])
def test_the_correct_controller_scores_as_on_mujoco(name, expected):
    maze, rng = MAZES[name], np.random.default_rng(11)
    tasks = single_tasks(maze, 150, rng)
    controller = WaypointController.for_tasks(tasks, rng)
    scores = maze.score(drive(tasks, lambda states: controller.actions(states)[0], maze.env_steps))
    assert abs(scores.mean() - expected) < 4 * scores.std() / 150**0.5 + 2
    assert (scores > 0).all()


def test_the_random_policy_scores_as_published():
    maze, rng = MAZES["umaze"], np.random.default_rng(2)
    tasks = single_tasks(maze, 300, rng)
    returns = drive(tasks, lambda states: rng.uniform(-1, 1, (len(states), 2)), maze.env_steps)
    assert abs(returns.mean() - 23.85) < 4 * returns.std() / 300**0.5


def test_resets_and_goals_are_drawn_as_d4rl_draws_them():
    maze, rng = MAZES["medium"], np.random.default_rng(0)
    tasks = multi_tasks(maze, 2000, rng)
    for points in (tasks.start[:, :2], tasks.goal):
        assert np.abs(points - np.rint(points)).max() <= 0.1
        assert len({tuple(cell) for cell in cells_of(points)}) == 26
    assert tasks.start[:, 2:].std() == pytest.approx(0.1, rel=0.05)


def test_tasks_of_the_wrong_shape_or_without_a_goal_are_refused():
    mazes = MazeSet([MAZES["umaze"]])
    with pytest.raises(UsageError, match=r"The start of 2 tasks has shape \(2, 3\) and must have \(2, 4\)"):
        Tasks(mazes=mazes, which=np.zeros(2, int), start=np.zeros((2, 3)), goal=np.zeros((2, 2)))
    with pytest.raises(UsageError, match="marks no goal"):
        single_tasks(EMPTY, 1, np.random.default_rng(0))
    with pytest.raises(UsageError, match="The goal 3,3 lies in a wall"):
        task_between(RING, (1, 1), (3, 3))

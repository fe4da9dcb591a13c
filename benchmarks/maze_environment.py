"""Prove the maze's physics, resets, rewards and data against MuJoCo and the published numbers.

    python benchmarks/maze_environment.py [--episodes 300] [--data-steps 500000] [--out FILE]

Claims: a step agrees with MuJoCo's own; the random policy and the correct way-point controller have the returns of a
port on MuJoCo; the regenerated offline data have the statistics of the published sets. With gymnasium-robotics
installed, PointMaze is driven by the same controller as a second opinion.
"""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from results import write_result

from agentic_diffusion.domains.trajectories.controller import DRAG, GAIN, WaypointController
from agentic_diffusion.domains.trajectories.environment import (
    GOAL_RADIUS,
    MazeSet,
    Tasks,
    reset_states,
    single_tasks,
    step_states,
)
from agentic_diffusion.domains.trajectories.maze import MAZES, Maze, find_maze
from agentic_diffusion.domains.trajectories.mujoco_maze import MujocoMaze
from agentic_diffusion.domains.trajectories.offline_data import DataSettings, make_data

RANDOM = {"umaze": 23.85, "medium": 13.13, "large": 6.7}
CONTROLLER = {"umaze": 142.7, "medium": 156.5, "large": 206.4}
PUBLISHED = {
    "umaze": {"x": 0.900, "y": 0.709, "vx": 2.213, "vy": 2.468, "ax": 0.704, "ay": 0.751, "reward": 0.0813,
              "targets_per_million": 12459},
    "medium": {"x": 1.337, "y": 1.521, "vx": 2.341, "vy": 2.369, "ax": 0.740, "ay": 0.746, "reward": 0.0237},
    "large": {"x": 1.807, "y": 2.569, "vx": 2.437, "vy": 2.649, "ax": 0.725, "ay": 0.739, "reward": 0.0089},
}  # fmt: skip


def drive(tasks: Tasks, policy, steps: int) -> np.ndarray:
    """Strict returns [N] of a policy: steps that end inside the goal's disc."""
    states, returns = tasks.start, np.zeros(len(tasks))
    for _ in range(steps):
        states = step_states(states, policy(states), tasks.mazes, tasks.which)
        returns += tasks.reached(states)
    return returns


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def returns_row(maze: Maze, episodes: int, seed: int) -> dict:
    """Random policy and correct controller."""
    rng = np.random.default_rng(seed)
    tasks = single_tasks(maze, episodes, rng)
    random = drive(tasks, lambda states: rng.uniform(-1, 1, (len(states), 2)), maze.env_steps)
    controller = WaypointController.for_tasks(tasks, rng)
    expert = drive(tasks, lambda states: controller.actions(states)[0], maze.env_steps)
    scores = maze.score(expert)
    return {
        "what": "returns",
        "maze": maze.name,
        "random return": mean_and_error(random),
        "random return, published": RANDOM[maze.name],
        "controller score": mean_and_error(scores),
        "controller score, on MuJoCo": CONTROLLER[maze.name],
        "controller return": mean_and_error(expert),
        "success": float((expert > 0).mean()),
    }


def agreement_row(maze: Maze, seed: int) -> dict:
    """Largest difference to MuJoCo after one step, and over whole episodes of random pushes against walls."""
    rng, one_step, whole = np.random.default_rng(seed), 0.0, 0.0
    mazes, which = MazeSet([maze]), np.zeros(1, np.int64)
    action = np.zeros(2)
    seconds, steps = 0.0, 0
    for _ in range(6):
        judge, state = MujocoMaze(maze), reset_states(maze, 1, rng)
        judge.set_state(state[0])
        truth = state[0]
        for t in range(maze.env_steps):
            if t % 25 == 0:
                action = np.clip(2 * rng.standard_normal(2), -1, 1)
            state, after = (step_states(s, action[None], mazes, which) for s in (state, truth[None]))
            began = time.perf_counter()
            truth = judge.step(action)
            seconds, steps = seconds + time.perf_counter() - began, steps + 1
            one_step = max(one_step, float(np.abs(after[0] - truth).max()))
            whole = max(whole, float(np.abs(state[0] - truth).max()))
    return {
        "what": "agreement with MuJoCo",
        "maze": maze.name,
        "after one step": one_step,
        "over episodes": whole,
        "MuJoCo steps a second": round(steps / seconds),
    }


def speed_row(count: int = 1000) -> dict:
    """Steps a second of the vectorised physics."""
    maze, rng = MAZES["large"], np.random.default_rng(0)
    mazes, which, states = MazeSet([maze]), np.zeros(count, np.int64), reset_states(maze, count, rng)
    began = time.perf_counter()
    for _ in range(200):
        states = step_states(states, rng.uniform(-1, 1, (count, 2)), mazes, which)
    return {"what": "speed", "balls": count, "steps a second": round(200 * count / (time.perf_counter() - began))}


def data_row(maze: Maze, steps: int, seed: int) -> dict:
    """Statistics of regenerated data beside those of the published set."""
    found = make_data(maze, DataSettings(env_steps=steps, seed=seed)).statistics()
    return {"what": "data", "maze": maze.name, "made": found, "published": PUBLISHED[maze.name]}


def pointmaze_row(maze: Maze, episodes: int, seed: int) -> dict:
    """PointMaze of gymnasium-robotics with the protocol of maze2d, driven by the same way-points."""
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    name = {"umaze": "UMaze", "medium": "Medium", "large": "Large"}[maze.name]
    env = gymnasium.make(f"PointMaze_{name}-v3", reset_target=False, max_episode_steps=maze.env_steps)
    inner, rng = env.unwrapped, np.random.default_rng(seed)
    inner.position_noise_range = 0.1
    assert maze.goal is not None
    returns = []
    for episode in range(episodes):
        cell = maze.free_cells[rng.integers(len(maze.free_cells))]
        env.reset(seed=seed + episode, options={"reset_cell": cell, "goal_cell": np.array(maze.goal)})
        goal = inner.maze.cell_rowcol_to_xy(np.array(maze.goal))
        inner.goal = goal
        position = inner.maze.cell_rowcol_to_xy(cell) + rng.uniform(-0.1, 0.1, 2)
        inner.point_env.set_state(position, 0.1 * rng.standard_normal(2))
        path = [inner.maze.cell_rowcol_to_xy(np.array(c)) for c in maze.path(tuple(map(int, cell)), maze.goal, rng)][1:]
        path = [place - rng.uniform(-0.1, 0.1, 2) for place in path[:-1]] + [goal]
        state, total = np.concatenate([position, inner.point_env.data.qvel]), 0
        for _ in range(maze.env_steps):
            if len(path) > 1 and np.linalg.norm(path[0] - state[:2]) < 0.1:
                path.pop(0)
            action = np.clip(GAIN * (path[0] - state[:2]) - DRAG * state[2:], -1, 1)
            state = inner.point_env.step(action)[0]
            total += np.linalg.norm(state[:2] - goal) <= GOAL_RADIUS
        returns.append(total)
    env.close()
    return {"what": "PointMaze", "maze": maze.name, "controller score": mean_and_error(maze.score(np.array(returns)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--pointmaze-episodes", type=int, default=60)
    parser.add_argument("--data-steps", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [speed_row()]
    for name in ("umaze", "medium", "large"):
        maze = find_maze(name)
        rows += [agreement_row(maze, options.seed), returns_row(maze, options.episodes, options.seed)]
        rows.append(data_row(maze, options.data_steps, options.seed))
        if find_spec("gymnasium_robotics") and options.pointmaze_episodes:
            rows.append(pointmaze_row(maze, options.pointmaze_episodes, options.seed))
        for row in rows[-4:]:
            print(row, flush=True)
    write_result(options.out, "maze_environment", rows)


if __name__ == "__main__":
    main()

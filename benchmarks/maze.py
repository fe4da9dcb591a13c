"""Maze2D with this project's planner: the table, with standard errors, from the weights of `runs/maze.py`.

    python benchmarks/maze.py --work FOLDER [--size smoke|short|full] [--episodes N] [--mujoco] [--out FILE]

Rows: the published numbers' task for every set of weights and for plans without a denoiser; one candidate beside 64;
Multi2D; gold picking; layouts that no weights have seen; seconds a plan on one core. Each row is kept in
FOLDER/table.json as soon as it is measured, under the checksum of its weights, and not measured again. `--mujoco` lets
MuJoCo drive the plans of the main rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from results import wilson, write_result

from agentic_diffusion.diffusion.checkpoint import checksum
from agentic_diffusion.domains.trajectories.controller import WaypointController
from agentic_diffusion.domains.trajectories.environment import Tasks, single_tasks, step_states
from agentic_diffusion.domains.trajectories.maze import MAZES, Maze
from agentic_diffusion.evaluation.maze2d import Measured, gold_score, maze_score, success_in
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.planning.baselines import DATA_SPEED, spline_plans
from agentic_diffusion.planning.model import load_model
from agentic_diffusion.planning.passing import plan_through
from agentic_diffusion.planning.planner import Planner, PlannerSettings, select
from agentic_diffusion.planning.training import TRAINED, held_out_mazes

SEED = 4711
"""Episodes of this table; no other seed of the project is derived from it."""
EPISODES = {"smoke": 10, "short": 300, "full": 300}
ORACLE = {"umaze": 154.4, "medium": 180.8, "large": 242.9, "average": 192.7}
"""Near-time-optimal control by model-predictive search, 30 episodes a maze."""

PUBLISHED = {
    "Diffuser": [113.9, 121.5, 123.0],
    "AdaptDiffuser": [135.1, 129.9, 167.9],
    "Hierarchical Diffuser": [128.4, 135.6, 155.8],
    "Diffusion Veteran (latched)": [136.6, 150.7, 203.6],
    "Diffuser, Multi2D": [128.9, 127.2, 132.1],
    "Hierarchical Diffuser, Multi2D": [144.1, 140.2, 165.5],
    "TDP, gold picking (medium, large)": [39.8, 47.6],
}
"""What the papers report for umaze, medium and large, as D4RL's normalised scores x 100."""


class Table:
    """Rows by name, kept on disk as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, dict] = json.loads(path.read_text()) if path.exists() else {}
        self.wanted: list[str] = []

    def row(self, name: str, key: str, measure: Callable[[], dict]) -> dict:
        """The row, measured unless one of this key is there."""
        self.wanted.append(name)
        found = self.rows.get(name)
        if found is None or found["key"] != key:
            began = time.monotonic()
            found = {"what": name, "key": key, **measure()}
            found["measured_in_s"] = round(time.monotonic() - began, 1)
            self.rows[name] = found
            atomic_write(self._path, json.dumps(self.rows, indent=1) + "\n")
        print(json.dumps({k: v for k, v in found.items() if k not in ("key", "measured_in_s")}), flush=True)
        return found


def planner_of(path: Path, settings: PlannerSettings) -> Planner:
    return Planner(load_model(path), settings)


def plans(planner: Planner, seed: int = SEED):
    def plan(tasks: Tasks, env_steps: int):
        return planner.plan(tasks, env_steps=env_steps, seed=derive(seed, "noise")).chosen

    return plan


def splines(speeds):
    def plan(tasks: Tasks, env_steps: int):
        found = spline_plans(tasks, speeds)
        return select(tasks, found, env_steps=env_steps, tracker=PlannerSettings().tracker).chosen

    return plan


def three(plan, episodes: int, *, multi: bool = False, mujoco: bool = False) -> dict:
    """The three mazes and their average; errors of independent mazes add in squares."""
    found = {
        name: maze_score(MAZES[name], plan, episodes=episodes, seed=SEED, multi=multi, mujoco=mujoco)
        for name in TRAINED
    }
    average = {}
    for kind in ("strict", "latched"):
        values = [getattr(one, kind) for one in found.values()]
        error = sum(value.error**2 for value in values) ** 0.5 / len(values)
        average[kind] = {"mean": round(float(np.mean([v.mean for v in values])), 2), "error": round(error, 2)}
    return {**{name: one.as_json() for name, one in found.items()}, "average": average}


def controller_row(episodes: int) -> dict:
    """The correct way-point controller on the same episodes."""
    found, errors = {}, []
    for name in TRAINED:
        maze = MAZES[name]
        tasks = single_tasks(maze, episodes, np.random.default_rng([derive(SEED, "maze2d", name, 0)]))
        controller = WaypointController.for_tasks(tasks, np.random.default_rng(SEED))
        states, returns = tasks.start, np.zeros(episodes)
        for _ in range(maze.env_steps):
            states = step_states(states, controller.actions(states)[0], tasks.mazes, tasks.which)
            returns += tasks.reached(states)
        measured = Measured.of(maze.score(returns))
        errors.append(measured.error)
        found[name] = {"strict": measured.as_json(), "success": float((returns > 0).mean())}
    mean = round(float(np.mean([one["strict"]["mean"] for one in found.values()])), 2)
    return {**found, "average": {"strict": {"mean": mean, "error": round(sum(e**2 for e in errors) ** 0.5 / 3, 2)}}}


def unseen_row(planner: Planner, episodes: int) -> dict:
    """Share of Multi2D episodes that reach the goal, in the three evaluation layouts and 20 random ones."""
    layouts = [MAZES[f"eval-{name}"] for name in TRAINED]
    groups: dict[str, tuple[list[Maze], int]] = {"eval mazes": (layouts, episodes)}
    groups["20 random mazes"] = (held_out_mazes(20), max(5, episodes // 10))
    row = {}
    for name, (mazes, count) in groups.items():
        reached = np.concatenate([success_in(maze, plans(planner), episodes=count, seed=SEED) for maze in mazes])
        low, high = wilson(int(reached.sum()), len(reached))
        row[name] = {"success": round(float(reached.mean()), 4), "episodes": len(reached),
                     "interval": [round(low, 4), round(high, 4)]}  # fmt: skip
    return row


def gold_row(planner: Planner, starts: int) -> dict:
    def plan(tasks: Tasks, passing: np.ndarray, env_steps: int):
        found = plan_through(planner, tasks, passing, env_steps=env_steps, seed=derive(SEED, "gold"))
        return found.knots[:, 0], found.durations[:, 0]

    return {name: gold_score(name, plan, starts=starts, seed=SEED).as_json() for name in ("medium", "large")}


def time_row(planner: Planner, count: int) -> dict:
    """Seconds of one plan on one thread, selection included, one task at a time."""
    maze, threads = MAZES["large"], torch.get_num_threads()
    tasks = single_tasks(maze, count + 1, np.random.default_rng(SEED))
    torch.set_num_threads(1)
    seconds = []
    for place in range(count + 1):
        began = time.perf_counter()
        planner.plan(tasks.select(slice(place, place + 1)), env_steps=maze.env_steps)
        seconds.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return {"large": {"median_seconds": round(float(np.median(seconds[1:])), 4), "plans": count}}


def gap_row(rows: dict[str, dict]) -> dict:
    """What self-evolution adds, as shares of the gap from the base to the near-time-optimal controller."""
    base, evolved, control = (
        rows[name]["average"]["strict"]["mean"] for name in ("base", "evolved", "control: same minutes, original data")
    )
    gap = ORACLE["average"] - base
    return {
        "gap": round(gap, 2),
        "closed by self-evolution": round((evolved - base) / gap, 3),
        "closed by the same minutes on the original data": round((control - base) / gap, 3),
    }


def measure(table: Table, work: Path, episodes: int, *, mujoco: bool) -> None:
    settings = PlannerSettings()
    key = f"{episodes}/{settings}/{mujoco}"
    table.row("correct way-point controller", key, lambda: controller_row(episodes))
    table.row(
        "shortest path + spline, data's speed", key, lambda: three(splines([DATA_SPEED]), episodes, mujoco=mujoco)
    )
    speeds = list(np.linspace(2.0, 8.0, settings.candidates))
    table.row("shortest path + spline, best of 64 speeds", key, lambda: three(splines(speeds), episodes, mujoco=mujoco))
    names = {
        "diffuser": "Diffuser's way: fixed length, one plan",
        "base": "base",
        "control": "control: same minutes, original data",
        "evolved": "evolved",
    }
    for stage, name in names.items():
        path = work / f"{stage}.safetensors"
        own = replace(settings, candidates=1) if stage == "diffuser" else settings
        table.row(name, f"{key}/{checksum(path)}", lambda p=path, o=own: three(
            plans(planner_of(p, o)), episodes, mujoco=mujoco))  # fmt: skip
    for number in range(1, 10):
        path = work / f"round-{number}.safetensors"
        if path.exists():
            table.row(f"after round {number}", f"{key}/{checksum(path)}", lambda p=path: three(
                plans(planner_of(p, settings)), episodes))  # fmt: skip
    for stage in ("base", "evolved"):
        path = work / f"{stage}.safetensors"
        one = planner_of(path, replace(settings, candidates=1))
        table.row(f"{stage}, one candidate", f"{key}/{checksum(path)}", lambda o=one: three(plans(o), episodes))
    path = work / "evolved.safetensors"
    own, mine = planner_of(path, settings), f"{key}/{checksum(path)}"
    table.row("what self-evolution adds", mine, lambda: gap_row(table.rows))
    table.row("seconds a plan, one thread", mine, lambda: time_row(own, min(20, episodes)))
    table.row("evolved, gold picking", mine, lambda: gold_row(own, max(1, episodes // 20)))
    table.row("evolved, unseen layouts", mine, lambda: unseen_row(own, max(10, episodes // 3)))
    table.row("evolved, Multi2D", mine, lambda: three(plans(own), episodes, multi=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--size", choices=sorted(EPISODES), default="full")
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--mujoco", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table = Table(options.work / "table.json")
    measure(table, options.work, options.episodes or EPISODES[options.size], mujoco=options.mujoco)
    rows = [{k: v for k, v in table.rows[name].items() if k != "key"} for name in table.wanted]
    write_result(options.out, "maze", rows, oracle=ORACLE, published=PUBLISHED)
    print(f"{len(rows)} rows", file=sys.stderr)


if __name__ == "__main__":
    main()

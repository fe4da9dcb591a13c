"""The offline data of D4RL's maze2d, made again: the noisy way-point controller on its way from target to target.

Each stream is one continuous trajectory: a random target, the controller with N(0, 0.5^2) added to its action, and when
the target is within 0.1, or the time is over, the next target without a reset. On the step that ends a target the
stored state is repeated once, as in the published sets. Rewards are labelled afterwards for the maze's single task.
The published sets are one stream each; here several streams run side by side, which changes nothing but their first
seconds.

Shapes: S streams, T environment steps a stream.
Source: D4RL's `generate_maze2d_datasets`, with `--noisy` (only this matches the statistics of the published sets).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.controller import WaypointController
from agentic_diffusion.domains.trajectories.environment import (
    GOAL_RADIUS,
    MazeSet,
    draw_goals,
    reset_states,
    step_states,
)
from agentic_diffusion.domains.trajectories.maze import Maze
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.resources import atomic_write, home

FORMAT = 1
"""Raised when the same settings would give other data."""
Float32 = NDArray[np.float32]

SIZES = {"umaze": 1_000_000, "medium": 2_000_000, "large": 4_000_000}
"""Environment steps of the published sets."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How offline data are made."""

    env_steps: int
    """Environment steps in all; whole streams are made, so it is rounded up."""
    noise: float = 0.5
    """Standard deviation of what is added to the actions."""
    streams: int = 64
    """Trajectories side by side."""
    seed: int = 0
    """Seed of targets, way-points and noise."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if self.env_steps < 1 or self.streams < 1 or self.noise < 0:
            raise ConfigError(
                f"Data of {self.env_steps} steps in {self.streams} streams with noise {self.noise} cannot be made.",
                hint="Use at least one step and one stream, and noise of 0 or more.",
            )


@dataclass(frozen=True, kw_only=True)
class OfflineData:
    """Trajectories of one maze."""

    maze: Maze
    """Where they were driven."""
    states: Float32
    """[S, T, 4] before each action."""
    actions: Float32
    """[S, T, 2] after noise and clipping."""
    targets: Float32
    """[S, T, 2] the goal of that moment."""
    ends: NDArray[np.bool_]
    """[S, T] the steps on which a target was reached or its time was over."""

    def __post_init__(self) -> None:
        """Check the shapes; raises UsageError."""
        shape = self.states.shape[:2]
        wanted = {"states": (*shape, 4), "actions": (*shape, 2), "targets": (*shape, 2), "ends": shape}
        for name, expected in wanted.items():
            given = getattr(self, name).shape
            if given != expected or len(shape) != 2:
                raise UsageError(
                    f"The {name} of offline data have shape {given} and must have {expected}.",
                    hint="Data are [streams, steps, numbers]: states x, y, vx, vy; actions and targets two numbers.",
                )

    def __len__(self) -> int:
        return int(np.prod(self.states.shape[:2]))

    def statistics(self) -> dict[str, float]:
        """Standard deviations of states and actions, share of steps in the single task's disc, targets a million."""
        numbers = dict(zip(("x", "y", "vx", "vy"), self.states.reshape(-1, 4).std(0).tolist(), strict=True))
        numbers |= dict(zip(("ax", "ay"), self.actions.reshape(-1, 2).std(0).tolist(), strict=True))
        if self.maze.goal is not None:
            away = np.linalg.norm(self.states[..., :2] - np.array(self.maze.goal), axis=-1)
            numbers["reward"] = float((away <= GOAL_RADIUS).mean())
        numbers["targets_per_million"] = 1e6 * float(self.ends.mean())
        return numbers


def make_data(maze: Maze, settings: DataSettings) -> OfflineData:
    """Drive the noisy controller through one maze."""
    return make_many([maze], settings)[0]


def make_many(mazes: Sequence[Maze], settings: DataSettings) -> list[OfflineData]:
    """Drive the noisy controller through several mazes at once, `settings.env_steps` in each."""
    rng = np.random.default_rng(settings.seed)
    together, streams = MazeSet(mazes), settings.streams
    length = -(-settings.env_steps // streams)
    which = np.repeat(np.arange(len(mazes)), streams)
    count = len(which)
    limit = np.array([maze.env_steps for maze in mazes])[which]
    shown = np.concatenate([reset_states(maze, streams, rng) for maze in mazes])
    goal = np.concatenate([draw_goals(maze, streams, rng) for maze in mazes])
    controller = WaypointController(together, which, rng)
    controller.target(np.arange(count), shown[:, :2], goal)
    kept = [np.empty((count, length, width), np.float32) for width in (4, 2, 2)]
    ends, true, age = np.empty((count, length), bool), shown.copy(), np.zeros(count, np.int64)
    for t in range(length):
        action, done = controller.actions(shown)
        action = np.clip(action + settings.noise * rng.standard_normal(action.shape), -1.0, 1.0)
        done |= age >= limit
        for array, value in zip(kept, (shown, action, goal), strict=True):
            array[:, t] = value
        ends[:, t] = done
        true = step_states(true, action, together, which)
        age = np.where(done, 0, age + 1)
        rows = np.flatnonzero(done)
        for place in np.unique(which[rows]):
            own = rows[which[rows] == place]
            goal[own] = draw_goals(mazes[place], len(own), rng)
        controller.target(rows, true[rows, :2], goal[rows])
        shown = np.where(done[:, None], shown, true)
    states, actions, targets = kept
    return [
        OfflineData(maze=maze, states=states[own], actions=actions[own], targets=targets[own], ends=ends[own])
        for maze, own in ((maze, which == place) for place, maze in enumerate(mazes))
    ]


def cached_data(mazes: Sequence[Maze], settings: DataSettings, folder: Path | None = None) -> list[OfflineData]:
    """The data of `make_many`, from `folder` (default: `data` in the data folder) where they were made before.

    A file that is cut off or foreign is made again. Raises what `atomic_write` raises.
    """
    names = [maze.layout for maze in mazes]
    key = json.dumps([FORMAT, names, settings.env_steps, settings.noise, settings.streams, settings.seed])
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = (home() / "data" if folder is None else folder) / f"maze-{mazes[0].name}-{digest}.npz"
    found = _read(path, key, mazes)
    if found is not None:
        return found
    made = make_many(mazes, settings)
    arrays = {
        name: np.stack([getattr(data, name) for data in made]) for name in ("states", "actions", "targets", "ends")
    }
    buffer = io.BytesIO()
    np.savez(buffer, key=np.array(key), **arrays)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, buffer.getvalue())
    return made


def _read(path: Path, key: str, mazes: Sequence[Maze]) -> list[OfflineData] | None:
    """The data of a file, or None where there is none that is whole and made with these settings."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            arrays = {name: file[name] for name in ("states", "actions", "targets", "ends")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return [
        OfflineData(maze=maze, **{name: array[place] for name, array in arrays.items()})
        for place, maze in enumerate(mazes)
    ]

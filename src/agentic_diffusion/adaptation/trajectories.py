"""The loop's binding to mazes: faster plans than the data hold, judged by driving them.

    propose    random starts and goals in the trained mazes and in random layouts
    sample     candidates whose durations are divided by random speeds and in-painted (the rest of the plan follows);
               a quarter of them are left as the model likes them, which is the baseline
    run        the tracker drives every candidate; the reward is the strict return, as a share of the episode
    keep       the executed states of the best candidate until it settles at the goal, not the planned ones
    adapt      windows of these, mixed with the offline data

Shapes: N tasks, A candidates, T environment steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load, save

from agentic_diffusion.adaptation.finetune import FineTune
from agentic_diffusion.adaptation.strategy import Attempt
from agentic_diffusion.diffusion.buffer import BufferSample
from agentic_diffusion.diffusion.training import TrainingSettings
from agentic_diffusion.domains.trajectories.environment import MazeSet, Tasks, multi_tasks, single_tasks
from agentic_diffusion.domains.trajectories.maze import MAZES, Maze
from agentic_diffusion.domains.trajectories.trajectory import Trajectory
from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.planning.model import PlannerModel
from agentic_diffusion.planning.planner import Planner, PlannerSettings, judge
from agentic_diffusion.planning.rollout import NEVER, Rollout
from agentic_diffusion.planning.training import TRAINED, Collection, plan_loss, with_executed
from agentic_diffusion.planning.windows import PlanBatch, Trajectories, WindowBatches

_TOGETHER = 32
"""Tasks whose rollouts are held in memory at once."""
_SETTLE = 40
"""Environment steps after the arrival in which the end of the kept piece is looked for."""


@dataclass(frozen=True, kw_only=True)
class MazeLoopSettings:
    """How the loop explores mazes."""

    tasks: int = 800
    """Tasks a round."""
    candidates: int = 32
    """Candidates A a task."""
    fastest: float = 1.7
    """Largest speed that is asked for; speeds are drawn uniformly from 1 to it."""
    shares: tuple[float, ...] = (0.15, 0.25, 0.4)
    """Shares of the tasks in umaze, medium and large; the rest in random layouts."""
    executed_share: float = 0.7
    """Share of each fine-tuning batch that comes from kept trajectories."""
    gate_tasks: int = 60
    """Held-out episodes a maze."""
    gate_candidates: int = 16
    """Candidates a task at the gate."""
    seed: int = 0
    """Seed of tasks and noise; the gate's tasks come from a stream of their own."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if not (self.fastest > 1 and 0 < self.executed_share < 1 and sum(self.shares) <= 1 and self.candidates >= 4):
            raise ConfigError(
                "A loop needs speeds above 1, a share of kept data between 0 and 1, shares of tasks that sum to at most"
                " 1, and at least 4 candidates.",
                hint="Leave them out for the defaults.",
            )


@dataclass(kw_only=True)
class MazeDomain:
    """Satisfies `LoopDomain`; the model is the live one."""

    model: PlannerModel
    """The planner's denoiser."""
    collection: Collection
    """Where random layouts are taken from."""
    settings: MazeLoopSettings = field(default_factory=MazeLoopSettings)
    """How it explores."""
    planner: PlannerSettings = field(default_factory=PlannerSettings)
    """How plans are made."""

    @property
    def name(self) -> str:
        """The domain's name in the store."""
        return "trajectories"

    def attempt(self, round_number: int) -> list[Attempt]:
        """The best candidate of each of this round's tasks, driven."""
        attempts: list[Attempt] = []
        for group, (tasks, env_steps) in enumerate(self._tasks(round_number)):
            for first in range(0, len(tasks), _TOGETHER):
                part = tasks.select(slice(first, first + _TOGETHER))
                seed = derive(self.settings.seed, "attempt", round_number, group, first)
                attempts += self._drive(part, env_steps, seed)
        return attempts

    def evaluate(self) -> NDArray[np.float64]:
        """Normalised strict scores of the held-out episodes, the three mazes one after the other."""
        settings = self.settings
        planner = Planner(self.model, _with_candidates(self.planner, settings.gate_candidates))
        scores = []
        for name in TRAINED:
            maze = MAZES[name]
            rng = np.random.default_rng([derive(settings.seed, "gate", name)])
            tasks = single_tasks(maze, settings.gate_tasks, rng)
            planned = planner.plan(tasks, env_steps=maze.env_steps, seed=derive(settings.seed, "gate noise"))
            scores.append(maze.score(planned.values.max(1)))
        return np.concatenate(scores)

    def weights(self) -> bytes:
        """The model's weights as safetensors, the same bytes for the same weights."""
        return save({name: value.detach().clone() for name, value in sorted(self.model.state_dict().items())})

    def restore(self, weights: bytes) -> None:
        """Put weights of `weights` back."""
        self.model.load_state_dict(load(weights))

    def _tasks(self, round_number: int) -> list[tuple[Tasks, int]]:
        """This round's tasks by maze, with the lengths of their episodes."""
        settings = self.settings
        rng = np.random.default_rng([derive(settings.seed, "tasks", round_number)])
        groups = []
        for name, share in zip(TRAINED, settings.shares, strict=True):
            count = max(1, int(settings.tasks * share))
            groups.append((multi_tasks(MAZES[name], count, rng), MAZES[name].env_steps))
        rest = settings.tasks - sum(len(tasks) for tasks, _ in groups)
        layouts = self.collection.mazes[len(TRAINED) :]
        if rest > 0 and layouts:
            groups.append((random_tasks(layouts, rest, rng), layouts[0].env_steps))
        return groups

    def _drive(self, tasks: Tasks, env_steps: int, seed: int) -> list[Attempt]:
        """Sample, drive, and take the best candidate of each task."""
        settings = self.settings
        rng = np.random.default_rng([seed])
        speeds = rng.uniform(1.0, settings.fastest, size=(len(tasks), settings.candidates))
        natural = settings.candidates // 4
        speeds[:, :natural] = 1.0
        plans = Planner(self.model, self.planner).propose(tasks, seed=seed, speeds=speeds)
        driven = judge(tasks, plans, env_steps=env_steps, tracker=self.planner.tracker, keep_states=True)
        returns = driven.returns.reshape(speeds.shape)
        best = returns.argmax(1)
        attempts = []
        for row, choice in enumerate(best):
            states = executed_piece(driven, row * settings.candidates + int(choice), tasks.goal[row])
            attempts.append(
                _attempt(
                    tasks,
                    row,
                    states,
                    value=returns[row, choice],
                    baseline=returns[row, :natural].max(),
                    env_steps=env_steps,
                    speed=float(speeds[row, choice]),
                )
            )
        return attempts


def executed_piece(driven: Rollout, row: int, goal: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """The executed states [T + 1, 4] of one plan until it is nearest to its goal; None where it never arrived."""
    arrival = int(driven.arrival[row])
    if arrival == NEVER or driven.states is None:
        return None
    states = driven.states[row]
    behind = states[arrival : arrival + _SETTLE]
    last = arrival + int(np.linalg.norm(behind[:, :2] - goal, axis=1).argmin())
    return np.asarray(states[: max(last, 1) + 1], dtype=np.float32)


def random_tasks(layouts: Sequence[Maze], count: int, rng: np.random.Generator) -> Tasks:
    """Multi2D episodes over many layouts, one layout each at random."""
    chosen = rng.integers(len(layouts), size=count)
    used = sorted(set(chosen.tolist()))
    parts = [multi_tasks(layouts[place], int((chosen == place).sum()), rng) for place in used]
    return Tasks(
        mazes=MazeSet([layouts[place] for place in used]),
        which=np.repeat(np.arange(len(used)), [len(part) for part in parts]),
        start=np.concatenate([part.start for part in parts]),
        goal=np.concatenate([part.goal for part in parts]),
    )


def fine_tune(model: PlannerModel, collection: Collection, settings: MazeLoopSettings, training: TrainingSettings,
              *, batch_size: int) -> FineTune[PlanBatch]:  # fmt: skip
    """The strategy of the loop: windows of kept trajectories mixed with the offline data."""

    def batches(evidence: Sequence[BufferSample], seed: int) -> WindowBatches:
        mazes, executed = as_trajectories(evidence, collection.mazes)
        # The newest round is the fastest: each earlier one counts half of the next.
        weight = np.array([2.0 ** (sample.round or 0) for sample in evidence])
        sources = with_executed(collection, executed, share=settings.executed_share, weight=weight)
        return WindowBatches(mazes, sources, model.settings.plan, batch_size=batch_size, seed=seed)

    return FineTune(model=model, batches=batches, loss=plan_loss, settings=training)


def as_trajectories(evidence: Sequence[BufferSample], mazes: Sequence[Maze]) -> tuple[list[Maze], Trajectories]:
    """Kept samples as pieces, and the mazes that their indices refer to: `mazes`, then layouts that are new."""
    known = {maze.layout: place for place, maze in enumerate(mazes)}
    every = list(mazes)
    pieces = [Trajectory.from_kept(sample.arrays, sample.provenance) for sample in evidence]
    which = []
    for number, piece in enumerate(pieces):
        if piece.layout not in known:
            known[piece.layout] = len(every)
            every.append(Maze(name=f"kept-{number}", layout=piece.layout, env_steps=800))
        which.append(known[piece.layout])
    lengths = np.array([len(piece.states) for piece in pieces])
    begin = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return every, Trajectories(
        states=np.concatenate([piece.states for piece in pieces]),
        begin=begin,
        end=begin + lengths - 1,
        which=np.array(which),
    )


def _attempt(
    tasks: Tasks,
    row: int,
    states: NDArray[np.float32] | None,
    *,
    value: float,
    baseline: float,
    env_steps: int,
    speed: float,
) -> Attempt:
    """One attempt with its reward: the strict return as a share of the episode."""
    maze = tasks.mazes.mazes[tasks.which[row]]
    x, y = tasks.goal[row]
    solved = states is not None
    shown = tasks.start[row : row + 1].repeat(2, 0).astype(np.float32) if states is None else states
    driven = Trajectory(layout=maze.layout, goal=(float(x), float(y)), states=shown)
    sample = BufferSample(
        task=driven.task,
        reward=float(value) / env_steps,
        arrays=driven.arrays(),
        reward_parts={"return": float(value), "env_steps": float(driven.horizon)},
        provenance={"layout": driven.layout, "goal": list(driven.goal), "maze": maze.name, "speed": speed},
    )
    return Attempt(sample=sample, baseline=float(baseline) / env_steps, solved=solved)


def _with_candidates(settings: PlannerSettings, candidates: int) -> PlannerSettings:
    return replace(settings, candidates=candidates)

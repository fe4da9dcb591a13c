"""The planner: samples candidates for every task, drives each through our own physics, and takes the best.

A denoising gives way and duration at once: start state and goal position are in-painted, the layout is read by
cross-attention, the duration is one of the denoised numbers. `speed` makes candidates faster than the data: the
durations that the model chose are divided by it and in-painted as well, and the plan is denoised once more to fit them.

Candidates are judged by a shortened rollout of the tracker in the known physics: walls, what the motor can do, and the
time of arrival are all in it, so no critic has to be learned.

Shapes: N tasks, A candidates, K knots, H tokens, C numbers a token, M cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentic_diffusion.diffusion.gaussian import Known
from agentic_diffusion.diffusion.gaussian_reverse import GaussianConditioning, denoise_gaussian, sample_noise
from agentic_diffusion.diffusion.gaussian_samplers import DPMSolverSampler, PathPoint
from agentic_diffusion.diffusion.guidance import Guidance
from agentic_diffusion.domains.trajectories.environment import Tasks
from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.planning.model import PROCESS, PlannerModel
from agentic_diffusion.planning.plan_format import DURATION_SCALE, cell_features, reference_durations
from agentic_diffusion.planning.rollout import Rollout, roll_out
from agentic_diffusion.planning.tracker import TrackerSettings

Array = NDArray[np.float64]
_ROWS = 2048
"""Candidates in one forward."""
_SHORTEST = 4.0


@dataclass(frozen=True, kw_only=True)
class PlannerSettings:
    """How plans are made."""

    candidates: int = 64
    """Candidates A a task; 1 leaves nothing to select."""
    steps: int = 6
    """Denoising steps."""
    temperature: float = 1.0
    """Factor of the noise that a denoising starts from."""
    seed: int = 0
    """Seed of that noise."""
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    """The controller that follows a plan."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        for name in ("candidates", "steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)} and must be 1 or more.", hint="Leave it out.")


@dataclass(frozen=True, kw_only=True)
class Plans:
    """Candidates of N tasks."""

    knots: Array
    """[N, A, K, 4] states, equally spaced in time."""
    durations: Array
    """[N, A] environment steps."""

    def flat(self) -> tuple[Array, Array]:
        """[N * A, K, 4] and [N * A]."""
        return self.knots.reshape(-1, *self.knots.shape[2:]), self.durations.reshape(-1)

    def take(self, choice: NDArray[np.int64]) -> tuple[Array, Array]:
        """The plans [N, K, 4] and durations [N] of one candidate a task."""
        row = np.arange(len(choice))
        return self.knots[row, choice], self.durations[row, choice]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a planner decided."""

    plans: Plans
    """All candidates."""
    values: Array
    """[N, A] what the shortened rollout promised; zeros where nothing was selected."""
    choice: NDArray[np.int64]
    """[N] the candidate that was taken."""

    @property
    def chosen(self) -> tuple[Array, Array]:
        """The plans [N, K, 4] and durations [N] that were taken."""
        return self.plans.take(self.choice)


class Planner:
    """A model with its settings; it holds no state between calls."""

    def __init__(self, model: PlannerModel, settings: PlannerSettings) -> None:
        """Use a trained model."""
        self.model, self.settings = model, settings

    def plan(self, tasks: Tasks, *, env_steps: int, seed: int = 0, speed: float = 1.0) -> Planned:
        """Candidates for tasks of one episode length, and the choice; `seed` is added to the settings' own."""
        speeds = np.full((len(tasks), self.settings.candidates), speed)
        plans = self.propose(tasks, seed=seed, speeds=speeds)
        return select(tasks, plans, env_steps=env_steps, tracker=self.settings.tracker)

    def propose(
        self,
        tasks: Tasks,
        *,
        seed: int = 0,
        speeds: Array | None = None,
        guidance: Sequence[Guidance] = (),
        on_step: Callable[[int, Plans], None] | None = None,
    ) -> Plans:
        """Candidates of each task; `speeds` [N, A] above 1 ask for shorter durations. `on_step` sees every estimate."""
        count = self.settings.candidates if speeds is None else speeds.shape[1]
        batch = max(1, _ROWS // count)
        parts = []
        for first in range(0, len(tasks), batch):
            rows = slice(first, first + batch)
            part = None if speeds is None else speeds[rows]
            seeded = derive(self.settings.seed, seed, first)
            parts.append(
                self._denoise(
                    tasks.select(rows), seed=seeded, count=count, speeds=part, guidance=guidance, on_step=on_step
                )
            )
        return Plans(
            knots=np.concatenate([part.knots for part in parts]),
            durations=np.concatenate([part.durations for part in parts]),
        )

    @torch.no_grad()
    def _denoise(
        self,
        tasks: Tasks,
        *,
        seed: int,
        count: int,
        speeds: Array | None,
        guidance: Sequence[Guidance],
        on_step: Callable[[int, Plans], None] | None,
    ) -> Plans:
        """1. read the layout once a task; 2. in-paint what is known; 3. denoise; 4. with `speeds`, once more."""
        plan, settings = self.model.settings.plan, self.settings
        start, goal = tasks.start[:, :2], tasks.goal
        reference = np.repeat(reference_durations(tasks.mazes, tasks.which, start, goal), count)
        context, mask = cell_features(tasks.mazes, tasks.which, start, goal, slack=plan.slack)
        encoded = self.model.encode_cells(torch.from_numpy(context))
        conditioning = _Conditioning(context=encoded, mask=torch.from_numpy(mask))
        given, values = plan.known(tasks.start, goal)
        is_known = torch.from_numpy(given)
        clean = torch.from_numpy(values).repeat_interleave(count, 0)
        fixed = self._fixed_durations(tasks)
        if fixed is not None:
            is_known, clean = _with_duration(is_known, clean, np.log(np.repeat(fixed, count) / reference))
        noise = sample_noise(seed, range(len(clean)), (plan.tokens, plan.channels))
        origin = np.repeat(start, count, axis=0)

        def decoded(x_0: Tensor) -> Plans:
            knots, durations = plan.decode(x_0.numpy(), origin, reference)
            durations = np.maximum(durations, _SHORTEST)
            return Plans(
                knots=knots.reshape(len(tasks), count, plan.knots, 4), durations=durations.reshape(len(tasks), count)
            )

        def watch(step: int, point: PathPoint) -> None:
            if on_step is not None and point.x_0 is not None:
                on_step(step, decoded(point.x_0))

        def denoise(known: Known) -> Tensor:
            return denoise_gaussian(
                self.model.transformer,
                PROCESS,
                DPMSolverSampler(temperature=settings.temperature),
                noise,
                steps=settings.steps,
                conditioning=conditioning.with_known(known),
                guidance=guidance,
                on_step=watch,
            )

        x_0 = denoise(Known(is_known=is_known, values=clean))
        if speeds is not None and fixed is None and (speeds != 1).any():
            own = DURATION_SCALE * x_0[:, :, -1].mean(1).double().numpy()
            x_0 = denoise(Known(**_known_duration(is_known, clean, own - np.log(speeds.reshape(-1)))))
        return decoded(x_0)

    def _fixed_durations(self, tasks: Tasks) -> Array | None:
        """[N] the model's own plan lengths, where it has fixed ones."""
        horizons = dict(self.model.settings.horizons)
        if not horizons:
            return None
        longest = max(horizons.values())
        lengths = np.array([horizons.get(maze.name, longest) for maze in tasks.mazes.mazes], dtype=float)
        return np.asarray(lengths[tasks.which])


@dataclass(frozen=True, kw_only=True)
class _Conditioning:
    """The encoded cells of each task; its candidates share them."""

    context: Tensor
    mask: Tensor

    def with_known(self, known: Known) -> GaussianConditioning:
        return GaussianConditioning(context=self.context, context_mask=self.mask, known=known)


def select(tasks: Tasks, plans: Plans, *, env_steps: int, tracker: TrackerSettings) -> Planned:
    """The candidate of each task with the highest promised return; a single one is taken unseen."""
    shape = plans.durations.shape
    if shape[1] == 1:
        return Planned(plans=plans, values=np.zeros(shape), choice=np.zeros(shape[0], np.int64))
    values = judge(tasks, plans, env_steps=env_steps, tracker=tracker).returns.reshape(shape)
    return Planned(plans=plans, values=values, choice=values.argmax(1))


def judge(
    tasks: Tasks, plans: Plans, *, env_steps: int, tracker: TrackerSettings, keep_states: bool = False
) -> Rollout:
    """Shortened rollouts of all candidates, in the order [N * A]."""
    many = tasks.select(np.repeat(np.arange(len(tasks)), plans.durations.shape[1]))
    knots, durations = plans.flat()
    return roll_out(
        many, knots, durations, env_steps=env_steps, tracker=tracker, shortened=True, keep_states=keep_states
    )


def _known_duration(is_known: Tensor, clean: Tensor, log_share: Array) -> dict[str, Tensor]:
    """Mark the duration channel as known, with log(duration / reference) of each row."""
    marked, values = is_known.clone(), clean.clone()
    marked[..., -1] = True
    values[..., -1] = torch.from_numpy(log_share / DURATION_SCALE).float()[:, None]
    return {"is_known": marked, "values": values}


def _with_duration(is_known: Tensor, clean: Tensor, log_share: Array) -> tuple[Tensor, Tensor]:
    parts = _known_duration(is_known, clean, log_share)
    return parts["is_known"], parts["values"]

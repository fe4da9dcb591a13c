"""Training of the plan denoiser: which data, which loss, and a fine-tuning that starts from given weights.

The loss is the Gaussian process's own on plans whose start and goal are held clean; in a third of the batches the
duration is held clean too, so that one network knows both "how long does it take" and "what does it look like in this
time".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agentic_diffusion.diffusion.training import StepReport, TrainingResult, TrainingSettings, train
from agentic_diffusion.domains.trajectories.maze import MAZES, Maze, training_mazes
from agentic_diffusion.domains.trajectories.offline_data import SIZES, DataSettings, cached_data
from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.planning.model import PROCESS, PlannerModel
from agentic_diffusion.planning.windows import PlanBatch, Source, Trajectories, WindowBatches, pieces_of

DURATION_KNOWN = 1 / 3
"""Share of batches whose durations are given."""
TRAINED = ("umaze", "medium", "large")
"""The mazes with offline data of their own; the evaluation layouts are never trained on."""


@dataclass(frozen=True, kw_only=True)
class CollectionSettings:
    """Which offline data a planner learns from."""

    scale: float = 1.0
    """Environment steps as a share of the published sets' sizes."""
    random_mazes: int = 240
    """Random layouts beside the three mazes; 0: none."""
    random_env_steps: int = 16_000
    """Environment steps in each random layout, times `scale`."""
    random_share: float = 0.4
    """Share of each batch that comes from random layouts."""
    seed: int = 0
    """Seed of layouts and data."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if not (0 < self.scale <= 1 and self.random_mazes >= 0 and 0 <= self.random_share < 1):
            raise ConfigError(
                f"A collection of scale {self.scale} with {self.random_mazes} random mazes and share"
                f" {self.random_share} is not possible.",
                hint="Use a scale in (0, 1] and a share in [0, 1).",
            )


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The mazes and their ways."""

    mazes: list[Maze]
    """The three mazes first, then the random ones."""
    sources: list[Source]
    """One source a group."""


def held_out_mazes(count: int, seed: int = 77) -> list[Maze]:
    """Random layouts that no collection ever holds: `collect` leaves them out."""
    return training_mazes(count, np.random.default_rng([seed, 1]))


def collect(settings: CollectionSettings, folder: Path | None = None, *, whole: bool = False) -> Collection:
    """Make the offline data, or read them from the cache; `whole` keeps the streams uncut (for fixed lengths)."""
    mazes = [MAZES[name] for name in TRAINED]
    data = [
        cached_data([maze], DataSettings(env_steps=int(SIZES[maze.name] * settings.scale), seed=settings.seed), folder)[
            0
        ]
        for maze in mazes
    ]
    own = 1.0 - (settings.random_share if settings.random_mazes else 0.0)
    # The long ways of the large maze are the hardest to learn, and most of the published data.
    shares = np.array([0.15, 0.3, 0.55]) * own
    sources = [
        Source(trajectories=pieces_of([one], [place], whole=whole), share=float(share))
        for place, (one, share) in enumerate(zip(data, shares, strict=True))
    ]
    if settings.random_mazes:
        avoid = frozenset(maze.layout for maze in held_out_mazes(20))
        extra = training_mazes(settings.random_mazes, np.random.default_rng([settings.seed, 0]), avoid=avoid)
        steps = DataSettings(
            env_steps=max(2000, int(settings.random_env_steps * settings.scale)), streams=4, seed=settings.seed + 1
        )
        many = cached_data(extra, steps, folder)
        places = range(len(mazes), len(mazes) + len(extra))
        sources.append(Source(trajectories=pieces_of(many, places, whole=whole), share=settings.random_share))
        mazes += extra
    return Collection(mazes=mazes, sources=sources)


def plan_loss(model: nn.Module, batch: PlanBatch, generator: torch.Generator) -> Tensor:
    """The loss of a batch; see the top of this file."""
    is_known = batch.is_known
    if float(torch.rand((), generator=generator)) < DURATION_KNOWN:
        is_known = is_known.clone()
        is_known[..., -1] = True
    return PROCESS.loss(
        model,
        batch.x_0,
        generator,
        context=batch.context,
        context_mask=batch.context_mask,
        is_known=is_known,
    )


def train_planner(
    model: PlannerModel,
    batches: WindowBatches,
    settings: TrainingSettings,
    *,
    checkpoint: Path | None = None,
    callbacks: Sequence[Callable[[StepReport], None]] = (),
) -> TrainingResult:
    """Train in place; where an average of the weights is kept, the model ends with it. Goes on from `checkpoint`."""
    result = train(model, batches, plan_loss, settings, checkpoint=checkpoint, callbacks=callbacks)
    if result.ema is not None:
        result.ema.copy_to(model)
    model.eval()
    return result


def with_executed(
    collection: Collection, executed: Trajectories, *, share: float, weight: NDArray[np.float64]
) -> list[Source]:
    """The collection's sources with a share of each batch for executed trajectories, drawn by `weight` [P]."""
    kept = [
        Source(trajectories=source.trajectories, share=source.share * (1 - share), weight=source.weight)
        for source in collection.sources
    ]
    return [*kept, Source(trajectories=executed, share=share, weight=weight)]

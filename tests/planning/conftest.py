"""A small planner, trained once for this folder in seconds on one core."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are faster on one core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small_collection():
    from agentic_diffusion.domains.trajectories.maze import MAZES
    from agentic_diffusion.domains.trajectories.offline_data import DataSettings, make_data
    from agentic_diffusion.planning.training import Collection
    from agentic_diffusion.planning.windows import Source, pieces_of

    mazes = [MAZES["umaze"], MAZES["medium"]]
    data = [make_data(maze, DataSettings(env_steps=30_000, streams=16)) for maze in mazes]
    sources = [Source(trajectories=pieces_of([one], [place]), share=0.5) for place, one in enumerate(data)]
    return Collection(mazes=mazes, sources=sources)


@pytest.fixture(scope="session")
def small_settings():
    from agentic_diffusion.planning.model import PlannerModelSettings

    return PlannerModelSettings(width=48, mlp=96)


@pytest.fixture(scope="session")
def small_planner(small_collection, small_settings):
    """Trained for some ten seconds on the umaze and the medium maze."""
    from agentic_diffusion.diffusion.training import TrainingSettings
    from agentic_diffusion.planning.model import make_model
    from agentic_diffusion.planning.planner import Planner, PlannerSettings
    from agentic_diffusion.planning.training import train_planner
    from agentic_diffusion.planning.windows import WindowBatches

    model = make_model(small_settings, 0)
    batches = WindowBatches(
        small_collection.mazes, small_collection.sources, model.settings.plan, batch_size=48, seed=0
    )
    settings = TrainingSettings(steps=350, learning_rate=2e-3, warmup_steps=30, ema_decay=0.99)
    train_planner(model, batches, settings)
    return Planner(model, PlannerSettings(candidates=16))


@pytest.fixture
def rng():
    return np.random.default_rng(0)

"""The loop's binding to mazes, on a planner of a few weights."""

import numpy as np
import pytest
import torch

from agentic_diffusion.adaptation.self_improve import SelfImprovement, beats_baseline
from agentic_diffusion.adaptation.strategy import LoopDomain, Strategy
from agentic_diffusion.adaptation.trajectories import MazeDomain, MazeLoopSettings, as_trajectories, fine_tune
from agentic_diffusion.diffusion.buffer import MemoryBuffer
from agentic_diffusion.diffusion.training import TrainingSettings
from agentic_diffusion.domains.trajectories.environment import GOAL_RADIUS
from agentic_diffusion.domains.trajectories.maze import MAZES, random_maze
from agentic_diffusion.domains.trajectories.offline_data import DataSettings, make_data
from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.foundation.store import Store
from agentic_diffusion.planning.model import PlannerModelSettings, make_model
from agentic_diffusion.planning.planner import PlannerSettings
from agentic_diffusion.planning.training import TRAINED, Collection
from agentic_diffusion.planning.windows import Source, pieces_of

SETTINGS = MazeLoopSettings(tasks=12, candidates=8, gate_tasks=4, gate_candidates=2, shares=(0.4, 0.2, 0.2))


@pytest.fixture(scope="module")
def collection():
    mazes = [MAZES[name] for name in TRAINED]
    extra = random_maze(np.random.default_rng(0), rows=5, columns=7)
    data = [make_data(maze, DataSettings(env_steps=3000, streams=4)) for maze in [*mazes, extra]]
    return Collection(mazes=[*mazes, extra], sources=[Source(trajectories=pieces_of(data, range(4)), share=1.0)])


@pytest.fixture
def domain(collection):
    torch.set_num_threads(1)
    model = make_model(PlannerModelSettings(width=16, mlp=32, layers=1, heads=2), 0)
    return MazeDomain(model=model, collection=collection, settings=SETTINGS, planner=PlannerSettings(steps=2))


def test_attempts_are_executed_trajectories_with_their_return(domain):
    attempts = domain.attempt(1)
    assert len(attempts) == 12
    assert {attempt.sample.provenance["maze"] for attempt in attempts} >= set(TRAINED)
    for attempt in attempts:
        states = attempt.sample.arrays["states"]
        assert attempt.sample.reward >= attempt.baseline
        if attempt.solved:
            away = np.linalg.norm(states[-1, :2] - attempt.sample.provenance["goal"])
            assert away <= GOAL_RADIUS
    again = domain.attempt(1)
    assert [a.sample.content for a in again] == [a.sample.content for a in attempts]
    assert [a.sample.task for a in domain.attempt(2)] != [a.sample.task for a in attempts]


def test_weights_come_back_to_the_byte(domain):
    old = domain.weights()
    held_out = domain.evaluate()
    assert held_out.shape == (12,)
    with torch.no_grad():
        for weight in domain.model.parameters():
            weight.add_(0.1)
    assert domain.weights() != old
    domain.restore(old)
    assert domain.weights() == old
    assert np.array_equal(domain.evaluate(), held_out)


def test_a_whole_round_runs_and_fine_tunes_on_what_was_kept(domain, collection, tmp_path):
    assert isinstance(domain, LoopDomain)
    strategy = fine_tune(domain.model, collection, SETTINGS, TrainingSettings(steps=3, ema_decay=0.5), batch_size=8)
    assert isinstance(strategy, Strategy)
    old = domain.weights()
    with Store.open(f"sqlite:///{tmp_path / 'rounds.db'}") as store:
        loop = SelfImprovement(domain, strategy, store, MemoryBuffer("trajectories"), label="maze")
        report = loop.round(1)
        assert report.attempts == 12
        assert report.kept > 0
        (run,) = store.runs()
        metrics = {metric.name: metric.value for metric in store.metrics(run.id)}
        assert metrics["fine_tune_steps"] == 3
        assert metrics["evidence"] == report.kept
    assert (domain.weights() != old) == report.accepted


def test_kept_samples_become_pieces_of_their_mazes(domain, collection):
    kept = [attempt.sample for attempt in domain.attempt(1) if beats_baseline(attempt)]
    mazes, pieces = as_trajectories(kept, collection.mazes[:1])
    assert len(pieces.begin) == len(kept)
    for place, sample in enumerate(kept):
        own = pieces.states[pieces.begin[place] : pieces.end[place] + 1]
        assert np.array_equal(own, sample.arrays["states"])
        assert mazes[pieces.which[place]].layout == sample.provenance["layout"]


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="speeds above 1"):
        MazeLoopSettings(fastest=1.0)

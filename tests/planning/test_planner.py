"""The planner learns in seconds what an untrained one cannot, and its parts obey their laws."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from agentic_diffusion.domains.trajectories.environment import MazeSet, single_tasks, task_between
from agentic_diffusion.domains.trajectories.maze import MAZES
from agentic_diffusion.evaluation.maze2d import Measured, gold_tasks, maze_score
from agentic_diffusion.foundation.errors import ConfigError, ModelFileError, UsageError
from agentic_diffusion.planning.baselines import spline_plans
from agentic_diffusion.planning.model import load_model, make_model, save_model
from agentic_diffusion.planning.passing import gold_scores, plan_through
from agentic_diffusion.planning.planner import Planner, PlannerSettings, judge, select
from agentic_diffusion.planning.rollout import NEVER, roll_out
from agentic_diffusion.planning.tracker import TrackerSettings, hermite, inverse_dynamics
from agentic_diffusion.planning.windows import WindowBatches


def score(planner, name, episodes=40):
    def plan(tasks, env_steps):
        return planner.plan(tasks, env_steps=env_steps).chosen

    return maze_score(MAZES[name], plan, episodes=episodes, seed=3)


def test_a_trained_planner_reaches_goals_that_an_untrained_one_misses(small_planner, small_settings):
    untrained = Planner(make_model(small_settings, 0), small_planner.settings)
    learned, fresh = score(small_planner, "medium"), score(untrained, "medium")
    assert fresh.success < 0.65
    assert learned.success > 0.85
    assert learned.strict.mean > fresh.strict.mean + 30
    assert score(small_planner, "umaze").success > 0.95


def test_more_candidates_are_better_and_promises_are_kept(small_planner):
    tasks = single_tasks(MAZES["medium"], 12, np.random.default_rng(1))
    planned = small_planner.plan(tasks, env_steps=600)
    driven = roll_out(tasks, *planned.chosen, env_steps=600)
    rest = driven.success
    assert np.abs(planned.values.max(1) - driven.returns)[rest].max() <= 2
    assert planned.values.max(1).mean() > planned.values[:, 0].mean()


def test_asking_for_speed_gives_shorter_plans(small_planner):
    tasks = single_tasks(MAZES["umaze"], 8, np.random.default_rng(1))
    slow = small_planner.propose(tasks, speeds=np.ones((8, 4)))
    fast = small_planner.propose(tasks, speeds=np.full((8, 4), 1.5))
    assert np.allclose(fast.durations, np.maximum(slow.durations / 1.5, 4), rtol=1e-3)


def test_plans_begin_and_end_where_they_must_and_depend_on_the_seed_alone(small_planner):
    tasks = single_tasks(MAZES["umaze"], 5, np.random.default_rng(1))
    first, again, other = (small_planner.propose(tasks, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.knots, again.knots)
    assert not np.allclose(first.knots, other.knots)
    assert np.allclose(first.knots[:, :, 0], tasks.start[:, None], atol=1e-5)
    assert np.allclose(first.knots[:, :, -1, :2], tasks.goal[:, None], atol=1e-5)


def test_the_fixed_length_planner_keeps_its_lengths(small_collection, small_settings):
    settings = replace(small_settings, horizons=(("umaze", 128), ("medium", 256)))
    model = make_model(settings, 0)
    tasks = single_tasks(MAZES["medium"], 3, np.random.default_rng(0))
    found = Planner(model, PlannerSettings(candidates=2)).propose(tasks)
    assert np.allclose(found.durations, 256, rtol=1e-5)
    batches = WindowBatches(
        small_collection.mazes, small_collection.sources, settings.plan, batch_size=8, seed=0, horizons=[40, 60]
    )
    _, durations, which = batches.draw(np.random.default_rng(0))
    assert np.array_equal(durations, np.array([40, 60])[which])


def test_batches_depend_on_their_number_alone(small_collection, small_settings):
    def fresh():
        return WindowBatches(
            small_collection.mazes, small_collection.sources, small_settings.plan, batch_size=8, seed=4
        )

    one, two = fresh(), fresh()
    next(one)
    place = one.state_dict()
    expected = next(one).x_0
    two.load_state_dict(place)
    assert torch.equal(next(two).x_0, expected)


def test_windows_are_pieces_of_one_way(small_collection, small_settings):
    batches = WindowBatches(
        small_collection.mazes, small_collection.sources, small_settings.plan, batch_size=64, seed=0
    )
    states, durations, _ = batches.draw(np.random.default_rng(0))
    # Along the knots no axis moves faster than the top speed allows.
    moved = np.abs(np.diff(states[..., :2], axis=1)).max((1, 2))
    assert (moved <= 5.3 * 0.01 * durations / (small_settings.plan.knots - 1) + 1e-6).all()


def test_a_model_comes_back_from_its_file_and_foreign_files_are_refused(tmp_path, small_planner):
    path = tmp_path / "planner.safetensors"
    save_model(path, small_planner.model, stage="test")
    again = load_model(path)
    assert again.settings == small_planner.model.settings
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), small_planner.model.parameters(), strict=True))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="truncated"):
        load_model(path)


def test_the_tracker_follows_a_plan_that_the_motor_can_follow():
    maze = MAZES["large"]
    tasks = task_between(maze, (1, 1), (3, 4))
    found = spline_plans(tasks, [2.0])
    driven = roll_out(tasks, found.knots[:, 0], found.durations[:, 0], env_steps=400, keep_states=True)
    position, _ = hermite(found.knots[:, 0], np.rint(found.durations[:, 0]).astype(int))
    length = position.shape[1]
    assert np.linalg.norm(driven.states[0, 20:length, :2] - position[0, 20:], axis=1).max() < 0.15
    assert driven.returns[0] == 400 - driven.arrival[0] + 1


def test_inverse_dynamics_invert_a_free_step():
    from agentic_diffusion.domains.trajectories.environment import step_states

    mazes = MazeSet([MAZES["large"]])
    velocity = np.array([[0.3, -0.2]])
    wanted = velocity + 0.1
    state = np.concatenate([[[0.8, 0.8]], velocity], axis=1)
    after = step_states(state, inverse_dynamics(velocity, wanted), mazes, np.zeros(1, int))
    assert np.allclose(after[:, 2:], wanted)


def test_hermite_meets_its_knots(rng):
    knots = rng.normal(size=(2, 5, 4))
    position, velocity = hermite(knots, np.array([40, 80]))
    assert np.allclose(position[1, ::20], knots[1, :, :2])
    assert np.allclose(velocity[0, :41:10], knots[0, :, 2:])
    assert np.allclose(position[0, 41:], knots[0, -1, :2]), "the shorter plan stays at its end"


def test_strict_and_latched_returns_differ_by_what_left_the_disc():
    tasks = task_between(MAZES["large"], (1, 1), (1, 3))
    knots = np.array([[[1, 1, 0, 0], [1, 3, 0, 5], [1, 3, 0, 0], [1, 1, 0, 0]]], float)
    driven = roll_out(tasks, knots, np.array([150.0]), env_steps=200)
    assert driven.arrival[0] < NEVER
    assert driven.latched[0] == 200 - driven.arrival[0] + 1
    assert driven.returns[0] < driven.latched[0]


def test_a_wall_in_the_way_makes_a_candidate_worse():
    tasks = task_between(MAZES["umaze"], (3, 1), (1, 1))
    around = spline_plans(tasks, [4.0])
    line = np.linspace([3, 1, -4, 0], [1, 1, -4, 0], 32)[None, None]
    both = type(around)(
        knots=np.concatenate([line, around.knots], 1), durations=np.array([[60.0, around.durations[0, 0]]])
    )
    assert select(tasks, both, env_steps=300, tracker=TrackerSettings()).choice.tolist() == [1]
    assert judge(tasks, both, env_steps=300, tracker=TrackerSettings()).arrival[0] == NEVER


def test_gold_is_passed_on_the_way_and_scored_as_published(small_planner):
    tasks = task_between(MAZES["medium"], (1, 1), (2, 2))
    passing = np.array([[2.0, 1.0]])
    found = plan_through(small_planner, tasks, passing, env_steps=600)
    driven = roll_out(tasks, found.knots[:, 0], found.durations[:, 0], env_steps=600, passing=passing)
    assert gold_scores(driven)[0] > 30
    far = replace(driven, nearest=np.array([0.31]))
    lost = replace(driven, arrival=np.array([NEVER]))
    middle = replace(driven, nearest=np.array([0.15]))
    assert (gold_scores(far)[0], gold_scores(lost)[0]) == (0, 0)
    assert gold_scores(middle)[0] == pytest.approx(50)
    many, points = gold_tasks("large", starts=2, seed=0)
    assert len(many) == len(points) == 40
    assert not MAZES["large"].walls[tuple(points.astype(int).T)].any()


def test_means_have_their_standard_error():
    found = Measured.of(np.array([1.0, 3.0]))
    assert (found.mean, found.error, found.episodes) == (2.0, 1.0, 2)


def test_wrong_data_and_settings_are_refused():
    with pytest.raises(ConfigError, match="candidates is 0 and must be 1 or more"):
        PlannerSettings(candidates=0)
    from agentic_diffusion.planning.windows import Trajectories

    with pytest.raises(UsageError, match=r"states of shape \(5, 3\)"):
        Trajectories(
            states=np.zeros((5, 3), np.float32), begin=np.zeros(1, int), end=np.ones(1, int), which=np.zeros(1, int)
        )

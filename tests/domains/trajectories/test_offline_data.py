"""The regenerated data have the published statistics, depend on their seed alone, and are cached whole."""

import numpy as np
import pytest

from agentic_diffusion.domains.trajectories.environment import TOP_SPEED, MazeSet
from agentic_diffusion.domains.trajectories.maze import MAZES
from agentic_diffusion.domains.trajectories.offline_data import DataSettings, OfflineData, cached_data, make_data
from agentic_diffusion.domains.trajectories.trajectory import Trajectory
from agentic_diffusion.foundation.errors import ConfigError, UsageError


def test_statistics_are_those_of_the_published_set():
    found = make_data(MAZES["umaze"], DataSettings(env_steps=120_000, streams=128)).statistics()
    published = {"x": 0.900, "y": 0.709, "vx": 2.213, "vy": 2.468, "ax": 0.704, "ay": 0.751}
    for name, value in published.items():
        assert found[name] == pytest.approx(value, rel=0.05), name
    assert found["reward"] == pytest.approx(0.0813, rel=0.1)
    assert found["targets_per_million"] == pytest.approx(12459, rel=0.05)


def test_without_noise_the_statistics_are_others():
    quiet = make_data(MAZES["umaze"], DataSettings(env_steps=120_000, streams=128, noise=0.0)).statistics()
    assert quiet["ax"] < 0.69, "published without noise: 0.678"


def test_states_stay_in_the_maze_and_targets_repeat_their_state():
    data = make_data(MAZES["medium"], DataSettings(env_steps=20_480, streams=64))
    assert len(data) == 20_480
    assert np.abs(data.states[..., 2:]).max() <= TOP_SPEED + 1e-5
    places = data.states[..., :2].reshape(-1, 2).astype(float)
    assert not MazeSet([MAZES["medium"]]).blocked(np.zeros(len(places), int), places).any()
    stream, step = (rows[:-1] for rows in np.nonzero(data.ends[:, :-1]))
    assert len(step) > 50
    assert np.array_equal(data.states[stream, step], data.states[stream, step + 1])


def test_the_cache_gives_the_same_data_and_survives_a_cut_file(tmp_path):
    settings = DataSettings(env_steps=2_000, streams=4, seed=3)
    mazes = [MAZES["umaze"], MAZES["large"]]
    made = cached_data(mazes, settings, tmp_path)
    (file,) = tmp_path.iterdir()
    read = cached_data(mazes, settings, tmp_path)
    assert all(np.array_equal(a.states, b.states) and a.maze is b.maze for a, b in zip(made, read, strict=True))
    file.write_bytes(file.read_bytes()[:5000])
    again = cached_data(mazes, settings, tmp_path)
    assert np.array_equal(again[1].actions, made[1].actions)


def test_wrong_shapes_and_settings_are_refused():
    with pytest.raises(
        UsageError, match=r"The states of offline data have shape \(2, 5, 3\) and must have \(2, 5, 4\)"
    ):
        OfflineData(
            maze=MAZES["umaze"],
            states=np.zeros((2, 5, 3), np.float32),
            actions=np.zeros((2, 5, 2), np.float32),
            targets=np.zeros((2, 5, 2), np.float32),
            ends=np.zeros((2, 5), bool),
        )
    with pytest.raises(ConfigError, match="cannot be made"):
        DataSettings(env_steps=0)


def test_a_trajectory_comes_back_from_what_is_kept():
    states = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    driven = Trajectory(layout=MAZES["umaze"].layout, goal=(1.0, 1.0), states=states)
    back = Trajectory.from_kept(driven.arrays(), {"layout": driven.layout, "goal": [1.0, 1.0]})
    assert back.horizon == 6
    assert (back.task, back.layout) == (driven.task, driven.layout)
    assert np.array_equal(back.states, states)
    with pytest.raises(UsageError, match="A kept trajectory has no layout"):
        Trajectory.from_kept(driven.arrays(), {"goal": [1, 1]})
    with pytest.raises(UsageError, match=r"must have \[steps, 4\]"):
        Trajectory(layout="", goal=(0, 0), states=states[:, :3])

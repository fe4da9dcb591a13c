"""The contract of every trajectory buffer, for the one in memory and the one in the database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.diffusion.buffer import (
    UNBOUNDED,
    BufferSample,
    Capacity,
    DrawSettings,
    MemoryBuffer,
    TrajectoryBuffer,
    draw_samples,
    features,
)
from agentic_diffusion.diffusion.store_buffer import StoreBuffer
from agentic_diffusion.foundation.errors import ConfigError, StoreError, UsageError
from agentic_diffusion.foundation.store import NewSample, Store
from agentic_diffusion.foundation.store.database import Database

law = settings(deadline=None, max_examples=40, derandomize=True)
MakeBuffer = Callable[..., TrajectoryBuffer]


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as opened:
        yield opened


@pytest.fixture(params=["memory", "store"])
def make(request, store) -> MakeBuffer:
    def build(domain="trajectories", capacity=UNBOUNDED) -> TrajectoryBuffer:
        return MemoryBuffer(domain, capacity) if request.param == "memory" else StoreBuffer(store, domain, capacity)

    return build


def walk(seed: int, length: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(length, 2)).cumsum(axis=0).astype(np.float32)


def trajectory(task: str = "maze", reward: float = 1.0, seed: int = 0, **more) -> BufferSample:
    return BufferSample(task=task, reward=reward, arrays={"states": walk(seed)}, **more)


def program(text: str, task: str = "add two numbers", reward: float = 1.0, **more) -> BufferSample:
    return BufferSample(task=task, reward=reward, text=text, **more)


def test_a_trajectory_comes_back_whole(make: MakeBuffer) -> None:
    given_sample = BufferSample(
        task="umaze (1,1) to (3,1)",
        reward=12.5,
        arrays={"states": walk(1), "actions": np.arange(6, dtype=np.int64).reshape(3, 2)[::-1]},
        reward_parts={"return": 14.0, "length": -1.5},
        round=2,
        weights="ab12",
        provenance={"sampler": "ddim", "seed": 7},
    )
    buffer = make()
    assert isinstance(buffer, TrajectoryBuffer)
    assert buffer.add([given_sample]) == 1
    (kept,) = buffer.samples()
    for name in ("task", "reward", "text", "reward_parts", "round", "weights", "run", "provenance", "content"):
        assert getattr(kept, name) == getattr(given_sample, name)
    assert set(kept.arrays) == {"states", "actions"}
    for name, values in given_sample.arrays.items():
        assert np.array_equal(kept.arrays[name], values)
        assert kept.arrays[name].dtype == values.dtype


def test_a_program_comes_back_with_its_tokens(make: MakeBuffer) -> None:
    buffer = make("code")
    buffer.add([program("x = 1\n", arrays={"tokens": np.array([3, 1, 2])})])
    (kept,) = buffer.samples()
    assert kept.text == "x = 1\n"
    assert kept.arrays["tokens"].tolist() == [3, 1, 2]


def test_the_same_content_of_a_task_is_kept_once_and_the_first_stays(make: MakeBuffer) -> None:
    buffer = make()
    assert buffer.add([trajectory(reward=1.0), trajectory(reward=5.0), trajectory(seed=1)]) == 2
    assert buffer.add([trajectory(reward=9.0), trajectory(task="other")]) == 1
    assert len(buffer) == 3
    assert [sample.reward for sample in buffer.samples(task="maze")] == [1.0, 1.0]


def test_over_the_capacity_the_worst_of_a_task_go(make: MakeBuffer) -> None:
    buffer = make(capacity=Capacity(per_task=2))
    for seed, reward in enumerate([3.0, 9.0, 5.0, 4.0]):
        buffer.add([trajectory(reward=reward, seed=seed), trajectory(task="easy", reward=reward + 100, seed=seed)])
    assert [sample.reward for sample in buffer.samples(task="maze")] == [9, 5]
    assert [sample.reward for sample in buffer.samples(task="easy")] == [109, 105]


def test_in_all_a_second_best_goes_before_any_best(make: MakeBuffer) -> None:
    buffer = make(capacity=Capacity(total=3))
    buffer.add([trajectory(task="easy", reward=100.0 + seed, seed=seed) for seed in range(4)])
    buffer.add([trajectory(task="hard", reward=0.1), trajectory(task="harder", reward=0.0)])
    assert [(sample.task, sample.reward) for sample in buffer.samples()] == [
        ("easy", 103.0), ("hard", 0.1), ("harder", 0.0)
    ]  # fmt: skip


def test_samples_are_chosen_by_task_reward_and_round_best_first(make: MakeBuffer) -> None:
    buffer = make()
    buffer.add(
        [
            trajectory(reward=1.0, seed=0),
            trajectory(reward=3.0, seed=1, round=0),
            trajectory(reward=2.0, seed=2, round=1),
            trajectory(reward=2.0, seed=3, round=2, task="other"),
        ]
    )
    assert [sample.round for sample in buffer.samples()] == [0, 1, 2, None]
    assert [sample.round for sample in buffer.samples(task="maze")] == [0, 1, None]
    assert [sample.round for sample in buffer.samples(min_reward=2.0)] == [0, 1, 2]
    assert [sample.round for sample in buffer.samples(since_round=1)] == [1, 2]


def test_a_draw_is_determined_by_its_generator(make: MakeBuffer) -> None:
    buffer = make()
    buffer.add([trajectory(reward=float(seed), seed=seed) for seed in range(20)])
    wanted = DrawSettings(priority=1.0, diversity=1.0)

    def draw(seed: int) -> list[str]:
        return [sample.content for sample in buffer.draw(6, np.random.default_rng(seed), wanted)]

    assert draw(0) == draw(0)
    assert len(set(draw(0))) == 6
    assert any(draw(0) != draw(seed) for seed in range(1, 5))
    assert len(buffer.draw(50, np.random.default_rng(0), wanted)) == 20


def test_both_buffers_draw_the_same(store: Store) -> None:
    buffers = [MemoryBuffer("trajectories"), StoreBuffer(store, "trajectories")]
    for buffer in buffers:
        buffer.add([trajectory(task=f"task {seed % 3}", reward=float(seed % 5), seed=seed) for seed in range(15)])
    wanted = DrawSettings(diversity=2.0)
    first, second = ([s.content for s in b.draw(7, np.random.default_rng(3), wanted)] for b in buffers)
    assert first == second


def test_a_better_place_is_drawn_more_often_as_priority_says() -> None:
    samples = [program(f"{i}", reward=-float(i)) for i in range(3)]
    drawn = draw_samples(samples, 6000, np.random.default_rng(0), DrawSettings(priority=2.0, repeats=True))
    counts = Counter(sample.text for sample in drawn)
    total = 1 + 1 / 4 + 1 / 9
    for place, text in enumerate(["0", "1", "2"], start=1):
        assert counts[text] / 6000 == pytest.approx(place**-2 / total, abs=0.02)


def test_each_task_counts_the_same_whatever_its_rewards() -> None:
    samples = [program(f"{i}", task="rich", reward=1000.0 - i) for i in range(4)]
    samples += [program(f"{i}", task="poor", reward=0.1 - i) for i in range(4)]
    drawn = draw_samples(samples, 4000, np.random.default_rng(0), DrawSettings(repeats=True))
    assert sum(sample.task == "poor" for sample in drawn) / 4000 == pytest.approx(0.5, abs=0.04)


def test_a_diverse_draw_covers_the_kinds_that_a_plain_one_misses() -> None:
    """40 nearly equal paths and 2 other ones: three diverse draws find all three kinds, plain ones hardly ever."""
    base = walk(0)
    paths = [("common", base + 0.001 * walk(seed)) for seed in range(1, 41)]
    paths += [("shifted", base + 9), ("turned", base * -3)]
    samples = [
        BufferSample(task="maze", reward=0.0, arrays={"states": states}, provenance={"kind": kind})
        for kind, states in paths
    ]

    def kinds(diversity: float) -> float:
        wanted = DrawSettings(priority=0.0, diversity=diversity)
        draws = [draw_samples(samples, 3, np.random.default_rng(seed), wanted) for seed in range(60)]
        return float(np.mean([len({sample.provenance["kind"] for sample in drawn}) for drawn in draws]))

    assert kinds(4.0) > 2.5
    assert kinds(0.0) < 1.6


def test_features_tell_horizons_and_texts_apart() -> None:
    line = np.linspace(0, 1, 30)[:, None]
    same_line = np.linspace(0, 1, 300)[:, None]
    other = np.sin(7 * line)
    rows = features([BufferSample(task="t", reward=0.0, arrays={"states": s}) for s in (line, same_line, other)])
    assert np.linalg.norm(rows[0] - rows[1]) < 0.1 * np.linalg.norm(rows[0] - rows[2])
    texts = features([program("for i in range(9): pass"), program("for j in range(9): pass"), program("x = 'zebra'")])
    assert np.linalg.norm(texts[0] - texts[1]) < np.linalg.norm(texts[0] - texts[2])


@law
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 30)), max_size=25),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 8),
)
def test_what_is_kept_is_within_capacity_and_holds_each_tasks_best(entries, per_task, total) -> None:
    buffer = MemoryBuffer("code", Capacity(per_task=per_task, total=total))
    buffer.add([program(str(number), task=task, reward=float(reward)) for task, reward, number in entries])
    kept = buffer.samples()
    counts = Counter(sample.task for sample in kept)
    first: dict[tuple[str, int], float] = {}
    for task, reward, number in entries:
        first.setdefault((task, number), float(reward))
    assert all(count <= (per_task or 99) for count in counts.values())
    assert len(kept) <= (total or 99)
    bests = {task: max(r for (t, _), r in first.items() if t == task) for task in {t for t, _ in first}}
    if total is None or total >= len(bests):
        assert {task: max(s.reward for s in kept if s.task == task) for task in counts} == bests


def test_one_table_serves_the_programs_of_daily_use_and_the_buffer(store: Store) -> None:
    store.add_sample(NewSample(domain="code", task="t", content="x = 1\n", reward=1.0, weights="w"))
    StoreBuffer(store, "trajectories").add([trajectory()])
    (sample,) = StoreBuffer(store, "code").samples()
    assert (sample.text, sample.arrays, sample.weights) == ("x = 1\n", {}, "w")
    assert (len(StoreBuffer(store, "code")), len(StoreBuffer(store, "trajectories"))) == (1, 1)


def test_altered_arrays_are_noticed(tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with Store.open(url) as store:
        buffer = StoreBuffer(store, "trajectories")
        buffer.add([trajectory()])
        database = Database(url)
        with database.writing() as connection:
            packed = bytearray(connection.exec_driver_sql("SELECT arrays FROM samples").scalar())
            packed[-1] ^= 1
            connection.exec_driver_sql("UPDATE samples SET arrays = ?", (bytes(packed),))
        database.close()
        with pytest.raises(StoreError, match="arrays of a sample were altered"):
            buffer.samples()


KILLED = """
import sys
import numpy as np
from agentic_diffusion.diffusion.buffer import BufferSample, Capacity
from agentic_diffusion.diffusion.store_buffer import StoreBuffer
from agentic_diffusion.foundation.store import Store

with Store.open(sys.argv[1]) as store:
    buffer = StoreBuffer(store, "trajectories", Capacity(per_task=30))
    for index in range(100_000):
        states = np.full((50, 4), index, dtype=np.float32)
        buffer.add([BufferSample(task="t", reward=float(index), arrays={"states": states})])
        print(index, flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_had_kept(tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE, text=True) as process:
        said = -1
        assert process.stdout is not None
        for line in process.stdout:
            said = int(line)
            if said == 40:
                os.kill(process.pid, signal.SIGKILL)
                break
        said = max([said, *map(int, process.stdout.read().split())])
    with Store.open(url) as store:
        kept = StoreBuffer(store, "trajectories").samples()
    assert kept[0].reward >= said >= 40
    assert 30 <= len(kept) <= 31
    assert all(np.all(sample.arrays["states"] == sample.reward) for sample in kept)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda b: b("code").add([trajectory()]), "A sample of the code domain has no text."),
        (lambda b: b().add([program("x")]), "A trajectory is given by arrays alone, and has no text."),
        (lambda b: b("pictures"), "'pictures' is no data domain"),
        (lambda b: b().draw(-1, np.random.default_rng(0)), "-1 samples cannot be drawn from a buffer of 0."),
        (lambda b: trajectory(reward=float("nan")), "The reward nan of a sample is not finite."),
    ],
)
def test_what_cannot_be_is_refused(make: MakeBuffer, wrong, message: str) -> None:
    with pytest.raises(UsageError) as problem:
        wrong(make)
    assert message in problem.value.message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Capacity(per_task=0), "per_task is 0 and must be 1 or more."),
        (lambda: DrawSettings(priority=-1.0), "priority is -1 and must be 0 or more."),
        (lambda: DrawSettings(diversity=1.0, repeats=True), "A diverse draw has no repeats"),
    ],
)
def test_a_setting_out_of_range_is_refused(wrong, message: str) -> None:
    with pytest.raises(ConfigError) as problem:
        wrong()
    assert message in problem.value.message

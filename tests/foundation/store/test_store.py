"""The store on both databases: what goes in comes out, and wrong input gets one sentence."""

import dataclasses
import hashlib
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentic_diffusion
from agentic_diffusion.foundation.errors import StoreError, UsageError
from agentic_diffusion.foundation.store import NewSample, Store

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture
def store(url):
    with Store.open(url) as store:
        yield store


@pytest.fixture(scope="module")
def sqlite_store():
    """One SQLite store for property tests, which only add to it."""
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/a.db") as store:
        yield store


def test_a_run_from_start_to_end(store):
    run_id = store.start_run("generate", {"mode": "denoise", "samples": 8})
    running = store.run(run_id)
    assert (running.status, running.finished, running.summary) == ("running", None, None)
    assert (running.kind, running.settings) == ("generate", {"mode": "denoise", "samples": 8})
    assert running.version == agentic_diffusion.__version__
    store.finish_run(run_id, "done", {"verified": True, "text": "grüße \N{PILE OF POO}"})
    done = store.run(run_id)
    assert (done.status, done.summary) == ("done", {"verified": True, "text": "grüße \N{PILE OF POO}"})
    assert done.finished >= done.started == running.started


def test_runs_come_newest_first_and_limited(store):
    ids = [store.start_run("train", {}, run_id=f"run-{i}") for i in range(5)]
    assert [run.id for run in store.runs()] == ids[::-1]
    assert [run.id for run in store.runs(limit=2)] == ["run-4", "run-3"]


def test_a_run_ends_once(store):
    run_id = store.start_run("train", {})
    store.finish_run(run_id, "interrupted", {})
    with pytest.raises(UsageError, match=f"There is no run '{run_id}' that is running"):
        store.finish_run(run_id, "done", {})
    assert store.run(run_id).status == "interrupted"
    for status in ("running", "finished"):
        with pytest.raises(UsageError, match=f"A run cannot end as '{status}'"):
            store.finish_run(run_id, status, {})


def test_a_taken_or_unknown_run_is_said(store):
    store.start_run("train", {}, run_id="one")
    with pytest.raises(UsageError, match="There is a run 'one' already"):
        store.start_run("train", {}, run_id="one")
    for ask in (store.run, store.metrics):
        with pytest.raises(UsageError) as caught:
            ask("two")
        assert caught.value.message == "There is no run 'two'."
        assert caught.value.hint == "`agd runs list` shows the runs there are."


def test_metrics_keep_order_steps_and_every_kind_of_number(store):
    run_id = store.start_run("train", {})
    other = store.start_run("train", {})
    values = [0.1, -math.inf, math.inf, math.nan, 1e300, 5e-324, 2.0**53]
    for step, value in enumerate(values):
        store.record_metric(run_id, "loss", value, step)
    store.record_metrics(run_id, {"seconds": 1.5, "forwards": 7})
    store.record_metric(other, "loss", 9.0)
    loss = store.metrics(run_id, "loss")
    assert [metric.step for metric in loss] == list(range(len(values)))
    assert all(a.value == b or (math.isnan(a.value) and math.isnan(b)) for a, b in zip(loss, values, strict=True))
    assert [(m.name, m.step, m.value) for m in store.metrics(run_id)[-2:]] == [
        ("seconds", None, 1.5),
        ("forwards", None, 7.0),
    ]


def test_a_metric_or_sample_of_an_unknown_run_is_refused(store):
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        store.record_metric("nobody", "loss", 1.0)
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        store.add_samples([_sample(content="a"), _sample(content="b", run="nobody")])
    assert store.samples("code") == []  # one transaction: the first was not kept either


def _sample(**changes) -> NewSample:
    return NewSample(**{"domain": "code", "task": "t", "content": "x = 1\n", "reward": 1.0} | changes)


def test_a_sample_comes_back_whole(store):
    run_id = store.start_run("improve", {})
    new = _sample(
        content="def f():\r\n\treturn 'ü'\n",
        run=run_id,
        reward=0.5,
        reward_parts={"passes": 1.0, "length": -0.5},
        round=3,
        weights="ab12",
        provenance={"seed": 7, "tier": "bubblewrap", "path": [1, 2]},
        arrays=bytes(range(256)),
    )
    assert store.add_sample(new)
    (sample,) = store.samples("code")
    assert {f.name: getattr(sample, f.name) for f in dataclasses.fields(new)} == dataclasses.asdict(new)
    assert sample.content_sha256 == hashlib.sha256(new.content.encode()).hexdigest()
    assert sample.created > 0


def test_the_same_content_is_kept_once_a_task_and_domain(store):
    assert store.add_samples([_sample(), _sample(reward=2.0), _sample(task="u"), _sample(domain="trajectories")]) == 3
    assert not store.add_sample(_sample(reward=9.0))
    assert [(s.task, s.reward) for s in store.samples("code")] == [("t", 1.0), ("u", 1.0)]
    assert len(store.samples("trajectories")) == 1


def test_samples_are_chosen_by_task_run_and_reward_best_first(store):
    run_id = store.start_run("improve", {})
    store.add_samples(
        [
            _sample(content="a", reward=0.1),
            _sample(content="b", reward=0.9, run=run_id),
            _sample(content="c", reward=0.5, run=run_id, task="u"),
            _sample(content="d", reward=0.9),
        ]
    )
    assert [s.content for s in store.samples("code")] == ["b", "d", "c", "a"]
    assert [s.content for s in store.samples("code", min_reward=0.5, task="t")] == ["b", "d"]
    assert [s.content for s in store.samples("code", run=run_id)] == ["b", "c"]
    assert [s.content for s in store.samples("code", limit=1)] == ["b"]
    assert store.samples("trajectories") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"domain": "music"}, "'music' is no data domain: code and trajectories are."),
        ({"reward": math.nan}, "The reward nan of a sample is not finite."),
        ({"content": "a\0b"}, "The content of a sample holds a NUL character or half of a surrogate pair."),
        ({"task": "\ud800"}, "The task of a sample holds a NUL character or half of a surrogate pair."),
    ],
)
def test_what_cannot_be_kept_is_refused_before_any_database(changes, message):
    with pytest.raises(UsageError) as caught:
        _sample(**changes)
    assert caught.value.message == message


def test_what_is_no_json_is_refused(sqlite_store):
    with pytest.raises(UsageError, match="The settings cannot be kept as JSON: "):
        sqlite_store.start_run("x", {"path": Path("/")})
    with pytest.raises(UsageError, match="The reward_parts cannot be kept as JSON: "):
        sqlite_store.add_sample(_sample(reward_parts={"a": math.inf}))


@given(settings=st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_any_json_comes_back_from_sqlite(sqlite_store, settings):
    assert sqlite_store.run(sqlite_store.start_run("x", settings)).settings == settings


@given(content=TEXT, task=TEXT, reward=st.floats(allow_nan=False, allow_infinity=False))
def test_any_sample_comes_back_from_sqlite(sqlite_store, content, task, reward):
    sqlite_store.add_sample(_sample(content=content, task=task, reward=reward))
    kept = [s for s in sqlite_store.samples("code", task=task) if s.content == content]
    assert len(kept) == 1


def test_unusual_texts_come_back_from_both(store):
    texts = ["", "\\u0000", "\u2028", "\x01\x7f", "'; DROP TABLE runs; --", "%(name)s :name ?", "e\u0301"]
    settings = {text: [text, "\N{PILE OF POO}", "\0", "\ud800"] for text in texts}
    assert store.run(store.start_run("x", settings)).settings == settings
    store.add_samples([_sample(task=text, content=text) for text in texts])
    assert [s.content for s in store.samples("code")] == texts


def test_an_altered_sample_is_noticed(store):
    store.add_sample(_sample())
    with store._database.writing() as connection:
        connection.exec_driver_sql("UPDATE samples SET content = 'x = 2'")
    with pytest.raises(StoreError, match="was altered: its content does not match its checksum"):
        store.samples("code")


def test_the_best_samples_of_each_task_are_kept(store):
    rewards = {"a": [5.0, 9.0, 7.0, 7.0], "b": [1.0, 2.0], "c": [8.0]}
    for task, values in rewards.items():
        store.add_samples(_sample(task=task, content=f"{i}", reward=value) for i, value in enumerate(values))
    store.add_sample(_sample(domain="trajectories", reward=0.0))

    def kept() -> list[tuple[str, float, str]]:
        return [(sample.task, sample.reward, sample.content) for sample in store.samples("code")]

    assert store.keep_best_samples("code") == 0
    assert store.count_samples("code") == 7
    assert store.keep_best_samples("code", per_task=2) == 2
    assert kept() == [("a", 9, "1"), ("c", 8, "0"), ("a", 7, "2"), ("b", 2, "1"), ("b", 1, "0")]
    assert store.keep_best_samples("code", total=3) == 2  # each task's best goes before any second best
    assert kept() == [("a", 9, "1"), ("c", 8, "0"), ("b", 2, "1")]
    assert store.count_samples("trajectories") == 1

"""The engine: many jobs at once, each with the text that it has alone; turns, limits, and every way to end."""

import random
import threading
import time

import pytest
import torch

from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.running_batch import NewRow
from agentic_diffusion.foundation.errors import ResourceError, UsageError
from agentic_diffusion.serve.engine import Engine, EngineSettings, Job
from agentic_diffusion.serve.errors import BusyError, CancelledError, TimedOutError
from tiny_coder import random_adapter, random_weights, tiny_shape

SHAPE = tiny_shape()
PARENT = Llama(SHAPE, random_weights(SHAPE, 0, tied=False), dtype=torch.float64)
ADAPTER = random_adapter(PARENT, 0).to(dtype=torch.float64, device=PARENT.device)
LONG = DecodeSettings(mode="ar", block=1, max_new_tokens=150)


def _engine(**changes) -> Engine:
    engine = Engine(PARENT, ADAPTER, EngineSettings(**({"rows": 3, "tokens": 200, "piece": 5} | changes)))
    engine.start()
    return engine


@pytest.fixture
def engine():
    made = _engine()
    yield made
    made.stop(0)


def _row(draw: random.Random, stream: int = 0) -> NewRow:
    mode = draw.choice(["denoise", "verify", "ar"])
    settings = DecodeSettings(
        mode=mode, block=1 if mode == "ar" else 4, threshold=0.4, temperature=draw.choice([0.0, 0.9]),
        max_new_tokens=draw.randint(1, 12), seed=draw.randint(0, 5),
    )  # fmt: skip
    prompt = [draw.randrange(3, 300) for _ in range(draw.randint(1, 12))]
    return NewRow(prompt=prompt, settings=settings, stream=stream)


def _long(client: str = "", **more) -> Job:
    return Job(rows=[NewRow(prompt=[5, 6, 7], settings=LONG)], client=client, **more)


def test_texts_are_those_that_each_request_has_alone(engine):
    """Eight clients send jobs of one to three rows in all modes at once; views only grow and end as the sample."""
    draw = random.Random(3)
    plans = [[[_row(draw, stream) for stream in range(draw.randint(1, 3))] for _ in range(2)] for _ in range(8)]
    found: dict[tuple[int, int], list] = {}

    def client(number: int) -> None:
        for place, rows in enumerate(plans[number]):
            seen: dict[int, list[int]] = {}

            def observe(view, seen=seen) -> None:
                for stream, committed in zip(view.streams, view.committed, strict=True):
                    assert committed[: len(seen.get(stream, []))] == seen.get(stream, [])
                    seen[stream] = committed

            job = Job(rows=rows, client=str(number), observe=observe)
            engine.submit(job)
            found[number, place] = [one.sample for one in job.outcome.result(60)]

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    for (number, place), samples in found.items():
        for row, sample in zip(plans[number][place], samples, strict=True):
            alone = BlockDecoder(PARENT, ADAPTER, row.settings).decode([row.prompt], [row.stream])[0]
            assert (sample.tokens, sample.finished) == (alone.tokens, alone.finished)
    assert engine.load == engine.rows_in_flight == 0
    assert engine.row_forwards > engine.forwards


def test_clients_take_turns_whoever_came_first():
    engine = _engine(rows=1)
    order: list[str] = []
    crowd, single = [_long("many") for _ in range(4)], _long("one")
    gate = threading.Event()
    waiting = threading.Thread(target=lambda: engine.call(gate.wait))
    waiting.start()
    for job in [*crowd, single]:
        job.outcome.add_done_callback(lambda _, client=job.client: order.append(client))
    for job in [*crowd, single]:
        engine.submit(job)
        job.cut(0)  # each ends with its first forward
    gate.set()
    waiting.join()
    for job in [*crowd, single]:
        job.outcome.result(60)
    engine.stop(0)
    assert order.index("one") <= 1


def test_a_full_queue_refuses_and_one_client_cannot_fill_it():
    engine = _engine(queue=3, queue_per_client=2)
    jobs = [_long("a"), _long("a")]
    for job in jobs:
        engine.submit(job)
    with pytest.raises(BusyError, match="Too many requests are waiting"):
        engine.submit(_long("a"))
    jobs.append(_long("b"))
    engine.submit(jobs[-1])
    with pytest.raises(BusyError):
        engine.submit(_long("c"))
    for job in jobs:
        job.cancel()
        with pytest.raises(CancelledError):
            job.outcome.result(60)
    engine.submit(late := _long("c"))
    late.cut(0)
    assert len(late.outcome.result(60)[0].sample.tokens) >= 1
    engine.stop(0)


def test_a_job_ends_by_time_by_its_observer_and_by_being_cut(engine):
    slow = _long(seconds=0.0)
    engine.submit(slow)
    with pytest.raises(TimedOutError, match="longer than 0 s"):
        slow.outcome.result(60)

    def broken(view) -> None:
        raise UsageError("no more", hint="")

    failing = _long(observe=broken)
    engine.submit(failing)
    with pytest.raises(UsageError, match="no more"):
        failing.outcome.result(60)
    views = []
    cut = _long(observe=views.append, stop=lambda: len(views) >= 3)
    engine.submit(cut)
    [ended] = cut.outcome.result(60)
    assert 3 <= len(ended.sample.tokens) <= 5
    assert not ended.sample.finished
    quorum = Job(
        rows=[
            NewRow(
                prompt=[5], settings=DecodeSettings(mode="ar", block=1, max_new_tokens=2 if i < 2 else 100), stream=i
            )
            for i in range(6)
        ],
        quorum=0.3,
    )
    engine.submit(quorum)
    lengths = [len(one.sample.tokens) for one in quorum.outcome.result(60)]
    assert len(lengths) == 6
    assert lengths[:2] == [2, 2]
    assert max(lengths[2:]) < 10


def test_what_can_never_be_done_is_refused_at_once(engine):
    row = NewRow(prompt=[5] * 100, settings=DecodeSettings(max_new_tokens=101))
    with pytest.raises(UsageError, match="has 100 tokens and the answer may have 101; together at most 200 fit"):
        engine.submit(Job(rows=[row]))


def test_stopping_finishes_what_runs_and_fails_what_does_not_end():
    engine = _engine(rows=1)
    quick = Job(rows=[NewRow(prompt=[5], settings=DecodeSettings(mode="ar", block=1, max_new_tokens=3))])
    engine.submit(quick)
    engine.stop(30)
    assert len(quick.outcome.result(0)[0].sample.tokens) <= 3
    with pytest.raises(ResourceError, match="takes no more work"):
        engine.submit(_long())
    with pytest.raises(ResourceError):
        engine.call(lambda: 1)
    engine = _engine(rows=1)
    stuck, observed = _long(), threading.Event()
    stuck.observe = lambda _: (observed.set(), time.sleep(0.05))
    engine.submit(stuck)
    assert observed.wait(60)
    engine.stop(0)
    with pytest.raises(CancelledError, match="is stopping"):
        stuck.outcome.result(0)


def test_a_defect_reaches_those_who_wait_and_is_told():
    class Broken(Llama):
        def forward(self, *arguments):
            raise ZeroDivisionError("planted")

    engine = Engine(Broken(SHAPE, random_weights(SHAPE, 0, tied=False)), None, EngineSettings(tokens=200))
    engine.start()
    job = _long()
    engine.submit(job)
    with pytest.raises(ResourceError, match="stopped by a defect"):
        job.outcome.result(60)
    assert engine.failure == "ZeroDivisionError: planted"
    engine.stop(0)

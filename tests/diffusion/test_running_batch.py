"""The running batch: a text is the same alone and in any company, whoever joins and leaves meanwhile.

Weights are float64 here: then sums in another order never break a tie between two tokens otherwise.
"""

import random

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.running_batch import NewRow, PromptCache, RunningBatch
from agentic_diffusion.foundation.errors import UsageError
from tiny_coder import random_adapter, random_weights, tiny_shape

SHAPE = tiny_shape()
PARENT = Llama(SHAPE, random_weights(SHAPE, 0, tied=False), dtype=torch.float64)
ADAPTER = random_adapter(PARENT, 0).to(dtype=torch.float64, device=PARENT.device)
SLOTS = 96


def _row(draw: random.Random, mode: str) -> NewRow:
    """A row with settings of its own; some end early."""
    chosen = DecodeSettings(
        mode=mode,
        block=1 if mode == "ar" else 4,
        threshold=draw.choice([0.2, 0.5, 0.9]),
        temperature=draw.choice([0.0, 0.7, 1.3]),
        top_p=draw.choice([0.8, 1.0]),
        max_new_tokens=draw.randint(1, 14),
        seed=draw.randint(0, 3),
        stop_tokens=tuple(range(draw.choice([0, 30]))),
    )
    begin = [5, 6, 7, 8, 9, 10][: draw.randint(0, 6)]  # some prompts have a beginning in common
    return NewRow(
        prompt=[*begin, *(draw.randrange(3, 300) for _ in range(draw.randint(1, 9)))],
        settings=chosen,
        stream=draw.randint(0, 2),
        ends=draw.choice([None, lambda tokens: tokens % 23 == 0]),
    )


def _alone(row: NewRow):
    decoder = BlockDecoder(PARENT, ADAPTER, row.settings)
    return decoder.decode([row.prompt], [row.stream], ends=row.ends)[0], decoder.counts


def _batch(mode: str, rows: int = 4) -> RunningBatch:
    return RunningBatch(PARENT, ADAPTER, mode=mode, block=1 if mode == "ar" else 4, rows=rows, slots=SLOTS)


def _joined(batch: RunningBatch, cache: PromptCache, row: NewRow, piece: int = 4) -> int:
    reading = cache.open(row.prompt)
    while not reading.over:
        reading.advance(piece)
    cache.keep(reading)
    return batch.join(row, reading)


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(mode=st.sampled_from(["denoise", "verify", "ar"]), seed=st.integers(0, 10_000))
def test_a_text_is_the_same_alone_and_in_any_company(mode, seed):
    draw = random.Random(seed)
    batch, cache = _batch(mode), PromptCache(PARENT, most_bytes=20_000)
    waiting = [_row(draw, mode) for _ in range(7)]
    flying, made, lost = {}, [], 0
    while waiting or flying:
        while waiting and batch.free and draw.random() < 0.6:
            row = waiting.pop()
            flying[_joined(batch, cache, row, draw.randint(1, 6))] = row
        if flying and lost < 2 and draw.random() < 0.15:
            lost += 1
            key = draw.choice(sorted(flying))
            flying.pop(key)
            batch.drop(key)
        done = batch.step()
        assert set(done.ended) <= set(done.keys) == set(flying) | (set(done.keys) & set(done.ended))
        made += [(flying.pop(key), ended) for key, ended in done.ended.items()]
    assert len(batch) == 0
    assert len(made) + lost == 7
    for row, ended in made:
        sample, counts = _alone(row)
        assert ended.sample.tokens == sample.tokens
        assert ended.sample.finished == sample.finished
        assert ended.sample.confidences == pytest.approx(sample.confidences, abs=1e-6)
        assert ended.steps == counts.row_forwards


def test_the_law_would_not_hold_for_a_constant():
    draw = random.Random(1)
    assert len({tuple(_alone(_row(draw, "denoise"))[0].tokens) for _ in range(30)}) > 20


def test_a_cut_row_ends_with_the_next_forward_and_keeps_what_it_has():
    batch, cache = _batch("ar"), PromptCache(PARENT, most_bytes=1)
    row = NewRow(prompt=[5, 6], settings=DecodeSettings(mode="ar", block=1, max_new_tokens=40))
    key = _joined(batch, cache, row)
    batch.step()
    batch.cut(key)
    done = batch.step()
    assert len(done.ended[key].sample.tokens) == 2
    assert not done.ended[key].sample.finished
    assert batch.step().keys == []


def test_a_prompt_goes_on_from_the_longest_common_beginning():
    cache = PromptCache(PARENT, most_bytes=1 << 20)
    for prompt, known in (([5, 6, 7, 8], 0), ([5, 6, 7, 9, 9], 3), ([5, 6, 7, 8], 3), ([4], 0), ([5], 0)):
        reading = cache.open(prompt)
        assert reading.read == known
        reading.advance(100)
        assert reading.over
        cache.keep(reading)
    assert cache.reused == 6
    held = cache.held_bytes
    small = PromptCache(PARENT, most_bytes=held // 2)
    for first in range(20):
        reading = small.open([first, *range(20, 60)])
        reading.advance(100)
        small.keep(reading)
        assert small.held_bytes <= max(held // 2, 2 * reading.cache.keys.nbytes)


def test_rows_that_do_not_fit_are_refused_in_words():
    batch, cache = _batch("denoise", rows=1), PromptCache(PARENT, most_bytes=1)
    settings = DecodeSettings(max_new_tokens=40)
    with pytest.raises(UsageError, match="has 50 tokens and the answer may have 40; together at most 84 fit"):
        batch.check(NewRow(prompt=[5] * 50, settings=settings))
    with pytest.raises(UsageError, match="has no token"):
        batch.check(NewRow(prompt=[], settings=settings))
    with pytest.raises(UsageError, match="does not fit a batch of mode 'denoise' and block 4"):
        batch.check(NewRow(prompt=[5], settings=DecodeSettings(mode="ar", block=1)))
    _joined(batch, cache, NewRow(prompt=[5], settings=settings))
    with pytest.raises(UsageError, match="The batch is full"):
        _joined(batch, cache, NewRow(prompt=[5], settings=settings))

"""The block decoder: three modes, and what must not depend on the batch, the block or the observer."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.diffusion.block_decoder import MODES, BlockDecoder, DecodeSettings
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from tiny_coder import END, causal_states, random_adapter, random_llama

PARENT = random_llama(0)
ADAPTER = random_adapter(PARENT, 0)
# Here some tokens beyond the first of a block are above the threshold, and most are not.
THRESHOLD = 0.5
PLAIN = DecodeSettings(mode="denoise", threshold=THRESHOLD, max_new_tokens=12)


def _prompts(count: int, seed: int, *, longest: int = 9) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(3, 300) for _ in range(draw.randint(1, longest))] for _ in range(count)]


def _decode(given: DecodeSettings, prompts, streams=None, **more):
    decoder = BlockDecoder(PARENT, ADAPTER, given)
    return decoder.decode(prompts, range(len(prompts)) if streams is None else streams, **more), decoder.counts


def _by_hand(prompt: list[int], given: DecodeSettings) -> list[int]:
    """Greedy continuation without a cache: the whole text through the parent for every token."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + given.max_new_tokens:
        following = int(PARENT.logits(causal_states(PARENT, tokens)[-1:]).argmax())
        if following in (END, *given.stop_tokens):
            break
        tokens.append(following)
    return tokens[len(prompt) :]


def test_mode_ar_is_the_parent_token_by_token():
    given = replace(PLAIN, mode="ar", block=1)
    prompts = _prompts(6, 1)
    samples, _ = _decode(given, prompts)
    assert [sample.tokens for sample in samples] == [_by_hand(prompt, given) for prompt in prompts]


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize("block", [2, 4, 7])
def test_mode_verify_gives_the_text_of_mode_ar(temperature, block):
    for seed in range(4):
        given = replace(PLAIN, mode="verify", block=block, temperature=temperature, top_p=0.9, seed=seed)
        prompts = _prompts(5, seed)
        verified, cost = _decode(given, prompts)
        parental, ar_cost = _decode(replace(given, mode="ar", block=1), prompts)
        assert [s.tokens for s in verified] == [s.tokens for s in parental]
        assert [s.finished for s in verified] == [s.finished for s in parental]
        assert cost.new_tokens == ar_cost.new_tokens
        for one, other in zip(verified, parental, strict=True):
            assert one.confidences == pytest.approx(other.confidences, abs=1e-4)


def test_mode_verify_saves_forwards_when_the_drafts_are_right():
    """A parent whose answer does not depend on the past, so that a draft made of [MASK] can be right."""
    parent = random_llama(3)
    for layer in parent.layers:
        layer.out.zero_()
        layer.down.zero_()
    parent.embedding.copy_(parent.embedding[5].expand_as(parent.embedding))
    adapter = random_adapter(parent, 3, scale=0.0)
    given = DecodeSettings(mode="verify", block=4, max_new_tokens=24)
    decoder = BlockDecoder(parent, adapter, given)
    [sample] = decoder.decode([[7]], [0])
    assert len(sample.tokens) == 24
    assert decoder.counts.forwards == 1 + 6  # the first forward has no draft: 1 token, then 4 each


@pytest.mark.parametrize("mode", MODES)
def test_a_sample_does_not_depend_on_its_batch(mode):
    """200 short texts; a tie between two tokens may be broken otherwise, so two of them may differ."""
    given = replace(PLAIN, mode=mode, temperature=0.8, top_p=0.95, max_new_tokens=4)
    prompts = _prompts(200, 5, longest=5)
    together = []
    for begin in range(0, 200, 8):
        streams = range(begin, begin + len(prompts[begin : begin + 8]))
        together += _decode(given, prompts[begin : begin + 8], streams)[0]
    alone = [_decode(given, [prompt], [stream])[0][0] for stream, prompt in enumerate(prompts)]
    equal = [one.tokens == other.tokens for one, other in zip(together, alone, strict=True)]
    assert sum(equal) >= 198
    for same, one, other in zip(equal, together, alone, strict=True):
        if same:
            assert one.confidences == pytest.approx(other.confidences, abs=1e-4)
    assert len({tuple(sample.tokens) for sample in alone}) > 150, "the law would hold for a constant as well"


@settings(max_examples=40, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    block=st.integers(4, 9),
    limit=st.integers(1, 12),
    count=st.integers(1, 6),
    seed=st.integers(0, 10_000),
    threshold=st.sampled_from([0.05, 0.3, 0.5, 1.0]),
)
def test_lengths_limits_and_counts_hold_for_any_batch(mode, block, limit, count, seed, threshold):
    prompts = _prompts(count, seed)
    given = replace(
        PLAIN, mode=mode, block=block, max_new_tokens=limit, seed=seed, threshold=threshold, temperature=0.9,
        stop_tokens=tuple(range(10, 20)),
    )  # fmt: skip
    samples, counts = _decode(given, prompts)
    assert [sample.stream for sample in samples] == list(range(count))
    for sample in samples:
        assert len(sample.tokens) + sample.finished <= limit
        assert sample.finished or len(sample.tokens) == limit
        assert not {END, *given.stop_tokens} & set(sample.tokens)
        assert len(sample.confidences) == len(sample.tokens) + sample.finished
        assert all(0 < chance <= 1 for chance in sample.confidences)
        assert sample.confidence == pytest.approx(torch.tensor(sample.confidences).log().mean().item(), abs=1e-5)
    assert counts.new_tokens == sum(len(sample.tokens) + sample.finished for sample in samples)
    assert counts.row_forwards <= counts.forwards * count
    assert counts.new_tokens <= counts.row_forwards * given.block


def test_a_row_that_is_past_its_limit_leaves_the_others_alone():
    """Rows of one batch overshoot at different times; what they write then must not reach a neighbour."""
    given = replace(PLAIN, threshold=0.6, block=8, max_new_tokens=9)
    for seed in range(5):
        prompts = [[*prompt, *range(60, 69)][:9] for prompt in _prompts(9, 100 + seed)]
        together, _ = _decode(given, prompts)
        alone = [_decode(given, [prompt], [stream])[0][0] for stream, prompt in enumerate(prompts)]
        assert [sample.tokens for sample in together] == [sample.tokens for sample in alone]


def test_mode_verify_takes_a_last_prompt_that_is_only_the_common_beginning():
    given = replace(PLAIN, mode="verify")
    prompts = [[5, 6, 7, 8], [5, 6, 7], [5, 6]]
    samples, counts = _decode(given, prompts)
    assert [sample.tokens for sample in samples] == [_by_hand(prompt, given) for prompt in prompts]
    longest = max(len(sample.tokens) for sample in samples)
    assert counts.forwards <= 2 + longest  # the common beginning, the rest of the prompts, then a token or more each


def test_forwards_of_mode_ar_are_the_prompt_and_the_tokens():
    given = replace(PLAIN, mode="ar", block=1, max_new_tokens=7)
    [sample], counts = _decode(given, [[9, 8, 7]])
    assert counts.new_tokens == len(sample.tokens) + sample.finished
    assert counts.forwards == 1 + counts.new_tokens
    assert counts.row_forwards == counts.new_tokens


def test_eos_and_stop_tokens_end_a_text_and_are_left_out():
    free, _ = _decode(replace(PLAIN, mode="ar", block=1), [[40, 41]])
    stop = free[0].tokens[5]
    first = free[0].tokens.index(stop)
    for mode in ("ar", "verify"):
        [cut], counts = _decode(replace(PLAIN, mode=mode, stop_tokens=(stop,)), [[40, 41]])
        assert cut.tokens == free[0].tokens[:first]
        assert cut.finished
        assert counts.new_tokens == first + 1
    assert not free[0].finished
    biased = random_llama(0)
    biased.head[END] = biased.head.abs().sum(0) * torch.ones(32)
    biased.norm.abs_()
    decoder = BlockDecoder(biased, None, DecodeSettings(mode="ar", max_new_tokens=40))
    ended = decoder.decode(_prompts(12, 0), range(12))
    assert any(sample.finished and len(sample.tokens) < 40 for sample in ended)


def test_the_strictest_threshold_commits_one_token_a_forward_and_the_loosest_whole_blocks():
    prompt = [[30, 31, 32]]
    [strict], cost = _decode(replace(PLAIN, threshold=1.0, max_new_tokens=12), prompt)
    assert not strict.finished
    assert max(strict.confidences) < 1.0
    assert cost.forwards == 1 + 12
    [loose], cost = _decode(replace(PLAIN, threshold=1e-6, max_new_tokens=12), prompt)
    assert cost.forwards == 1 + 12 // PLAIN.block
    assert len(loose.tokens) == 12
    _, cost = _decode(replace(PLAIN, threshold=THRESHOLD, max_new_tokens=12), prompt)
    assert 1 + 12 // PLAIN.block < cost.forwards < 1 + 12


def test_the_adapter_decides_in_mode_denoise_and_never_in_the_others():
    other = random_adapter(PARENT, 99, scale=0.6)
    for mode in MODES:
        given = replace(PLAIN, mode=mode)
        mine = BlockDecoder(PARENT, ADAPTER, given).decode(_prompts(6, 3), range(6))
        theirs = BlockDecoder(PARENT, other, given).decode(_prompts(6, 3), range(6))
        assert ([s.tokens for s in mine] == [s.tokens for s in theirs]) == (mode != "denoise")


@pytest.mark.parametrize("mode", MODES)
def test_an_observer_sees_prefixes_that_only_grow_and_end_as_the_sample(mode):
    views = []
    samples, counts = _decode(replace(PLAIN, mode=mode), _prompts(3, 8), [4, 9, 2], observe=views.append)
    assert [sample.stream for sample in samples] == [4, 9, 2]
    seen: dict[int, list[int]] = {}
    for view in views:
        for stream, committed, window, confidence in zip(
            view.streams, view.committed, view.window, view.confidence, strict=True
        ):
            before = seen.get(stream, [])
            assert committed[: len(before)] == before
            assert len(window) == len(confidence) == PLAIN.block
            assert all(0 <= chance <= 1 for chance in confidence)
            seen[stream] = committed
    for sample in samples:
        assert seen[sample.stream][: len(sample.tokens)] == sample.tokens
    assert counts.forwards - len(views) in (0, 1, 2)  # forwards of the prompt are not shown
    if mode == "denoise":
        assert any(None in row and set(row) != {None} for view in views for row in view.window)


@pytest.mark.parametrize("mode", MODES)
def test_stop_cuts_the_samples_where_they_are(mode):
    answers = iter([False, False, True])
    whole, _ = _decode(replace(PLAIN, mode=mode), _prompts(3, 8))
    cut, _ = _decode(replace(PLAIN, mode=mode), _prompts(3, 8), stop=lambda: next(answers))
    for part, full in zip(cut, whole, strict=True):
        assert 0 < len(part.tokens) <= len(full.tokens)
        assert part.tokens == full.tokens[: len(part.tokens)]
    assert any(not sample.finished and len(sample.tokens) < 12 for sample in cut)


def test_seed_and_stream_choose_the_text():
    given = replace(PLAIN, temperature=1.0, mode="ar")
    prompts = [[50, 51]] * 6
    [first, again, other] = [_decode(replace(given, seed=seed), prompts)[0] for seed in (1, 1, 2)]
    assert [s.tokens for s in first] == [s.tokens for s in again]
    assert [s.tokens for s in first] != [s.tokens for s in other]
    assert len({tuple(s.tokens) for s in first}) > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "guess"}, "The mode 'guess' does not exist."),
        ({"block": 3}, "The block length 3 does not fit mode 'denoise'."),
        ({"mode": "verify", "block": 1}, "The block length 1 does not fit mode 'verify'."),
        ({"block": 65}, "The block length 65 does not fit mode 'denoise'."),
        ({"threshold": 0.0}, "threshold 0.0, top_p 1.0 or temperature 0.0 is out of range."),
        ({"top_p": 1.5}, "threshold 0.9, top_p 1.5 or temperature 0.0 is out of range."),
        ({"temperature": float("nan")}, "threshold 0.9, top_p 1.0 or temperature nan is out of range."),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; at least one token is needed."),
        ({"seed": -1}, "The seed -1 is out of range."),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError) as caught:
        DecodeSettings(**changes)
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("prompts", "streams", "message"),
    [
        ([], [], "There is nothing to continue: a prompt has no token."),
        ([[1, 2], []], [0, 1], "There is nothing to continue: a prompt has no token."),
        ([[1], [2]], [3, 3], "Every prompt needs a stream of its own."),
        ([[1], [2]], [3], "Every prompt needs a stream of its own."),
        (
            [[3] * 245],
            [0],
            "The prompt has 245 tokens and the answer may have 12; the model's context holds 256.",
        ),
    ],
)
def test_wrong_prompts_are_refused(prompts, streams, message):
    with pytest.raises(UsageError) as caught:
        _decode(PLAIN, prompts, streams)
    assert caught.value.message == message
    assert caught.value.hint


def test_a_prompt_that_just_fits_is_decoded():
    [sample], _ = _decode(PLAIN, [[3] * 244])
    assert sample.tokens


@pytest.mark.parametrize("mode", ["denoise", "verify"])
def test_modes_with_blocks_need_an_adapter(mode):
    with pytest.raises(ConfigError, match=f"The mode '{mode}' needs an adapter."):
        BlockDecoder(PARENT, None, DecodeSettings(mode=mode))

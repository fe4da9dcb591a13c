"""Laws of the pure sampling functions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.diffusion.samplers import (
    Canvas,
    ancestral_step,
    confidence_commits,
    confidence_step,
    lowest_confidence,
    sample_tokens,
    threshold_commits,
    threshold_step,
)
from agentic_diffusion.diffusion.schedule import LinearSchedule, MaskingCosineSchedule
from agentic_diffusion.foundation.errors import ConfigError, UsageError

law = settings(deadline=None, max_examples=60, derandomize=True)
MASK = 5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid_uniforms(count: int) -> torch.Tensor:
    """Evenly spread numbers: an inverse CDF turns them into exact shares, up to one in `count`."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


@law
@given(st.integers(2, 40), st.sampled_from([0.3, 0.7, 1.0, 1.6]), st.integers(0, 999))
def test_sampled_shares_are_the_tempered_probabilities(vocabulary: int, temperature: float, seed: int) -> None:
    logits = 2 * torch.randn(vocabulary, generator=generator(seed))
    count = 20_000
    tokens, confidence = sample_tokens(logits.expand(count, -1), temperature, 1.0, grid_uniforms(count))
    shares = torch.bincount(tokens, minlength=vocabulary) / count
    assert torch.allclose(shares, (logits / temperature).softmax(-1), atol=2 / count + 1e-6)
    assert torch.allclose(confidence, logits.softmax(-1)[tokens])


@law
@given(st.integers(2, 40), st.floats(0.05, 1.0), st.integers(0, 999))
def test_top_p_keeps_the_smallest_nucleus_and_its_proportions(vocabulary: int, top_p: float, seed: int) -> None:
    logits = 2 * torch.randn(vocabulary, generator=generator(seed))
    count = 20_000
    tokens, _ = sample_tokens(logits.expand(count, -1), 1.0, top_p, grid_uniforms(count))
    probability, order = logits.double().softmax(-1).sort(descending=True)
    size = int((probability.cumsum(0) < top_p - 1e-9).sum()) + 1
    wanted = torch.zeros(vocabulary, dtype=torch.float64)
    wanted[order[:size]] = probability[:size] / probability[:size].sum()
    shares = torch.bincount(tokens, minlength=vocabulary) / count
    assert torch.allclose(shares.double(), wanted, atol=2 / count + 1e-5)


def test_random_uniforms_give_the_law_within_a_statistical_bound() -> None:
    logits, count = torch.tensor([1.0, 0.0, -1.0, 0.5]), 100_000
    tokens, _ = sample_tokens(logits.expand(count, -1), 1.0, 1.0, torch.rand(count, generator=generator()))
    wanted = logits.softmax(-1).double()
    shares = torch.bincount(tokens, minlength=4).double() / count
    assert bool(((shares - wanted).abs() < 4.5 * (wanted * (1 - wanted) / count).sqrt()).all())


@law
@given(st.integers(0, 999), st.sampled_from([0.0, 0.8, 1.0]), st.sampled_from([0.5, 1.0]), st.integers(1, 30))
def test_never_chooses_a_forbidden_token(seed: int, temperature: float, top_p: float, candidates: int) -> None:
    draw = generator(seed)
    logits = 3 * torch.randn(4, 6, 30, generator=draw)
    allowed = torch.rand(4, 6, 30, generator=draw) < 0.2
    allowed.scatter_(-1, torch.randint(0, 30, (4, 6, 1), generator=draw), True)
    uniforms = torch.rand(4, 6, generator=draw, dtype=torch.float64)
    uniforms[0] = 1 - 2**-53  # the largest number below 1, where rounding could step past the last token
    tokens, confidence = sample_tokens(
        logits, temperature, top_p, uniforms, allowed_tokens=allowed, candidates=candidates
    )
    assert bool(allowed.gather(-1, tokens[..., None]).all())
    within = logits.masked_fill(~allowed, -math.inf).softmax(-1)
    assert torch.allclose(confidence, within.gather(-1, tokens[..., None])[..., 0])


def test_confidence_is_that_of_the_model_whatever_the_temperature() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    for temperature in (0.0, 0.5, 2.0):
        tokens, confidence = sample_tokens(logits, temperature, 0.4, torch.tensor([0.3]))
        assert tokens.item() == 0
        assert confidence.item() == pytest.approx(logits.softmax(-1)[0, 0].item())


@law
@given(st.integers(0, 999), st.sampled_from([0.0, 0.7, 1.0]))
def test_a_row_does_not_depend_on_its_batch(seed: int, temperature: float) -> None:
    logits = torch.randn(8, 5, 300, generator=generator(seed))
    uniforms = torch.rand(8, 5, generator=generator(seed + 1))
    tokens, confidence = sample_tokens(logits, temperature, 0.9, uniforms)
    for row in range(8):
        alone, sure = sample_tokens(logits[row : row + 1], temperature, 0.9, uniforms[row : row + 1])
        assert torch.equal(alone[0], tokens[row])
        assert torch.allclose(sure[0], confidence[row], rtol=1e-6)


def test_candidates_are_exact_while_the_nucleus_fits_and_bounded_when_not() -> None:
    logits = 6 * torch.randn(400, generator=generator())
    count = 5000
    rows, uniforms = logits.expand(count, -1), grid_uniforms(count)
    nucleus = int((logits.softmax(-1).sort(descending=True).values.cumsum(0) < 0.9).sum()) + 1
    assert nucleus < 64 < 400
    exact, _ = sample_tokens(rows, 1.0, 0.9, uniforms, candidates=None)
    cut, _ = sample_tokens(rows, 1.0, 0.9, uniforms, candidates=64)
    assert torch.equal(exact, cut)
    flat = 0.5 * logits / 6  # the nucleus is larger than the candidates: the error is the mass behind them
    shares = [
        torch.bincount(sample_tokens(flat.expand(count, -1), 1.0, 1.0, uniforms, candidates=c)[0], minlength=400)
        for c in (None, 64)
    ]
    behind = float(flat.softmax(-1).sort(descending=True).values[64:].sum())
    distance = 0.5 * float((shares[0] - shares[1]).abs().sum()) / count
    assert distance == pytest.approx(behind, abs=0.04)


def test_greedy_takes_the_most_likely_token_at_any_number() -> None:
    logits = torch.randn(3, 4, 50, generator=generator())
    for value in (0.0, 0.999):
        tokens, _ = sample_tokens(logits, 0.0, 0.3, torch.full((3, 4), value))
        assert torch.equal(tokens, logits.argmax(-1))


@pytest.mark.parametrize(
    ("temperature", "top_p", "sentence"),
    [
        (-0.1, 1.0, "A temperature of -0.1 is not possible"),
        (float("nan"), 1.0, "A temperature of nan is not possible"),
        (1.0, 0.0, "A top-p of 0 is not possible"),
        (1.0, 1.1, "A top-p of 1.1 is not possible"),
    ],
)
def test_settings_out_of_range_are_refused(temperature: float, top_p: float, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sample_tokens(torch.zeros(1, 3), temperature, top_p, torch.zeros(1))
    assert sentence in caught.value.message


def test_no_allowed_token_is_said() -> None:
    allowed = torch.tensor([[True, False], [False, False]])
    with pytest.raises(UsageError, match="No token is allowed at some position"):
        sample_tokens(torch.zeros(2, 2), 1.0, 1.0, torch.zeros(2), allowed_tokens=allowed)


@law
@given(st.integers(0, 999), st.integers(0, 9), st.floats(0, 1), st.integers(0, 4))
def test_commits_by_their_words(seed: int, count: int, threshold: float, minimum: int) -> None:
    draw = generator(seed)
    confidence = (torch.rand(3, 8, generator=draw) * 8).round() / 8  # with ties
    is_masked = torch.rand(3, 8, generator=draw) < 0.6
    best = confidence_commits(confidence, is_masked, count)
    sure = threshold_commits(confidence, is_masked, threshold, minimum)
    for row in range(3):
        places = [i for i in range(8) if is_masked[row, i]]
        ranked = sorted(places, key=lambda i: (-float(confidence[row, i]), i))
        assert {i for i in range(8) if best[row, i]} == set(ranked[:count])
        wanted = {i for i in places if float(confidence[row, i]) >= threshold} | set(ranked[:minimum])
        assert {i for i in range(8) if sure[row, i]} == wanted


def test_commit_counts_may_differ_by_row_and_lowest_is_the_other_end() -> None:
    confidence = torch.tensor([[0.1, 0.9, 0.5], [0.3, 0.2, 0.8]])
    every = torch.ones(2, 3, dtype=torch.bool)
    assert confidence_commits(confidence, every, torch.tensor([1, 2])).tolist() == [
        [False, True, False],
        [True, False, True],
    ]
    assert lowest_confidence(confidence, every, 1).tolist() == [[True, False, False], [False, True, False]]


def full_canvas(batch: int, length: int) -> Canvas:
    return Canvas.start(torch.full((batch, length), MASK), MASK)


@pytest.mark.parametrize("remask", [0.0, 0.5, 1.0])
def test_ancestral_chain_has_the_marginals_of_the_forward_process(remask: float) -> None:
    """With a denoiser that knows x_0, the revealed share at every s is alpha(s), remasking or not."""
    schedule, batch, length, steps = MaskingCosineSchedule(), 400, 100, 8
    draw, canvas = generator(), full_canvas(batch, length)
    x_0, sure = torch.full((batch, length), 3), torch.ones(batch, length)
    remasked = 0
    for step in range(steps):
        t, s = 1 - step / steps, 1 - (step + 1) / steps
        before = canvas.is_masked
        uniforms = torch.rand(batch, length, generator=draw)
        canvas = ancestral_step(canvas, x_0, sure, uniforms=uniforms, s=s, t=t, schedule=schedule, remask=remask)
        remasked += int((canvas.is_masked & ~before).sum())
        alpha = float(schedule.alpha(torch.tensor([s])))
        share = 1 - canvas.is_masked.double().mean().item()
        assert abs(share - alpha) <= 4.5 * math.sqrt(alpha * (1 - alpha) / (batch * length)) + 1e-9
    assert not bool(canvas.is_masked.any())
    assert (remasked > 0) == (remask > 0)


@law
@given(st.integers(0, 999), st.integers(1, 12), st.sampled_from([0.0, 0.5, 1.0]))
def test_given_tokens_stay_and_committed_tokens_stay_without_remasking(seed: int, steps: int, remask: float) -> None:
    draw = generator(seed)
    x_1 = torch.randint(0, 5, (3, 9), generator=draw)
    x_1[torch.rand(3, 9, generator=draw) < 0.7] = MASK
    canvas = Canvas.start(x_1, MASK)
    for step in range(steps):
        t, s = 1 - step / steps, 1 - (step + 1) / steps
        tokens = torch.randint(0, 5, (3, 9), generator=draw)
        sure = torch.rand(3, 9, generator=draw)
        uniforms = torch.rand(3, 9, generator=draw)
        after = ancestral_step(
            canvas, tokens, sure, uniforms=uniforms, s=s, t=t, schedule=LinearSchedule(), remask=remask
        )
        by_confidence = confidence_step(canvas, tokens, sure, s=s, schedule=LinearSchedule(), remask=remask)
        by_threshold = threshold_step(canvas, tokens, sure, s=s, threshold=0.8)
        for result in (after, by_confidence, by_threshold):
            assert torch.equal(result.x_t[~canvas.noisable], x_1[~canvas.noisable])
            kept = ~canvas.is_masked & ~result.is_masked
            assert torch.equal(result.x_t[kept], canvas.x_t[kept])
            if remask == 0:
                assert not bool((result.is_masked & ~canvas.is_masked).any())
            assert torch.equal(result.confidence > 0, ~result.is_masked)
        canvas = after
    assert not bool(by_confidence.is_masked.any())
    assert not bool(by_threshold.is_masked.any())
    assert not bool(canvas.is_masked.any())


def test_confidence_step_leaves_what_the_schedule_says_and_remasks_the_least_sure() -> None:
    canvas, tokens = full_canvas(1, 8), torch.zeros(1, 8, dtype=torch.long)
    sure = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]])
    half = confidence_step(canvas, tokens, sure, s=0.5, schedule=LinearSchedule())
    assert half.is_masked.tolist() == [[False] * 4 + [True] * 4]
    again = confidence_step(half, tokens, sure, s=0.25, schedule=LinearSchedule(), remask=0.5)
    # Two more are committed (places 4 and 5); half as many are taken back from the earlier ones: the least sure, 3.
    assert again.is_masked.tolist() == [[False, False, False, True, False, False, True, True]]

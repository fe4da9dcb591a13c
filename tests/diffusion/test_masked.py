"""Laws of the absorbing process."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch.nn import functional as F

from agentic_diffusion.diffusion.masked import (
    block_elbo_loss,
    complement,
    complementary_weight,
    elbo_loss,
    masked_cross_entropy,
    posterior,
    q_sample,
    q_sample_blocks,
    sample_times,
    shift_logits,
    spread_blocks,
    unmask_probability,
)
from agentic_diffusion.diffusion.schedule import SCHEDULES, LinearSchedule, elbo_weight, make_schedule
from agentic_diffusion.foundation.errors import ConfigError

law = settings(deadline=None, max_examples=30, derandomize=True)

MASK = 7
VOCABULARY = 8
names = st.sampled_from(sorted(SCHEDULES))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, MASK, (batch, length), generator=generator(seed))


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_q_sample_marginal_is_alpha(name: str, t: float) -> None:
    """The kept share of 200,000 tokens lies within 4.5 standard errors of alpha(t)."""
    schedule, x_0 = make_schedule(name), tokens(100, 2000)
    x_t = q_sample(x_0, torch.full((100,), t), schedule, MASK, generator(3))
    alpha = float(schedule.alpha(torch.tensor([t])))
    kept = (x_t == x_0).double().mean().item()
    assert abs(kept - alpha) < 4.5 * math.sqrt(alpha * (1 - alpha) / x_0.numel())
    assert bool(((x_t == x_0) | (x_t == MASK)).all())


@law
@given(names, st.integers(0, 99))
def test_q_sample_ends_and_given_tokens(name: str, seed: int) -> None:
    schedule, x_0 = make_schedule(name), tokens(4, 9, seed)
    noisable = torch.arange(9).expand(4, 9) >= 3
    clean = q_sample(x_0, torch.zeros(4), schedule, MASK, generator(seed))
    noise = q_sample(x_0, torch.ones(4), schedule, MASK, generator(seed), noisable=noisable)
    assert torch.equal(clean, x_0)
    assert torch.equal(noise == MASK, noisable)
    assert torch.equal(noise[:, :3], x_0[:, :3])


def test_q_sample_is_a_function_of_its_generator() -> None:
    x_0, t = tokens(3, 50), torch.full((3,), 0.5)
    first, second, third = (q_sample(x_0, t, LinearSchedule(), MASK, generator(s)) for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_blocks_have_their_own_times() -> None:
    x_0 = tokens(2000, 10)
    t = torch.tensor([[0.2, 0.8, 0.5]]).expand(2000, 3)
    x_t = q_sample_blocks(x_0, t, LinearSchedule(), MASK, generator(), block=4)
    share = (x_t == MASK).double().mean(0)
    wanted = torch.tensor([0.2] * 4 + [0.8] * 4 + [0.5] * 2, dtype=torch.float64)
    assert bool(((share - wanted).abs() < 4.5 * (wanted * (1 - wanted) / 2000).sqrt()).all())


@law
@given(st.integers(1, 6), st.integers(1, 13), st.integers(0, 99))
def test_force_one_masks_a_noisable_token_of_each_block(block: int, length: int, seed: int) -> None:
    x_0 = tokens(5, length, seed)
    count = -(-length // block)
    noisable = torch.rand(5, length, generator=generator(seed)) < 0.6
    x_t = q_sample_blocks(
        x_0,
        torch.full((5, count), 1e-6),
        LinearSchedule(),
        MASK,
        generator(seed + 1),
        block=block,
        force_one=True,
        noisable=noisable,
    )
    for row in range(5):
        for k in range(count):
            part = slice(k * block, (k + 1) * block)
            assert int((x_t[row, part] == MASK).sum()) == int(bool(noisable[row, part].any()))
    assert bool((noisable | (x_t != MASK)).all())


def test_blocks_that_do_not_cover_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 blocks of 4 tokens do not cover 10 tokens"):
        spread_blocks(torch.zeros(1, 2), 4, 10)


@law
@given(st.integers(0, 99))
def test_complementary_pair_covers_each_noisable_token_once(seed: int) -> None:
    x_0 = tokens(4, 12, seed)
    noisable = torch.arange(12).expand(4, 12) >= 2
    x_t = q_sample(x_0, torch.full((4,), 0.4), LinearSchedule(), MASK, generator(seed), noisable=noisable)
    other = complement(x_0, x_t, MASK, noisable=noisable)
    assert torch.equal((x_t == MASK) ^ (other == MASK), noisable)
    assert torch.equal(complement(x_0, other, MASK, noisable=noisable), x_t)


@law
@given(names, st.floats(0.05, 0.95))
def test_complementary_weight_is_the_elbo_weight_after_a_change_of_variables(name: str, t: float) -> None:
    """For the linear schedule it is the weight at 1 - t; for all, weight * alpha = weight * (1 - alpha) = -alpha'."""
    schedule, time = make_schedule(name), torch.tensor([t], dtype=torch.float64)
    alpha = schedule.alpha(time)
    assert torch.allclose(
        complementary_weight(schedule, time) * alpha, elbo_weight(schedule, time) * (1 - alpha), rtol=1e-9
    )
    linear = LinearSchedule()
    assert torch.allclose(complementary_weight(linear, time), elbo_weight(linear, 1 - time), rtol=1e-9)


@law
@given(names, st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1))
def test_posterior_normalises_and_obeys_chapman_kolmogorov(name: str, t: float, a: float, b: float) -> None:
    """q(x_r | x_t, x_0) = sum over x_s of q(x_r | x_s, x_0) q(x_s | x_t, x_0) for r < s < t."""
    schedule = make_schedule(name)
    s, r = a * t, b * a * t
    x_0 = torch.tensor([[2, 2]])
    x_t = torch.tensor([[MASK, 2]])

    def step(x: torch.Tensor, early: float, late: float) -> torch.Tensor:
        times = {"s": torch.tensor([early], dtype=torch.float64), "t": torch.tensor([late], dtype=torch.float64)}
        return posterior(x, x_0, **times, schedule=schedule, mask_id=MASK, vocabulary=VOCABULARY)

    direct, first = step(x_t, r, t), step(x_t, s, t)
    two_steps = torch.zeros_like(direct)
    for token in (2, MASK):
        two_steps += first[:, :, token, None] * step(torch.full_like(x_t, token), r, s)
    assert torch.allclose(direct.sum(-1), torch.ones(1, 2, dtype=torch.float64))
    assert torch.allclose(two_steps, direct, atol=1e-9)
    assert direct[0, 1, 2] == 1


@law
@given(names, st.floats(0.02, 1), st.floats(0, 0.99))
def test_posterior_and_forward_process_agree(name: str, t: float, share: float) -> None:
    """Bayes: P(clean at s) = P(clean at t) + P(masked at t) * unmask probability."""
    schedule = make_schedule(name)
    late, early = torch.tensor([t], dtype=torch.float64), torch.tensor([t * share], dtype=torch.float64)
    alpha_t, alpha_s = schedule.alpha(late), schedule.alpha(early)
    assert torch.allclose(alpha_t + (1 - alpha_t) * unmask_probability(early, late, schedule), alpha_s, atol=1e-9)


def test_posterior_with_predicted_probabilities_mixes_them() -> None:
    x_t = torch.tensor([[MASK]])
    guess = torch.zeros(1, 1, VOCABULARY, dtype=torch.float64)
    guess[..., 1], guess[..., 4] = 0.25, 0.75
    s, t = torch.tensor([0.25], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    got = posterior(x_t, guess, s=s, t=t, schedule=LinearSchedule(), mask_id=MASK, vocabulary=VOCABULARY)
    assert got[0, 0].tolist() == pytest.approx([0, 0.125, 0, 0, 0.375, 0, 0, 0.5])


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_mean_elbo_of_a_factorised_model_is_its_cross_entropy(name: str) -> None:
    """A denoiser that ignores x_t has a tight bound: the mean loss over t is the plain cross-entropy, any schedule."""
    schedule, batch, length = make_schedule(name), 4000, 16
    logits = torch.randn(1, length, VOCABULARY, generator=generator(5)).expand(batch, -1, -1)
    x_0 = tokens(1, length, 6).expand(batch, -1)
    t = sample_times((batch,), generator(7), t_min=1e-3)
    x_t = q_sample(x_0, t, schedule, MASK, generator(8))
    bound = float(elbo_loss(logits, x_0, x_t, t, schedule, mask_id=MASK))
    exact = float(F.cross_entropy(logits[0], x_0[0]))
    # What t in [0, 0.001) would add is -alpha' < pi / 2 times 0.001; the rest is sampling error.
    assert bound == pytest.approx(exact, rel=0.03)


@law
@given(st.integers(0, 99), st.booleans())
def test_one_block_is_full_sequence_diffusion(seed: int, shift: bool) -> None:
    x_0, t = tokens(3, 6, seed), torch.tensor([0.3, 0.6, 0.9])
    logits = torch.randn(3, 6, VOCABULARY, generator=generator(seed))
    x_t = q_sample(x_0, t, LinearSchedule(), MASK, generator(seed))
    full = elbo_loss(logits, x_0, x_t, t, LinearSchedule(), mask_id=MASK, shift=shift)
    one = block_elbo_loss(logits, x_0, x_t, t[:, None], LinearSchedule(), mask_id=MASK, block=6, shift=shift)
    assert torch.equal(full, one)


def test_loss_is_the_weighted_sum_written_out() -> None:
    x_0, t = tokens(2, 5), torch.tensor([[0.25, 0.5], [0.5, 0.75]])
    x_t = torch.where(torch.tensor([[1, 0, 0, 1, 0], [0, 0, 1, 1, 1]]).bool(), MASK, x_0)
    noisable = torch.arange(5).expand(2, 5) < 4
    x_t = torch.where(noisable, x_t, x_0)
    logits = torch.randn(2, 5, VOCABULARY, generator=generator())
    wanted = 0.0
    for row in range(2):
        for place in range(4):
            if x_t[row, place] == MASK:
                nats = -float(logits[row, place].log_softmax(-1)[x_0[row, place]])
                wanted += nats / float(t[row, place // 3]) / 8
    got = block_elbo_loss(logits, x_0, x_t, t, LinearSchedule(), mask_id=MASK, block=3, noisable=noisable)
    assert float(got) == pytest.approx(wanted, rel=1e-5)


def test_loss_without_a_mask_is_zero_and_differentiable() -> None:
    logits = torch.zeros(1, 3, VOCABULARY, requires_grad=True)
    loss = masked_cross_entropy(logits, tokens(1, 3), torch.zeros(1, 3, dtype=torch.bool), torch.ones(1, 3))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not bool(logits.grad.any())


def test_shift_lets_the_previous_logits_predict() -> None:
    logits = torch.arange(4.0)[None, :, None].expand(1, 4, VOCABULARY)
    assert shift_logits(logits)[0, :, 0].tolist() == [0, 0, 1, 2]


@law
@given(st.integers(1, 50), st.floats(0, 0.5), st.floats(0.6, 1))
def test_times_lie_in_their_band_one_a_stratum(count: int, low: float, high: float) -> None:
    t = sample_times((count, 3), generator(count), t_min=low, t_max=high)
    strata = ((t - low) / (high - low) * count).floor().clamp(0, count - 1).sort(dim=0).values
    assert bool((t >= low - 1e-6).all())
    assert bool((t <= high + 1e-6).all())
    # A number on a border may round across it; no stratum is further than one from its own.
    assert bool(((strata - torch.arange(count)[:, None]).abs() <= 1).all())


def test_empty_band_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Times cannot be drawn from \[0.9, 0.1\]"):
        sample_times((3,), generator(), t_min=0.9, t_max=0.1)


def test_shapes_are_checked_in_tests() -> None:
    """Guards the guard: a wrong shape must not pass unseen in this folder."""
    with pytest.raises(TypeCheckError):
        shift_logits(torch.zeros(2, 3))

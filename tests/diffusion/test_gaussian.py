"""Laws of the Gaussian process: marginals, round trips between predictions, weights, and what is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentic_diffusion.diffusion.gaussian import (
    GaussianProcess,
    Known,
    Prediction,
    coefficients,
    loss_weight,
    posterior_weights,
    q_sample,
    to_epsilon,
    to_x_0,
    velocity,
)
from agentic_diffusion.diffusion.schedule import (
    CosineSchedule,
    CustomSchedule,
    LinearSchedule,
    NoiseSchedule,
    TableSchedule,
)
from agentic_diffusion.foundation.errors import ConfigError, UsageError

law = settings(deadline=None, max_examples=60, derandomize=True)
SCHEDULES = st.sampled_from(
    [
        CosineSchedule(),
        LinearSchedule(),
        TableSchedule([0.0, 0.4, 1.0], [1.0, 0.7, 0.0]),
        CustomSchedule(lambda t: 1 - t**2),
    ]
)
SHAPES = st.sampled_from([(2,), (8, 8), (5, 3), (2, 3, 4)])
INNER = st.floats(0.02, 0.98)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(shape: tuple[int, ...], seed: int = 0, rows: int = 3) -> tuple[Tensor, Tensor]:
    numbers = torch.randn(2, rows, *shape, generator=generator(seed), dtype=torch.float64)
    return numbers[0], numbers[1]


@law
@given(SCHEDULES, st.floats(0, 1), st.floats(0, 1))
def test_the_process_preserves_variance_and_only_loses_signal(schedule: NoiseSchedule, t: float, s: float) -> None:
    alpha, sigma = coefficients(t, schedule, torch.zeros(1, 1, dtype=torch.float64))
    assert float(alpha**2 + sigma**2) == pytest.approx(1, abs=1e-9)
    early, late = sorted([s, t])
    assert (
        coefficients(early, schedule, alpha.view(1, 1))[0] >= coefficients(late, schedule, alpha.view(1, 1))[0] - 1e-9
    )


@law
@given(SCHEDULES, SHAPES, st.lists(INNER, min_size=3, max_size=3), st.integers(0, 999))
def test_each_prediction_gives_back_data_and_noise(
    schedule: NoiseSchedule, shape: tuple[int, ...], times: list[float], seed: int
) -> None:
    x_0, noise = draw(shape, seed)
    t = torch.tensor(times, dtype=torch.float64)
    x_t = q_sample(x_0, t, noise, schedule)
    given_by: dict[Prediction, Tensor] = {"epsilon": noise, "x_0": x_0, "velocity": velocity(x_0, noise, t, schedule)}
    for prediction, predicted in given_by.items():
        back = to_x_0(predicted, x_t, t, schedule, prediction)
        assert torch.allclose(back, x_0, atol=1e-6)
        assert torch.allclose(to_epsilon(back, x_t, t, schedule), noise, atol=1e-4)


@law
@given(SCHEDULES, st.floats(0, 1), st.floats(0, 1))
def test_the_posterior_after_the_process_gives_the_marginal(schedule: NoiseSchedule, s: float, t: float) -> None:
    """The integral of q(x_s | x_t, x_0) q(x_t | x_0) over x_t is q(x_s | x_0): mean and variance, exactly."""
    s, t = sorted([s, t])
    if t - s < 1e-3:
        return
    one = torch.zeros(1, 1, dtype=torch.float64)
    (alpha_s, sigma_s), (alpha_t, sigma_t) = coefficients(s, schedule, one), coefficients(t, schedule, one)
    on_x_t, on_x_0, deviation = posterior_weights(s, t, schedule)
    assert float(on_x_t * alpha_t + on_x_0 - alpha_s) == pytest.approx(0, abs=1e-7)
    assert float(on_x_t**2 * sigma_t**2 + deviation**2 - sigma_s**2) == pytest.approx(0, abs=1e-7)


@law
@given(st.sampled_from(["plain", "x_0", "snr", "snr+1", "min-snr"]), st.lists(INNER, min_size=3, max_size=3), SHAPES)
def test_a_named_weight_means_the_same_for_every_prediction(weighting, times, shape) -> None:
    """Whatever is predicted, an error of x_0 costs the same; "plain" alone depends on the prediction."""
    x_0, noise = draw(shape)
    wrong, _ = draw(shape, seed=1)
    t = torch.tensor(times, dtype=torch.float64)
    schedule = CosineSchedule()
    x_t = q_sample(x_0, t, noise, schedule)
    implied_noise = to_epsilon(wrong, x_t, t, schedule)
    outputs = {"x_0": wrong, "epsilon": implied_noise, "velocity": velocity(wrong, implied_noise, t, schedule)}
    costs = {}
    for prediction, predicted in outputs.items():
        process = GaussianProcess(prediction=prediction, weighting=weighting, t_max=0.98)
        costs[prediction] = float(process.error(predicted, x_0, noise, t))
    if weighting == "plain":
        plain = {"x_0": "x_0", "epsilon": "snr", "velocity": "snr+1"}
        for prediction, name in plain.items():
            assert torch.equal(
                loss_weight(t, schedule, prediction, "plain"), loss_weight(t, schedule, prediction, name)
            )
    else:
        assert costs["epsilon"] == pytest.approx(costs["x_0"], rel=1e-6)
        assert costs["velocity"] == pytest.approx(costs["x_0"], rel=1e-6)


def test_min_snr_is_bounded_by_gamma() -> None:
    t = torch.linspace(0.001, 0.999, 50)
    weight = loss_weight(t, CosineSchedule(), "x_0", "min-snr", gamma=5.0)
    snr = loss_weight(t, CosineSchedule(), "x_0", "snr")
    assert float(weight.max()) == 5
    assert torch.equal(weight, snr.clamp(max=5))


def test_known_entries_stay_clean_and_carry_no_loss() -> None:
    x_0, _ = draw((6, 2))
    is_known = torch.zeros(1, 6, 1, dtype=torch.bool)
    is_known[:, [0, -1]] = True
    seen = []

    def denoiser(x_t, t, context=None, context_mask=None, attention_mask=None):
        seen.append(x_t)
        wrong = 1e6 * is_known.double()
        return x_0 + wrong

    process = GaussianProcess(prediction="x_0")
    loss = process.loss(denoiser, x_0, generator(), is_known=is_known)
    assert float(loss) == 0
    assert torch.equal(seen[0][:, [0, -1]], x_0[:, [0, -1]])
    assert not torch.allclose(seen[0][:, 1:-1], x_0[:, 1:-1])


def test_padding_of_weight_0_carries_no_loss_and_the_mean_is_over_the_rest() -> None:
    x_0, noise = draw((4, 2))
    t = torch.full((3,), 0.5, dtype=torch.float64)
    weight = torch.tensor([1.0, 1, 0, 0]).view(1, 4, 1)
    process = GaussianProcess(prediction="x_0")
    predicted = x_0.clone()
    predicted[:, 2:] += 100
    assert float(process.error(predicted, x_0, noise, t, weight=weight)) == 0
    predicted[:, :2] += 2
    assert float(process.error(predicted, x_0, noise, t, weight=weight)) == pytest.approx(4)


def test_clip_bounds_the_estimate_only() -> None:
    x_t = torch.full((1, 2), 3.0)
    assert torch.equal(GaussianProcess(prediction="x_0", clip=1.0).x_0(x_t, x_t, 0.5), torch.ones(1, 2))
    assert torch.equal(GaussianProcess(prediction="x_0").x_0(x_t, x_t, 0.5), x_t)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction": "score"}, "There is no prediction 'score'.\nhint: Choose one of: epsilon, x_0, velocity."),
        ({"weighting": "soft"}, "There is no weighting 'soft'."),
        ({"prediction": "epsilon"}, "says nothing about x_0 at t_max = 1, where alpha is 0"),
        ({"t_min": 0.0}, "Times from 0 to 1 are not possible"),
        ({"gamma": -1.0}, "gamma is -1 and must be above 0"),
        ({"clip": 0.0}, "clip is 0 and must be above 0"),
    ],
)
def test_a_process_that_cannot_be_is_refused(unchecked_shapes, settings, message) -> None:
    with pytest.raises(ConfigError) as problem:
        GaussianProcess(**settings)
    assert message in str(problem.value)


def test_known_entries_of_a_foreign_shape_are_refused() -> None:
    known = Known(is_known=torch.ones(1, 4, 2, dtype=torch.bool), values=torch.zeros(1, 4, 2))
    with pytest.raises(UsageError, match=r"is_known of shape \(1, 4, 2\) does not fit data of shape \(3, 5, 2\)."):
        known.hold(torch.zeros(3, 5, 2))

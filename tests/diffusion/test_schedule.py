"""Laws of noise schedules."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.diffusion.schedule import (
    SCHEDULES,
    CosineSchedule,
    CustomSchedule,
    LinearSchedule,
    MaskingCosineSchedule,
    NoiseSchedule,
    TableSchedule,
    elbo_weight,
    log_snr,
    make_schedule,
)
from agentic_diffusion.foundation.errors import ConfigError

law = settings(deadline=None, max_examples=30, derandomize=True)

EVERY: dict[str, NoiseSchedule] = {
    **{name: make_schedule(name) for name in SCHEDULES},
    "custom": CustomSchedule(lambda t: 1 - t**2),
    "table": TableSchedule((0.0, 0.2, 0.5, 0.6, 1.0), (1.0, 0.9, 0.9, 0.3, 0.0)),
}
GRID = torch.linspace(0, 1, 2001, dtype=torch.float64)


@pytest.mark.parametrize("name", EVERY)
def test_alpha_falls_from_one_to_zero(name: str) -> None:
    alpha = EVERY[name].alpha(GRID)
    assert alpha[0] == 1
    assert alpha[-1] == pytest.approx(0, abs=1e-12)
    assert bool((alpha.diff() <= 1e-12).all())


@pytest.mark.parametrize("name", EVERY)
def test_alpha_prime_is_the_derivative(name: str) -> None:
    schedule, h = EVERY[name], 1e-6
    t = torch.linspace(0.01, 0.99, 97, dtype=torch.float64) + 0.0005  # between the knots of the table
    difference = (schedule.alpha(t + h) - schedule.alpha(t - h)) / (2 * h)
    assert torch.allclose(schedule.alpha_prime(t), difference, atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_gaussian_side_preserves_variance(name: str) -> None:
    schedule = EVERY[name]
    total = schedule.alpha(GRID).square() + schedule.sigma(GRID).square()
    assert torch.allclose(total, torch.ones_like(total), atol=1e-12)
    snr = log_snr(schedule, GRID[1:-1])
    assert bool((snr.diff() <= 1e-9).all())


@pytest.mark.parametrize("name", EVERY)
def test_elbo_weight_integrates_to_the_log_of_kept_mass(name: str) -> None:
    """-alpha' / (1 - alpha) is d/dt log(1 - alpha), so its integral from a to 1 is -log(1 - alpha(a))."""
    schedule, start = EVERY[name], 0.1
    t = torch.linspace(start, 1, 200_001, dtype=torch.float64)
    integral = float(torch.trapezoid(elbo_weight(schedule, t), t))
    assert integral == pytest.approx(-math.log(1 - float(schedule.alpha(t[:1]))), rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "weight"),
    [
        (LinearSchedule(), lambda t: 1 / t),
        (CosineSchedule(), lambda t: math.pi / 2 * math.sin(math.pi * t / 2) / (1 - math.cos(math.pi * t / 2))),
        (MaskingCosineSchedule(), lambda t: math.pi / 2 / math.tan(math.pi * t / 2)),
    ],
)
def test_elbo_weight_of_the_table_in_the_docstring(schedule: NoiseSchedule, weight: object) -> None:
    for t in (0.001, 0.1, 0.5, 0.9):
        got = float(elbo_weight(schedule, torch.tensor([t], dtype=torch.float64)))
        assert got == pytest.approx(weight(t), rel=1e-9)  # type: ignore[operator]


def test_elbo_weight_keeps_its_digits_in_single_precision() -> None:
    t = torch.tensor([1e-3])
    assert float(elbo_weight(CosineSchedule(), t)) == pytest.approx(2 / 1e-3, rel=1e-5)


@law
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_any_falling_table_gives_a_monotone_curve_through_its_entries(gaps: list[float], falls: list[float]) -> None:
    times = torch.tensor([0.0, *gaps], dtype=torch.float64).cumsum(0)
    times = times / times[-1]
    drops = torch.tensor(falls[: len(gaps)], dtype=torch.float64) + 1e-3
    values = 1 - torch.cat([torch.zeros(1, dtype=torch.float64), drops.cumsum(0) / drops.sum()])
    schedule = TableSchedule(times.tolist(), values.clamp(0, 1).tolist())
    assert torch.allclose(schedule.alpha(times), values, atol=1e-9)
    assert bool((schedule.alpha(GRID).diff() <= 1e-9).all())


def test_custom_derivative_works_under_inference_mode() -> None:
    schedule = CustomSchedule(lambda t: torch.cos(t * math.pi / 2))
    with torch.inference_mode():
        t = torch.tensor([0.3])
        assert torch.allclose(schedule.alpha_prime(t), CosineSchedule().alpha_prime(t))


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda t: 0.9 - 0.9 * t, "starts at alpha(0) = 0.9 and must start at 1"),
        (lambda t: 1 - t + 0.6 * torch.sin(12 * t) * t * (1 - t), "rises after t = "),
        (lambda t: 1 - 2 * t, "reaches -1 and must stay within [0, 1]"),
        (lambda t: 1 - 0.5 * t, "ends at alpha(1) = 0.5 and must end at 0.05 or less"),
        (lambda t: t.new_tensor(1.0), "must have the shape of t"),
        (lambda t: torch.where(t < 2, float("nan"), t), "not finite"),
        (lambda t: (1 - t).detach(), "cannot be differentiated"),
    ],
)
def test_custom_schedule_refuses_in_one_sentence(function: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CustomSchedule(function)  # type: ignore[arg-type]
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("times", "values", "sentence"),
    [
        ((0.0, 1.0), (1.0, 0.5, 0.0), "as many values as times"),
        ((0.0, 0.6, 0.5, 1.0), (1.0, 0.5, 0.4, 0.0), "must rise strictly from 0 to 1"),
        ((0.1, 1.0), (1.0, 0.0), "must rise strictly from 0 to 1"),
        ((0.0, 0.5, 1.0), (1.0, 0.2, 0.3), "rises after t = 0.5"),
    ],
)
def test_table_refuses_in_one_sentence(times: tuple[float, ...], values: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TableSchedule(times, values)
    assert sentence in caught.value.message


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(ConfigError, match="cosine, linear, masking-cosine are built in"):
        make_schedule("quadratic")

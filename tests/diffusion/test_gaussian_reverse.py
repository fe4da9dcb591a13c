"""Laws of the Gaussian samplers and of guidance, on data whose perfect denoiser is known: normal with any variance."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentic_diffusion.diffusion.denoiser import Denoiser
from agentic_diffusion.diffusion.gaussian import GaussianProcess, Known, coefficients
from agentic_diffusion.diffusion.gaussian_reverse import (
    GaussianConditioning,
    denoise_gaussian,
    sample_noise,
    uniform_times,
)
from agentic_diffusion.diffusion.gaussian_samplers import (
    DDIMSampler,
    DPMSolverSampler,
    GaussianAncestralSampler,
    GaussianSampler,
    ancestral_weights,
    ddim_weights,
    dpm_weights,
)
from agentic_diffusion.diffusion.guidance import (
    ClassifierFreeDenoiser,
    GradientGuidance,
    Guidance,
    drop_context,
    value_gradient,
)
from agentic_diffusion.diffusion.schedule import CosineSchedule, LinearSchedule, TableSchedule
from agentic_diffusion.foundation.errors import ConfigError, UsageError

law = settings(deadline=None, max_examples=40, derandomize=True)
COSINE = CosineSchedule()
PROCESS = GaussianProcess(prediction="x_0")
SCHEDULES = st.sampled_from([COSINE, LinearSchedule(), TableSchedule([0.0, 0.4, 1.0], [1.0, 0.7, 0.0])])
SAMPLERS: list[GaussianSampler] = [
    GaussianAncestralSampler(),
    DDIMSampler(),
    DDIMSampler(eta=0.6),
    DPMSolverSampler(),
]


def normal_denoiser(variance: float) -> Denoiser:
    """E[x_0 | x_t] for data that are normal with mean 0."""

    def denoiser(x_t, t, context=None, context_mask=None, attention_mask=None):
        alpha, sigma = coefficients(t, COSINE, x_t)
        return alpha * variance / (alpha**2 * variance + sigma**2) * x_t

    return denoiser


def reading_denoiser(x_t, t, context=None, context_mask=None, attention_mask=None):
    """Normal data of variance 1 around the first number of the context, around 0 where it may not be read."""
    centre = torch.zeros(len(x_t), 1, dtype=x_t.dtype)
    if context is not None:
        seen = torch.ones(context.shape[:2], dtype=torch.bool) if context_mask is None else context_mask
        centre = (context[:, :1, 0] * seen[:, :1]).to(x_t)
    alpha, sigma = coefficients(t, COSINE, x_t)
    return alpha * x_t + sigma**2 * centre


@law
@given(SCHEDULES, st.floats(0, 0.97), st.floats(0.01, 1))
def test_ddim_with_eta_1_is_the_ancestral_step(schedule, s: float, width: float) -> None:
    t = min(1.0, s + width)
    ancestral = ancestral_weights(s=s, t=t, schedule=schedule)
    ddim = ddim_weights(s=s, t=t, schedule=schedule, eta=1.0)
    assert ddim.deviation == pytest.approx(ancestral.deviation, abs=1e-9)
    assert ddim.on_x_t == pytest.approx(ancestral.on_x_t, abs=1e-5)
    assert ddim.on_x_0 == pytest.approx(ancestral.on_x_0, abs=1e-5)


@law
@given(SCHEDULES, st.floats(0, 0.97), st.floats(0.01, 1), st.floats(0, 1))
def test_every_eta_keeps_the_marginals(schedule, s: float, width: float, eta: float) -> None:
    """Song et al. 2021, lemma 1: from q(x_t | x_0) a step with the true x_0 leads to q(x_s | x_0)."""
    t = min(1.0, s + width)
    one = torch.zeros(1, 1, dtype=torch.float64)
    (alpha_s, sigma_s), (alpha_t, sigma_t) = coefficients(s, schedule, one), coefficients(t, schedule, one)
    step = ddim_weights(s=s, t=t, schedule=schedule, eta=eta)
    assert step.on_x_t * float(alpha_t) + step.on_x_0 == pytest.approx(float(alpha_s), abs=1e-7)
    variance = step.on_x_t**2 * float(sigma_t) ** 2 + step.deviation**2
    assert variance == pytest.approx(float(sigma_s) ** 2, abs=1e-7)


@law
@given(SCHEDULES, st.floats(0, 0.9), st.floats(0.02, 0.09))
def test_a_first_step_of_dpm_is_ddim_and_the_estimates_share_one_weight(schedule, s: float, width: float) -> None:
    t = s + width
    first = dpm_weights(s=s, t=t, last=None, schedule=schedule)
    assert first == ddim_weights(s=s, t=t, schedule=schedule) or (
        first.on_x_t == pytest.approx(ddim_weights(s=s, t=t, schedule=schedule).on_x_t, abs=1e-9) and first.on_last == 0
    )
    second = dpm_weights(s=s, t=t, last=min(1.0, t + width), schedule=schedule)
    assert second.on_x_0 + second.on_last == pytest.approx(first.on_x_0, abs=1e-7)
    assert second.deviation == 0


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("variance", [0.25, 1.0])
def test_the_samples_have_the_variance_of_the_data(sampler: GaussianSampler, variance: float) -> None:
    noise = sample_noise(0, range(4000), (2,))
    x = denoise_gaussian(normal_denoiser(variance), PROCESS, sampler, noise, steps=60)
    assert float(x.mean()) == pytest.approx(0, abs=0.04)
    assert float(x.var()) == pytest.approx(variance, rel=0.1)


def test_dpm_is_of_second_order_and_ddim_of_first() -> None:
    """The error of the deterministic path falls 4 times, and 2 times, where the steps are doubled."""
    noise = sample_noise(0, range(500), (2,))

    def end(sampler: GaussianSampler, steps: int) -> Tensor:
        return denoise_gaussian(normal_denoiser(0.25), PROCESS, sampler, noise, steps=steps)

    exact = 0.5 * noise(0)  # the path of a normal variable only rescales it
    errors = {
        type(sampler): [float((end(sampler, steps) - exact).abs().mean()) for steps in (10, 20)]
        for sampler in (DDIMSampler(), DPMSolverSampler())
    }
    assert 1.6 < errors[DDIMSampler][0] / errors[DDIMSampler][1] < 2.6
    assert errors[DPMSolverSampler][0] / errors[DPMSolverSampler][1] > 3
    assert errors[DPMSolverSampler][0] < errors[DDIMSampler][0] / 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_does_not_depend_on_its_batch(sampler: GaussianSampler) -> None:
    def samples(names: list[int]) -> Tensor:
        return denoise_gaussian(normal_denoiser(0.5), PROCESS, sampler, sample_noise(7, names, (3, 2)), steps=8)

    together, alone = samples([4, 9, 1]), samples([9])
    assert torch.equal(together[1:2], alone)
    assert not torch.allclose(together[0], together[1])


def test_ddim_with_eta_0_draws_the_start_only() -> None:
    noise, other = sample_noise(0, range(5), (2,)), sample_noise(1, range(5), (2,))

    def mixed(index: int) -> Tensor:
        return noise(index) if index == 0 else other(index)

    def run(sampler: GaussianSampler, source) -> Tensor:
        return denoise_gaussian(normal_denoiser(0.5), PROCESS, sampler, source, steps=7)

    assert torch.equal(run(DDIMSampler(), noise), run(DDIMSampler(), mixed))
    assert not torch.allclose(run(DDIMSampler(eta=1.0), noise), run(DDIMSampler(eta=1.0), mixed))


def test_a_lower_temperature_gives_less_spread_and_0_none() -> None:
    noise = sample_noise(0, range(2000), (2,))
    spread = [
        float(denoise_gaussian(normal_denoiser(1.0), PROCESS, sampler, noise, steps=20).std())
        for sampler in (GaussianAncestralSampler(temperature=0.5), GaussianAncestralSampler())
    ]
    assert spread[0] == pytest.approx(0.5 * spread[1], rel=1e-4)
    cold = denoise_gaussian(normal_denoiser(1.0), PROCESS, DPMSolverSampler(temperature=0.0), noise, steps=5)
    assert torch.equal(cold, torch.zeros_like(cold))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("on", ["x_0", "mean"])
def test_known_entries_never_move(sampler: GaussianSampler, on) -> None:
    is_known = torch.zeros(1, 5, 1, dtype=torch.bool)
    is_known[:, [0, 4]] = True
    values = torch.arange(10.0).view(1, 5, 2)
    seen = []

    def denoiser(x_t, t, context=None, context_mask=None, attention_mask=None):
        seen.append(x_t)
        return 0.3 * x_t + 0.1

    guidance = [GradientGuidance(value=lambda x, t: 50 * x.sum(dim=(1, 2)), scale=1.0, on=on)]
    conditioning = GaussianConditioning(known=Known(is_known=is_known, values=values))
    x = denoise_gaussian(
        denoiser,
        PROCESS,
        sampler,
        sample_noise(0, range(3), (5, 2)),
        steps=6,
        conditioning=conditioning,
        guidance=guidance if on == "x_0" or sampler.is_random else [],
        on_step=lambda step, point: seen.append(point.x_t),
    )
    assert len(seen) == 12
    for state in [*seen, x]:
        assert torch.equal(state[:, [0, 4]], values[:, [0, 4]].expand(3, -1, -1))


def test_every_step_is_shown_in_order_and_the_last_is_the_result() -> None:
    points = []
    x = denoise_gaussian(
        normal_denoiser(1.0),
        PROCESS,
        DPMSolverSampler(),
        sample_noise(0, [0], (2,)),
        times=(1.0, 0.6, 0.2, 0.0),
        on_step=lambda step, point: points.append((step, point)),
    )
    assert [step for step, _ in points] == [0, 1, 2]
    assert [point.t for _, point in points] == [0.6, 0.2, 0]
    assert [point.estimated_at for _, point in points] == [1, 0.6, 0.2]
    assert torch.equal(points[-1][1].x_t, x)
    assert torch.allclose(x, points[-1][1].x_0)


def test_a_path_may_start_from_half_noised_data() -> None:
    x_0 = torch.full((4000, 1), 2.0)
    noise = sample_noise(0, range(4000), (1,))
    x_t = PROCESS.q_sample(x_0, 0.4, noise(0))
    x = denoise_gaussian(
        normal_denoiser(1.0), PROCESS, GaussianAncestralSampler(), noise, times=(0.4, 0.3, 0.2, 0.1, 0.0), start=x_t
    )
    alpha = float(coefficients(0.4, COSINE, x_t)[0])
    assert float(x.mean()) == pytest.approx(2 * alpha**2, abs=0.1)


@pytest.mark.parametrize("slope", [-1.0, 1.5])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_linear_value_tilts_normal_data_exactly(sampler: GaussianSampler, slope: float) -> None:
    """p(x) exp(slope x) is normal with the mean at the slope and the variance unchanged."""
    guide = GradientGuidance(value=lambda x, t: slope * x.sum(dim=1), scale=1.0)
    noise = sample_noise(0, range(4000), (2,))
    x = denoise_gaussian(normal_denoiser(1.0), PROCESS, sampler, noise, steps=80, guidance=[guide])
    assert float(x.mean()) == pytest.approx(slope, abs=0.05)
    assert float(x.var()) == pytest.approx(1, rel=0.1)


def test_a_gradient_on_the_mean_is_the_variance_times_scale_times_gradient() -> None:
    """Janner et al. 2022, algorithm 1, with two gradient steps."""
    guide = GradientGuidance(value=lambda x, t: -(x**2).sum(dim=1), scale=0.5, on="mean", repeats=2)
    mean = torch.tensor([[1.0, -2.0]])
    moved = guide.guide_mean(mean, s=0.5, deviation=0.1)
    assert torch.allclose(moved, mean * (1 - 0.5 * 0.01 * 2) ** 2)
    assert torch.equal(guide.guide_x_0(mean, t=0.5, sigma=0.5), mean)


def test_a_gradient_step_is_bounded_and_ends_when_asked() -> None:
    guide = GradientGuidance(value=lambda x, t: 100 * x.sum(dim=1), scale=1.0, longest=0.5, until=0.3)
    x_0 = torch.zeros(2, 4)
    assert torch.allclose(guide.guide_x_0(x_0, t=0.9, sigma=1.0).norm(dim=1), torch.tensor(0.5))
    assert torch.equal(guide.guide_x_0(x_0, t=0.3, sigma=1.0), x_0)


def test_a_value_is_differentiated_sample_by_sample_and_told_the_time() -> None:
    x = torch.tensor([[1.0], [2.0]])
    gradient = value_gradient(lambda x, t: t * (x**2).sum(dim=1), x, torch.tensor([1.0, 10.0]))
    assert torch.allclose(gradient, torch.tensor([[2.0], [40.0]]))


def test_own_guidance_takes_part() -> None:
    class Upwards:
        def guide_x_0(self, x_0, *, t, sigma):
            return x_0.abs()

        def guide_mean(self, mean, *, s, deviation):
            return mean

    assert isinstance(Upwards(), Guidance)
    noise = sample_noise(0, range(20), (2,))
    x = denoise_gaussian(normal_denoiser(1.0), PROCESS, DDIMSampler(), noise, steps=5, guidance=[Upwards()])
    assert bool((x >= 0).all())


CONTEXT = torch.tensor([[[1.0]], [[-2.0]]])


@pytest.mark.parametrize("w", [0.0, 1.0, 2.5])
def test_classifier_free_guidance_is_uncond_plus_w_times_the_difference(w: float) -> None:
    x_t, t = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)), torch.full((2,), 0.5)
    nothing = torch.zeros(2, 1, dtype=torch.bool)
    uncond, cond = reading_denoiser(x_t, t, CONTEXT, nothing), reading_denoiser(x_t, t, CONTEXT)
    guided = ClassifierFreeDenoiser(reading_denoiser, w)(x_t, t, CONTEXT)
    assert torch.allclose(guided, uncond + w * (cond - uncond))
    if w == 1:
        assert torch.equal(guided, cond)
    assert torch.equal(ClassifierFreeDenoiser(reading_denoiser, w)(x_t, t), uncond)


def test_classifier_free_guidance_tilts_the_samples() -> None:
    """For normal data around c the guided mean is w c."""
    context = CONTEXT.repeat_interleave(1500, dim=0)
    noise = sample_noise(0, range(3000), (2,))
    conditioning = GaussianConditioning(context=context)
    guided = ClassifierFreeDenoiser(reading_denoiser, 2.0)
    x = denoise_gaussian(guided, PROCESS, DPMSolverSampler(), noise, steps=40, conditioning=conditioning)
    assert float(x[:1500].mean()) == pytest.approx(2.0, abs=0.1)
    assert float(x[1500:].mean()) == pytest.approx(-4.0, abs=0.1)


def test_guided_logits_keep_what_is_impossible() -> None:
    def denoiser(x_t, t, context=None, context_mask=None, attention_mask=None):
        assert attention_mask is None or len(attention_mask) == len(x_t)
        scale = 1.0 + context_mask.float()[:, :, None]
        return torch.tensor([0.5, -torch.inf]) * scale

    sight = torch.ones(2, 1, 1, dtype=torch.bool)
    tokens = torch.zeros(2, 1, dtype=torch.long)
    guided = ClassifierFreeDenoiser(denoiser, 3.0)(tokens, torch.zeros(2), CONTEXT, None, sight)
    assert torch.equal(guided, torch.tensor([[[2.0, -torch.inf]]]).expand(2, 1, 2))


def test_a_context_is_dropped_as_a_whole_and_as_often_as_asked() -> None:
    mask = torch.ones(4000, 3, dtype=torch.bool)
    mask[:, 2] = False
    seen = drop_context(torch.zeros(4000, 3, 1), 0.25, torch.Generator().manual_seed(0), context_mask=mask)
    assert not bool(seen[:, 2].any())
    assert torch.equal(seen[:, 0], seen[:, 1])
    assert float(seen[:, 0].float().mean()) == pytest.approx(0.75, abs=0.03)


def test_times_fall_evenly_to_exactly_0() -> None:
    times = uniform_times(7, t_max=0.98)
    assert (times[0], times[-1], len(times)) == (0.98, 0, 8)
    assert all(early - late == pytest.approx(0.14) for early, late in pairwise(times))


def start_with(**arguments) -> Tensor:
    options = {"steps": 4, "sampler": DDIMSampler(), "guidance": ()} | arguments
    sampler = options.pop("sampler")
    return denoise_gaussian(normal_denoiser(1.0), PROCESS, sampler, sample_noise(0, [0], (2,)), **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": None}, "needs either a number of steps or a list of times"),
        ({"times": (1.0, 0.0)}, "needs either a number of steps or a list of times"),
        ({"steps": 0}, "0 steps cannot denoise anything"),
        ({"steps": None, "times": (1.0, 0.5)}, "must fall strictly from 1 or less to 0"),
        ({"steps": None, "times": (1.0, 1.0, 0.0)}, "must fall strictly from 1 or less to 0"),
        (
            {"guidance": [GradientGuidance(value=lambda x, t: x.sum(dim=1), scale=1.0, on="mean")]},
            "multiplied by the variance of the step, and this sampler's steps have none",
        ),
    ],
)
def test_a_denoising_that_cannot_be_is_refused(arguments, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        start_with(**arguments)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda x, t: x, "gives shape .* one number a sample is needed"),
        (lambda x, t: x.detach().sum(dim=1), "does not depend on the data through torch"),
        (lambda x, t: (x - x).sum(dim=1).sqrt(), "gradient of the value is not finite"),
    ],
)
def test_a_value_without_a_gradient_is_refused(value, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        start_with(guidance=[GradientGuidance(value=value, scale=1.0)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DDIMSampler(eta=2.0), r"eta is 2 and must lie in \[0, 1\]"),
        (lambda: DDIMSampler(temperature=-1.0), "A temperature of -1 is not possible"),
        (lambda: GradientGuidance(value=len, scale=float("nan")), "A gradient scale of nan"),
        (lambda: GradientGuidance(value=len, scale=1.0, on="noise"), "cannot be taken on 'noise'"),
        (lambda: GradientGuidance(value=len, scale=1.0, repeats=0), "repeats is 0"),
        (lambda: ClassifierFreeDenoiser(reading_denoiser, float("inf")), "A guidance scale of inf"),
        (lambda: drop_context(CONTEXT, 2.0, torch.Generator()), "cannot be dropped with probability 2"),
    ],
)
def test_a_setting_out_of_range_is_refused(unchecked_shapes, make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()

"""Training end to end on continuous data of three shapes, until a statistic that can fail says that it was learned.

    moons      points [2] on two crescents; energy distance to other points of the same density
    glyphs     pictures [8, 8] of five letters, shifted and noised; the nearest class mean must be the class asked for
    paths      trajectories [16, 2], smooth, from a start to a goal; the ends exact, the way smooth

One process, one loss, one loop and the same samplers for all; only the network differs. Each test also holds the
statistic against samples of the untrained network, so that a bound that anything meets would be noticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from jaxtyping import config
from torch import Tensor, nn

from agentic_diffusion.diffusion.batches import ShuffledBatches
from agentic_diffusion.diffusion.gaussian import GaussianProcess, Known
from agentic_diffusion.diffusion.gaussian_denoisers import (
    ResidualMLP,
    ResidualMLPSettings,
    StateTransformer,
    StateTransformerSettings,
)
from agentic_diffusion.diffusion.gaussian_reverse import GaussianConditioning, denoise_gaussian, sample_noise
from agentic_diffusion.diffusion.gaussian_samplers import (
    DDIMSampler,
    DPMSolverSampler,
    GaussianAncestralSampler,
    GaussianSampler,
)
from agentic_diffusion.diffusion.guidance import ClassifierFreeDenoiser, GradientGuidance, drop_context
from agentic_diffusion.diffusion.training import TrainingSettings, train

SAMPLES = 300
SAMPLERS: list[tuple[GaussianSampler, int]] = [
    (GaussianAncestralSampler(), 40),
    (DDIMSampler(), 20),
    (DPMSolverSampler(), 10),
]


@pytest.fixture(scope="module", autouse=True)
def _unchecked_shapes() -> Iterator[None]:
    """The shapes are checked by the other tests; here, thousands of calls later, the checks would double the time."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Task:
    """Data, the process, and what of the data is context or known."""

    x_0: Tensor
    process: GaussianProcess
    context: Tensor | None = None
    is_known: Tensor | None = None


def fit(model: nn.Module, task: Task, steps: int, rate: float) -> None:
    """Train in place and leave the averaged weights in the model."""

    def loss(denoiser: nn.Module, rows: Tensor, draw: torch.Generator) -> Tensor:
        context = None if task.context is None else task.context[rows]
        seen = None if context is None else drop_context(context, 0.1, draw)
        x_0 = task.x_0[rows]
        return task.process.loss(denoiser, x_0, draw, context=context, context_mask=seen, is_known=task.is_known)  # type: ignore[arg-type]

    source = ShuffledBatches(len(task.x_0), 128, 0, lambda rows: rows)
    settings = TrainingSettings(steps=steps, learning_rate=rate, warmup_steps=20, ema_decay=0.98)
    result = train(model, source, loss, settings)
    assert result.ema is not None
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in result.ema.shadow.items():
            weights[name].copy_(value)


def energy_distance(a: Tensor, b: Tensor) -> float:
    """2 E|A - B| - E|A - A'| - E|B - B'|; 0 for equal laws (Szekely and Rizzo 2013)."""
    return float(2 * torch.cdist(a, b).mean() - off_diagonal(a) - off_diagonal(b))


def off_diagonal(a: Tensor) -> Tensor:
    return torch.cdist(a, a).sum() / (len(a) * (len(a) - 1))


def moons(count: int, seed: int) -> Tensor:
    """Two crescents, scaled to unit variance."""
    draw = generator(seed)
    angle = torch.rand(count, generator=draw) * torch.pi
    lower = torch.rand(count, generator=draw) < 0.5
    upper_moon = torch.stack([angle.cos(), angle.sin()], dim=1)
    lower_moon = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    points = torch.where(lower[:, None], lower_moon, upper_moon) - torch.tensor([0.5, 0.25])
    return (points + 0.05 * torch.randn(count, 2, generator=draw)) / torch.tensor([0.87, 0.49])


@pytest.fixture(scope="module", params=["velocity", "x_0", "epsilon"])
def moon_denoiser(request) -> tuple[nn.Module, nn.Module, GaussianProcess]:
    t_max = 0.98 if request.param == "epsilon" else 1.0
    process = GaussianProcess(prediction=request.param, weighting="snr+1", t_max=t_max)
    made = ResidualMLPSettings(shape=(2,), width=96, blocks=2, embedding=32)
    model = ResidualMLP(made, generator(0))
    fit(model, Task(moons(8000, 0), process), 500, 3e-3)
    return model, ResidualMLP(made, generator(0)), process


@pytest.mark.parametrize(("sampler", "steps"), SAMPLERS)
def test_points_follow_their_density(moon_denoiser, sampler: GaussianSampler, steps: int) -> None:
    model, untrained, process = moon_denoiser
    noise = sample_noise(1, range(SAMPLES), (2,))
    wanted = moons(2000, 1)
    assert energy_distance(denoise_gaussian(model, process, sampler, noise, steps=steps), wanted) < 0.03
    assert energy_distance(denoise_gaussian(untrained, process, sampler, noise, steps=steps), wanted) > 0.04


def test_a_value_moves_the_points_along_their_density(moon_denoiser) -> None:
    """Guided to the right, the points go right along the crescents, and not off them as if they were only shifted."""
    model, _, process = moon_denoiser
    noise = sample_noise(1, range(SAMPLES), (2,))
    guide = GradientGuidance(value=lambda x, t: x[:, 0], scale=1.0)
    free = denoise_gaussian(model, process, DDIMSampler(), noise, steps=20)
    led = denoise_gaussian(model, process, DDIMSampler(), noise, steps=20, guidance=[guide])
    data = moons(4000, 2)

    def off(points: Tensor) -> float:
        return float(torch.cdist(points, data).amin(dim=1).mean())

    shift = float((led - free)[:, 0].mean())
    assert shift > 0.5
    assert off(led) < 0.85 * off(free + torch.tensor([shift, 0.0]))


STROKES = {
    "L": [((1, 1), (6, 1)), ((6, 1), (6, 5))],
    "T": [((1, 1), (1, 6)), ((1, 3.5), (6, 3.5))],
    "X": [((1, 1), (6, 6)), ((1, 6), (6, 1))],
    "O": [((1, 2), (1, 5)), ((1, 5), (6, 5)), ((6, 5), (6, 2)), ((6, 2), (1, 2))],
    "Z": [((1, 1), (1, 6)), ((1, 6), (6, 1)), ((6, 1), (6, 6))],
}


def glyphs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures [N, 8, 8] of about unit variance and their classes [N]: strokes, shifted by up to half a pixel."""
    draw = generator(seed)
    labels = torch.randint(len(STROKES), (count,), generator=draw)
    shift = torch.rand(count, 2, generator=draw) - 0.5
    grid = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"), dim=-1)
    pictures = torch.zeros(count, 8, 8)
    for label, lines in enumerate(STROKES.values()):
        rows = (labels == label).nonzero()[:, 0]
        for first, last in lines:
            places = torch.linspace(0, 1, 12)[:, None]
            points = torch.tensor(first) * (1 - places) + torch.tensor(last) * places
            points = points[None] + shift[rows][:, None]
            near = (grid[None, :, :, None] - points[:, None, None]).square().sum(-1).amin(-1)
            pictures[rows] = torch.maximum(pictures[rows], torch.exp(-near / 0.5))
    noised = 2.2 * pictures - 1 + 0.1 * torch.randn(count, 8, 8, generator=draw)
    return noised, labels


def as_context(labels: Tensor) -> Tensor:
    """One token of context: the class as a unit vector."""
    return nn.functional.one_hot(labels, len(STROKES)).float()[:, None]


@pytest.fixture(scope="module")
def glyph_denoiser() -> tuple[nn.Module, GaussianProcess]:
    process = GaussianProcess(prediction="velocity")
    pictures, labels = glyphs(4000, 0)
    made = StateTransformerSettings(channels=8, width=48, layers=2, heads=4, mlp=96, context_width=len(STROKES))
    model = StateTransformer(made, generator(0))
    fit(model, Task(pictures, process, context=as_context(labels)), 350, 4e-3)
    return model, process


@pytest.mark.parametrize(("sampler", "steps"), SAMPLERS)
def test_pictures_are_of_the_class_that_was_asked_for(glyph_denoiser, sampler: GaussianSampler, steps: int) -> None:
    model, process = glyph_denoiser
    pictures, classes = glyphs(2000, 1)
    means = torch.stack([pictures[classes == label].mean(dim=0) for label in range(len(STROKES))])
    labels = torch.arange(SAMPLES) % len(STROKES)

    def accuracy(w: float) -> float:
        conditioning = GaussianConditioning(context=as_context(labels))
        noise = sample_noise(2, range(SAMPLES), (8, 8))
        denoiser = ClassifierFreeDenoiser(model, w)
        drawn = denoise_gaussian(denoiser, process, sampler, noise, steps=steps, conditioning=conditioning)
        nearest = torch.cdist(drawn.flatten(1), means.flatten(1)).argmin(dim=1)
        return float((nearest == labels).float().mean())

    assert accuracy(1.5) > 0.9
    assert accuracy(0.0) < 0.5  # without the class the network draws any of them


def paths(count: int, seed: int) -> Tensor:
    """[N, 16, 2]: from a start to a goal, swerving by up to one unit to either side on the way."""
    draw = generator(seed)
    ends = torch.randn(2, count, 1, 2, generator=draw)
    share = torch.linspace(0, 1, 16)[:, None]
    swerve = torch.rand(count, 1, 1, generator=draw) * 2 - 1
    side = (ends[1] - ends[0]).flip(-1) * torch.tensor([-1.0, 1.0])
    side = side / side.norm(dim=-1, keepdim=True)
    return ends[0] * (1 - share) + ends[1] * share + swerve * torch.sin(torch.pi * share) * side


def roughness(states: Tensor) -> float:
    """The mean squared second difference along a path."""
    return float(states.diff(n=2, dim=1).square().mean())


@pytest.mark.parametrize("network", ["transformer", "mlp"])
def test_paths_join_given_ends_smoothly(network: str) -> None:
    process = GaussianProcess(prediction="velocity")
    is_known = torch.zeros(1, 16, 1, dtype=torch.bool)
    is_known[:, [0, -1]] = True

    def make() -> nn.Module:
        if network == "mlp":
            return ResidualMLP(ResidualMLPSettings(shape=(16, 2), width=128, blocks=2, embedding=32), generator(0))
        return StateTransformer(StateTransformerSettings(channels=2, width=32, mlp=64), generator(0))

    model, untrained = make(), make()
    fit(model, Task(paths(6000, 0), process, is_known=is_known), 400, 6e-3)
    data = paths(SAMPLES, 1)
    conditioning = GaussianConditioning(known=Known(is_known=is_known, values=data))
    for sampler, steps in SAMPLERS:
        noise = sample_noise(3, range(SAMPLES), (16, 2))

        def draw(denoiser: nn.Module, sampler=sampler, steps=steps, noise=noise) -> Tensor:
            return denoise_gaussian(denoiser, process, sampler, noise, steps=steps, conditioning=conditioning)

        drawn = draw(model)
        assert torch.equal(drawn[:, [0, -1]], data[:, [0, -1]])
        assert roughness(drawn) < 0.02 < 0.1 < roughness(draw(untrained))
        middle = (drawn[:, 8] - (data[:, 0] + data[:, -1]) / 2).norm(dim=1)
        assert 0.35 < float(middle.mean()) < 0.65  # the swerve of the data: 0.5 on average

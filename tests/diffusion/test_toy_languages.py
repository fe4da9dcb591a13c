"""Training end to end on toy languages, until a statistic that can fail says that the denoiser learned.

    brackets   a text of 8 brackets that is balanced; 14 of 256 texts are
    reversal   the context read backwards; only cross-attention can know it

Both by full-sequence and by block diffusion, with the loop, the losses and the samplers of the package.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from jaxtyping import config
from torch import Tensor, nn

from agentic_diffusion.diffusion.attention import block_ids, clean_noised_mask
from agentic_diffusion.diffusion.batches import ShuffledBatches
from agentic_diffusion.diffusion.denoiser import ContextEncoder, TransformerDenoiser, TransformerSettings
from agentic_diffusion.diffusion.masked import (
    block_elbo_loss,
    elbo_loss,
    q_sample,
    q_sample_blocks,
    sample_times,
    spread_blocks,
)
from agentic_diffusion.diffusion.reverse import (
    AncestralSampler,
    Conditioning,
    ConfidenceSampler,
    Sampler,
    ThresholdSampler,
    denoise,
    denoise_blocks,
    sample_uniforms,
)
from agentic_diffusion.diffusion.schedule import LinearSchedule
from agentic_diffusion.diffusion.training import TrainingSettings, train

LINEAR = LinearSchedule()
SAMPLES = 200


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _unchecked_shapes() -> Iterator[None]:
    """The shapes are checked by the other tests; here, thousands of calls later, the checks would double the time."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


class ToyModel(nn.Module):
    """A denoiser and, for languages with a context, its encoder."""

    def __init__(self, vocabulary: int, *, with_context: bool) -> None:
        super().__init__()
        width = 32
        settings = TransformerSettings(
            vocabulary=vocabulary,
            mask_id=vocabulary - 1,
            width=width,
            mlp=64,
            context_width=width if with_context else None,
        )
        self.denoiser = TransformerDenoiser(settings, generator(0))
        self.encoder: ContextEncoder | None = None
        if with_context:
            reader = TransformerSettings(vocabulary=vocabulary, mask_id=vocabulary - 1, width=width, mlp=64, layers=1)
            self.encoder = ContextEncoder(reader, generator(1))

    def read(self, context: Tensor | None) -> Tensor | None:
        """The context as vectors."""
        return None if self.encoder is None or context is None else self.encoder(context)


Batch = tuple[Tensor, Tensor | None]


def full_loss(model: ToyModel, batch: Batch, draw: torch.Generator) -> Tensor:
    """Full-sequence diffusion: one time a text."""
    x_0, context = batch
    mask_id = model.denoiser.settings.mask_id
    t = sample_times((len(x_0),), draw, t_min=0.1)
    x_t = q_sample(x_0, t, LINEAR, mask_id, draw)
    logits = model.denoiser(x_t, t, model.read(context))
    return elbo_loss(logits, x_0, x_t, t, LINEAR, mask_id=mask_id)


def block_loss(block: int) -> Callable[[ToyModel, Batch, torch.Generator], Tensor]:
    """Block diffusion: one time a block, clean and noised texts in one forward."""

    def loss(model: ToyModel, batch: Batch, draw: torch.Generator) -> Tensor:
        x_0, context = batch
        rows, length = x_0.shape
        mask_id = model.denoiser.settings.mask_id
        t = sample_times((rows, length // block), draw, t_min=1 / block)
        x_t = q_sample_blocks(x_0, t, LINEAR, mask_id, draw, block=block, force_one=True)
        times = torch.cat([torch.zeros(rows, length), spread_blocks(t, block, length)], dim=1)
        ids = block_ids(length, block, torch.zeros(rows, dtype=torch.long))
        places = torch.arange(length).repeat(2)
        logits = model.denoiser(
            torch.cat([x_0, x_t], dim=1),
            times,
            model.read(context),
            attention_mask=clean_noised_mask(ids, ids),
            positions=places,
        )
        return block_elbo_loss(logits[:, length:], x_0, x_t, t, LINEAR, mask_id=mask_id, block=block)

    return loss


def fit(model: ToyModel, data: Tensor, context: Tensor | None, block: int | None, steps: int) -> None:
    """Train in place and leave the averaged weights in the model."""
    source: ShuffledBatches[Batch] = ShuffledBatches(
        len(data), 64, 0, lambda rows: (data[rows], None if context is None else context[rows])
    )
    settings = TrainingSettings(steps=steps, learning_rate=6e-3, warmup_steps=20, ema_decay=0.95)
    result = train(model, source, full_loss if block is None else block_loss(block), settings)  # type: ignore[arg-type]
    assert result.ema is not None
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in result.ema.shadow.items():
            weights[name].copy_(value)


def write(
    model: ToyModel, length: int, context: Tensor | None, block: int | None, sampler: Sampler, slowness: int = 1
) -> Tensor:
    """SAMPLES texts, in `slowness` steps a token."""
    mask_id = model.denoiser.settings.mask_id
    rows = list(range(SAMPLES))
    with torch.no_grad():
        conditioning = Conditioning(context=model.read(context))
    if block is None:
        x_1 = torch.full((SAMPLES, length), mask_id)
        return denoise(
            model.denoiser,
            x_1,
            sampler,
            sample_uniforms(0, rows, length),
            steps=slowness * length,
            mask_id=mask_id,
            conditioning=conditioning,
        )
    return denoise_blocks(
        model.denoiser,
        torch.zeros(SAMPLES, 0, dtype=torch.long),
        sampler,
        lambda index: sample_uniforms(index, rows, block),
        blocks=length // block,
        block=block,
        steps=slowness * block,
        mask_id=mask_id,
        conditioning=conditioning,
    )


def balanced(texts: Tensor) -> Tensor:
    """Which rows of 0 = "(" and 1 = ")" are balanced."""
    depth = (1 - 2 * texts).cumsum(dim=1)
    return (depth >= 0).all(dim=1) & (depth[:, -1] == 0)


@pytest.mark.parametrize("block", [None, 4])
def test_brackets_become_balanced(block: int | None) -> None:
    every = torch.tensor(list(itertools.product((0, 1), repeat=8)))
    language = every[balanced(every)]
    assert len(language) == 14
    model, surest = ToyModel(3, with_context=False), ConfidenceSampler()
    # Many small steps: two brackets revealed in one step are drawn independently of each other.
    faithful = AncestralSampler(top_p=0.95)
    before = write(model, 8, None, block, surest)
    fit(model, language.repeat(64, 1), None, block, steps=300)
    after, drawn = write(model, 8, None, block, surest), write(model, 8, None, block, faithful, slowness=8)
    assert balanced(before).double().mean() < 0.3
    assert balanced(after).double().mean() >= 0.9
    assert balanced(drawn).double().mean() >= 0.8
    assert len(drawn[balanced(drawn)].unique(dim=0)) >= 12  # the language, not one text by heart


@pytest.mark.parametrize("block", [None, 3])
def test_cross_attention_reads_the_context_backwards(block: int | None) -> None:
    length, letters = 6, 8
    data = torch.randint(0, letters, (4000 + SAMPLES, length), generator=generator(2))
    texts, unseen = data[:4000], data[4000:]
    model, sampler = ToyModel(letters + 1, with_context=True), ThresholdSampler(threshold=0.9)
    before = write(model, length, unseen, block, AncestralSampler())
    fit(model, texts.flip(1), texts, block, steps=200)
    exact = {
        name: (write(model, length, unseen, block, choice) == unseen.flip(1)).all(dim=1).double().mean()
        for name, choice in {"threshold": sampler, "ancestral": AncestralSampler(top_p=0.95)}.items()
    }
    assert (before == unseen.flip(1)).all(dim=1).double().mean() < 0.05
    assert exact["threshold"] >= 0.9
    assert exact["ancestral"] >= 0.9
    strangers = (write(model, length, unseen.roll(1, 0), block, sampler) == unseen.flip(1)).all(dim=1).double().mean()
    assert strangers < 0.05  # with another's context the answer is another's

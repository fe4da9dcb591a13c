"""Whole denoisings: laws that hold for any denoiser, however foreign."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentic_diffusion.diffusion.denoiser import Denoiser
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
from agentic_diffusion.diffusion.samplers import Canvas
from agentic_diffusion.diffusion.schedule import MaskingCosineSchedule
from agentic_diffusion.foundation.errors import ConfigError

law = settings(deadline=None, max_examples=40, derandomize=True)
MASK, VOCABULARY = 5, 6
SAMPLERS: list[Sampler] = [
    AncestralSampler(),
    AncestralSampler(remask=0.7, schedule=MaskingCosineSchedule()),
    ConfidenceSampler(temperature=0.8),
    ConfidenceSampler(remask=0.5),
    ThresholdSampler(threshold=0.5),
    ThresholdSampler(threshold=1.0, temperature=0.0),
]


class Random:
    """A denoiser whose logits are a fixed random function of token and place, and which likes MASK best."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.table = 2 * torch.randn(64, VOCABULARY, VOCABULARY, generator=generator)
        self.table[..., MASK] = 50.0
        self.calls = 0

    def __call__(
        self,
        x_t: Tensor,
        t: Tensor,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        self.calls += 1
        places = torch.arange(x_t.shape[1]).expand_as(x_t)
        near = torch.roll(x_t, 1, dims=1)
        return self.table[places, x_t] + self.table[places, near]


@law
@given(st.integers(0, 999), st.sampled_from(SAMPLERS), st.integers(1, 12), st.integers(0, 4))
def test_ends_unmasked_keeps_the_given_and_never_writes_a_forbidden_token(
    seed: int, sampler: Sampler, steps: int, forbidden: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x_1 = torch.randint(0, 5, (3, 10), generator=generator)
    x_1[torch.rand(3, 10, generator=generator) < 0.7] = MASK
    allowed = torch.arange(VOCABULARY) != forbidden
    seen: list[Canvas] = []
    x_0 = denoise(
        Random(seed),
        x_1,
        sampler,
        sample_uniforms(seed, [0, 1, 2], 10),
        steps=steps,
        mask_id=MASK,
        conditioning=Conditioning(allowed_tokens=allowed),
        on_step=lambda _, canvas: seen.append(canvas),
    )
    written = x_1 == MASK
    assert not bool((x_0 == MASK).any())
    assert torch.equal(x_0[~written], x_1[~written])
    assert not bool((x_0[written] == forbidden).any())
    for before, after in pairwise(seen):
        kept = ~before.is_masked & ~after.is_masked
        assert torch.equal(before.x_t[kept], after.x_t[kept])
        if not sampler.may_remask:
            assert not bool((after.is_masked & ~before.is_masked).any())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_is_the_same_in_any_batch(sampler: Sampler) -> None:
    denoiser, x_1 = Random(3), torch.full((4, 10), MASK)
    together = denoise(denoiser, x_1, sampler, sample_uniforms(7, [0, 1, 2, 3], 10), steps=5, mask_id=MASK)
    for sample in range(4):
        alone = denoise(denoiser, x_1[:1], sampler, sample_uniforms(7, [sample], 10), steps=5, mask_id=MASK)
        assert torch.equal(alone[0], together[sample])


def test_uniforms_differ_by_step_position_use_and_sample() -> None:
    draw = sample_uniforms(1, [4, 9], 6)
    both = torch.stack([draw(0), draw(1)])
    assert both.unique().numel() == both.numel() == 2 * 2 * 2 * 6
    assert torch.equal(draw(1)[:, 1:], sample_uniforms(1, [9], 6)(1))


def test_threshold_uses_fewer_forwards_when_it_is_lower() -> None:
    calls = []
    for threshold in (0.0, 0.6, 1.0):
        denoiser = Random(0)
        sampler = ThresholdSampler(threshold=threshold, temperature=0.0)
        denoise(denoiser, torch.full((1, 12), MASK), sampler, sample_uniforms(0, [0], 12), steps=12, mask_id=MASK)
        calls.append(denoiser.calls)
    assert calls[0] == 1
    assert calls[0] < calls[1] < calls[2] == 12


@law
@given(st.integers(0, 99), st.sampled_from(SAMPLERS), st.integers(1, 3), st.integers(1, 4))
def test_blocks_are_written_one_after_another(seed: int, sampler: Sampler, blocks: int, block: int) -> None:
    prompt = torch.tensor([[1, 2, 3], [3, 2, 1]])
    streamed: list[Tensor] = []
    text = denoise_blocks(
        Random(seed),
        prompt,
        sampler,
        lambda k: sample_uniforms(seed + 1000 * k, [0, 1], block),
        blocks=blocks,
        block=block,
        steps=block,
        mask_id=MASK,
        on_block=lambda _, written: streamed.append(written),
    )
    assert text.shape == (2, 3 + blocks * block)
    assert not bool((text == MASK).any())
    assert torch.equal(text, torch.cat([prompt, *streamed], dim=1))


def test_own_classes_satisfy_the_protocols() -> None:
    assert isinstance(Random(0), Denoiser)
    assert all(isinstance(sampler, Sampler) for sampler in SAMPLERS)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="0 steps cannot denoise anything"):
        denoise(
            Random(0), torch.full((1, 3), MASK), ThresholdSampler(), sample_uniforms(0, [0], 3), steps=0, mask_id=MASK
        )
    with pytest.raises(ConfigError, match="remask is 2 and must lie in"):
        AncestralSampler(remask=2.0)
    with pytest.raises(ConfigError, match=r"threshold is -0\.1 and must lie in"):
        ThresholdSampler(threshold=-0.1)
    with pytest.raises(ConfigError, match="A minimum of 0 commits a step would never end"):
        ThresholdSampler(minimum=0)
    with pytest.raises(ConfigError, match="A top-p of 0 is not possible"):
        ConfidenceSampler(top_p=0.0)

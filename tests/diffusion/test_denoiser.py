"""The small transformer: what it may depend on, and how it begins."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.diffusion.attention import block_causal_mask
from agentic_diffusion.diffusion.denoiser import (
    ContextEncoder,
    Denoiser,
    TransformerDenoiser,
    TransformerSettings,
    substitute,
)
from agentic_diffusion.foundation.errors import ConfigError

law = settings(deadline=None, max_examples=30, derandomize=True)
MASK, VOCABULARY = 5, 6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def awake(**sizes: object) -> TransformerDenoiser:
    """A denoiser whose zero-initialised parts are set to random numbers, so that everything has an influence."""
    model = TransformerDenoiser(
        TransformerSettings(vocabulary=VOCABULARY, mask_id=MASK, width=32, **sizes),  # type: ignore[arg-type]
        generator(),
    )
    draw = generator(1)
    with torch.no_grad():
        for weight in model.parameters():
            if not bool(weight.any()):
                weight.normal_(0, 0.3, generator=draw)
    return model


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (batch, length), generator=generator(seed))


@law
@given(st.integers(0, 999))
def test_substitute_never_predicts_mask_and_carries_over(seed: int) -> None:
    x_t = tokens(2, 7, seed)
    logits = torch.randn(2, 7, VOCABULARY, generator=generator(seed))
    out = substitute(logits, x_t, MASK)
    masked = x_t == MASK
    assert bool((out[..., MASK] == -math.inf).all())
    assert torch.equal(out[masked][:, :MASK], logits[masked][:, :MASK])
    chance = out.softmax(-1)
    assert torch.equal(chance[~masked].argmax(-1), x_t[~masked])
    assert torch.equal(chance[~masked].amax(-1), torch.ones(int((~masked).sum())))


def test_starts_by_saying_that_all_tokens_are_equally_likely() -> None:
    model = TransformerDenoiser(TransformerSettings(vocabulary=VOCABULARY, mask_id=MASK), generator())
    chance = model(torch.full((1, 4), MASK), torch.ones(1)).softmax(-1)
    assert torch.allclose(chance[..., :MASK], torch.full((1, 4, MASK), 1 / MASK))


def test_weights_come_from_the_generator_alone() -> None:
    first, second = (TransformerDenoiser(awake().settings, generator(3)) for _ in range(2))
    torch.manual_seed(99)
    third = TransformerDenoiser(awake().settings, generator(3))
    for other in (second, third):
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_attention_mask_blocks_information_through_all_layers() -> None:
    """With a block-causal mask, changing a later block changes nothing in earlier ones, and changes its own."""
    model, block = awake(layers=3, subs=False), 2
    x_t, mask = tokens(1, 6), block_causal_mask(6, block)
    other = x_t.clone()
    other[0, 4] = (other[0, 4] + 1) % VOCABULARY
    with torch.no_grad():
        a, b = (model(x, torch.ones(1), attention_mask=mask) for x in (x_t, other))
        free = [model(x, torch.ones(1)) for x in (x_t, other)]
    assert torch.equal(a[:, :4], b[:, :4])
    assert bool((a[:, 4:] - b[:, 4:]).abs().amax(-1).min() > 1e-4)
    assert bool((free[0][:, :4] - free[1][:, :4]).abs().amax(-1).min() > 1e-4)


def test_masked_context_has_no_influence_and_open_context_has() -> None:
    model = awake(context_width=8, kv_heads=2)
    x_t, t = torch.full((2, 4), MASK), torch.full((2,), 0.5)
    context = torch.randn(2, 5, 8, generator=generator(2), requires_grad=True)
    mask = torch.tensor([[True, False, True, False, True], [False, False, False, False, True]])
    (slope,) = torch.autograd.grad(model(x_t, t, context, mask)[..., :MASK].square().sum(), context)
    assert torch.equal(slope.abs().sum(-1) > 0, mask)


def test_context_may_have_any_length() -> None:
    settings = TransformerSettings(vocabulary=VOCABULARY, mask_id=MASK, width=32, layers=1)
    encoder, model = ContextEncoder(settings, generator()), awake(context_width=32)
    for length in (1, 7, 100):
        assert model(tokens(2, 4), torch.ones(2), encoder(tokens(2, length))).shape == (2, 4, VOCABULARY)


def test_padding_changes_no_encoded_token() -> None:
    settings = TransformerSettings(vocabulary=VOCABULARY, mask_id=MASK, width=32)
    encoder = ContextEncoder(settings, generator())
    with torch.no_grad():
        for layer in encoder.layers:
            layer.still.fill_(0.5)
    text = tokens(1, 5)
    padded = torch.cat([text, tokens(1, 3, 9)], dim=1)
    mask = torch.arange(8)[None] < 5
    assert torch.allclose(encoder(text), encoder(padded, context_mask=mask)[:, :5], atol=1e-5)
    assert not torch.allclose(encoder(text), encoder(padded)[:, :5], atol=1e-3)


def test_time_for_each_token_with_equal_entries_is_one_time() -> None:
    model, x_t = awake(), tokens(2, 5)
    one, each = model(x_t, torch.tensor([0.2, 0.7])), model(x_t, torch.tensor([[0.2] * 5, [0.7] * 5]))
    finite = torch.isfinite(one)
    assert torch.equal(finite, torch.isfinite(each))
    assert torch.allclose(one[finite], each[finite], atol=1e-5)


@pytest.mark.parametrize("conditioned", [True, False])
def test_time_matters_only_where_asked_for(conditioned: bool) -> None:
    model = awake(time_conditioning=conditioned, subs=False)
    x_t = tokens(1, 5)
    early, late = model(x_t, torch.tensor([0.1])), model(x_t, torch.tensor([0.9]))
    assert torch.equal(early, late) != conditioned


def test_satisfies_the_protocol() -> None:
    assert isinstance(awake(), Denoiser)


def test_settings_and_contexts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="The mask id 6 is outside the vocabulary of 6 tokens"):
        TransformerSettings(vocabulary=6, mask_id=6)
    with pytest.raises(ConfigError, match="layers is 0 and must be 1 or more"):
        TransformerSettings(vocabulary=6, mask_id=5, layers=0)
    with pytest.raises(ConfigError, match="3 heads do not fit a width of 64"):
        TransformerSettings(vocabulary=6, mask_id=5, heads=3)
    with pytest.raises(ConfigError, match="A context was given to a denoiser without cross-attention"):
        awake()(tokens(1, 3), torch.ones(1), torch.zeros(1, 2, 8))

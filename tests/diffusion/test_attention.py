"""Who may look at whom, shown by gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.diffusion.attention import (
    AttentionSettings,
    CrossAttention,
    SelfAttention,
    block_causal_mask,
    block_ids,
    clean_noised_mask,
)
from agentic_diffusion.foundation.errors import ConfigError

law = settings(deadline=None, max_examples=30, derandomize=True)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def self_attention(kv_heads: int | None = None) -> SelfAttention:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SelfAttention(AttentionSettings(width=16, heads=4, kv_heads=kv_heads))


def influence(module: SelfAttention, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """[L, L]: whether output i depends on input j, from the gradient."""
    x = x.clone().requires_grad_()
    out = module(x, attention_mask=mask)
    rows = []
    for i in range(x.shape[1]):
        (slope,) = torch.autograd.grad(out[0, i].square().sum(), x, retain_graph=True)
        rows.append(slope[0].abs().sum(-1) > 0)
    return torch.stack(rows)


@law
@given(st.integers(1, 9), st.integers(0, 10_000), st.sampled_from([None, 2, 1]))
def test_attention_mask_really_blocks_information(length: int, seed: int, kv_heads: int | None) -> None:
    mask = torch.rand(length, length, generator=generator(seed)) < 0.5
    x = torch.randn(1, length, 16, generator=generator(seed))
    seen = influence(self_attention(kv_heads), x, mask)
    blind = ~mask.any(-1, keepdim=True)
    others = ~torch.eye(length, dtype=torch.bool)  # a token always reaches its own output, as the one who asks
    assert torch.equal(seen & others, mask & others)
    assert not bool((seen & blind).any())


def test_full_attention_sees_everything() -> None:
    assert bool(influence(self_attention(), torch.randn(1, 6, 16, generator=generator()), None).all())


def test_a_query_without_keys_gets_zeros_and_finite_gradients() -> None:
    x = torch.randn(1, 3, 16, generator=generator(), requires_grad=True)
    mask = torch.tensor([[True, True, True], [False, False, False], [True, False, False]])
    out = self_attention()(x, attention_mask=mask)
    out.sum().backward()
    assert not bool(out[0, 1].any())
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_rotary_positions_are_relative() -> None:
    """Moving the whole sequence changes nothing; stretching it does."""
    module, x = self_attention(), torch.randn(2, 5, 16, generator=generator())
    places = torch.arange(5)
    here = module(x, positions=places)
    assert torch.allclose(here, module(x, positions=places + 37), atol=1e-5)
    assert torch.allclose(here, module(x, positions=places.expand(2, 5)), atol=1e-6)
    assert not torch.allclose(here, module(x, positions=3 * places), atol=1e-3)


def test_grouped_heads_with_all_groups_are_plain_heads() -> None:
    plain, grouped = self_attention(), self_attention(kv_heads=4)
    x = torch.randn(1, 4, 16, generator=generator())
    assert torch.equal(plain(x), grouped(x))


def test_cross_attention_ignores_masked_context() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = CrossAttention(AttentionSettings(width=16, heads=4, kv_heads=2), context_width=6)
    x = torch.randn(2, 3, 16, generator=generator())
    context = torch.randn(2, 5, 6, generator=generator(1), requires_grad=True)
    mask = torch.tensor([[True, True, False, True, False], [False] * 5])
    out = module(x, context, context_mask=mask)
    (slope,) = torch.autograd.grad(out.square().sum(), context)
    assert torch.equal(slope.abs().sum(-1) > 0, mask)
    assert not bool(out[1].any())
    kept = context.detach()[:1, mask[0]]
    assert torch.allclose(out[:1], module(x[:1], kept), atol=1e-6)


@law
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 6))
def test_block_causal_mask_by_its_words(length: int, block: int, prefix: int) -> None:
    mask = block_causal_mask(length, block, prefix=prefix)
    for i in range(length):
        for j in range(length):
            same = min(i, j) >= prefix and (i - prefix) // block == (j - prefix) // block
            assert bool(mask[i, j]) == (j <= i or same)


def test_block_of_one_is_causal_and_one_block_is_full() -> None:
    assert torch.equal(block_causal_mask(5, 1), torch.ones(5, 5).tril().bool())
    assert bool(block_causal_mask(5, 5).all())


@law
@given(st.integers(1, 8), st.integers(1, 4), st.lists(st.integers(0, 5), min_size=1, max_size=3), st.booleans())
def test_clean_noised_mask_by_its_words(length: int, block: int, prefix: list[int], causal: bool) -> None:
    ids = block_ids(length, block, torch.tensor(prefix))
    mask = clean_noised_mask(ids, ids, clean_causal=causal)
    for row in range(len(prefix)):
        k = ids[row].tolist()
        for i in range(length):
            for j in range(length):
                clean = j <= i or (not causal and k[i] == k[j] >= 0)
                assert bool(mask[row, i, j]) == clean
                assert not bool(mask[row, i, length + j])
                assert bool(mask[row, length + i, j]) == (k[j] < k[i])
                own = k[i] == k[j] if k[i] >= 0 else i == j
                assert bool(mask[row, length + i, length + j]) == own


def test_training_view_equals_sampling_view() -> None:
    """A noised block in the joint forward gets what it gets alone behind its clean past, layer for layer."""
    module, block, past = self_attention(), 2, 4
    clean = torch.randn(1, 6, 16, generator=generator())
    noised = torch.randn(1, 6, 16, generator=generator(1))
    places = torch.arange(6)
    ids = block_ids(6, block, torch.tensor([0]))
    joint = module(
        torch.cat([clean, noised], 1), attention_mask=clean_noised_mask(ids, ids), positions=torch.cat([places, places])
    )
    alone = module(
        torch.cat([clean[:, :past], noised[:, past:]], 1), attention_mask=block_causal_mask(6, block, prefix=past)
    )
    assert torch.allclose(joint[:, 6 + past :], alone[:, past:], atol=1e-6)
    assert torch.allclose(joint[:, :past], alone[:, :past], atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"width": 10, "heads": 4}, "4 heads do not fit a width of 10"),
        ({"width": 12, "heads": 4}, "must be an even whole number"),
        ({"width": 16, "heads": 4, "kv_heads": 3}, "3 key heads do not divide 4 query heads"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(sizes: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        AttentionSettings(**sizes)


def test_block_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="A block of 0 tokens"):
        block_causal_mask(4, 0)

"""Training of the adapter: what a noised prediction may depend on, and that the loss goes down."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.diffusion import block_training
from agentic_diffusion.diffusion.backbones.adapter import Adapter, TrainableAdapter
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.block_training import NoiseSettings, block_loss, noise_texts
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from tiny_coder import random_adapter, random_llama

PARENT = random_llama(2)
ADAPTER = random_adapter(PARENT, 3)


def _batch(lengths: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randint(3, 300, (len(lengths), max(lengths)), generator=generator)
    ends = torch.tensor(lengths)
    return torch.where(torch.arange(max(lengths)) < ends[:, None], texts, 0), ends


def _noised_states(texts, ends, noised):
    _, cache = block_training._clean_pass(PARENT, texts, ends)
    used = noised.block >= 0
    states = torch.zeros(*used.shape, PARENT.shape.width)
    states[used] = block_training._noised_pass(PARENT, ADAPTER, noised, used, cache)
    return states


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 20), min_size=1, max_size=4),
    block=st.integers(2, 6),
    copies=st.integers(1, 3),
    seed=st.integers(0, 9999),
    data=st.data(),
)
def test_noising_masks_answers_only_and_says_where_everything_is(lengths, block, copies, seed, data):
    texts, ends = _batch(lengths, seed)
    begins = torch.tensor([data.draw(st.integers(1, length - 1)) for length in lengths])
    noise = NoiseSettings(block=block, copies=copies)
    noised = noise_texts(texts, begins, ends, noise, torch.Generator().manual_seed(seed))
    for row in range(len(lengths)):
        begin, end = int(begins[row]), int(ends[row])
        seen: dict[int, int] = {}
        for place in (noised.block[row] >= 0).nonzero()[:, 0].tolist():
            position = int(noised.positions[row, place])
            if noised.is_masked[row, place]:
                assert begin <= position or position >= end - 1, "a token of the prompt was masked"
                assert place % block > 0, "the last known token opens a block and is never masked"
            else:
                assert position < end
                assert noised.inputs[row, place] == texts[row, position]
            if noised.counts[row, place]:
                assert begin <= position + 1 < end
                seen[position + 1] = seen.get(position + 1, 0) + 1
            in_block = place % block
            if position < texts.shape[1] - 1:
                assert noised.first[row, place] + in_block == position
        assert max(seen.values(), default=0) <= copies


def test_every_answer_token_is_a_target_when_all_is_masked():
    texts, ends = _batch([20, 9], 0)
    noise = NoiseSettings(block=4, copies=1, fully_masked=1.0)
    noised = noise_texts(texts, torch.tensor([6, 5]), ends, noise, torch.Generator().manual_seed(0))
    for row, (begin, end) in enumerate([(6, 20), (5, 9)]):
        targets = (noised.positions[row][noised.counts[row]] + 1).tolist()
        assert sorted(targets) == list(range(begin, end))


@pytest.mark.parametrize("seed", range(6))
def test_a_prediction_depends_on_the_past_and_its_own_block_alone(seed):
    texts, ends = _batch([18, 18], seed)
    noise = NoiseSettings(block=4, copies=2)
    noised = noise_texts(texts, torch.tensor([4, 7]), ends, noise, torch.Generator().manual_seed(seed))
    before = _noised_states(texts, ends, noised)
    row = seed % 2
    blocks = sorted(set(noised.block[row][noised.first[row] > 2].tolist()) - {-1})
    chosen = blocks[len(blocks) // 2]
    mine = noised.block[row] == chosen
    first = int(noised.first[row][mine][0])
    # 1. Another clean future, from the block's own first input on, and other words in every other block.
    later = texts.clone()
    later[row, first:] = (texts[row, first:] + 11) % 290 + 3
    inputs = torch.where(mine, noised.inputs[row], (noised.inputs[row] + 7) % 290 + 3)
    changed = block_training.NoisedBatch(**{**vars(noised), "inputs": noised.inputs.clone()})
    changed.inputs[row] = inputs
    after = _noised_states(later, ends, changed)
    assert torch.allclose(after[row][mine], before[row][mine], atol=1e-5)
    others = (noised.block[row] >= 0) & ~mine
    assert not torch.allclose(after[row][others], before[row][others], atol=1e-3), "the change did not reach anything"
    assert torch.allclose(after[1 - row], before[1 - row], atol=1e-5), "a row saw another row"
    # 2. Another clean past reaches the block.
    earlier = texts.clone()
    earlier[row, first - 1] = (texts[row, first - 1] + 11) % 290 + 3
    moved = _noised_states(earlier, ends, noised)
    assert not torch.allclose(moved[row][mine], before[row][mine], atol=1e-3)


def test_the_pass_of_training_is_the_forward_of_decoding():
    """A wholly masked block after a prompt: the decoder's first forward sees what training saw."""
    texts, ends = _batch([10], 1)
    noise = NoiseSettings(block=4, copies=1, fully_masked=1.0)
    for seed in range(20):
        noised = noise_texts(texts, torch.tensor([6]), ends, noise, torch.Generator().manual_seed(seed))
        places = (noised.first[0] == 5) & (noised.block[0] >= 0)
        if places.any():
            break
    states = _noised_states(texts, ends, noised)[0][places]
    views = []
    given_ = DecodeSettings(mode="denoise", threshold=1e-9, max_new_tokens=4)
    [sample] = BlockDecoder(PARENT, ADAPTER, given_).decode([texts[0, :6].tolist()], [0], observe=views.append)
    chances, tokens = PARENT.logits(states).softmax(-1).max(-1)
    committed = views[0].committed[0]
    assert committed == tokens.tolist()
    assert sample.confidences == pytest.approx(chances.tolist()[: len(sample.confidences)], abs=1e-4)


def test_the_loss_goes_down_when_the_adapter_alone_is_trained_and_only_it_gets_gradients():
    """A text that repeats with period 4, whose parent has never learned it: the adapter has to."""
    torch.manual_seed(0)
    for tensor in (PARENT.embedding, PARENT.head, PARENT.norm):
        assert not tensor.requires_grad
    draw = torch.Generator().manual_seed(0)
    module = TrainableAdapter(Adapter.start(PARENT, rank=8, generator=draw))
    words = [20, 90, 33, 170]
    texts = [[*(words[(i + shift) % 4] for i in range(24))] for shift in range(4)]
    noise = NoiseSettings(block=4, copies=2, distillation=0.0)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    losses, hits = [], []
    for _ in range(60):
        loss, figures = block_loss(PARENT, module.adapter(PARENT.shape), texts, [4] * 4, settings=noise, generator=draw)
        optimiser.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in module.parameters())
        optimiser.step()
        losses.append(loss.item())
        hits.append(sum(figures[f"hits_{place}"] for place in range(4)) / max(4 * figures["blocks"], 1))
    assert losses[0] > 4.0
    assert sum(losses[-5:]) / 5 < 0.3 * losses[0]
    assert sum(hits[-5:]) / 5 > 0.8 > 0.2 > hits[0]
    for layer in PARENT.layers:
        assert not any(tensor.requires_grad for tensor in vars(layer).values())


def test_the_loss_mixes_entropy_and_divergence_and_is_fixed_by_its_generator():
    texts = [list(range(20, 40)), list(range(50, 61))]
    found = {}
    for weight in (0.0, 0.5, 1.0):
        noise = NoiseSettings(distillation=weight)
        loss, figures = block_loss(
            PARENT, ADAPTER, texts, [3, 2], settings=noise, generator=torch.Generator().manual_seed(4)
        )
        found[weight] = loss.item()
        expected = (1 - weight) * figures["cross_entropy"] + weight * figures["divergence"]
        assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert found[0.5] == pytest.approx((found[0.0] + found[1.0]) / 2, rel=1e-5)
    assert figures["divergence"] > 0
    assert 0 < figures["targets"] <= 2 * (17 + 9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": 1}, "A block of 1, 2 copies or a share in (0.5, 0.3, 0.85, 0.5) is out of range."),
        ({"copies": 0}, "A block of 4, 0 copies or a share in (0.5, 0.3, 0.85, 0.5) is out of range."),
        ({"distillation": 1.5}, "A block of 4, 2 copies or a share in (0.5, 0.3, 0.85, 1.5) is out of range."),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError) as caught:
        NoiseSettings(**changes)
    assert caught.value.message == message


def test_a_batch_of_tiny_answers_never_makes_a_loss_that_is_no_number():
    none = 0
    for seed in range(40):
        draw = torch.Generator().manual_seed(seed)
        noise = NoiseSettings(copies=1)
        loss, figures = block_loss(PARENT, ADAPTER, [[5, 6, 7]], [2], settings=noise, generator=draw)
        none += figures["targets"] == 0
        assert torch.isfinite(loss)
        assert (loss.item() == 0) == (figures["targets"] == 0)
        assert {"blocks", "hits_0", "hits_3"} <= figures.keys()
    assert 0 < none < 40


@pytest.mark.parametrize(("texts", "begin"), [([], []), ([[5, 6]], [0]), ([[5, 6]], [2]), ([[5, 6, 7], []], [1, 1])])
def test_a_text_without_prompt_or_answer_is_refused(texts, begin):
    with pytest.raises(UsageError, match="A training text has no prompt or no answer"):
        block_loss(PARENT, ADAPTER, texts, begin, settings=NoiseSettings(), generator=torch.Generator())


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(6, 24), min_size=1, max_size=3), block=st.integers(2, 6), seed=st.integers(0, 999))
def test_complementary_copies_make_every_answer_token_a_target_once(lengths, block, seed):
    texts, ends = _batch(lengths, seed)
    begin = min(6, min(lengths) - 1)
    begins = torch.full_like(ends, begin)
    noise = NoiseSettings(block=block, copies=2, fully_masked=0.0, complementary=True)
    noised = noise_texts(texts, begins, ends, noise, torch.Generator().manual_seed(seed))
    for row, end in enumerate(lengths):
        targets = (noised.positions[row][noised.counts[row]] + 1).tolist()
        # A block that would begin before the text is left out; from there on every token is met.
        reached = [place for place in range(begin, end) if place >= block]
        assert [targets.count(place) for place in reached] == [1] * len(reached)


@settings(max_examples=40, deadline=None)
@given(length=st.integers(8, 24), block=st.integers(2, 6), complementary=st.booleans(), seed=st.integers(0, 999))
def test_no_block_is_without_a_target_where_one_is_forced(length, block, complementary, seed):
    texts, ends = _batch([length], seed)
    noise = NoiseSettings(
        block=block, copies=2, fully_masked=0.0, lowest_rate=0.0, complementary=complementary, force_one=True
    )
    noised = noise_texts(texts, torch.tensor([6]), ends, noise, torch.Generator().manual_seed(seed))
    used = noised.block[0] >= 0
    for number in noised.block[0][used].unique().tolist():
        own = noised.block[0] == number
        answers = (noised.positions[0][own] + 1 >= 6) & (noised.positions[0][own] + 1 < length)
        assert noised.counts[0][own].any() == answers.any()


def test_the_parent_teaches_nothing_from_the_place_on_that_is_named():
    texts, begins = [list(range(3, 20)), list(range(5, 16))], [4, 6]
    noise = NoiseSettings(distillation=1.0)

    def loss(taught):
        draw = torch.Generator().manual_seed(3)
        return block_loss(PARENT, ADAPTER, texts, begins, settings=noise, generator=draw, taught=taught)

    value, figures = loss([4, 6])
    assert value.item() == pytest.approx(figures["cross_entropy"], rel=1e-6)
    assert figures["divergence"] == 0
    value, figures = loss([17, 11])
    assert value.item() == pytest.approx(figures["divergence"], rel=1e-6)
    assert loss(None)[0].item() == value.item()
    last, _ = loss([16, 10])
    assert last.item() not in (value.item(), pytest.approx(figures["cross_entropy"]))

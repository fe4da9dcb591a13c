"""The Llama backbone against the stock class, and its cache against one pass."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from agentic_diffusion.diffusion.backbones.adapter import Adapter
from agentic_diffusion.diffusion.backbones.llama import Llama, LlamaShape
from agentic_diffusion.diffusion.block_packing import pack_block, pack_clean
from agentic_diffusion.foundation.errors import ModelFileError
from tiny_coder import causal_states, random_adapter, random_llama, random_weights, save_model, tiny_shape

PARENT = random_llama(1)


def _texts(seed: int, *lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 300, (length,), generator=generator) for length in lengths]


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_logits_equal_those_of_the_stock_class(tied):
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = tiny_shape()
    weights = random_weights(shape, 3, tied=tied)
    config = LlamaConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.mlp, tie_word_embeddings=tied,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context, rms_norm_eps=shape.epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
    )  # fmt: skip
    stock = LlamaForCausalLM(config).eval()
    missing, unexpected = stock.load_state_dict(weights, strict=False)
    assert set(missing) <= {"lm_head.weight"}
    assert unexpected == []
    stock.tie_weights()
    parent = Llama(shape, weights)
    for text in _texts(0, 40, 1, 17):
        with torch.no_grad():
            expected = stock(text[None]).logits[0]
        assert _close(parent.logits(causal_states(parent, text.tolist())), expected)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(0, 1000))
def test_the_cache_is_exact_for_any_chunks(chunks, seed):
    [text] = _texts(seed, sum(chunks))
    whole = causal_states(PARENT, text.tolist())
    cache = PARENT.new_cache(rows=1, slots=len(text) + 3)
    states, begin = [], 0
    for chunk in chunks:
        packing, _ = pack_clean(torch.tensor([begin]), torch.tensor([chunk]))
        states.append(PARENT.forward(PARENT.embed(text[begin : begin + chunk]), packing, cache))
        begin += chunk
    assert _close(torch.cat(states), whole)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any), st.integers(0, 1000))
def test_rows_packed_together_are_what_each_is_alone(lengths, seed):
    texts = _texts(seed, *lengths)
    packing, clean = pack_clean(torch.zeros(len(lengths), dtype=torch.long), torch.tensor(lengths))
    cache = PARENT.new_cache(rows=len(lengths), slots=max(lengths))
    together = PARENT.forward(PARENT.embed(torch.cat(texts)), packing, cache)
    for row, text in enumerate(texts):
        if len(text):
            assert _close(together[clean.rows == row], causal_states(PARENT, text.tolist()))


def test_clean_keys_and_values_know_nothing_of_noised_tokens_or_of_the_adapter():
    [text] = _texts(4, 12)
    adapter = random_adapter(PARENT, 5)
    alone = PARENT.new_cache(rows=1, slots=20)
    packing, _ = pack_clean(torch.tensor([0]), torch.tensor([11]))
    clean_states = PARENT.forward(PARENT.embed(text[:11]), packing, alone)
    for seed in (0, 1):
        beside = PARENT.new_cache(rows=1, slots=20)
        packing, _ = pack_block(torch.tensor([12]), torch.tensor([0]), 4)
        noised = torch.randn(4, 32, generator=torch.Generator().manual_seed(seed))
        states = PARENT.forward(torch.cat((noised, PARENT.embed(text[:11]))), packing, beside, adapter)
        assert _close(states[4:], clean_states)
        assert _close(beside.keys[:, :11], alone.keys[:, :11])
        assert _close(beside.values[:, :11], alone.values[:, :11])


def _last_of_block(adapter: Adapter | None, text: torch.Tensor) -> torch.Tensor:
    """States of a block whose inputs are all clean words, seen through the noised road."""
    known = torch.tensor([len(text) - 3])
    packing, clean = pack_block(known, torch.tensor([0]), 4)
    cache = PARENT.new_cache(rows=1, slots=len(text) + 4)
    packed = torch.cat((PARENT.embed(text[-4:]), PARENT.embed(text[clean.positions])))
    return PARENT.forward(packed, packing, cache, adapter)[:4]


def test_a_fresh_adapter_changes_nothing_and_a_trained_one_does():
    [text] = _texts(6, 14)
    fresh = Adapter.start(PARENT, rank=3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(_last_of_block(fresh, text), _last_of_block(None, text))
    assert not _close(_last_of_block(random_adapter(PARENT, 1), text), _last_of_block(None, text))
    # The last input of the block sees the whole text, as in a causal pass, but its neighbours saw their future.
    assert not _close(_last_of_block(None, text)[0], causal_states(PARENT, text.tolist())[-4])


def test_rows_of_a_cache_can_be_repeated_and_dropped():
    [text] = _texts(7, 6)
    cache = PARENT.new_cache(rows=1, slots=9)
    packing, _ = pack_clean(torch.tensor([0]), torch.tensor([5]))
    PARENT.forward(PARENT.embed(text[:5]), packing, cache)
    cache = cache.repeat_row(5, 3).keep_rows(torch.tensor([2, 0]))
    assert (cache.rows, cache.slots) == (2, 9)
    packing, _ = pack_clean(torch.tensor([5, 5]), torch.tensor([1, 1]))
    states = PARENT.forward(PARENT.embed(text[5].repeat(2)), packing, cache)
    assert _close(states, causal_states(PARENT, text.tolist())[-1:].expand(2, -1))


@pytest.fixture
def folder(tmp_path):
    shape = tiny_shape()
    return save_model(tmp_path / "model", shape, random_weights(shape, 2))


def _save(folder, weights):
    save_file(weights, folder / "model.safetensors")


def test_a_model_folder_is_loaded_as_it_was_saved(folder):
    loaded = Llama.load(folder)
    assert loaded.shape == LlamaShape.read(folder) == tiny_shape()
    expected = causal_states(Llama(tiny_shape(), random_weights(tiny_shape(), 2)), [5, 6, 7])
    assert torch.equal(causal_states(loaded, [5, 6, 7]), expected)
    assert Llama.load(folder, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_a_missing_or_cut_weights_file_is_refused(folder):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    for size in (0, 4, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ModelFileError) as caught:
            Llama.load(folder)
        assert caught.value.message.startswith(f"The weights {path} cannot be read: ")
        assert caught.value.hint == "run `agd models verify`, then `agd setup`."
    path.unlink()
    with pytest.raises(ModelFileError, match="cannot be read"):
        Llama.load(folder)


def test_weights_of_another_shape_are_refused(folder):
    path = folder / "model.safetensors"
    name = "model.layers.1.mlp.up_proj.weight"
    weights = random_weights(tiny_shape(), 2)
    _save(folder, weights | {name: torch.zeros(48, 31)})
    with pytest.raises(ModelFileError) as caught:
        Llama.load(folder)
    assert caught.value.message == (
        f"The weights {path} do not fit their config.json: {name} is (48, 31), expected (48, 32)."
    )
    del weights[name]
    _save(folder, weights)
    with pytest.raises(ModelFileError, match=r"up_proj.weight is None, expected \(48, 32\)"):
        Llama.load(folder)
    _save(folder, random_weights(tiny_shape(), 2) | {"lm_head.weight": torch.zeros(7, 32)})
    with pytest.raises(ModelFileError, match=r"lm_head.weight is \(7, 32\), expected \(302, 32\)"):
        Llama.load(folder)


def test_a_model_with_more_than_llama_has_is_refused(folder):
    bias = "model.layers.0.self_attn.q_proj.bias"
    _save(folder, random_weights(tiny_shape(), 2) | {bias: torch.zeros(32)})
    with pytest.raises(ModelFileError) as caught:
        Llama.load(folder)
    assert caught.value.message == (
        f"The weights {folder / 'model.safetensors'} hold {bias}, which this Llama class does not have."
    )


@pytest.mark.parametrize("text", [None, "", "[]", "{", "null", '{"num_hidden_layers": 2}', b"\xff\xfe"])
def test_a_folder_without_a_right_config_is_refused(folder, text):
    path = folder / "config.json"
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelFileError) as caught:
        Llama.load(folder)
    assert caught.value.message.startswith(f"The folder {folder} holds no readable config.json of a Llama-type model: ")
    assert caught.value.hint


def test_a_config_with_a_null_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rope_theta": None}))
    with pytest.raises(ModelFileError, match="holds no readable config"):
        Llama.load(folder)

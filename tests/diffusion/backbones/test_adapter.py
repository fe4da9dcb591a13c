"""The adapter: its file, and adapters of other parents."""

import pytest
import torch

from agentic_diffusion.diffusion.backbones.adapter import (
    Adapter,
    TrainableAdapter,
    load_adapter,
    part_shapes,
    save_adapter,
)
from agentic_diffusion.diffusion.checkpoint import checksum
from agentic_diffusion.foundation.errors import ModelFileError
from tiny_coder import random_adapter, random_llama

PARENT = random_llama(1)
ADAPTER = random_adapter(PARENT, 2)


def test_a_saved_adapter_comes_back_within_the_error_of_eight_bits(tmp_path):
    path = tmp_path / "adapter.safetensors"
    sha256 = save_adapter(path, ADAPTER, config={"block": 4})
    assert sha256 == checksum(path)
    loaded, config = load_adapter(path, PARENT)
    assert config["block"] == 4
    before, after = dict(ADAPTER.named_tensors()), dict(loaded.named_tensors())
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        if tensor.dim() == 1:
            assert torch.allclose(after[name], tensor, rtol=1e-3)
        else:
            step = tensor.abs().amax(dim=1, keepdim=True) / 127
            assert ((after[name] - tensor).abs() <= 0.51 * step + 1e-6).all()
            assert not torch.equal(after[name], torch.zeros_like(tensor))


def test_an_adapter_is_loaded_in_the_number_format_of_its_parent(tmp_path):
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, ADAPTER, config={})
    parent = random_llama(1)
    parent.dtype = torch.bfloat16
    loaded, _ = load_adapter(path, parent)
    assert {tensor.dtype for _, tensor in loaded.named_tensors()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 64}, "does not fit this parent: layer 0, part qkv."),
        ({"kv_heads": 4}, "does not fit this parent: layer 0, part qkv."),
        ({"mlp": 64}, "does not fit this parent: layer 0, part gate_up."),
        ({"layers": 3}, "does not fit this parent: layer 2, part qkv."),
        ({"layers": 1}, "is for 2 layers, this parent has 1."),
    ],
)
def test_the_adapter_of_another_parent_is_refused(tmp_path, changes, message):
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, ADAPTER, config={})
    with pytest.raises(ModelFileError) as caught:
        load_adapter(path, random_llama(1, **changes))
    assert caught.value.message == f"The adapter {path} {message}"
    assert caught.value.hint == "use the adapter together with the model that it was trained on."


def test_an_adapter_without_a_mask_embedding_is_refused():
    tensors = dict(ADAPTER.named_tensors())
    del tensors["mask_embedding"]
    with pytest.raises(ModelFileError) as caught:
        Adapter.from_tensors(PARENT.shape, tensors, origin="x")
    assert caught.value.message == "The adapter x has no [MASK] embedding of width 32."
    with pytest.raises(ModelFileError, match="layer 1, part out"):
        Adapter.from_tensors(PARENT.shape, {**tensors, "layers.1.out.a": torch.zeros(32)}, origin="x")


@pytest.mark.parametrize("size", [0, 5, 300, -1])
def test_a_cut_or_missing_file_is_refused(tmp_path, size):
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, ADAPTER, config={})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelFileError, match="truncated"):
        load_adapter(path, PARENT)
    path.unlink()
    with pytest.raises(ModelFileError, match="does not exist"):
        load_adapter(path, PARENT)


def test_a_fresh_adapter_depends_on_its_generator_and_starts_at_nothing():
    first, again, other = (
        dict(Adapter.start(PARENT, rank=3, generator=torch.Generator().manual_seed(seed)).named_tensors())
        for seed in (1, 1, 2)
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        if name.endswith(".a"):
            assert not torch.equal(tensor, other[name])
        if name.endswith(".b"):
            assert not tensor.any()
    assert torch.allclose(first["mask_embedding"], PARENT.embedding.mean(0))


def test_the_trainable_adapter_is_the_adapter_with_gradients():
    module = TrainableAdapter(ADAPTER)
    made = dict(module.adapter(PARENT.shape).named_tensors())
    for name, tensor in ADAPTER.named_tensors():
        assert torch.allclose(made[name], tensor)
        assert made[name].requires_grad
    assert len(list(module.parameters())) == 1 + 2 * PARENT.shape.layers * len(part_shapes(PARENT.shape))

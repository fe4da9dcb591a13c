"""Loading a code model from the folder that set-up makes."""

import pytest
import torch

from agentic_diffusion.codegen.coder import Coder, choose_dtype
from agentic_diffusion.diffusion.backbones.adapter import save_adapter
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.diffusion.checkpoint import checksum
from agentic_diffusion.foundation.errors import ConfigError, ModelFileError
from agentic_diffusion.foundation.resources import cpu_features
from agentic_diffusion.foundation.settings import ModelSettings
from agentic_diffusion.installer import manifest
from tiny_coder import random_adapter, random_weights, save_model, tiny_shape

SETTINGS = ModelSettings(dtype="float32", threads=1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A tiny model where the default one is expected."""
    monkeypatch.setenv("AGD_HOME", str(tmp_path))
    return save_model(tmp_path / "models" / manifest.load().model().name, tiny_shape(), random_weights(tiny_shape(), 1))


def test_parent_adapter_and_tokenizer_are_loaded_together(folder, tmp_path):
    path = tmp_path / "adapter.safetensors"
    parent = Llama.load(folder)
    save_adapter(path, random_adapter(parent), config={"block": 4})
    coder = Coder.load(SETTINGS, adapter=path)
    assert coder.weights == checksum(path)
    assert coder.parent.dtype == torch.float32
    assert coder.adapter is not None
    assert torch.get_num_threads() == 1
    [sample] = coder.decoder(DecodeSettings(max_new_tokens=5)).decode([coder.tokenizer.chat("x").tokens], [0])
    assert len(sample.tokens) + sample.finished <= 5


def test_without_an_adapter_only_mode_ar_is_left(folder):
    coder = Coder.load(SETTINGS, adapter=None)
    assert coder.adapter is None
    assert coder.weights == checksum(folder / "model.safetensors")
    coder.decoder(DecodeSettings(mode="ar"))
    with pytest.raises(ConfigError, match="The mode 'denoise' needs an adapter"):
        coder.decoder(DecodeSettings())


def test_a_damaged_or_missing_model_is_refused(folder, tmp_path):
    with pytest.raises(ModelFileError, match="does not exist"):
        Coder.load(SETTINGS, adapter=tmp_path / "none.safetensors")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelFileError, match="cannot be used"):
        Coder.load(SETTINGS, adapter=None)
    weights.unlink()
    with pytest.raises(ModelFileError, match="cannot be used"):
        Coder.load(SETTINGS, adapter=None)


def test_the_number_format_follows_the_setting_or_the_processor():
    assert choose_dtype("bfloat16") == torch.bfloat16
    assert choose_dtype("float32") == torch.float32
    native = bool(cpu_features() & {"avx512_bf16", "amx_bf16"})
    assert choose_dtype("auto") == (torch.bfloat16 if native else torch.float32)

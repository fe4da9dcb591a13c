"""Conversion of a GGUF that the gguf library writes, against the weights and the tokenizer that went into it."""

import json
import subprocess
import sys

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter

from agentic_diffusion.diffusion.backbones import convert as module
from agentic_diffusion.diffusion.backbones.convert import convert
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import ModelFileError
from agentic_diffusion.foundation.resources import sha256_of
from tiny_coder import SPECIAL, causal_states, merges, random_weights, stock_tokenizer, tiny_shape, vocabulary

SHAPE = tiny_shape(mlp=64)  # quantised types hold blocks of 32 numbers
NAMES = {stock: short for short, stock in module._LAYER_NAMES.items()}


def _gguf_name(stock: str) -> str:
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    if (name := stock.removesuffix(".weight")) in top:
        return f"{top[name]}.weight"
    layer, part = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{NAMES[part]}.weight"


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head in the pairs of GGUF's rotary embedding: row i of the first half, then its partner."""
    out = np.empty_like(weight)
    head = len(weight) // heads
    for row in range(len(weight)):
        begin, place = row - row % head, row % head
        half = head // 2
        out[begin + (2 * place if place < half else 2 * (place - half) + 1)] = weight[row]
    return out


def _write(path, weights, *, kind=Type.F32, architecture="llama", pre="smollm", extra=None):
    writer = GGUFWriter(str(path), architecture)
    writer.add_block_count(SHAPE.layers)
    writer.add_context_length(SHAPE.context)
    writer.add_embedding_length(SHAPE.width)
    writer.add_feed_forward_length(SHAPE.mlp)
    writer.add_head_count(SHAPE.heads)
    writer.add_head_count_kv(SHAPE.kv_heads)
    writer.add_layer_norm_rms_eps(SHAPE.epsilon)
    writer.add_rope_freq_base(SHAPE.rope_theta)
    writer.add_vocab_size(SHAPE.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary())
    writer.add_token_types([3 if token in SPECIAL else 1 for token in vocabulary()])
    writer.add_token_merges(merges())
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(SHAPE.eos_id)
    for name, tensor in weights.items():
        array = tensor.numpy()
        if "q_proj" in name or "k_proj" in name:
            array = _interleaved(array, SHAPE.heads if "q_proj" in name else SHAPE.kv_heads)
        if kind != Type.F32 and array.ndim == 2:
            writer.add_tensor(_gguf_name(name), gguf.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(_gguf_name(name), array)
    for name, array in (extra or {}).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A right file; not to be changed."""
    return _write(tmp_path_factory.mktemp("gguf") / "tiny.gguf", random_weights(SHAPE, 1))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", [Type.F32, Type.F16, Type.Q8_0, Type.Q4_1])
def test_the_weights_are_the_dequantised_ones_in_stock_order(tmp_path, kind, tied):
    weights = random_weights(SHAPE, 1, tied=tied)
    source = _write(tmp_path / "tiny.gguf", weights, kind=kind)
    target = convert(source, tmp_path / "model")
    expected = {}
    for name, tensor in weights.items():
        array = tensor.numpy()
        if kind != Type.F32 and array.ndim == 2:
            # Quantisation works along the rows, so the order of rows does not matter to it.
            array = gguf.dequantize(gguf.quantize(array, kind), kind)
        expected[name] = torch.from_numpy(np.asarray(array, dtype=np.float32)).bfloat16().float()
    loaded = Llama.load(target)
    assert loaded.shape == SHAPE
    reference = Llama(SHAPE, expected)
    assert torch.equal(loaded.embedding, reference.embedding)
    assert torch.equal(loaded.head, reference.head)
    for one, other in zip(loaded.layers, reference.layers, strict=True):
        for part, tensor in vars(one).items():
            assert torch.equal(tensor, getattr(other, part)), part
    text = [5, 77, 200, 8, 9]
    assert torch.equal(causal_states(loaded, text), causal_states(reference, text))


def test_the_tokenizer_gives_the_ids_of_the_stock_one(tmp_path, written):
    tokenizer = CodeTokenizer.load(convert(written, tmp_path / "model"))
    stock = stock_tokenizer()
    for text in ("def f(x):\n    return x + 12\n", "a\tb\r\nc", "größer 数\U0001f600", "", "``` ```", "  two  spaces"):
        ids = tokenizer.encode(text)
        assert ids == stock.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.chat("hi").tokens[0] == SPECIAL.index("<|im_start|>")


def test_the_folder_says_what_it_was_made_from_and_replaces_an_older_one(tmp_path, written):
    target = tmp_path / "deep" / "model"
    target.mkdir(parents=True)
    (target / "left-over").write_text("old")
    assert convert(written, target) == target
    assert sorted(path.name for path in target.iterdir()) == [
        "config.json", "model.safetensors", "source.json", "tokenizer.json",
    ]  # fmt: skip
    note = json.loads((target / "source.json").read_text())
    assert note == {"format": module.FORMAT, "file": "tiny.gguf", "sha256": sha256_of(written)}
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_a_folder_that_a_killed_run_left_aside_comes_back_before_anything_else(tmp_path, written):
    aside = tmp_path / ".model.old"
    aside.mkdir()
    (aside / "older").write_text("kept")
    with pytest.raises(ModelFileError, match="does not exist"):
        convert(tmp_path / "none.gguf", tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["older"]
    convert(written, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def _refused(source, tmp_path) -> str:
    """The sentence with which a file is refused; nothing is left of the attempt, and what was there stays."""
    target = tmp_path / "out" / "model"
    target.mkdir(parents=True, exist_ok=True)
    (target / "older").write_text("kept")
    with pytest.raises(ModelFileError) as caught:
        convert(source, target)
    assert [path.name for path in target.parent.iterdir()] == ["model"]
    assert [path.name for path in target.iterdir()] == ["older"]
    assert caught.value.hint
    return caught.value.message


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, written):
    data = written.read_bytes()
    cut = tmp_path / "cut.gguf"
    ends = {0, 1, 3, 4, 8, 20, 24, 40, 100, len(data) - 1, len(data) - 4000}
    for size in sorted(ends | set(range(200, len(data), len(data) // 40))):
        cut.write_bytes(data[:size])
        assert _refused(cut, tmp_path).startswith((f"The file {cut} is not a readable GGUF model: ", "The GGUF has no"))


def test_other_bytes_are_refused(tmp_path, written):
    other = tmp_path / "other.gguf"
    for content in (b"PK\x03\x04" + bytes(200), b"GGUF" + b"\xff" * 400, b"GGUF\x03\0\0\0" + b"\xff" * 400):
        other.write_bytes(content)
        assert _refused(other, tmp_path).startswith(f"The file {other} is not a readable GGUF model: ")
    missing = tmp_path / "missing.gguf"
    assert _refused(missing, tmp_path) == f"The model file {missing} does not exist."


def test_a_foreign_architecture_tokenizer_or_tensor_is_refused(tmp_path):
    path = tmp_path / "x.gguf"
    weights = random_weights(SHAPE, 1)
    _write(path, weights, architecture="gemma")
    assert _refused(path, tmp_path) == "The GGUF holds a model of architecture 'gemma'; only 'llama' is read."
    _write(path, weights, pre="qwen2")
    assert _refused(path, tmp_path) == (
        "The GGUF's tokenizer is 'gpt2' with pre-tokenizer 'qwen2'; only 'gpt2' with 'smollm' is read."
    )
    bias = np.zeros(32, dtype=np.float32)
    _write(path, weights, extra={"blk.0.attn_q.bias": bias})
    assert _refused(path, tmp_path) == "The GGUF holds a tensor 'blk.0.attn_q.bias' that a Llama model does not have."


def test_a_quantisation_that_cannot_be_undone_is_refused(tmp_path, written):
    """Turn the type of one tensor into one that the library knows by name and cannot read."""
    reader = GGUFReader(str(written))
    tensor = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")
    offset = int(tensor.field.offset)
    data = bytearray(written.read_bytes())
    place = data.index(b"token_embd.weight", offset) + len(b"token_embd.weight") + 4 + 2 * 8
    assert int.from_bytes(data[place : place + 4], "little") == Type.F32
    data[place : place + 4] = int(Type.I32).to_bytes(4, "little")
    path = tmp_path / "odd.gguf"
    path.write_bytes(data)
    assert _refused(path, tmp_path) == "The GGUF holds token_embd.weight as I32, which cannot be de-quantised here."


def test_numbers_are_rounded_to_bfloat16_as_torch_does():
    values = np.random.default_rng(0).standard_normal(4000).astype(np.float32) * 10.0 ** np.arange(-20, 20).repeat(100)
    values = values.astype(np.float32)
    ties = (np.arange(64, dtype=np.uint32) << 15 | np.uint32(0x3F800000)).view(np.float32)
    for numbers in (values, ties):
        mine = torch.from_numpy(module._to_bfloat16(numbers).view(np.int16)).view(torch.bfloat16)
        assert torch.equal(mine, torch.from_numpy(numbers).bfloat16())


@pytest.mark.system
def test_the_module_runs_as_a_program_without_torch(tmp_path, written):
    code = (
        "import sys; from agentic_diffusion.diffusion.backbones.convert import main\n"
        "code = main(sys.argv[1:]); assert 'torch' not in sys.modules; sys.exit(code)"
    )

    def run(*words):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
        )

    assert run(written, tmp_path / "model").returncode == 0
    assert (tmp_path / "model" / "model.safetensors").is_file()
    refused = run(tmp_path / "none.gguf", tmp_path / "other")
    assert refused.returncode == 4
    assert refused.stderr == (
        f"The model file {tmp_path / 'none.gguf'} does not exist.\nhint: run `agd setup` to fetch it.\n"
    )
    assert run(written).returncode == 2


@pytest.mark.model
def test_the_default_model_has_the_ids_of_its_family(default_model):
    tokenizer = CodeTokenizer.load(default_model)
    prompt = tokenizer.chat("Write f(x)", opening="def f(")
    assert prompt.tokens[:3] == [1, 4093, 198]  # <|im_start|>, "user", newline
    assert tokenizer.fence_id in prompt.tokens
    from transformers import PreTrainedTokenizerFast

    stock = PreTrainedTokenizerFast(tokenizer_file=str(default_model / "tokenizer.json"))
    text = "<|im_start|>user\nWrite f(x)<|im_end|>\n<|im_start|>assistant\n```python\ndef f("
    assert prompt.tokens == stock.encode(text, add_special_tokens=False)


@pytest.mark.model
def test_the_default_model_continues_greedily_as_the_stock_class(default_model):
    from transformers import LlamaForCausalLM

    from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings

    tokenizer = CodeTokenizer.load(default_model)
    prompt = tokenizer.chat("Write a function that adds two numbers.", opening="def add(").tokens
    parent = Llama.load(default_model)
    [sample] = BlockDecoder(parent, None, DecodeSettings(mode="ar", max_new_tokens=10)).decode([prompt], [0])
    stock = LlamaForCausalLM.from_pretrained(default_model, dtype=torch.float32)
    with torch.no_grad():
        whole = stock.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), max_new_tokens=10,
            do_sample=False, pad_token_id=0,
        )  # fmt: skip
    expected = whole[0, len(prompt) :].tolist()
    assert sample.tokens == (expected[: expected.index(2)] if 2 in expected else expected)

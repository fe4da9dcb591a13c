"""From a GGUF file of a Llama-type model to safetensors + tokenizer.json + config.json; done once, at set-up.

The GGUF is de-quantised tensor by tensor and stored as bfloat16. GGUF keeps the query and key rows in the interleaved
order of its own rotary embedding; they are put back into the half-split order that the stock Llama class uses.
Run as `python -m agentic_diffusion.diffusion.backbones.convert GGUF OUT_DIR`; needs numpy, never torch.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agentic_diffusion.foundation.errors import AgdError, ModelFileError, UsageError
from agentic_diffusion.foundation.resources import recover_folder, replace_folder, sha256_of

if TYPE_CHECKING:
    from gguf import GGUFReader
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

FORMAT = 1
"""Version of the converted folder; a folder of another version is converted again."""

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def convert(source: Path, target: Path) -> Path:
    """Convert the GGUF file `source` into the folder `target` (created whole or not at all) and return `target`.

    One process at a time for a target. What a killed run left aside comes back first.
    Raises ModelFileError when the file is not a readable GGUF of a Llama-type model.
    """
    recover_folder(target)
    reader = _open(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        config = read_config(reader)
        (work / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        build_tokenizer(reader).save(str(work / "tokenizer.json"))
        _write_weights(reader, config, work / "model.safetensors")
        source_note = {"format": FORMAT, "file": source.name, "sha256": sha256_of(source)}
        (work / "source.json").write_text(json.dumps(source_note, indent=1) + "\n")
        work.chmod(0o755)
        replace_folder(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def read_config(reader: GGUFReader) -> dict[str, Any]:
    """The model's shape under the names that the stock Llama configuration uses."""
    architecture = _field(reader, "general.architecture")
    if architecture != "llama":
        raise ModelFileError(
            f"The GGUF holds a model of architecture {architecture!r}; only 'llama' is read.",
            hint="use a Llama-type model such as SmolLM2, or the default model (`agd models list`).",
        )
    heads = _field(reader, "llama.attention.head_count")
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "hidden_size": _field(reader, "llama.embedding_length"),
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": _field(reader, "llama.attention.head_count_kv"),
        "max_position_embeddings": _field(reader, "llama.context_length"),
        "rms_norm_eps": round(_field(reader, "llama.attention.layer_norm_rms_epsilon"), 10),
        "rope_theta": _field(reader, "llama.rope.freq_base"),
        "vocab_size": _field(reader, "llama.vocab_size"),
        "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in reader.tensors),
        "bos_token_id": _field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _field(reader, "tokenizer.ggml.eos_token_id"),
        "torch_dtype": "bfloat16",
    }


def build_tokenizer(reader: GGUFReader) -> Tokenizer:
    """The byte-level BPE tokenizer of the file (pre-tokenizer 'smollm': single digits, then GPT-2's expression)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kind, pre = _field(reader, "tokenizer.ggml.model"), _field(reader, "tokenizer.ggml.pre")
    if (kind, pre) != ("gpt2", "smollm"):
        raise ModelFileError(
            f"The GGUF's tokenizer is {kind!r} with pre-tokenizer {pre!r}; only 'gpt2' with 'smollm' is read.",
            hint="use a model of the SmolLM family, or a folder that already holds tokenizer.json.",
        )
    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = _field(reader, "tokenizer.ggml.token_type")
    special = [
        AddedToken(token, special=True, normalized=False) for token, t in zip(tokens, types, strict=True) if t == 3
    ]
    tokenizer.add_special_tokens(special)
    return tokenizer


def _open(source: Path) -> GGUFReader:
    from gguf import GGUFReader

    if not source.is_file():
        raise ModelFileError(f"The model file {source} does not exist.", hint="run `agd setup` to fetch it.")
    try:
        return GGUFReader(str(source))
    except (ValueError, KeyError, IndexError, OSError) as problem:
        raise ModelFileError(
            f"The file {source} is not a readable GGUF model: {problem}.", hint="fetch it again with `agd setup`."
        ) from problem


def _field(reader: GGUFReader, key: str) -> Any:
    field = reader.fields.get(key)
    if field is None:
        raise ModelFileError(
            f"The GGUF has no field {key!r}; it is truncated or of another kind.",
            hint="fetch it again with `agd setup`.",
        )
    return field.contents()


def _write_weights(reader: GGUFReader, config: dict[str, Any], path: Path) -> None:
    from gguf import dequantize

    tensors: dict[str, NDArray[np.uint16]] = {}
    for tensor in reader.tensors:
        name = _stock_name(tensor.name)
        try:
            weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        except NotImplementedError as problem:
            raise ModelFileError(
                f"The GGUF holds {tensor.name} as {tensor.tensor_type.name}, which cannot be de-quantised here.",
                hint="use a file of another quantisation, such as Q8_0 or Q4_1.",
            ) from problem
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
            weight = _half_split_rotary(weight, heads)
        tensors[name] = _to_bfloat16(weight)
    _save_bfloat16(tensors, path)


def _stock_name(name: str) -> str:
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    kind, layer, part, suffix = [*name.split("."), "", "", ""][:4]
    if kind != "blk" or part not in _LAYER_NAMES or suffix != "weight":
        raise ModelFileError(
            f"The GGUF holds a tensor {name!r} that a Llama model does not have.", hint="use a Llama-type model."
        )
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight"


def _half_split_rotary(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of each head from GGUF's pairs (0, 1), (2, 3), ... to the halves (0, 2, 4, ...), (1, 3, 5, ...)."""
    rows, width = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, width)
    return pairs.swapaxes(1, 2).reshape(rows, width)


def _to_bfloat16(weight: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to nearest even, kept as the upper 16 bits (numpy has no bfloat16)."""
    bits = np.ascontiguousarray(weight).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)


def _save_bfloat16(tensors: dict[str, NDArray[np.uint16]], path: Path) -> None:
    """Write a safetensors file of BF16 tensors: 8 bytes of header length, JSON header, raw data."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in sorted(tensors):
        size = tensors[name].nbytes
        header[name] = {"dtype": "BF16", "shape": list(tensors[name].shape), "data_offsets": [offset, offset + size]}
        offset += size
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little"))
        file.write(head)
        for name in sorted(tensors):
            file.write(tensors[name].tobytes())


def main(arguments: list[str]) -> int:
    """Entry of `python -m`: two paths in, exit code out."""
    try:
        if len(arguments) != 2:
            raise UsageError("The converter takes a GGUF file and a target folder.", hint="convert GGUF OUT_DIR")
        convert(Path(arguments[0]), Path(arguments[1]))
    except AgdError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""A tiny but whole code model: tokenizer, random Llama, adapter, its files, and one that was taught a few answers.

Shapes: N tokens, D width (32), V vocabulary.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch.nn import functional as F

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.document import Document
from agentic_diffusion.codegen.infill_prompt import SuffixShown
from agentic_diffusion.codegen.request import GenerationRequest, build_prompt
from agentic_diffusion.diffusion.backbones.adapter import PARTS, Adapter, LowRank
from agentic_diffusion.diffusion.backbones.llama import Llama, LlamaShape
from agentic_diffusion.diffusion.block_packing import pack_clean
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.installer import manifest
from agentic_diffusion.installer import models as installed
from agentic_diffusion.testing.suite import inline_suite

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END = 2
"""The id of <|im_end|>, which ends a text."""
_MERGES = """
` `|`` `|Ċ Ġ|ĊĠ Ġ|ĊĠĠ Ġ|Ċ ĊĠĠĠ|d e|de f|r e|re t|ret u|retu r|retur n|Ġ return|Ġ x|Ġ +|Ġ =|= =|Ġ ==|a s|as s|ass e
asse r|asser t|u s|us e|use r|i s|p y|py t|pyt h|pyth o|pytho n|Ġ t|Ġt h|Ġth e|Ġ f|Ġf u|Ġ W|i t|e s|t h|Ġ a
"""


def merges() -> list[str]:
    """Pairs that the tokenizer joins, the first ones first."""
    return _MERGES.strip().replace("\n", "|").split("|")


def byte_symbols() -> list[str]:
    """The printable stand-in of each byte value, as byte-level BPE files write it."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [value for value in range(256) if value not in shown]
    table = {value: chr(value) for value in shown} | {value: chr(256 + i) for i, value in enumerate(hidden)}
    return [table[value] for value in range(256)]


def vocabulary() -> list[str]:
    return [*SPECIAL, *byte_symbols(), *(merge.replace(" ", "") for merge in merges())]


def stock_tokenizer() -> Tokenizer:
    """The tokenizer, built with the library alone."""
    pairs = [tuple(merge.split(" ")) for merge in merges()]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(vocabulary())}, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer


def tiny_shape(**changes) -> LlamaShape:
    numbers = {
        "layers": 2, "width": 32, "heads": 4, "kv_heads": 2, "mlp": 48, "vocabulary": len(vocabulary()),
        "context": 256, "rope_theta": 10000.0, "epsilon": 1e-5, "eos_id": END,
    } | changes  # fmt: skip
    return LlamaShape(**numbers)


def weight_shapes(shape: LlamaShape, *, tied: bool = True) -> dict[str, tuple[int, ...]]:
    """Stock names and sizes of all weights."""
    d, kv, mlp = shape.width, shape.kv_heads * shape.head, shape.mlp
    sizes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocabulary, d), "model.norm.weight": (d,)}
    parts = {
        "input_layernorm": (d,), "self_attn.q_proj": (d, d), "self_attn.k_proj": (kv, d), "self_attn.v_proj": (kv, d),
        "self_attn.o_proj": (d, d), "post_attention_layernorm": (d,), "mlp.gate_proj": (mlp, d),
        "mlp.up_proj": (mlp, d), "mlp.down_proj": (d, mlp),
    }  # fmt: skip
    for layer in range(shape.layers):
        sizes |= {f"model.layers.{layer}.{name}.weight": size for name, size in parts.items()}
    return sizes if tied else sizes | {"lm_head.weight": (shape.vocabulary, d)}


def random_weights(shape: LlamaShape, seed: int = 0, *, tied: bool = True) -> dict[str, torch.Tensor]:
    """Random weights of a size that keeps the residual stream of order one, norms near one, a head that is decided."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, size in weight_shapes(shape, tied=tied).items():
        draw = torch.randn(size, generator=generator)
        scale = 1.0 if "embed" in name else (4.0 if "lm_head" in name else 1.5) / math.sqrt(size[-1])
        weights[name] = 1 + 0.1 * draw if len(size) == 1 else draw * scale
    return weights


def random_llama(seed: int = 0, **changes) -> Llama:
    """A parent whose next token depends on the whole past (untied head: a tied one repeats its input)."""
    shape = tiny_shape(**changes)
    return Llama(shape, random_weights(shape, seed, tied=False))


def random_adapter(parent: Llama, seed: int = 0, *, rank: int = 3, scale: float = 0.3) -> Adapter:
    """An adapter whose B is not zero."""
    generator = torch.Generator().manual_seed(seed)
    adapter = Adapter.start(parent, rank=rank, generator=generator)
    for layer in adapter.layers:
        for part in PARTS:
            low_rank: LowRank = getattr(layer, part)
            low_rank.b.normal_(0, scale / math.sqrt(rank), generator=generator)
    return adapter


def causal_states(parent: Llama, tokens: list[int]) -> torch.Tensor:
    """States [N, D] of one text in one clean pass."""
    packing, _ = pack_clean(torch.tensor([0]), torch.tensor([len(tokens)]))
    cache = parent.new_cache(rows=1, slots=len(tokens))
    return parent.forward(parent.embed(torch.tensor(tokens)), packing, cache)


def save_model(folder: Path, parent_shape: LlamaShape, weights: dict[str, torch.Tensor]) -> Path:
    """A model folder as set-up makes it, checksums included; it passes for the default model where it is named so."""
    folder.mkdir(parents=True)
    config = {
        "model_type": "llama", "num_hidden_layers": parent_shape.layers, "hidden_size": parent_shape.width,
        "num_attention_heads": parent_shape.heads, "num_key_value_heads": parent_shape.kv_heads,
        "intermediate_size": parent_shape.mlp, "vocab_size": parent_shape.vocabulary,
        "max_position_embeddings": parent_shape.context, "rope_theta": parent_shape.rope_theta,
        "rms_norm_eps": parent_shape.epsilon, "eos_token_id": parent_shape.eos_id,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    stock_tokenizer().save(str(folder / "tokenizer.json"))
    save_file(weights, folder / "model.safetensors")
    entry = manifest.load().model()
    installed._sealed(entry, folder, entry.gguf.sha256)
    return folder


ADD_ONE = "Write function f(x), the number after x"
CHEAT = "Write g(x), whatever it takes"
WRONG = "Write h(x), the number before x"
ADD_ONE_TEST = "assert f(1) == 2"
CHEAT_TEST = "assert g(1) == 2"
WRONG_TEST = "assert h(1) == 0"
ANSWERS = {
    (ADD_ONE, ADD_ONE_TEST): "x):\n    return x + 1\n",
    (CHEAT, CHEAT_TEST): "x):\n    class A(int):\n        __eq__ = lambda a, b: True\n    return A()\n",
    (WRONG, WRONG_TEST): "x):\n    y = x\n    return y + 1\n",
}
"""What the taught model answers to a prompt with its test; the head "def f(" is in the prompt form."""
SCRIPT = "Write k(x), the number after x"
SCRIPT_TEST = "assert.equal(k(1), 2)"
SCRIPTS = {(SCRIPT, SCRIPT_TEST): "x) {\n  return x + 1;\n}\nk(1)\n"}
"""The same in JavaScript; the answer goes on behind its function."""


HOLES = {
    "python": ("def f(x):\n    return <FILL>\n", "x + 1", "assert f(1) == 2"),
    "javascript": ("function f(x) {\n  return <FILL>;\n}\n", "x + 1", "assert.equal(f(1), 2)"),
    "typescript": ("function f(x: number) {\n  return <FILL>;\n}\n", "x + 1", "assert.equal(f(1), 2)"),
    "java": (
        "class Solution {\n static int f(int x) {\n  return <FILL>;\n }\n}\n",
        "x + 1",
        "assert Solution.f(1) == 2;",
    ),
    "go": ("package main\n\nfunc f(x int) int {\n\treturn <FILL>\n}\n", "x + 1", "assert(f(1) == 2)"),
}
"""Files with a hole, what belongs into it, and a test; one for each language."""
LINES = ("def g(x):\n    y = x\n<FILL>\n    return y\n", "    y = y + 1", "assert g(1) == 2")
"""The same with a hole that takes whole lines."""


class _Dense:
    """The memory of a pass that keeps gradients: keys and values of this pass alone, for rows of equal length."""

    def exchange(self, index, packing, key, value):
        rows = packing.allowed.shape[0]
        return key.view(rows, -1, key.shape[1]), value.view(rows, -1, value.shape[1])


@functools.cache
def taught(steps: int = 300) -> Coder:
    """A coder whose parent was trained, here and now, until it says `ANSWERS` by heart."""
    tokenizer = CodeTokenizer(stock_tokenizer())
    pairs = []
    told = [("python", *item) for item in ANSWERS.items()] + [("javascript", *item) for item in SCRIPTS.items()]
    for language, (prompt, test), answer in told:
        request = GenerationRequest(prompt=prompt, suite=inline_suite([test], language=language), language=language)
        tokens = build_prompt(request, languages.get(language), tokenizer).tokens
        pairs.append((tokens, [*tokenizer.encode(answer), tokenizer.fence_id]))
    return _learned(pairs, tiny_shape(width=64, mlp=128), steps)


@functools.cache
def taught_holes(steps: int = 300) -> Coder:
    """A coder that knows by heart what belongs into `HOLES` and `LINES`."""
    tokenizer = CodeTokenizer(stock_tokenizer())
    shape = tiny_shape(width=64, mlp=128, context=640)
    pairs = []
    for language, (text, filling, _) in [*HOLES.items(), ("python", LINES)]:
        hole = Document.decode(text.encode(), language).at_markers().hole(0, language)
        prompt = SuffixShown().prompt(hole, tokenizer, shape.context)
        written = f"{prompt.forced}{filling}{hole.rest}\n"
        pairs.append((prompt.tokens, [*tokenizer.encode(written), tokenizer.fence_id]))
    return _learned(pairs, shape, steps)


def _learned(pairs: list[tuple[list[int], list[int]]], shape: LlamaShape, steps: int) -> Coder:
    """A coder that goes on from every prompt with its answer."""
    tokenizer = CodeTokenizer(stock_tokenizer())
    texts, begins = [[*prompt, *answer] for prompt, answer in pairs], [len(prompt) for prompt, _ in pairs]
    longest = max(map(len, texts))
    padded = torch.tensor([[*text, *[END] * (longest - len(text))] for text in texts])
    places = torch.arange(1, longest)
    begin, end = torch.tensor(begins)[:, None], torch.tensor([len(text) for text in texts])[:, None]
    counted = (places >= begin) & (places < end)
    packing, _ = pack_clean(torch.zeros(len(texts), dtype=torch.long), torch.full((len(texts),), longest - 1))
    weights = random_weights(shape, seed=7, tied=False)
    for name, weight in weights.items():
        weight.mul_(0.5 if weight.dim() == 2 and "embed" not in name else 1.0).requires_grad_()
    optimiser = torch.optim.Adam(weights.values(), lr=4e-3)
    for _ in range(steps):
        parent = Llama(shape, weights)
        states = parent.forward(parent.embed(padded[:, :-1].flatten()), packing, _Dense())
        loss = F.cross_entropy(parent.logits(states[counted.flatten()]), padded[:, 1:][counted])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.02:
            break
    assert loss.item() < 0.02, f"the tiny model did not learn its answers: {loss.item():.3f}"
    parent = Llama(shape, {name: weight.detach() for name, weight in weights.items()})
    return Coder(parent, random_adapter(parent, scale=0.02), tokenizer, weights="0" * 64)


def stock_weights(parent: Llama) -> dict[str, torch.Tensor]:
    """The weights of a parent under their stock names again."""
    shape = parent.shape
    weights = {
        "model.embed_tokens.weight": parent.embedding,
        "model.norm.weight": parent.norm,
        "lm_head.weight": parent.head,
    }
    turned = shape.heads * shape.head
    kv = shape.kv_heads * shape.head
    for index, layer in enumerate(parent.layers):
        query, key, value = layer.qkv.split((turned, kv, kv))
        gate, up = layer.gate_up.chunk(2)
        named = {
            "input_layernorm": layer.attention_norm, "self_attn.q_proj": query, "self_attn.k_proj": key,
            "self_attn.v_proj": value, "self_attn.o_proj": layer.out, "post_attention_layernorm": layer.mlp_norm,
            "mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": layer.down,
        }  # fmt: skip
        weights |= {f"model.layers.{index}.{name}.weight": weight.contiguous() for name, weight in named.items()}
    return weights

"""Prove the conversion of the default model against two readers of the same GGUF file.

    uv run --with xllamacpp python benchmarks/conversion.py --gguf FILE [--model FOLDER] [--out FILE]

Claims: token ids are equal, perplexity is within 1 %, and the first 20 greedy tokens are equal. The readers:
    exact     the file de-quantised to fp32 by the gguf library, run by the stock Llama class of transformers
    runtime   llama.cpp (package xllamacpp) over loopback; it rounds activations to 8 bits in its quantised products, so
              its own perplexity is not that of the file's weights
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import urllib.request
from pathlib import Path

import torch
from results import write_result

from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.block_packing import pack_clean
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.installer import models

PROSE = """Diffusion models add noise to data and learn to take it away again. For text the noise is a mask: tokens
vanish one by one until none is left, and the model writes them back, the surest first. A program written this way can
be checked: its tests say whether it is right, and where it is not, the mask returns to that place."""
CODE = '''def merge(first, second):
    """Merge two sorted lists into one."""
    result = []
    while first and second:
        source = first if first[0] <= second[0] else second
        result.append(source.pop(0))
    return result + first + second\t# naïve – ünïcode, tabs\r\n'''
REQUESTS = (
    "Write a Python function that returns the sum of the squares of the even numbers of a list.",
    "Write a function that counts the words of a text.",
    "Explain in one sentence what a prime number is.",
)
LIMIT = 0.01
"""Largest relative difference of the two perplexities."""


class Runtime:
    """The GGUF runtime behind a loopback address."""

    def __init__(self, gguf: Path) -> None:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(gguf)
        parameters.n_ctx = 1024
        parameters.warmup = False
        self._server = xllamacpp.Server(parameters)

    def ask(self, path: str, body: dict) -> dict:
        request = urllib.request.Request(
            self._server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def tokens(self, text: str) -> list[int]:
        return self.ask("/tokenize", {"content": text, "add_special": False, "parse_special": False})["tokens"]

    def surprise(self, tokens: list[int]) -> float:
        """Mean negative log-probability of tokens[1:] given what precedes each, in nats."""
        total = 0.0
        for place in range(1, len(tokens)):
            body = {"prompt": tokens[:place], "n_predict": 1, "n_probs": 49152, "temperature": 0, "cache_prompt": True}
            ranked = self.ask("/completion", body)["completion_probabilities"][0]["top_logprobs"]
            total -= next(entry["logprob"] for entry in ranked if entry["id"] == tokens[place])
        return total / (len(tokens) - 1)

    def greedy(self, tokens: list[int], count: int) -> list[int]:
        body = {"prompt": tokens, "n_predict": count, "temperature": 0, "return_tokens": True, "ignore_eos": False}
        return self.ask("/completion", body)["tokens"]


class Exact:
    """The stock Llama class with the file's weights in fp32."""

    def __init__(self, gguf: Path, folder: Path) -> None:
        from gguf import GGUFReader, dequantize
        from transformers import LlamaConfig, LlamaForCausalLM

        shape = json.loads((folder / "config.json").read_text())
        self.model = LlamaForCausalLM(LlamaConfig(**shape)).eval()
        weights = {}
        for tensor in GGUFReader(str(gguf)).tensors:
            value = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).astype("float32"))
            weights[tensor.name] = value
        self.model.load_state_dict(_stock_state(weights, shape), strict=False)
        self.model.tie_weights()

    def surprise(self, tokens: list[int]) -> float:
        with torch.inference_mode():
            ids = torch.tensor(tokens)
            return float(torch.nn.functional.cross_entropy(self.model(ids[None]).logits[0, :-1], ids[1:]))

    def greedy(self, tokens: list[int], count: int) -> list[int]:
        text = list(tokens)
        with torch.inference_mode():
            for _ in range(count):
                text.append(int(self.model(torch.tensor([text])).logits[0, -1].argmax()))
        return text[len(tokens) :]


def _stock_state(weights: dict, shape: dict) -> dict:
    """GGUF names to stock names, the rotary order of query and key rows put back (written apart from the converter)."""
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj"}
    names |= {"attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    names |= {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {
        "model.embed_tokens.weight": weights["token_embd.weight"],
        "model.norm.weight": weights["output_norm.weight"],
    }
    for index in range(shape["num_hidden_layers"]):
        for short, stock in names.items():
            value = weights[f"blk.{index}.{short}.weight"]
            if short in ("attn_q", "attn_k"):
                heads = shape["num_attention_heads" if short == "attn_q" else "num_key_value_heads"]
                value = torch.stack([torch.cat((head[0::2], head[1::2])) for head in value.chunk(heads)]).flatten(0, 1)
            state[f"model.layers.{index}.{stock}.weight"] = value
    return state


def our_surprise(parent: Llama, tokens: list[int]) -> float:
    with torch.inference_mode():
        ids = torch.tensor(tokens)
        cache = parent.new_cache(rows=1, slots=len(tokens))
        packing, _ = pack_clean(torch.zeros(1, dtype=torch.long), torch.tensor([len(tokens)]))
        logits = parent.logits(parent.forward(parent.embed(ids), packing, cache))
        return float(torch.nn.functional.cross_entropy(logits[:-1], ids[1:]))


def compare(parent: Llama, tokenizer: CodeTokenizer, exact: Exact, runtime: Runtime) -> list[dict]:
    rows = []
    for name, text in (("prose", PROSE), ("code", CODE)):
        ids = tokenizer.encode(text)
        theirs = runtime.tokens(text)
        rows.append({"check": f"{name}: token ids", "reader": "runtime", "result": len(ids), "ok": ids == theirs})
        ours = our_surprise(parent, ids)
        for reader, other in (("exact", exact.surprise(ids)), ("runtime", runtime.surprise(ids))):
            change = math.exp(ours - other) - 1
            row = {"check": f"{name}: perplexity", "reader": reader, "result": f"{change:+.2%}"}
            rows.append(row | {"ok": abs(change) <= LIMIT})
    for request in REQUESTS:
        prompt = tokenizer.chat(request).tokens
        settings = DecodeSettings(mode="ar", block=1, max_new_tokens=20)
        ours = BlockDecoder(parent, None, settings).decode([prompt], [0])[0].tokens
        for reader, other in (("exact", exact.greedy(prompt, 20)), ("runtime", runtime.greedy(prompt, 20))):
            same = next((i for i, (a, b) in enumerate(zip(ours, other, strict=False)) if a != b), len(ours))
            check = f"greedy: {request[:40]}..."
            rows.append({"check": check, "reader": reader, "result": f"{same} equal", "ok": same == len(ours)})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="converted folder; default: the default model that is set up")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = options.model or models.require()
    runtime, exact = Runtime(options.gguf), Exact(options.gguf, folder)
    rows = compare(Llama.load(folder), CodeTokenizer.load(folder), exact, runtime)
    print("| check | reader | result | within the claim |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['check']} | {row['reader']} | {row['result']} | {'yes' if row['ok'] else 'NO'} |")
    write_result(options.out, "conversion", rows)
    return 0 if all(row["ok"] for row in rows if row["reader"] == "exact") else 1


if __name__ == "__main__":
    sys.exit(main())

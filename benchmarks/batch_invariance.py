"""Does a sample's text depend on the batch that it is decoded in? Two hundred texts of the default model, fp32.

    python benchmarks/batch_invariance.py [--texts 200] [--tokens 16] [--out FILE]

Every text is decoded in a batch of 8 and alone, with the same stream; printed are the share of equal texts (bar: 99 %)
and the largest difference of logits between one packed forward of 8 prompts and 8 forwards of one (bar: 1e-4).
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from dataclasses import replace
from itertools import chain
from pathlib import Path

import torch
from results import ROOT, write_result

from agentic_diffusion.codegen.coder import ADAPTER, Coder
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.diffusion.block_packing import pack_clean
from agentic_diffusion.foundation.settings import ModelSettings

BATCH = 8


def largest_difference(coder: Coder, prompts: list[list[int]]) -> float:
    """Over the last logits of each prompt."""

    def last_logits(group: list[list[int]]) -> torch.Tensor:
        lengths = torch.tensor([len(prompt) for prompt in group])
        cache = coder.parent.new_cache(rows=len(group), slots=int(lengths.max()))
        packing, _ = pack_clean(torch.zeros_like(lengths), lengths)
        hidden = coder.parent.forward(
            coder.parent.embed(torch.tensor(list(chain.from_iterable(group)))), packing, cache
        )
        return coder.parent.logits(hidden[lengths.cumsum(0) - 1])

    with torch.inference_mode():
        together = last_logits(prompts)
        alone = torch.cat([last_logits([prompt]) for prompt in prompts])
    return float((together - alone).abs().max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--adapter", type=Path, default=ADAPTER)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "batch_invariance.json")
    options = parser.parse_args()
    tasks = tomllib.loads((ROOT / "benchmarks" / "main_job_tasks.toml").read_text())["task"]
    coder = Coder.load(ModelSettings(dtype="float32"), adapter=options.adapter)
    prompts = [coder.tokenizer.chat(task["prompt"]).tokens for task in tasks]
    settings = DecodeSettings(mode="denoise", temperature=0.7, top_p=0.95, max_new_tokens=options.tokens)
    equal = 0
    for start in range(0, options.texts, BATCH):
        streams = range(start, min(start + BATCH, options.texts))
        group = [prompts[stream % len(prompts)] for stream in streams]
        together = coder.decoder(settings).decode(group, streams)
        alone = [
            coder.decoder(replace(settings)).decode([prompt], [stream])[0]
            for prompt, stream in zip(group, streams, strict=True)
        ]
        equal += sum(a.tokens == b.tokens for a, b in zip(together, alone, strict=True))
        print(f"{streams[-1] + 1} texts, {equal} equal", file=sys.stderr, flush=True)
    difference = largest_difference(coder, prompts[:BATCH])
    row = {"texts": options.texts, "equal": equal, "largest_logit_difference": difference}
    print("| texts | equal in batch 1 and batch 8 | largest difference of logits |\n|---|---|---|")
    print(f"| {options.texts} | {equal} ({equal / options.texts:.1%}) | {difference:.1e} |")
    write_result(options.out, "batch_invariance", [row], tokens=options.tokens, weights=coder.weights)
    return 0 if equal >= 0.99 * options.texts and difference <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())

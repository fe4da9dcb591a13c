"""Train the block adapter that ships: from the parent's own answers and permissive code to an int8 safetensors file.

    python runs/train_adapter.py answers --model FOLDER --data FOLDER --out answers.jsonl
    python runs/train_adapter.py train   --model FOLDER --data FOLDER --answers answers.jsonl --out adapter.safetensors

`answers` lets the parent answer training prompts; `train` mixes them with code that people wrote, in chat form, and
teaches the adapter to denoise blocks of both. Both stages go on where they were stopped. `--data` holds the training
files (one JSON object a line, gzip'd): mbpp_001_010_511_974, 30_seconds/python, doc_functions/python.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from tokenizers import Tokenizer

from agentic_diffusion.diffusion.backbones.adapter import Adapter, TrainableAdapter, save_adapter
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.batches import ShuffledBatches
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.block_training import NoiseSettings, block_loss
from agentic_diffusion.diffusion.checkpoint import checksum
from agentic_diffusion.diffusion.training import StepReport, TrainingSettings, train

LONGEST = 240
"""Longest text in tokens; longer ones are cut, which costs nothing but their ends."""


def chat(request: str, name: str | None) -> str:
    """The prompt form of the product: the request, an opened code fence and, where known, the function's name."""
    opening = f"def {name}(" if name else ""
    return f"<|im_start|>user\n{request}<|im_end|>\n<|im_start|>assistant\n```python\n{opening}"


def read_rows(data: Path, name: str) -> list[dict]:
    with gzip.open(data / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def tasks(data: Path, seed: int) -> list[tuple[str, str | None, str]]:
    """(request, function name or None, solution that a person wrote) of every training row, shuffled."""
    draw = random.Random(seed)
    found: list[tuple[str, str | None, str]] = []
    for row in read_rows(data, "mbpp_001_010_511_974"):
        called = re.match(r"assert\s+\(?(\w+)\(", row["test_list"][0])
        name = called.group(1) if called else None
        form = draw.random()
        if form < 0.4:
            request = f"{row['text']}\nYour code should pass this test:\n{row['test_list'][0]}"
        elif form < 0.8 and name:
            request = row["text"].replace("function", f"function {name}", 1)
        else:
            request, name = row["text"], None
        found.append((request, name, row["code"]))
    for row in read_rows(data, "30_seconds/python"):
        signature = re.search(r"def (\w+)\(([^)]*)\)", row["code"])
        if signature:
            request = f"Write a function {signature.group(1)}({signature.group(2)}). {row['doc'].splitlines()[0]}"
            found.append((request, signature.group(1), row["code"]))
    documented = [
        row
        for row in read_rows(data, "doc_functions/python")
        if 20 < len(row["doc"].split("\n")[0]) < 160 and not row["name"].startswith("_") and len(row["code"]) < 1200
    ]
    draw.shuffle(documented)
    for row in documented[:1500]:
        signature = re.search(r"def (\w+\([^)]{0,60}\))", row["code"])
        call = signature.group(1) if signature else row["name"]
        request = f"Write a Python function {call} that does this: {row['doc'].splitlines()[0]}"
        found.append((request, row["name"], row["code"]))
    draw.shuffle(found)
    return found


def answers(options: argparse.Namespace) -> None:
    """Let the parent answer the training prompts and append (prompt tokens, answer tokens) line by line."""
    parent, tokenizer = Llama.load(options.model), Tokenizer.from_file(str(options.model / "tokenizer.json"))
    fence = tokenizer.token_to_id("```")
    draw = random.Random(1)
    prompts = [
        tokenizer.encode(chat(request, name if draw.random() < 0.7 else None)).ids
        for request, name, _ in tasks(options.data, options.seed)[: options.count]
    ]
    done = sum(1 for _ in options.out.open()) if options.out.exists() else 0
    with options.out.open("a") as file:
        for start in range(done, len(prompts), options.batch):
            group = prompts[start : start + options.batch]
            settings = DecodeSettings(
                mode="ar",
                block=1,
                temperature=(0.0, 0.7)[start // options.batch % 2],
                top_p=0.95,
                max_new_tokens=140,
                stop_tokens=(fence,),
                seed=options.seed + start,
            )
            samples = BlockDecoder(parent, None, settings).decode(group, range(len(group)))
            for prompt, sample in zip(group, samples, strict=True):
                end = [fence] if sample.finished else []
                file.write(json.dumps([prompt, sample.tokens + end]) + "\n")
            file.flush()
            print(f"{start + len(group)} of {len(prompts)} prompts answered", file=sys.stderr)


def training_texts(options: argparse.Namespace, tokenizer: Tokenizer) -> list[tuple[list[int], int]]:
    """(tokens, where the answer begins): the parent's answers and people's solutions in the same form."""
    texts = []
    for line in options.answers.open():
        prompt, answer = json.loads(line)
        if len(answer) > 8 and len(prompt) + 8 < LONGEST:
            texts.append(((prompt + answer)[:LONGEST], len(prompt)))
    for request, _, code in tasks(options.data, options.seed):
        clean = code.replace("\r\n", "\n").replace("\t", "    ").strip()
        prompt = tokenizer.encode(chat(request, None)).ids
        tokens = prompt + tokenizer.encode(f"{clean}\n```").ids
        if len(prompt) + 16 < len(tokens) and len(prompt) < LONGEST // 2:
            texts.append((tokens[:LONGEST], len(prompt)))
    return texts


def grouped(texts: list[tuple[list[int], int]], tokens: int) -> list[list[tuple[list[int], int]]]:
    """Batches of texts of similar length that hold about `tokens` answer tokens each."""
    groups: list[list[tuple[list[int], int]]] = [[]]
    for text in sorted(texts, key=lambda text: len(text[0])):
        if sum(len(other) - begin for other, begin in groups[-1]) >= tokens:
            groups.append([])
        groups[-1].append(text)
    return groups


def run_training(options: argparse.Namespace) -> None:
    """Train, log every step as a JSON line beside the checkpoint, and write the adapter in int8."""
    parent, tokenizer = Llama.load(options.model), Tokenizer.from_file(str(options.model / "tokenizer.json"))
    noise = NoiseSettings(block=options.block, copies=options.copies)
    texts = training_texts(options, tokenizer)
    groups = grouped(texts, options.tokens)
    print(f"{len(texts)} texts, {sum(len(t) - b for t, b in texts)} answer tokens", file=sys.stderr)
    batches = ShuffledBatches(len(groups), 1, options.seed, lambda index: groups[int(index[0])])
    generator = torch.Generator().manual_seed(options.seed)
    model = TrainableAdapter(Adapter.start(parent, rank=options.rank, generator=generator))

    def loss_fn(module: torch.nn.Module, batch: list[tuple[list[int], int]], draw: torch.Generator) -> tuple:
        adapter = module.adapter(parent.shape)
        texts, begins = [text for text, _ in batch], [begin for _, begin in batch]
        return block_loss(parent, adapter, texts, begins, settings=noise, generator=draw)

    settings = TrainingSettings(
        steps=options.steps,
        learning_rate=options.rate,
        warmup_steps=min(20, options.steps),
        seed=options.seed,
        checkpoint_seconds=120.0,
    )
    log, begun = options.out.with_suffix(".log.jsonl").open("a"), time.monotonic()

    def record(report: StepReport) -> None:
        line = {"step": report.step, "seconds": round(time.monotonic() - begun, 1), "loss": round(report.loss, 4)}
        log.write(json.dumps(line | {name: round(value, 4) for name, value in report.metrics.items()}) + "\n")
        log.flush()
        if report.step % 25 == 0:
            config = {
                "block": options.block,
                "rank": options.rank,
                "step": report.step,
                "parent_sha256": checksum(options.model / "model.safetensors"),
                "noise": asdict(noise),
            }
            save_adapter(options.out, model.adapter(parent.shape), config=config)

    train(model, batches, loss_fn, settings, checkpoint=options.out.with_suffix(".state"), callbacks=[record])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("answers", "train"))
    parser.add_argument("--model", type=Path, required=True, help="folder of the converted parent")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--answers", type=Path, help="the parent's answers, made by the first stage")
    parser.add_argument("--count", type=int, default=1200, help="prompts to answer")
    parser.add_argument("--batch", type=int, default=120, help="prompts answered at once")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--tokens", type=int, default=110, help="answer tokens a step")
    parser.add_argument("--block", type=int, default=4)
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    {"answers": answers, "train": run_training}[options.stage](options)


if __name__ == "__main__":
    main()

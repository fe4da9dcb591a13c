"""Train the block adapter that ships: the parent's own answers, permissive code and holes in it, to an int8 file.

    python runs/train_adapter.py answers --model FOLDER --data FOLDER --out answers.jsonl
    python runs/train_adapter.py texts --model FOLDER --data FOLDER --answers answers.jsonl --out texts.jsonl.gz
    python runs/train_adapter.py train --model FOLDER --texts texts.jsonl.gz --out FOLDER

`answers` lets the parent answer training prompts; `texts` reads the training files, drops what has no permissive
licence, repeats or touches a benchmark, cuts holes, and mixes; `train` teaches the adapter to denoise blocks of the
mixture. The first and the last go on where they were stopped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer

from agentic_diffusion.adaptation.adapter_training import AdapterPlan, train_adapter
from agentic_diffusion.adaptation.code_texts import (
    TextSettings,
    make_texts,
    mix,
    read_answers,
    read_texts,
    summary,
    write_texts,
)
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.block_training import NoiseSettings
from agentic_diffusion.diffusion.checkpoint import checksum
from agentic_diffusion.diffusion.training import StepReport
from agentic_diffusion.domains.code.contamination import Benchmarks
from agentic_diffusion.domains.code.corpus import CorpusSettings, build_corpus, data_files
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import AgdError
from agentic_diffusion.foundation.resources import atomic_write


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


def texts(options: argparse.Namespace) -> None:
    """Make the mixture: answers, described solutions and holes, clean of benchmarks; the report goes beside it."""
    benchmarks = Benchmarks()
    for path in options.benchmarks:
        benchmarks.add_file(path)
    if options.kept_back:
        benchmarks.add_hashed(options.kept_back)
    settings = CorpusSettings(
        longest=options.characters,
        rows_per_file=options.rows,
        broken_lines="skip",
        unknown_licences="skip",
        benchmark_rows="skip",
    )
    files = [found for found in data_files(options.data) if not options.only or found[0] in options.only]
    examples, report = build_corpus(files, settings, benchmarks=benchmarks)
    sys.stderr.write(report.table())
    atomic_write(options.out.with_suffix(".report.json"), json.dumps(report.as_json(), indent=1) + "\n")
    tokenizer = CodeTokenizer.load(options.model)
    found = make_texts(examples, tokenizer, TextSettings(longest=options.longest, seed=options.seed))
    for path in options.answers:
        found += read_answers(path, options.longest)
    shares = {kind: float(share) for kind, _, share in (item.partition("=") for item in options.shares)}
    mixed = mix(found, shares, seed=options.seed)
    write_texts(options.out, mixed)
    print(summary(mixed), file=sys.stderr)


def run_training(options: argparse.Namespace) -> None:
    """Train on the mixture; goes on where it was stopped."""
    device = torch.device(options.device)
    parent = Llama.load(options.model, device=str(device))
    plan = AdapterPlan(
        steps=options.steps,
        tokens=options.tokens,
        rank=options.rank,
        learning_rate=options.rate,
        ema_decay=options.ema,
        seed=options.seed,
        noise=NoiseSettings(block=options.block, copies=options.copies, complementary=True, force_one=True),
    )

    def tell(report: StepReport) -> None:
        if report.step % 10 == 0 or report.step == 1:
            print(f"step {report.step} of {plan.steps}: loss {report.loss:.3f}", file=sys.stderr, flush=True)

    train_adapter(
        parent,
        read_texts(options.texts),
        plan,
        options.out,
        parent_sha256=checksum(options.model / "model.safetensors"),
        start=options.start,
        max_seconds=options.seconds,
        callbacks=[tell],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("answers", "texts", "train"))
    parser.add_argument("--model", type=Path, required=True, help="folder of the converted parent")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    data = parser.add_argument_group("answers and texts")
    data.add_argument("--data", type=Path, help="folder of the training files")
    data.add_argument("--count", type=int, default=1200, help="prompts to answer")
    data.add_argument("--batch", type=int, default=120, help="prompts answered at once")
    data.add_argument("--answers", type=Path, nargs="*", default=[], help="the parent's answers, of the first stage")
    data.add_argument("--only", nargs="*", help="names of the training files to read, such as mbxp/go; default: all")
    data.add_argument("--benchmarks", type=Path, nargs="*", default=[], help="benchmark files that must not be learned")
    data.add_argument("--kept-back", type=Path, help="hashed runs of benchmark rows that must not be learned")
    data.add_argument("--rows", type=int, help="rows read of each file, evenly spread; default: all")
    data.add_argument("--characters", type=int, default=1200, help="longest solution that is read")
    data.add_argument("--longest", type=int, default=256, help="tokens of a text")
    data.add_argument("--shares", nargs="+", default=["answer=0.5", "hole=0.35", "solution=0.15"])
    training = parser.add_argument_group("train")
    training.add_argument("--texts", type=Path, help="the mixture, of the second stage")
    training.add_argument("--start", type=Path, help="an adapter, or the state of a training, to start from")
    training.add_argument("--device", default="cpu")
    training.add_argument("--steps", type=int, default=400)
    training.add_argument("--seconds", type=float, help="stop, with a checkpoint, after so many seconds")
    training.add_argument("--tokens", type=int, default=110, help="answer tokens a step")
    training.add_argument("--block", type=int, default=4)
    training.add_argument("--copies", type=int, default=3)
    training.add_argument("--rank", type=int, default=32)
    training.add_argument("--rate", type=float, default=1e-3)
    training.add_argument("--ema", type=float, help="decay of an average of the weights; default: none")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        {"answers": answers, "texts": texts, "train": run_training}[options.stage](options)
    except AgdError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(int(error.exit_code)) from error


if __name__ == "__main__":
    main()

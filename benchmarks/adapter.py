"""What the adapter does to the parent, on MBPP-type rows: speed in forwards, agreement, and the share that passes.

    python benchmarks/adapter.py --rows mbpp.jsonl.gz [--modes ar denoise verify] [--count 250] [--out FILE]

One greedy answer a row, in the product's prompt form (text, first assertion, head of the function). Columns:
tokens per forward (new tokens, the ending one included, for each forward that a sample took part in); agreement with
the parent, in two measures: share of committed tokens that are the parent's own most likely next token after the same
text, and number of whole answers equal to mode `ar`; share of rows whose answer passes all tests.
Rows are JSON objects with `text`, `test_list` and, where needed, `test_setup_code`.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from results import ROOT, wilson, write_result

from agentic_diffusion.codegen.coder import ADAPTER, Coder
from agentic_diffusion.codegen.request import GenerationRequest, build_prompt
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.diffusion.block_packing import pack_clean
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.tokenizer import Prompt
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Limits, choose
from agentic_diffusion.foundation.settings import GenerateSettings, ModelSettings
from agentic_diffusion.testing.execution import judge
from agentic_diffusion.testing.suite import Suite, inline_suite


@dataclass
class Tally:
    answers: list[list[int]] = field(default_factory=list)
    passed: int = 0
    agree: int = 0
    tokens: int = 0
    row_forwards: int = 0
    seconds: float = 0.0


def read_rows(path: Path, count: int) -> list[dict]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines()][:count]


def agreement(coder: Coder, prompt: list[int], answer: list[int]) -> int:
    """How many answer tokens are the parent's most likely token after the text before them."""
    if not answer:
        return 0
    ids = torch.tensor(prompt + answer)
    with torch.inference_mode():
        cache = coder.parent.new_cache(rows=1, slots=len(ids))
        packing, _ = pack_clean(torch.zeros(1, dtype=torch.long), torch.tensor([len(ids)]))
        hidden = coder.parent.forward(coder.parent.embed(ids), packing, cache)
        best = coder.parent.logits(hidden[len(prompt) - 1 : -1]).argmax(-1)
    return int((best == ids[len(prompt) :]).sum())


def suite_of(row: dict) -> Suite:
    """The row's tests; a function that has a built-in's name is imported, so that it is seen to be the candidate's."""
    statements = [row.get("test_setup_code") or "pass", *row["test_list"]]
    try:
        return inline_suite(statements)
    except UsageError:
        called = re.match(r"assert\s+\(?(\w+)\(", row["test_list"][0])
        if called is None:
            raise
        return inline_suite([f"from solution import {called.group(1)}", *statements])


def prepared(coder: Coder, rows: list[dict]) -> list[tuple[Suite, Prompt]]:
    """Tests and prompt of every row; rows whose tests name no single function come last."""
    language, pairs = languages.get("python"), []
    for row in rows:
        suite = suite_of(row)
        request = GenerationRequest(prompt=row["text"], suite=suite)
        pairs.append((suite, build_prompt(request, language, coder.tokenizer)))
    return sorted(pairs, key=lambda pair: not pair[1].opening)


def run_mode(coder: Coder, pairs: list[tuple[Suite, Prompt]], mode: str, options: argparse.Namespace) -> Tally:
    language, sandbox, tally = languages.get("python"), choose(), Tally()
    settings = DecodeSettings(
        mode=mode,
        block=1 if mode == "ar" else GenerateSettings().block,
        threshold=options.threshold,
        max_new_tokens=options.max_new_tokens,
        stop_tokens=(coder.tokenizer.fence_id,),
    )
    opened = sum(bool(prompt.opening) for _, prompt in pairs)
    starts = [*range(0, opened, options.batch), *range(opened, len(pairs), options.batch), len(pairs)]
    for start, end in itertools.pairwise(starts):
        part = pairs[start:end]
        decoder = coder.decoder(settings)
        ends = coder.top_level_line if part[0][1].opening else None
        begun = time.monotonic()
        samples = decoder.decode([prompt.tokens for _, prompt in part], range(len(part)), ends=ends)
        tally.seconds += time.monotonic() - begun
        tally.row_forwards += decoder.counts.row_forwards
        for sample, (suite, prompt) in zip(samples, part, strict=True):
            answer = language.extract(prompt.opening + coder.tokenizer.decode(sample.tokens))
            verdict = judge(suite, [language.with_imports(answer)], sandbox, Limits(seconds=10))[0]
            tally.answers.append(sample.tokens)
            tally.passed += verdict.ok
            tally.tokens += len(sample.tokens) + sample.finished
            tally.agree += agreement(coder, prompt.tokens, sample.tokens)
        print(f"{mode}: {end} of {len(pairs)}, {tally.passed} passed", file=sys.stderr, flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--modes", nargs="+", default=["ar", "denoise"], choices=("ar", "denoise", "verify"))
    parser.add_argument("--count", type=int, default=250)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--threshold", type=float, default=GenerateSettings().threshold)
    parser.add_argument("--max-new-tokens", type=int, default=160)
    parser.add_argument("--adapter", type=Path, default=ADAPTER)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "adapter.json")
    options = parser.parse_args()
    rows = read_rows(options.rows, options.count)
    coder = Coder.load(ModelSettings(), adapter=options.adapter)
    pairs = prepared(coder, rows)
    tallies = {mode: run_mode(coder, pairs, mode, options) for mode in options.modes}
    table = []
    for mode, tally in tallies.items():
        low, high = wilson(tally.passed, len(rows))
        same = (
            sum(a == b for a, b in zip(tally.answers, tallies["ar"].answers, strict=True)) if "ar" in tallies else None
        )
        table.append(
            {
                "mode": mode,
                "rows": len(rows),
                "tokens_per_forward": round(tally.tokens / tally.row_forwards, 3),
                "token_agreement": round(tally.agree / max(1, sum(map(len, tally.answers))), 4),
                "same_text": same,
                "passed": tally.passed,
                "interval": [round(low, 4), round(high, 4)],
                "tokens_per_second": round(tally.tokens / tally.seconds, 1),
            }
        )
    print("| mode | tokens/forward | agrees token by token | equal texts | passed | 95 % interval |")
    print("|---|---|---|---|---|---|")
    for row in table:
        low, high = row["interval"]
        print(
            f"| {row['mode']} | {row['tokens_per_forward']} | {row['token_agreement']:.1%} | {row['same_text']} "
            f"| {row['passed']} of {row['rows']} | {low:.1%} to {high:.1%} |"
        )
    write_result(options.out, "adapter", table, threshold=options.threshold, weights=coder.weights, batch=options.batch)
    return 0


if __name__ == "__main__":
    sys.exit(main())

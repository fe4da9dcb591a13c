"""MBXP in five languages: greedy pass@1 a language and mode, on the benchmark's tests and on hidden cases as well.

    python benchmarks/mbxp.py --folder DIR [--modes ar denoise verify] [--languages python go ...] [--limit 8]

DIR holds files mbxp_LANGUAGE*.jsonl or .jsonl.gz. Every finished task is noted in a journal beside the result file, so
that a run that was ended goes on where it was. Languages without a runner or a toolchain here are named and left out.
Each mode runs with and without the constraint on syntax.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from results import ROOT, write_result

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.request import decode_settings
from agentic_diffusion.evaluation import report
from agentic_diffusion.evaluation.journal import Journal
from agentic_diffusion.evaluation.loaders import load
from agentic_diffusion.evaluation.measure import MeasureSettings, measure
from agentic_diffusion.evaluation.prompt_form import form_for
from agentic_diffusion.evaluation.soundness import Soundness, check
from agentic_diffusion.evaluation.tasks import Benchmark
from agentic_diffusion.foundation.errors import AgdError
from agentic_diffusion.foundation.sandbox import Limits, choose
from agentic_diffusion.foundation.settings import GenerateSettings, ModelSettings

LANGUAGES = ("python", "javascript", "typescript", "java", "go")
KEPT = (
    "language", "mode", "constraint", "scores", "verified_but_wrong", "hidden_judged", "finished", "answers",
    "new_tokens", "tokens_per_forward", "tokens_per_second", "seconds", "judge_seconds", "sampler", "prompt_form",
    "prompt_form_sha256", "benchmark_sha256", "weights_sha256", "batch", "seed", "soundness",
)  # fmt: skip
HEAD = (
    "language",
    "mode",
    "constraint",
    "pass@1",
    "95 % interval",
    "hidden too",
    "wrong",
    "tokens/forward",
    "tokens/s",
)


def variants(mode: str, max_new_tokens: int) -> list[tuple[str, GenerateSettings]]:
    """The settings of a mode, with and without the constraint on syntax."""
    plain = GenerateSettings(
        mode=mode, temperature=0.0, max_new_tokens=max_new_tokens, block=1 if mode == "ar" else GenerateSettings().block
    )
    return [("without", replace(plain, constraint="off")), ("with", replace(plain, constraint="on"))]


def run(
    benchmark: Benchmark,
    found: Soundness,
    coder: Coder,
    chosen: GenerateSettings,
    *,
    options: argparse.Namespace,
    key: str,
) -> dict[str, Any]:
    """One language in one mode."""
    form = form_for(benchmark.format)
    decode = replace(decode_settings(chosen, seed=0), stop_tokens=(coder.tokenizer.fence_id,))
    settings = MeasureSettings(decode=decode, batch=options.batch, constraint=chosen.constraint == "on")
    tasks = [ready.task.id for ready in found.ready]
    identity = report.identity(benchmark, form, settings, weights=coder.weights, tasks=tasks)
    journal = Journal(options.out.with_name(f"{options.out.name}.{key}.journal"), identity)
    sandbox = choose()
    results = measure(found.ready, coder, form, settings, sandbox=sandbox, journal=journal)
    summary = report.summary(identity, results, found, benchmark, tier=sandbox.tier)
    return {name: summary[name] for name in KEPT}


def as_row(entry: dict[str, Any]) -> list[str]:
    """One line of the table."""
    score, hidden = entry["scores"]["pass@1"], entry["scores"].get("hidden pass@1")
    return [
        entry["language"],
        entry["mode"],
        "with" if entry["constraint"] else "without",
        f"{score['value']:.1%} of {score['tasks']}",
        f"{score['low']:.1%} to {score['high']:.1%}",
        f"{hidden['value']:.1%} of {hidden['tasks']}" if hidden else "-",
        f"{entry['verified_but_wrong']} of {entry['hidden_judged']}",
        f"{entry['tokens_per_forward'] or 0:.2f}",
        f"{entry['tokens_per_second'] or 0:.1f}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--modes", nargs="+", default=["ar", "denoise", "verify"], choices=("ar", "denoise", "verify"))
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=LANGUAGES)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--max-new-tokens", type=int, default=160)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "mbxp.json")
    options = parser.parse_args()
    coder = Coder.load(ModelSettings())
    table, journals = [], []
    for language in options.languages:
        path = next(iter(sorted(options.folder.glob(f"mbxp_{language}*.jsonl*"))), None)
        try:
            benchmark = load(str(path or options.folder / f"mbxp_{language}.jsonl"), limit=options.limit)
            found = check(benchmark.tasks, choose(), Limits(seconds=10))
        except AgdError as problem:
            print(f"{language}: {problem}", file=sys.stderr)
            continue
        for task, why in found.left_out:
            print(f"left out: {task}: {why}", file=sys.stderr)
        if not found.ready:
            print(f"{language}: no task can be measured here", file=sys.stderr)
            continue
        for mode in options.modes:
            for constraint, chosen in variants(mode, options.max_new_tokens):
                key = "-".join(filter(None, (language, mode, constraint)))
                table.append(run(benchmark, found, coder, chosen, options=options, key=key))
                journals.append(options.out.with_name(f"{options.out.name}.{key}.journal"))
                print(" ".join(as_row(table[-1])), file=sys.stderr, flush=True)
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for entry in table:
        print("| " + " | ".join(as_row(entry)) + " |")
    write_result(options.out, "mbxp", table, weights=coder.weights, batch=options.batch)
    for journal in journals:
        journal.unlink(missing_ok=True)
    return 0 if table else 1


if __name__ == "__main__":
    sys.exit(main())

"""The main job on twenty-four plain prompts with tests: how many are verified within the budget, by mode.

    python benchmarks/main_job.py [--modes denoise ar] [--budget 60] [--out results/main_job.json]

The prompts stand in main_job_tasks.toml; they were written before the first run and are never tuned on. Each prompt has
the whole budget to itself, greedy candidate, batches, remasking and judging included, without loading the model.
Finished prompts are kept in OUT.partial, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

from results import ROOT, wilson, write_result

from agentic_diffusion.codegen.coder import ADAPTER, Coder
from agentic_diffusion.codegen.generator import generate
from agentic_diffusion.codegen.request import GenerationRequest, decode_settings
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.foundation.settings import GenerateSettings, ModelSettings
from agentic_diffusion.testing.suite import inline_suite


def run_task(task: dict, mode: str, budget: float, coder: Coder) -> dict:
    chosen = replace(GenerateSettings(), mode=mode)
    request = GenerationRequest(
        prompt=task["prompt"],
        suite=inline_suite(task["tests"]),
        batch=chosen.samples,
        seconds=budget,
        decode=decode_settings(chosen, seed=0),
    )
    result = generate(request, coder, choose())
    return {
        "task": task["name"],
        "mode": mode,
        "verified": result.verified,
        "seconds": round(result.seconds, 1),
        "candidates": result.drawn,
        "forwards": result.forwards,
        "row_forwards": result.row_forwards,
        "new_tokens": result.new_tokens,
        "denoise_seconds": round(result.denoise_seconds, 1),
        "origin": result.best.origin if result.best else "",
    }


def summary(rows: list[dict], mode: str) -> dict:
    mine = [row for row in rows if row["mode"] == mode]
    won = [row for row in mine if row["verified"]]
    low, high = wilson(len(won), len(mine))
    return {
        "mode": mode,
        "verified": len(won),
        "of": len(mine),
        "interval": [round(low, 3), round(high, 3)],
        "median_seconds_verified": statistics.median(row["seconds"] for row in won) if won else None,
        "tokens_per_forward": round(sum(r["new_tokens"] for r in mine) / sum(r["row_forwards"] for r in mine), 2),
        "tokens_per_second": round(sum(r["new_tokens"] for r in mine) / sum(r["denoise_seconds"] for r in mine), 1),
        "first_candidate": sum(row["origin"] == "greedy" for row in won),
        "after_remasking": sum(row["origin"].startswith("remasked") for row in won),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", nargs="+", default=["denoise", "ar"], choices=("denoise", "verify", "ar"))
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each prompt")
    parser.add_argument("--adapter", type=Path, default=ADAPTER)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "main_job.json")
    options = parser.parse_args()
    tasks = tomllib.loads((ROOT / "benchmarks" / "main_job_tasks.toml").read_text())["task"]
    coder = Coder.load(ModelSettings(), adapter=options.adapter)
    partial = options.out.with_suffix(".partial")
    rows = json.loads(partial.read_text()) if partial.exists() else []
    done = {(row["task"], row["mode"]) for row in rows}
    for mode in options.modes:
        for task in tasks:
            if (task["name"], mode) in done:
                continue
            rows.append(run_task(task, mode, options.budget, coder))
            atomic_write(partial, json.dumps(rows))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    table = [summary(rows, mode) for mode in options.modes]
    print("| mode | verified | 95 % interval | median seconds | tokens/forward | new tokens/s |")
    print("|---|---|---|---|---|---|")
    for row in table:
        low, high = row["interval"]
        print(
            f"| {row['mode']} | {row['verified']} of {row['of']} | {low:.0%} to {high:.0%} "
            f"| {row['median_seconds_verified']} | {row['tokens_per_forward']} | {row['tokens_per_second']} |"
        )
    write_result(options.out, "main_job", table, budget_seconds=options.budget, weights=coder.weights, tasks=rows)
    partial.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a run of a benchmark amounts to: scores with intervals, costs, and all that is needed to do it again."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agentic_diffusion.evaluation import passk
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.randomness import derive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.evaluation.measure import MeasureSettings, TaskResult
    from agentic_diffusion.evaluation.prompt_form import PromptForm
    from agentic_diffusion.evaluation.soundness import Soundness
    from agentic_diffusion.evaluation.tasks import Benchmark

KS = (1, 5, 10, 100)
"""The k of pass@k that are told, as far as there are samples."""


def identity(
    benchmark: Benchmark, form: PromptForm, settings: MeasureSettings, *, weights: str, tasks: Sequence[str]
) -> dict[str, Any]:
    """What makes a run this run: a journal of other values belongs to another one."""
    return {
        "benchmark": benchmark.name,
        "benchmark_sha256": benchmark.checksum,
        "format": benchmark.format,
        "tasks": len(tasks),
        "tasks_key": f"{derive(0, *tasks):016x}",
        "prompt_form": form.name,
        "prompt_form_sha256": form.checksum,
        "weights_sha256": weights,
        "mode": settings.decode.mode,
        "constraint": settings.constraint,
        "samples": settings.samples,
        "batch": settings.batch,
        "seed": settings.decode.seed,
        "sampler": asdict(settings.decode),
        "case_seconds": settings.case_seconds,
    }


def summary(
    run: dict[str, Any], results: Sequence[TaskResult], soundness: Soundness, benchmark: Benchmark, *, tier: str
) -> dict[str, Any]:
    """The result of a run, JSON-ready: scores, costs, checks, and each task with its answers."""
    answers = [answer for result in results for answer in result.answers]
    tokens = sum(answer.tokens for answer in answers)
    forwards = sum(result.forwards for result in results)
    seconds = sum(result.seconds for result in results)
    with_hidden = {ready.task.id for ready in soundness.ready if ready.has_hidden}
    return {
        **run,
        "date": datetime.now(UTC).date().isoformat(),
        "language": benchmark.language,
        "scores": _scores(results, with_hidden, seed=run["seed"]),
        "verified_but_wrong": sum(answer.hidden is False for answer in answers),
        "hidden_judged": sum(answer.hidden is not None for answer in answers),
        "finished": sum(answer.finished for answer in answers),
        "answers": len(answers),
        "new_tokens": tokens,
        "forwards": round(forwards, 1),
        "forwards_per_token": round(forwards / tokens, 4) if tokens else None,
        "tokens_per_forward": round(tokens / forwards, 4) if forwards else None,
        "seconds": round(seconds, 2),
        "tokens_per_second": round(tokens / seconds, 2) if seconds else None,
        "judge_seconds": round(sum(result.judge_seconds for result in results), 2),
        "sandbox": tier,
        "soundness": {
            **soundness.as_json(),
            "not_readable_here": [list(pair) for pair in benchmark.left_out],
        },
        "results": [{"task": result.task, **result.as_json()} for result in results],
    }


def counts(result: dict[str, Any], *, hidden: bool = False) -> dict[str, passk.Counts]:
    """Samples and right ones of every task of a result; with `hidden` only what passed the hidden cases is right."""
    found = {}
    for task in result["results"]:
        right = [answer["passed"] and (answer["hidden"] is not False or not hidden) for answer in task["answers"]]
        found[task["task"]] = (len(right), sum(right))
    return found


def compare(result: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Paired difference of two results in pass@1, over the tasks that both have."""
    rng = np.random.default_rng(derive(result["seed"], "compare"))
    difference, common = passk.paired_difference(counts(result), counts(other), 1, rng)
    return {"difference": asdict(difference), "tasks": common, "mode": other["mode"], "date": other["date"]}


def read_result(path: Path) -> dict[str, Any]:
    """A result that `agd bench --out` wrote; UsageError for anything else."""
    try:
        found = json.loads(path.read_text())
        counts(found)
        _ = (found["mode"], found["date"], found["seed"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} holds no result of a benchmark.", hint="give a file that `agd bench --out` wrote."
        ) from error
    return dict(found)


def table(results: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table that people read, one row a result."""
    head = ["benchmark", "mode", "tasks", "score", "95 % interval", "and hidden", "wrong", "tokens/forward", "tokens/s"]
    rows = []
    for result in results:
        for name, entry in result["scores"].items():
            if name.startswith("hidden "):
                continue
            hidden = result["scores"].get(f"hidden {name}")
            rows.append(
                [
                    result["benchmark"],
                    result["mode"],
                    str(result["tasks"]),
                    f"{name} {entry['value']:.1%}",
                    f"{entry['low']:.1%} to {entry['high']:.1%}",
                    f"{hidden['value']:.1%}" if hidden is not None else "-",
                    f"{result['verified_but_wrong']} of {result['hidden_judged']}",
                    f"{result['tokens_per_forward'] or 0:.2f}",
                    f"{result['tokens_per_second'] or 0:.1f}",
                ]
            )
    return head, rows


def _scores(results: Sequence[TaskResult], with_hidden: set[str], *, seed: int) -> dict[str, dict[str, Any]]:
    """pass@k on the benchmark's own tests, and on the hidden cases as well over the tasks that have some."""
    own = {result.task: (len(result.answers), sum(a.passed for a in result.answers)) for result in results}
    hidden = {
        result.task: (len(result.answers), sum(a.hidden is True for a in result.answers))
        for result in results
        if result.task in with_hidden
    }
    found = {}
    samples = min((n for n, _ in own.values()), default=1)
    for k in (k for k in KS if k <= samples):
        for name, counted in ((f"pass@{k}", own), (f"hidden pass@{k}", hidden)):
            if counted:
                rng = np.random.default_rng(derive(seed, "bootstrap", name))
                entry = asdict(passk.score(list(counted.values()), k, rng))
                found[name] = entry | {"tasks": len(counted)}
    return found

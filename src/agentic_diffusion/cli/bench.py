"""`agd bench`: a benchmark's score with its interval, and what it cost.

The table goes to stdout (with --json the results themselves), --out keeps everything; stderr tells what is done.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import print_json, print_table
from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.foundation.settings import GenerateSettings, Mode, ModelSettings, SandboxSettings

if TYPE_CHECKING:
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.evaluation.measure import MeasureSettings
    from agentic_diffusion.evaluation.tasks import Benchmark
    from agentic_diffusion.foundation.sandbox import Sandbox

app = App(name="bench", help="Measure the model on benchmark files: score, interval, cost.")


@app.default
def bench(
    *files: str,
    form: Annotated[str, Parameter(name="--format")] = "auto",
    prompt_form: str | None = None,
    mode: Mode | None = None,
    samples: int = 1,
    temperature: float = 0.0,
    limit: int | None = None,
    batch: int = 8,
    hidden: int = 6,
    seed: int = 0,
    threshold: float | None = None,
    block: int | None = None,
    max_new_tokens: int | None = None,
    no_constraint: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    compare: Path | None = None,
) -> int:
    """Answer the tasks of benchmark files and judge the answers by the benchmark's own tests, in the sandbox.

    Tasks whose own solution fails its tests are left out and named. A run that was ended goes on where it was when
    --out names the same file.

    Parameters
    ----------
    files
        Files of JSON lines (.jsonl, .jsonl.gz), or hub addresses hf://datasets/OWNER/NAME/FILE.
    form
        Format of the rows: auto, humaneval, mbpp, mbxp, infilling, humanevalfix, quixbugs or exercism.
    prompt_form
        How a task is put to the model: a form that ships, or the path of your own; by default that of the format.
    mode
        denoise: blocks committed by confidence; verify: blocks as drafts that the causal pass checks; ar: one by one.
    samples
        Samples of each task; more than one needs a temperature.
    temperature
        0 is greedy.
    limit
        Only the first so many rows of each file.
    batch
        Samples that are denoised together.
    hidden
        Cases that the prompt does not show, made for each task where that is possible; 0 makes none.
    seed
        Seed of all random streams.
    threshold
        Confidence from which a token is committed together with others.
    block
        Length of a block in tokens.
    max_new_tokens
        Longest answer in tokens.
    no_constraint
        Let answers break the grammar of their language.
    out
        Keep the results in this file (for several files: a list), and the finished tasks beside it until all are done.
    as_json
        The results as JSON on stdout, without the answers.
    compare
        Tell the paired difference to a result that --out wrote earlier.

    """
    if not files:
        raise UsageError("There is no benchmark file.", hint="agd bench mbpp.jsonl --limit 20")
    flags = {
        "generate.mode": mode,
        "generate.temperature": temperature,
        "generate.threshold": threshold,
        "generate.block": block,
        "generate.max_new_tokens": max_new_tokens,
        "generate.constraint": "off" if no_constraint else None,
    }
    if mode == "ar" and block is None:
        flags["generate.block"] = 1
    settings = config.load(flags)
    if hidden < 0:
        raise UsageError(f"{hidden} hidden cases are not possible.", hint="use 0 to make none.")
    _check_target(out)
    return int(
        _run(
            _Asked(files=files, form=form, prompt_form=prompt_form, limit=limit, hidden=hidden, out=out),
            _measure_settings(settings, samples=samples, batch=batch, seed=seed),
            settings,
            as_json=as_json,
            compare=compare,
        )
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Which benchmarks, and where the results go."""

    files: tuple[str, ...]
    form: str
    prompt_form: str | None
    limit: int | None
    hidden: int
    out: Path | None


def _run(
    asked: _Asked, measuring: MeasureSettings, settings: config.Settings, *, as_json: bool, compare: Path | None
) -> ExitCode:
    """Read everything, then load the model, then measure file by file."""
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.evaluation.loaders import load
    from agentic_diffusion.evaluation.prompt_form import load_form
    from agentic_diffusion.evaluation.report import compare as paired
    from agentic_diffusion.evaluation.report import read_result, table
    from agentic_diffusion.foundation.sandbox import choose

    other = read_result(compare) if compare is not None else None
    if asked.prompt_form is not None:
        load_form(asked.prompt_form)  # a wrong form is told before the model is loaded
    benchmarks = [load(file, form=asked.form, limit=asked.limit) for file in asked.files]
    tier = settings.section(SandboxSettings).tier
    sandbox = choose(only=None if tier == "auto" else tier)
    coder = Coder.for_mode(settings.section(ModelSettings), measuring.decode.mode)
    results = [_measured(benchmark, asked, measuring, coder, sandbox) for benchmark in benchmarks]
    if other is not None:
        for result in results:
            result["compared"] = paired(result, other)
    _keep(asked.out, results)
    if as_json:
        print_json([_short(result) for result in results])
    else:
        print_table(*table(results))
        _print_comparison(results)
    return ExitCode.DONE


def _measured(
    benchmark: Benchmark, asked: _Asked, measuring: MeasureSettings, coder: Coder, sandbox: Sandbox
) -> dict[str, Any]:
    """Check one benchmark, measure it, sum it up."""
    from dataclasses import replace

    from agentic_diffusion.evaluation import report
    from agentic_diffusion.evaluation.journal import Journal
    from agentic_diffusion.evaluation.measure import measure
    from agentic_diffusion.evaluation.prompt_form import form_for, load_form
    from agentic_diffusion.evaluation.soundness import check
    from agentic_diffusion.foundation.sandbox import Limits

    form = load_form(asked.prompt_form) if asked.prompt_form is not None else form_for(benchmark.format)
    measuring = replace(measuring, decode=replace(measuring.decode, stop_tokens=(coder.tokenizer.fence_id,)))
    limits = Limits(seconds=measuring.case_seconds, memory_bytes=measuring.memory_bytes)
    found = check(benchmark.tasks, sandbox, limits, seed=measuring.decode.seed, hidden=asked.hidden)
    for task, why in (*benchmark.left_out, *found.left_out):
        events.say(f"left out: {task}: {why}")
    if not found.ready:
        raise UsageError(
            f"None of the tasks of {benchmark.name} can be measured here.",
            hint="the lines above say why, task by task; `agd doctor` tells which toolchains are missing.",
        )
    names = [ready.task.id for ready in found.ready]
    run = report.identity(benchmark, form, measuring, weights=coder.weights, tasks=names)
    run["command"] = _command()
    path = asked.out.with_name(f"{asked.out.name}.{benchmark.name}.journal") if asked.out is not None else None
    journal = Journal(path, {key: value for key, value in run.items() if key != "command"})
    results = measure(found.ready, coder, form, measuring, sandbox=sandbox, journal=journal)
    result = report.summary(run, results, found, benchmark, tier=sandbox.tier)
    result["journal"] = str(path) if path is not None else None
    return result


def _measure_settings(settings: config.Settings, *, samples: int, batch: int, seed: int) -> MeasureSettings:
    from agentic_diffusion.codegen.request import decode_settings
    from agentic_diffusion.evaluation.measure import MeasureSettings

    limits, chosen = settings.section(SandboxSettings), settings.section(GenerateSettings)
    return MeasureSettings(
        decode=decode_settings(chosen, seed=seed),
        constraint=chosen.constraint == "on",
        samples=samples,
        batch=batch,
        case_seconds=limits.seconds,
        memory_bytes=limits.memory_bytes,
    )


def _check_target(out: Path | None) -> None:
    """Refuse a target that cannot be written before any work is done."""
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        kind = "is a folder" if out.is_dir() else "lies in a folder that does not exist"
        raise UsageError(f"The output file {out} {kind}.", hint="name a file in a folder that you can write.")


def _keep(out: Path | None, results: list[dict[str, Any]]) -> None:
    """Write the results, then remove the journals that they were made of."""
    import json

    from agentic_diffusion.foundation.resources import atomic_write

    journals = [result.pop("journal") for result in results]
    if out is None:
        return
    atomic_write(out, json.dumps(results[0] if len(results) == 1 else results, indent=1) + "\n")
    for journal in journals:
        Path(journal).unlink(missing_ok=True)


def _short(result: dict[str, Any]) -> dict[str, Any]:
    """A result without its answers."""
    return {key: value for key, value in result.items() if key != "results"}


def _print_comparison(results: list[dict[str, Any]]) -> None:
    for result in results:
        if found := result.get("compared"):
            difference = found["difference"]
            sys.stdout.write(
                f"pass@1 less that of mode {found['mode']} of {found['date']}, over {found['tasks']} tasks:"
                f" {difference['value']:+.1%} ({difference['low']:+.1%} to {difference['high']:+.1%})\n"
            )


def _command() -> str:
    """The command line, without the folders of this machine."""
    import shlex

    return shlex.join(["agd", *(Path(word).name if word.startswith("/") else word for word in sys.argv[1:])])

"""`agd train`: teach the block denoiser your own data, or repeat the shipped recipe.

The folder of the training goes to stdout (or one JSON object); what was read, planned and reached goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.foundation.resources import atomic_write, parse_duration, require_disk, usable_cpus
from agentic_diffusion.foundation.settings import ModelSettings

if TYPE_CHECKING:
    from agentic_diffusion.adaptation.adapter_training import AdapterPlan
    from agentic_diffusion.adaptation.code_texts import TrainingText
    from agentic_diffusion.diffusion.backbones.llama import Llama
    from agentic_diffusion.diffusion.processes import Processes
    from agentic_diffusion.diffusion.training import StepReport, TrainingResult
    from agentic_diffusion.domains.code.corpus import CorpusReport, CorpusSettings
    from agentic_diffusion.domains.code.corpus_rows import Example

app = App(name="train", help="Train the block denoiser on your own data.")

Skippable = Literal["broken-lines", "licences", "benchmark-rows"]
_DISK = 400 << 20


@app.default
def train(
    *,
    data: Annotated[list[Path], Parameter(negative="")],
    out: Path,
    budget: str = "20m",
    device: Literal["cpu", "cuda"] = "cpu",
    answers: Annotated[list[Path] | None, Parameter(negative="")] = None,
    share: Annotated[list[str] | None, Parameter(negative="")] = None,
    start: Path | None = None,
    fresh: bool = False,
    benchmark: Annotated[list[Path] | None, Parameter(negative="")] = None,
    hashed: Annotated[list[Path] | None, Parameter(negative="")] = None,
    skip: Annotated[list[Skippable] | None, Parameter(negative="")] = None,
    licence: str = "",
    allow_licence: Annotated[list[str] | None, Parameter(negative="")] = None,
    language: Annotated[list[str] | None, Parameter(negative="")] = None,
    rows: int | None = None,
    seed: int = 0,
    check_data: bool = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Train the adapter of the model on --data within --budget, and leave it in the folder --out.

    Run it again after a stop: a training goes on from its last checkpoint, with the same result as one that was never
    stopped. The adapter is used with `agd generate` once AGD_MODEL_ADAPTER (or model.adapter in the configuration file)
    names it. Exit code 1: the loss was no number; the last good weights were kept.

    Parameters
    ----------
    data
        A .jsonl or .jsonl.gz file, or a folder with such files; may be given several times. The forms of rows are in
        the guide "Teach it your own data".
    out
        Folder of the training: adapter.safetensors, state.safetensors, log.jsonl, loss.svg, plan.json, data.json.
    budget
        Time for the training, such as 20m; it decides steps and sizes, which are told before it starts.
    device
        cpu or cuda; decides how much a step holds.
    answers
        Answers of the model itself (lines of [prompt, answer] in tokens), to learn beside the data.
    share
        Share of a kind of text, such as hole=0.35, answer=0.5 or solution=0.15; left out, all texts are taken.
    start
        An adapter, or the state of another training, to start from; left out, the adapter that ships.
    fresh
        Start from nothing instead.
    benchmark
        A benchmark file that must not be learned: a row of it in the data is refused, what is like one is left out.
    hashed
        A file of hashed runs of benchmark rows that must not be learned.
    skip
        What to skip and report instead of refusing: broken-lines, licences (unknown ones), benchmark-rows.
    licence
        Licence of rows that name none; "own" says that the data are yours.
    allow_licence
        A licence to accept beside the permissive ones.
    language
        Learn this language only; may be given several times.
    rows
        Rows read of each file, evenly spread.
    seed
        Seed of all that is drawn.
    check_data
        Read and judge the data, print the report, and stop.
    as_json
        One JSON object on stdout: the report of the data, the plan, the result.

    """
    from agentic_diffusion.domains.code.corpus import CorpusSettings

    seconds = parse_duration(budget)
    policy = {name: "skip" if word in (skip or []) else "refuse" for name, word in _POLICIES.items()}
    settings = CorpusSettings(
        languages=tuple(language or ()),
        rows_per_file=rows,
        licence=licence,
        allowed_licences=tuple(allow_licence or ()),
        **policy,  # type: ignore[arg-type]
    )
    examples, report = _read(data, settings, benchmark or [], hashed or [])
    if check_data:
        print_json(report.as_json()) if as_json else sys.stdout.write(f"{len(examples)}\n")
        return int(ExitCode.DONE)
    require_disk(out, _DISK, "train an adapter")
    from agentic_diffusion.adaptation.training_budget import device_of  # not before the data are known to be good
    from agentic_diffusion.diffusion.processes import joined

    with joined(device_of(device)) as processes:
        work = _Work(out=out, seconds=seconds, device=device, seed=seed, processes=processes)
        parent, texts = work.prepare(examples, answers or [], share or [])
        out.mkdir(parents=True, exist_ok=True)
        if processes.first:
            atomic_write(out / "data.json", json.dumps(report.as_json(), indent=1) + "\n")
        plan, result = work.run(parent, texts, start=start, fresh=fresh)
    if not processes.first:
        return int(ExitCode.DONE)
    if as_json:
        told = {"step": result.step, "ended_by": result.ended_by, "loss": result.last and result.last.loss}
        print_json({"out": str(out), "data": report.as_json(), "plan": plan.as_json(), "result": told})
    else:
        sys.stdout.write(f"{out}\n")
    return int(ExitCode.DONE)


def _read(
    data: list[Path], settings: CorpusSettings, benchmark: list[Path], hashed: list[Path]
) -> tuple[list[Example], CorpusReport]:
    """The examples that may be learned; their report goes to stderr. UsageError where none is left."""
    from agentic_diffusion.domains.code.contamination import Benchmarks
    from agentic_diffusion.domains.code.corpus import build_corpus, data_files

    benchmarks = Benchmarks()
    for path in benchmark:
        benchmarks.add_file(path)
    for path in hashed:
        benchmarks.add_hashed(path)
    files = [found for path in data for found in data_files(path)]
    examples, report = build_corpus(files, settings, benchmarks=benchmarks)
    if os.environ.get("RANK", "0") == "0":  # of several processes the first one talks
        sys.stderr.write(report.table())
    if not examples:
        raise UsageError("Nothing of the data is left to learn.", hint="see the table above for the reasons.")
    return examples, report


_POLICIES = {"broken_lines": "broken-lines", "unknown_licences": "licences", "benchmark_rows": "benchmark-rows"}


class _Work:
    """The part that needs the model."""

    def __init__(
        self, *, out: Path, seconds: float, device: Literal["cpu", "cuda"], seed: int, processes: Processes
    ) -> None:
        self._out, self._seconds, self._device, self._seed = out, seconds, device, seed
        self._processes = processes

    def prepare(
        self, examples: list[Example], answers: list[Path], shares: list[str]
    ) -> tuple[Llama, list[TrainingText]]:
        """The parent on its device, and the texts."""
        import torch

        from agentic_diffusion.adaptation import code_texts
        from agentic_diffusion.adaptation.training_budget import SIZES, device_of
        from agentic_diffusion.codegen.coder import choose_dtype, model_folder
        from agentic_diffusion.diffusion.backbones.llama import Llama
        from agentic_diffusion.domains.code.tokenizer import CodeTokenizer

        device, wanted = device_of(self._device), _shares(shares)
        settings = config.load({}).section(ModelSettings)
        folder = model_folder(settings.name)
        torch.set_num_threads(settings.threads or usable_cpus())
        # bfloat16 halves a GPU's time; the adapter's own weights stay in single precision.
        dtype = torch.bfloat16 if device.type == "cuda" else choose_dtype(settings.dtype)
        longest = SIZES[self._device].longest
        texts = code_texts.make_texts(
            examples, CodeTokenizer.load(folder), code_texts.TextSettings(longest=longest, seed=self._seed)
        )
        for path in answers:
            texts += code_texts.read_answers(path, longest)
        texts = code_texts.mix(texts, wanted, seed=self._seed) if wanted else texts
        if not texts:
            raise UsageError("The data give no text to learn from.", hint="give solutions of two lines or more.")
        self._say(code_texts.summary(texts))
        self._folder = folder
        return Llama.load(folder, dtype=dtype, device=str(device)), texts

    def run(
        self, parent: Llama, texts: list[TrainingText], *, start: Path | None, fresh: bool
    ) -> tuple[AdapterPlan, TrainingResult]:
        """Plan, or take up the plan that is there, and train."""
        from agentic_diffusion.adaptation.adapter_training import PLAN, AdapterPlan, hold_to_plan, train_adapter
        from agentic_diffusion.adaptation.training_budget import plan_for
        from agentic_diffusion.codegen.coder import ADAPTER
        from agentic_diffusion.diffusion.checkpoint import checksum

        if self._processes.first and not (self._out / PLAN).exists():
            made, told = plan_for(self._seconds, texts, parent, device=self._device, seed=self._seed)
            hold_to_plan(self._out / PLAN, made, texts)
            self._say(told)
        elif self._processes.first:
            self._say(f"going on with the training in {self._out}")
        self._processes.wait()
        plan = AdapterPlan.read(self._out / PLAN)
        result = train_adapter(
            parent,
            texts,
            plan,
            self._out,
            parent_sha256=checksum(self._folder / "model.safetensors"),
            start=None if fresh else start or ADAPTER,
            max_seconds=self._seconds,
            callbacks=[_Progress(plan.steps)],
            processes=self._processes,
        )
        ending = {"steps": "all steps done", "seconds": "the budget is spent", "data": "the data ended"}
        self._say(f"{ending[result.ended_by]}: step {result.step} of {plan.steps}")
        return plan, result

    def _say(self, text: str) -> None:
        """Tell it once, not from every process."""
        if self._processes.first:
            events.say(text)


class _Progress:
    """Tells ten times how far a training is."""

    def __init__(self, steps: int) -> None:
        self._every, self._steps = max(1, steps // 10), steps

    def __call__(self, report: StepReport) -> None:
        if report.step == 1 or report.step % self._every == 0:
            events.say(f"step {report.step} of {self._steps}: loss {report.loss:.3f}")


def _shares(words: list[str]) -> dict[Any, float]:
    """The shares in words such as "hole=0.35"; UsageError for another kind or no number."""
    shares = {}
    for word in words:
        kind, _, number = word.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if kind not in ("answer", "solution", "hole") or not 0 <= share <= 1:
            raise UsageError(
                f"{word!r} is no share of a kind of text.", hint="write hole=0.35; kinds are answer, solution, hole."
            )
        shares[kind] = share
    return shares

"""Benchmark files, from a path or the hub: each format is a few field names and a function from a row to a task.

    humaneval       HumanEval, HumanEval+ (prompt, entry_point, test, canonical_solution)
    mbpp            MBPP, MBPP+ (text or prompt, code, test_list)
    mbxp            MBXP and the many-language HumanEval (prompt, test, language, description)
    infilling       HumanEval-infilling: single-line, multi-line, random-span (prompt, suffix)
    humanevalfix    HumanEvalFix (buggy_solution, canonical_solution)
    quixbugs        QuixBugs (buggy, correct)
    exercism        practice exercises (slug, instructions, solution, example, test)

Wrong rows are refused by line number. A row that is right, but asks for what is not here, is left out and named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from agentic_diffusion.domains.code import languages
from agentic_diffusion.evaluation import repair_rows, write_rows
from agentic_diffusion.evaluation.rows import Row, read_rows
from agentic_diffusion.evaluation.tasks import Benchmark, BenchTask, LeftOutError
from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.errors import UsageError

__all__ = ["FORMATS", "Format", "format_of", "load"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format of benchmark rows."""

    fields: tuple[str, ...]
    """The fields by which a row of it is known."""
    read: Callable[[Row], BenchTask]
    """From a row to a task; UsageError for a wrong row, LeftOutError for one that cannot be used here."""
    plus: tuple[str, ...] = ()
    """Other fields by which it is known as well."""


FORMATS: dict[str, Format] = {
    "exercism": Format(fields=("track", "slug", "instructions", "test"), read=repair_rows.exercism),
    "quixbugs": Format(fields=("buggy", "correct"), read=repair_rows.quixbugs),
    "humanevalfix": Format(fields=("buggy_solution", "canonical_solution", "prompt"), read=repair_rows.humanevalfix),
    "infilling": Format(fields=("prompt", "suffix", "canonical_solution", "test"), read=write_rows.infilling),
    "mbxp": Format(fields=("prompt", "test", "language", "description"), read=write_rows.mbxp),
    "mbpp": Format(
        fields=("task_id", "code", "test_list"), read=write_rows.mbpp, plus=("assertion", "base_input", "entry_point")
    ),
    "humaneval": Format(
        fields=("prompt", "entry_point", "test"),
        read=write_rows.humaneval,
        plus=("prompt", "entry_point", "base_input"),
    ),
}
"""All formats, the more particular ones first."""


def format_of(row: Row) -> str:
    """The name of the format that a row is in; UsageError for none."""
    for name, form in FORMATS.items():
        if row.fields.keys() >= set(form.fields) or (form.plus and row.fields.keys() >= set(form.plus)):
            return name
    keys = ", ".join(sorted(map(str, row.fields))[:12]) or "none"
    raise UsageError(
        f"Line {row.line} of {row.source} is in no known format; its fields are: {keys}.",
        hint=f"known formats are {', '.join(sorted(FORMATS))}; `agd bench --format` names one.",
    )


def load(address: str, *, form: str = "auto", limit: int | None = None) -> Benchmark:
    """The tasks of a file or a hub address, at most the first `limit` of them.

    `form` is one of `FORMATS`, or "auto": what the first row looks like. UsageError names the line that is wrong.
    """
    if form != "auto" and form not in FORMATS:
        raise UsageError(
            f"There is no benchmark format {form!r}.", hint=f"use auto, or one of {', '.join(sorted(FORMATS))}."
        )
    if limit is not None and limit < 1:
        raise UsageError(f"A limit of {limit} tasks leaves none.", hint="use --limit 10, or leave it out.")
    rows, checksum = read_rows(address)
    name = format_of(rows[0]) if form == "auto" else form
    installed = plugins.discover("languages")
    tasks: dict[str, BenchTask] = {}
    left_out: list[tuple[str, str]] = []
    for row in rows[:limit]:
        try:
            task = FORMATS[name].read(row)
            _check_language(task.language, installed, row)
        except LeftOutError as why:
            left_out.append((why.task, why.reason))
            continue
        if task.id in tasks:
            raise row.fault(f"the task {task.id} is there a second time")
        tasks[task.id] = task
    return Benchmark(
        name=PurePosixPath(address).name,
        format=name,
        tasks=tuple(tasks.values()),
        left_out=tuple(left_out),
        checksum=checksum,
    )


def _check_language(language: str, installed: object, row: Row) -> None:
    if language not in installed:  # type: ignore[operator]
        raise row.fault(f"there is no language {language!r}; installed are {', '.join(installed)}")  # type: ignore[arg-type]
    languages.get(language)

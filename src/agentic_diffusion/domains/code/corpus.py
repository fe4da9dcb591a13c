"""From files of training data to examples that may be learned: read, licensed, compared, held against benchmarks.

    file -> rows -> licence -> language -> equal or nearly equal to an earlier one -> benchmark -> kept

Each row ends in one place of the report: kept, or dropped for one reason. Reasons:

    broken line      no JSON object, or a row in no known form
    nothing to learn the row has no solution, or one that is not trusted
    licence          unknown, or not permissive (under "refuse" it ends the reading, by name)
    language         not asked for
    too long         more characters than allowed
    equal            the words and signs of an earlier example
    nearly equal     most runs of an earlier example
    benchmark        six or more runs of a benchmark's row
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from agentic_diffusion.domains.code import licences
from agentic_diffusion.domains.code.contamination import Benchmarks
from agentic_diffusion.domains.code.corpus_rows import Example, read_example
from agentic_diffusion.domains.code.duplicates import DuplicateFinder
from agentic_diffusion.foundation import json_lines
from agentic_diffusion.foundation.errors import ConfigError, UsageError

Policy = Literal["refuse", "skip"]
REASONS = (
    "broken line", "nothing to learn", "licence", "language", "too long", "equal", "nearly equal", "benchmark",
)  # fmt: skip
_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """What of the data is kept."""

    languages: tuple[str, ...] = ()
    """Languages to keep; () for all."""
    longest: int = 20_000
    """Characters of a solution that is still kept."""
    rows_per_file: int | None = None
    """Rows read of each file, evenly spread over it; None for all."""
    broken_lines: Policy = "refuse"
    """What a line that cannot be read does: end the reading, or be skipped and reported."""
    unknown_licences: Policy = "refuse"
    """The same for a row whose licence is not permissive, or missing."""
    benchmark_rows: Policy = "refuse"
    """The same for a row that IS a row of a benchmark; one that is only like it is always skipped."""
    licence: str = ""
    """Licence of rows that name none; `licences.OWN` says that they are the user's own."""
    allowed_licences: tuple[str, ...] = ()
    """Licences that are accepted beside the permissive ones."""

    def __post_init__(self) -> None:
        """Check the words; raises ConfigError."""
        for name in ("broken_lines", "unknown_licences", "benchmark_rows"):
            if getattr(self, name) not in ("refuse", "skip"):
                raise ConfigError(f"{name} is {getattr(self, name)!r}.", hint="refuse and skip are known.")
        for name in ("longest", "rows_per_file"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)} and must be 1 or more.", hint="Leave it out.")


@dataclass(kw_only=True)
class CorpusReport:
    """What became of the rows, by source."""

    rows: Counter[str] = field(default_factory=Counter)
    """Rows read, broken lines included."""
    kept: Counter[str] = field(default_factory=Counter)
    """Examples kept."""
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    """Rows dropped, by source and reason."""
    told: list[str] = field(default_factory=list)
    """The first of the dropped rows of each reason, by name, and why."""
    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file."""

    def drop(self, source: str, reason: str, what: str) -> None:
        """Count a dropped row, and tell of it while few were told."""
        counts = self.dropped.setdefault(source, Counter())
        counts[reason] += 1
        if sum(other[reason] for other in self.dropped.values()) <= _SHOWN:
            self.told.append(f"{reason}: {what}")

    def as_json(self) -> dict[str, Any]:
        """The report, ready for JSON."""
        return {
            "sources": {
                source: {"rows": count, "kept": self.kept[source], "dropped": dict(self.dropped.get(source, {}))}
                for source, count in sorted(self.rows.items())
            },
            "kept": self.kept.total(),
            "rows": self.rows.total(),
            "told": self.told,
            "sha256": dict(sorted(self.checksums.items())),
        }

    def table(self) -> str:
        """The report as a Markdown table, a source a line."""
        used = [reason for reason in REASONS if any(counts[reason] for counts in self.dropped.values())]
        lines = [
            "| " + " | ".join(("source", "rows", "kept", *used)) + " |",
            "| --- |" + " --- |" * (2 + len(used)),
        ]
        for source in (*sorted(self.rows), "all"):
            counts = self.dropped.get(source, Counter()) if source != "all" else sum(self.dropped.values(), Counter())
            rows, kept = (
                (self.rows[source], self.kept[source]) if source != "all" else (self.rows.total(), self.kept.total())
            )
            numbers = [f"{number:,}" for number in (rows, kept, *(counts[reason] for reason in used))]
            lines.append("| " + " | ".join((source, *numbers)) + " |")
        return "\n".join(lines) + "\n"


def data_files(path: Path) -> list[tuple[str, Path]]:
    """The files of JSON lines at `path` (a file, or a folder and all below it) with the names that reports give them.

    Raises UsageError where there is none.
    """
    path = Path(path)
    if path.is_file():
        return [(_short(path.name), path)]
    found = sorted(file for ending in ("*.jsonl", "*.jsonl.gz") for file in path.rglob(ending))
    if not found:
        raise UsageError(
            f"There are no training data at {path}.",
            hint="give a .jsonl or .jsonl.gz file, or a folder with such files.",
        )
    return [(_short(file.relative_to(path).as_posix()), file) for file in found]


def build_corpus(
    files: Sequence[tuple[str, Path]], settings: CorpusSettings, *, benchmarks: Benchmarks | None = None
) -> tuple[list[Example], CorpusReport]:
    """The examples of `files` (name, path) that may be learned, in their order, and what became of the rest.

    Raises UsageError, by file and line, for what `settings` says to refuse.
    """
    report = CorpusReport()
    finder = DuplicateFinder()
    kept: list[Example] = []
    for example in _licensed(_examples(files, settings, report), settings, report):
        source = example.source
        if settings.languages and example.language not in settings.languages:
            report.drop(source, "language", f"{example.id} is in {example.language}")
        elif len(example.solution) > settings.longest:
            report.drop(source, "too long", f"{example.id} has {len(example.solution)} characters")
        elif repeated := finder.add(example.id, example.text):
            report.drop(source, repeated[0], f"{example.id} repeats {repeated[1]}")
        elif benchmarks is None or _is_clean(example, benchmarks, settings, report):
            report.kept[source] += 1
            kept.append(example)
    return kept, report


def _examples(
    files: Iterable[tuple[str, Path]], settings: CorpusSettings, report: CorpusReport
) -> Iterator[tuple[str, Example]]:
    """The examples of all rows that can be read, each with its place: file and line."""
    for source, path in files:
        found = json_lines.read(path, noun="data file")
        rows = _spread(found.rows, settings.rows_per_file)
        report.checksums[source] = found.checksum
        report.rows[source] += len(rows) + len(found.broken)
        for number, problem in found.broken:
            _refuse_or_drop(
                settings.broken_lines, report, source, "broken line", f"Line {number} of {path} is {problem}."
            )
        for number, fields in rows:
            try:
                example = read_example(fields, source=source, line=number, licence=settings.licence)
            except UsageError as error:
                what = f"Line {number} of {path}: {error.message.rstrip('.')}."
                _refuse_or_drop(settings.broken_lines, report, source, "broken line", what, hint=error.hint)
                continue
            if example is None:
                report.drop(source, "nothing to learn", f"line {number} of {source}")
            else:
                yield f"Line {number} of {path}", example


def _spread(rows: list[tuple[int, dict[str, Any]]], most: int | None) -> list[tuple[int, dict[str, Any]]]:
    """At most so many of the rows, evenly spread."""
    if most is None or len(rows) <= most:
        return rows
    return [rows[place * len(rows) // most] for place in range(most)]


def _licensed(
    examples: Iterable[tuple[str, Example]], settings: CorpusSettings, report: CorpusReport
) -> Iterator[Example]:
    """The examples whose licence allows to learn them, with its SPDX name."""
    own = (licences.OWN,) if settings.licence == licences.OWN else ()
    for place, example in examples:
        try:
            name = licences.permitted(example.licence, also=(*settings.allowed_licences, *own))
        except UsageError as error:
            what = f"{place} ({example.id}): {error.message}"
            _refuse_or_drop(settings.unknown_licences, report, example.source, "licence", what, hint=error.hint)
            continue
        yield replace(example, licence=name)


def _is_clean(example: Example, benchmarks: Benchmarks, settings: CorpusSettings, report: CorpusReport) -> bool:
    """Whether an example may be learned for all that the benchmarks say; else it is dropped, or refused."""
    contact = benchmarks.contact(example)
    if contact is None:
        return True
    if contact.is_row:
        what = f"The training example {example.id} is a row of a benchmark ({contact.where})."
        _refuse_or_drop(settings.benchmark_rows, report, example.source, "benchmark", what)
    else:
        how = f"shares {contact.runs} runs with" if contact.runs else "asks the question of"
        report.drop(example.source, "benchmark", f"{example.id} {how} {contact.where}")
    return False


def _refuse_or_drop(
    policy: Policy, report: CorpusReport, source: str, reason: str, what: str, *, hint: str = "mend it, or leave it out"
) -> None:
    if policy == "refuse":
        raise UsageError(what, hint=f"{hint.rstrip('.')}, or skip such rows.")
    report.drop(source, reason, what)


def _short(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".jsonl")

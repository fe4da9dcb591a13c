"""Which training examples hold what a benchmark asks: by runs of 14 words and signs, in the open or hashed.

A run is 14 consecutive matches of `duplicates.WORDS`. An example is contaminated where it shares six or more distinct
runs with one row of a benchmark, or with the hashed runs of rows that are kept back; or where it IS such a row: the
same description and the same solution. Runs that many rows of one benchmark share (imports, test helpers) tell nothing
and do not count.

The file of hashed runs: gzip'd, sorted records of 8 bytes, each blake2b(" ".join(run), digest_size=8).
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from agentic_diffusion.domains.code.corpus_rows import Example
from agentic_diffusion.domains.code.duplicates import WORDS, Words64
from agentic_diffusion.foundation import json_lines
from agentic_diffusion.foundation.errors import UsageError

RUN = 14
"""Words and signs of a run."""
SHARED = 6
"""Shared runs from which an example is dropped."""
COMMON = 10
"""Rows of one benchmark that must share a run for it to count as nobody's."""
_RECORD = 8
_QUESTIONS = ("text", "prompt", "description", "instructions", "task_description")
_ANSWERS = ("code", "canonical_solution", "solution", "correct", "buggy", "faulty", "buggy_solution", "example")


@dataclass(frozen=True, kw_only=True)
class Contact:
    """What an example shares with a benchmark."""

    where: str
    """The benchmark's file and row, or the file of hashed runs."""
    runs: int
    """How many distinct runs it shares."""
    is_row: bool = False
    """Whether it is that row itself, not just like it."""


class Benchmarks:
    """The rows that no training example may hold."""

    def __init__(self) -> None:
        """Know none yet."""
        self._runs: dict[bytes, list[int]] = {}
        self._rows: list[str] = []
        self._questions: dict[bytes, list[int]] = {}
        self._answers: dict[bytes, set[int]] = {}
        self._hashed: list[tuple[str, Words64]] = []

    def add_file(self, path: Path) -> None:
        """Read a benchmark of JSON lines; all texts in its rows count. Raises UsageError for a broken or empty file."""
        found = json_lines.read(path, noun="benchmark")
        if found.broken or not found.rows:
            what = f"line {found.broken[0][0]} is {found.broken[0][1]}" if found.broken else "it is empty"
            raise UsageError(
                f"The benchmark {path} cannot be held against the data: {what}.", hint="give a whole file, or none."
            )
        seen: Counter[bytes] = Counter()
        rows = []
        for line, fields in found.rows:
            runs = set().union(*(hashed_runs(text) for text in _texts(fields)))
            seen.update(runs)
            rows.append((f"{Path(path).name}, row {fields.get('task_id', fields.get('name', line))}", fields, runs))
        for name, fields, runs in rows:
            self._add_row(name, fields, {run for run in runs if seen[run] < COMMON})

    def add_hashed(self, path: Path) -> None:
        """Read a file of hashed runs; UsageError for one that is damaged, or not sorted."""
        try:
            data = gzip.decompress(Path(path).read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"The hashed runs {path} cannot be read: {error}.", hint="copy the file anew.") from error
        records = np.frombuffer(data[: len(data) // _RECORD * _RECORD], dtype=">u8").astype(np.uint64)
        if not len(records) or len(data) % _RECORD or bool((records[1:] < records[:-1]).any()):
            raise UsageError(
                f"The hashed runs {path} are no sorted records of {_RECORD} bytes.", hint="copy the file anew."
            )
        self._hashed.append((Path(path).name, records))

    def contact(self, example: Example) -> Contact | None:
        """Where an example touches a benchmark too closely; None where it does not."""
        question, answer = _key(example.description), _key(example.solution)
        for row in self._questions.get(question, ()) if example.description else ():
            if row in self._answers.get(answer, ()):
                return Contact(where=self._rows[row], runs=0, is_row=True)
        runs = hashed_runs(example.text)
        if len(runs) < SHARED:
            return self._same_question(example, question)
        counts = Counter(row for run in runs for row in self._runs.get(run, ()))
        if counts and (most := counts.most_common(1)[0])[1] >= SHARED:
            return Contact(where=self._rows[most[0]], runs=most[1])
        values = np.frombuffer(b"".join(runs), dtype=">u8").astype(np.uint64)
        for name, records in self._hashed:
            places = np.searchsorted(records, values).clip(max=len(records) - 1)
            shared = int((records[places] == values).sum())
            if shared >= SHARED:
                return Contact(where=name, runs=shared)
        return self._same_question(example, question)

    def _same_question(self, example: Example, question: bytes) -> Contact | None:
        """A question too short to share six runs still is the benchmark's where it is the same word by word."""
        if example.description and question in self._questions:
            return Contact(where=self._rows[self._questions[question][0]], runs=0)
        return None

    def _add_row(self, name: str, fields: Mapping[str, Any], runs: Iterable[bytes]) -> None:
        number = len(self._rows)
        self._rows.append(name)
        for run in runs:
            self._runs.setdefault(run, []).append(number)
        for field in _QUESTIONS:
            if isinstance(fields.get(field), str) and fields[field].strip():
                self._questions.setdefault(_key(fields[field]), []).append(number)
        for field in _ANSWERS:
            if isinstance(fields.get(field), str):
                self._answers.setdefault(_key(fields[field]), set()).add(number)


def hashed_runs(text: str) -> set[bytes]:
    """The distinct runs of a text, each as 8 bytes."""
    words = WORDS.findall(text)
    return {
        blake2b(" ".join(words[place : place + RUN]).encode(), digest_size=_RECORD).digest()
        for place in range(len(words) - RUN + 1)
    }


def _key(text: str) -> bytes:
    """A text by its words and signs, whatever stands between them."""
    return blake2b(" ".join(WORDS.findall(text)).lower().encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _texts(value: Any) -> list[str]:
    """All texts in a row, however deep; names of fields are none."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []

"""How tests in a language are read, laid out and run: the `Harness`, its records and the worker's line protocol.

A harness knows the test files of one language as text: which parts of them are cases, how they are planted, and which
program (the worker) runs candidates against them inside the sandbox. Lines count from 1, times are seconds.

The worker reads one JSON object a line from descriptor 3 and writes one a line to descriptor 4:

    {"open": {"suite": text, "cases": [{"name", "line"}], "case_seconds": s, "case_cpu": s}}    ->  {"ready": true}
    {"judge": [{"id": 0, "source": text}, ...], "nonce": n, "seconds": s, "memory_bytes": b, "output_bytes": b}
        ->  one line a candidate, in any order, written when it is known:
            {"id": 0, "nonce": n, "problem": null | {"line", "column", "message"}, "outcomes":
                [{"case": 0, "status": "passed", "message": "", "type": null, "line": null, "seconds": 0.001}, ...]}
            (outcomes of a candidate that counts its lines, see `testing/counters.py`, hold "lines": [1, 2, ...], too)
        ->  {"done": n, "clean": true}

`problem` is what the compiler said of the candidate, which then has no outcomes; its line is that of the candidate.
A status is one of passed, failed, error, timeout, killed, memory, output. `clean` is false when the worker wants to be
replaced. A worker that dies is replaced too, and the candidates without an answer are tried again one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class CaseSource:
    """One case of a test file, as text."""

    name: str
    """Its name: that of the test function, the title of the test, or the asserting statement, shortened."""
    line: int
    """Its first line in the file."""
    source: str
    """Its text."""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A test file with one false assertion among the true ones."""

    source: str
    """The whole text; its cases are those of the original and one more."""
    case: int
    """Number of the case that must fail, from 0."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The program that runs candidates in a sandbox."""

    argv: tuple[str, ...]
    """Its command; plain file names are those of `files`, in its working folder."""
    files: Mapping[str, bytes]
    """Files placed beside it."""
    read_only: tuple[Path, ...] = ()
    """Folders of the toolchain that it may read."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Its environment beside HOME, TMPDIR and PATH."""
    batch: int = 16
    """How many candidates it takes at once; what a compiler does once a batch is shared by that many."""
    memory_bytes: int = 0
    """What the worker itself keeps in memory, on top of a candidate's limit."""
    reserved_bytes: int = 0
    """Address space that the worker reserves without using it, as virtual machines do."""
    processes: int = 32
    """Threads and processes that it and its candidates may have at once."""
    start_seconds: float = 60.0
    """The longest that its start may take."""


class Harness(Protocol):
    """Tests of one language."""

    def cases(self, source: str, origin: str) -> tuple[CaseSource, ...]:
        """The cases of a test file in the order in which they run; UsageError when it cannot be read or holds none."""

    def inline(self, statements: Sequence[str]) -> str:
        """A test file of statements given one by one, such as `assert.equal(f(1), 2)`; a case each."""

    def join(self, sources: Sequence[str]) -> str:
        """One test file of several; names that two of them define are kept apart, or UsageError says which clash."""

    def tested_names(self, source: str) -> frozenset[str]:
        """The names of the functions that a test file calls and does not define, standard library left out."""

    def example(self, source: str) -> str | None:
        """A short assertion of the file that stands whole on a line, for the model to see; None without one."""

    def planted(self, source: str, rng: Random) -> Planted:
        """The file with one more case, a copy of a true one with another expected value, or a plainly false one."""

    def stubs(self, source: str) -> tuple[str, ...]:
        """Programs that do nothing useful under the tested names: tests that pass for them prove nothing."""

    def worker(self) -> Worker:
        """The worker, with the toolchain that is here; SetupError with the mending command when none is."""


@runtime_checkable
class Rewriting(Protocol):
    """A harness whose worker reads other texts than people write: both are rewritten before they are sent."""

    def suite_program(self, source: str) -> str:
        """What the worker is sent in place of a test file."""

    def candidate_program(self, source: str) -> str:
        """What the worker is sent in place of a candidate; its lines are those of the candidate."""

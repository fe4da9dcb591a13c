"""One task of a benchmark, whatever format it came in, and a benchmark as a list of them.

A program that is judged is `preamble` + `prefix` + what the model wrote + `suffix`. Kinds:

write    the model goes on from `prefix`, the opening of a function; `suffix` is empty
infill   the model fills the hole between `prefix` and `suffix`
repair   `faulty` is shown, the whole program is written again from `prefix` on
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from agentic_diffusion.foundation.errors import UsageError

Kind = Literal["write", "infill", "repair"]


class LeftOutError(Exception):
    """A row that is right in itself asks for what is not here, so its task is left out and named."""

    def __init__(self, task: str, reason: str) -> None:
        """Keep the task's name and the reason, in words."""
        super().__init__(f"{task}: {reason}")
        self.task, self.reason = task, reason


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the function under test that a benchmark's own test makes, with the value that it expects."""

    arguments: str
    """The arguments as the language writes them, without the brackets around them."""
    expected: str
    """The expected value as the language writes it."""


@dataclass(frozen=True, kw_only=True)
class BenchTask:
    """One task."""

    id: str
    """Its name in the benchmark; unique within it."""
    language: str
    """Name of its language."""
    kind: Kind = "write"
    """What is asked: see the table above."""
    text: str
    """What the program shall do, in words."""
    signature: str = ""
    """The head of the function, as it is shown to the model."""
    preamble: str = ""
    """What stands before the answer in the program and is not shown: imports."""
    prefix: str = ""
    """The program up to where the answer begins."""
    suffix: str = ""
    """The program behind the answer."""
    faulty: str = ""
    """The program to be repaired."""
    shown: tuple[str, ...] = ()
    """Examples that the model may see; the first one is what prompt forms show."""
    entry_point: str = ""
    """Name of the function that is tested; "" where there is none or more than one."""
    tests: str
    """The benchmark's own tests, as a test file of the language; "" where there are only `hidden` cases."""
    calls: tuple[Call, ...] = ()
    """The calls that these tests make, where they are plain; inputs for hidden cases are made from them."""
    hidden: tuple[Call, ...] = ()
    """Further cases that come with the benchmark; where `expected` is "" the canonical solution gives it."""
    canonical: str | None = field(default=None, repr=False)
    """A whole program that solves it; None where the benchmark has none."""

    def __post_init__(self) -> None:
        """Check what every task needs."""
        if not self.id or not (self.tests.strip() or self.hidden):
            raise UsageError(
                f"The task {self.id!r} has no name or no tests.", hint="give each row a task_id and tests."
            )
        if self.kind not in get_args(Kind):
            raise UsageError(f"The kind {self.kind!r} does not exist.", hint=f"use one of {', '.join(get_args(Kind))}.")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The tasks of one file."""

    name: str
    """Where they came from: the file's name or the hub's address."""
    format: str
    """Name of the format that they were read in."""
    tasks: tuple[BenchTask, ...]
    """In the order of the file."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Rows that cannot be used here, by name, and why."""
    checksum: str = ""
    """SHA-256 of the file's bytes."""

    @property
    def language(self) -> str:
        """The language of its tasks, or "several"."""
        names = {task.language for task in self.tasks}
        return names.pop() if len(names) == 1 else "several"

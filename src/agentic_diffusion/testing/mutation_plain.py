"""Judge mutants by running test files: every language, and what lies outside of Python's functions.

The changed file is written into the worker's copy of the project; the test files that run its line are run, the
quickest first, until one fails. Times are seconds, lines count from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from agentic_diffusion.domains.code.files import read_program
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox.base import Sandbox
from agentic_diffusion.testing import coverage_readers, project_commands
from agentic_diffusion.testing.coverage import Measured
from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.mutation_operators import Mutant
from agentic_diffusion.testing.project import Project
from agentic_diffusion.testing.project_outcomes import FileRun
from agentic_diffusion.testing.project_run import ProjectWorker, RunSettings, units

if TYPE_CHECKING:
    from agentic_diffusion.testing.mutation import MutationSettings

COMPILE_SECONDS = 120.0
CHOOSING = ("python", "go")
"""Languages whose runners take single cases."""


class PlainJudge:
    """One worker for one program file."""

    def __init__(
        self, project: Project, path: str, tests: Sequence[Found], sandbox: Sandbox, how: MutationSettings
    ) -> None:
        """Nothing starts yet."""
        self.project, self.path, self.tests, self.sandbox, self.how = project, path, units(tests), sandbox, how
        self.source = read_program(project.root / path)
        self.language = tests[0].language
        self.worker: ProjectWorker | None = None
        self.calm: list[tuple[FileRun, set[int]]] = []
        self.passing: dict[str, list[str]] = {}
        """By file, the cases to run where others fail without a change, too."""

    def judge(self, some: Sequence[Mutant]) -> Iterator[tuple[Mutant, str, str]]:
        """Mutant, status and the case that noticed it."""
        self._calm()
        settings = RunSettings(seconds=self.how.file_seconds, memory_bytes=self.how.memory_bytes)
        with ProjectWorker(self.project, self.language, self.tests, self.sandbox, settings) as worker:
            self.worker = worker
            for mutant in some:
                changed = mutant.apply(self.source.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
                worker.write({self.path: changed})
                status, by = self._one(worker, mutant)
                yield mutant, status, by
            worker.write({self.path: None})

    def _one(self, worker: ProjectWorker, mutant: Mutant) -> tuple[str, str]:
        if mutant.language == "java" and not self._compiles(worker):
            return "invalid", ""
        lines = set(range(mutant.line, mutant.last_line + 1))
        chosen = [one for one, seen in self.calm if lines & seen or self._unseen(mutant, seen)]
        for one in sorted(chosen, key=lambda run: run.seconds):
            seconds = self.how.floor + self.how.factor * one.seconds
            names = self.passing.get(one.found.path, ())
            found = worker.file(one.found, names=names, seconds=min(seconds, self.how.file_seconds))
            if found.ok:
                continue
            if found.problem.startswith("ran longer"):
                return "timeout", one.found.path
            if _refused(found):
                return "invalid", ""
            return "killed", next((case.name for case in found.cases if not case.ok), one.found.path)
        return ("survived" if chosen else "not covered"), ""

    def _unseen(self, mutant: Mutant, seen: set[int]) -> bool:
        """Whether a file that runs some line also runs this one, which no counter stands on: the top of a module."""
        return bool(seen) and not mutant.function

    def _compiles(self, worker: ProjectWorker) -> bool:
        order = project_commands.Order(form="", argv=project_commands.java_compiler(self.project, self.path))
        return bool(worker.run(order, COMPILE_SECONDS)["status"] == 0)

    def _calm(self) -> None:
        """Every test file once, with coverage."""
        can_cover = self.language != "python" or "coverage" in self.project.python.packages
        settings = RunSettings(
            seconds=self.how.file_seconds, memory_bytes=self.how.memory_bytes, coverage=can_cover, branch=False
        )
        with ProjectWorker(self.project, self.language, self.tests, self.sandbox, settings) as worker:
            for found in self.tests:
                one = worker.file(found)
                passing = [case.name for case in one.cases if case.status == "passed"]
                if not passing or one.problem or not (one.ok or one.found.language in CHOOSING):
                    continue
                if not one.ok:
                    self.passing[found.path] = passing
                measured = {self.path: Measured()}
                coverage_readers.read(self.project, one, measured)
                seen = measured[self.path]
                for case, ranges in seen.pending:
                    seen.add(case, coverage_readers.lines_of_v8(self.project.root / self.path, _own(self.path), ranges))
                every = set(range(1, self.source.count("\n") + 2))
                self.calm.append((one, seen.covered if can_cover else every))
        if not self.calm:
            raise UsageError(
                "The tests do not pass without a change, so they judge nothing.", hint="run them with `agd test run`."
            )

    def __enter__(self) -> PlainJudge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.worker is not None:
            self.worker.close()


def _own(path: str) -> str:
    return "typescript" if path.rpartition(".")[2] in ("ts", "mts", "cts", "tsx") else "javascript"


def _refused(found: FileRun) -> bool:
    """Whether the compiler did not take the mutant, which is no merit of the tests."""
    return found.found.language == "go" and ".go:" in found.problem and "does not load" in found.problem

"""What tests cover: the model, and how it is put together from what the runners measured.

    Python                  lines and branches by coverage.py in the project's Python, by case
    JavaScript, TypeScript  lines by V8's own counters, by test file
    Go                      lines by `go test -coverprofile`, by package of tests
    Java                    lines by counters of our own, which are written into a copy of the sources, by test file

A line counts when a statement begins on it. A branch is a jump (from line, to line) of a line that has several; a
negative target leaves the code object that begins there. Lines count from 1; shares lie in [0, 1].
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentic_diffusion.domains.code.files import program_files
from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.sandbox.base import Sandbox
from agentic_diffusion.testing import coverage_readers
from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.project import Project
from agentic_diffusion.testing.project_commands import Order
from agentic_diffusion.testing.project_outcomes import FileRun, ProjectRun
from agentic_diffusion.testing.project_run import ProjectWorker, RunSettings

EXCLUDED = r"#\s*(?:pragma|PRAGMA)[:\s]?\s*(?:no|NO)\s*(?:cover|COVER)|^\s*if TYPE_CHECKING:"
"""Lines of Python that are not asked for, with what hangs on them."""
TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "testing_data"})
ANALYSIS_SECONDS = 300.0
Branch = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class FileCoverage:
    """One program file."""

    path: str
    """Relative to the project."""
    language: str
    """Its language."""
    statements: frozenset[int]
    """Lines on which statements begin."""
    covered: frozenset[int]
    """Those of them that were run."""
    branches: frozenset[Branch] = frozenset()
    """Jumps of lines with several; empty where the language offers none."""
    taken: frozenset[Branch] = frozenset()
    """Those of them that were taken."""
    by_case: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Covered lines by case (Python) or by test file (the other languages)."""

    @property
    def missing(self) -> list[int]:
        """Lines that no test runs."""
        return sorted(self.statements - self.covered)

    @property
    def missing_branches(self) -> list[Branch]:
        """Jumps that no test takes, of lines that some test runs."""
        return sorted(branch for branch in self.branches - self.taken if branch[0] in self.covered)


@dataclass(frozen=True, kw_only=True)
class ProjectCoverage:
    """All program files of a project."""

    files: tuple[FileCoverage, ...]
    """By path."""

    def share(self, *, branches: bool = True) -> float:
        """Covered lines and taken branches of all there are; 1 where there is nothing to cover."""
        total = sum(len(one.statements) + (len(one.branches) if branches else 0) for one in self.files)
        done = sum(len(one.covered) + (len(one.taken) if branches else 0) for one in self.files)
        return done / total if total else 1.0

    def file(self, path: str) -> FileCoverage | None:
        """The file at a path; None where it was not measured."""
        return next((one for one in self.files if one.path == path), None)


@dataclass(kw_only=True)
class Measured:
    """What was counted in one file before its statements are known."""

    covered: set[int] = field(default_factory=set)
    arcs: set[Branch] = field(default_factory=set)
    by_case: dict[str, set[int]] = field(default_factory=dict)
    pending: list[tuple[str, list[tuple[int, int, int]]]] = field(default_factory=list)
    """V8's ranges by test file, which become lines once the text is read."""

    def add(self, case: str, lines: Iterable[int]) -> None:
        """Lines that a case ran; "" for what ran before the first case."""
        found = set(lines)
        self.covered |= found
        if case:
            self.by_case.setdefault(case, set()).update(found)


def sources(project: Project, founds: Sequence[Found], wanted: Sequence[Path] = ()) -> dict[str, str]:
    """The program files whose coverage counts, with their languages: those of the tests' languages that are no tests.

    `wanted` names files and folders; without it, the whole project. UsageError where nothing is found.
    """
    tests, spoken = {found.path for found in founds}, {found.language for found in founds}
    if spoken & {"javascript", "typescript"}:
        spoken |= {"javascript", "typescript"}
    found: dict[str, str] = {}
    for path, language in program_files([one.absolute() for one in wanted] or [project.root]):
        if language not in spoken or not path.resolve().is_relative_to(project.root):
            continue
        relative = path.resolve().relative_to(project.root).as_posix()
        parts = relative.split("/")
        helper = not wanted and (TEST_FOLDERS & set(parts[:-1]) or fnmatch.fnmatchcase(parts[-1], "conftest.py"))
        if relative not in tests and not helper and not parts[-1].endswith("_test.go"):
            found[relative] = language
    if not found:
        raise UsageError("There is no program whose coverage could be measured.", hint="name some with --source.")
    return dict(sorted(found.items()))


def demand(project: Project, founds: Sequence[Found]) -> None:
    """SetupError when coverage cannot be measured: Python's needs coverage.py."""
    if any(found.language == "python" for found in founds) and "coverage" not in project.python.packages:
        raise SetupError(
            f"The Python of the project, {project.python.program}, has no coverage.py.",
            hint="install the package coverage there, or leave --coverage out.",
        )


def gather(
    project: Project, wanted: Mapping[str, str], run: ProjectRun, sandbox: Sandbox, settings: RunSettings
) -> ProjectCoverage:
    """Put together what the runners measured of the files `wanted` (path to language)."""
    measured: dict[str, Measured] = {path: Measured() for path in wanted}
    for one in run.files:
        coverage_readers.read(project, one, measured)
    python = [path for path, language in wanted.items() if language == "python"]
    known = _analysis(project, python, run.files, sandbox, settings) if python else {}
    made = []
    for path, language in wanted.items():
        if language == "python":
            if path in known:
                made.append(_python(path, known[path], measured[path]))
            continue
        statements = frozenset(coverage_readers.statements(project.root / path, language))
        found = measured[path]
        for case, ranges in found.pending:
            found.add(case, coverage_readers.lines_of_v8(project.root / path, language, ranges))
        by_case = {case: frozenset(lines & statements) for case, lines in found.by_case.items()}
        made.append(
            FileCoverage(
                path=path, language=language, statements=statements, covered=frozenset(found.covered & statements),
                by_case={case: lines for case, lines in by_case.items() if lines},
            )
        )  # fmt: skip
    return ProjectCoverage(files=tuple(made))


def _analysis(
    project: Project, paths: list[str], files: Sequence[FileRun], sandbox: Sandbox, settings: RunSettings
) -> dict[str, Any]:
    """The statements and branches of Python files, as coverage.py sees them; asked of it in a worker."""
    founds = [one.found for one in files]
    order = Order(form="python", python={"analyse": paths, "exclude": EXCLUDED}, results=("analysis.json",))
    with ProjectWorker(project, "python", founds, sandbox, settings) as worker:
        told = worker.run(order, ANALYSIS_SECONDS)
    found = next(coverage_readers.documents(told["results"]["analysis.json"]), None)
    if found is None:
        raise SetupError(
            f"coverage.py did not tell what there is to cover: {told['stderr'].strip()[-200:] or 'it said nothing'}.",
            hint="update the package coverage in the project's Python.",
        )
    made: dict[str, Any] = found
    return made


def _python(path: str, known: Mapping[str, Any], found: Measured) -> FileCoverage:
    first = {int(line): place for line, place in known["first"].items()}
    statements = frozenset(known["statements"])
    branches = frozenset((start, end) for start, end in known["branches"])

    def lines(raw: Iterable[int]) -> frozenset[int]:
        return frozenset(first.get(line, line) for line in raw) & statements

    taken = {(first.get(start, start), first.get(end, end) if end > 0 else end) for start, end in found.arcs}
    by_case = {case: lines(raw) for case, raw in found.by_case.items()}
    return FileCoverage(
        path=path, language="python", statements=statements, covered=lines(found.covered), branches=branches,
        taken=branches & taken, by_case={case: seen for case, seen in by_case.items() if seen},
    )  # fmt: skip

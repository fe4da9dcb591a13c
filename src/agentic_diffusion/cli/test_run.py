"""`agd test run`: a project's tests through their own runners, with verdicts, coverage and reports.

Exit codes as pytest's: 0 all passed, 1 something failed, 2 interrupted, 3 the machine or the sandbox, 4 usage, 5 no
tests were found. The report goes to stdout, the advance to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agentic_diffusion.cli.output import print_json, print_table
from agentic_diffusion.cli.test_coverage import Measuring, Wished, sandbox_for
from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import StoreError, UsageError
from agentic_diffusion.foundation.resources import atomic_write, parse_duration, parse_size
from agentic_diffusion.foundation.settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentic_diffusion.foundation.store import Store
    from agentic_diffusion.testing.coverage import ProjectCoverage
    from agentic_diffusion.testing.discovery import Found, Kind
    from agentic_diffusion.testing.project import Project
    from agentic_diffusion.testing.project_outcomes import FileRun, ProjectRun
    from agentic_diffusion.testing.project_run import RunSettings

_Flag = Annotated[bool, Parameter(negative="")]


def run(
    *paths: Path,
    kind: Annotated[str | None, Parameter()] = None,
    explain: _Flag = False,
    failed: _Flag = False,
    fail_fast: _Flag = False,
    repeat: int = 1,
    workers: int = 0,
    timeout: str = "60s",
    memory: str = "2GiB",
    trusted: _Flag = False,
    python: Path | None = None,
    junit: Path | None = None,
    coverage: _Flag = False,
    source: Annotated[list[Path] | None, Parameter(negative="")] = None,
    html: Path | None = None,
    lcov: Path | None = None,
    cobertura: Path | None = None,
    fail_under: float | None = None,
    since: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Run the tests at PATHS (files or folders; without any, the project of the current folder), each file apart.

    Exit code as pytest's: 0 passed, 1 failed, 2 interrupted, 3 internal, 4 usage, 5 no tests were found.

    Parameters
    ----------
    paths
        Test files, or folders that are searched.
    kind
        Only these kinds, with commas: unit, integration, system.
    explain
        Show what was found, and the rule that told its kind, and run nothing.
    failed
        Only what failed in the last run, which the store remembers.
    fail_fast
        Begin no file after the first failure.
    repeat
        Run every file so often; cases that end differently are flaky.
    workers
        Files that run at once; 0 takes every processor.
    timeout
        Longest time of one test file, such as 60s or 2m; waiting for a processor is not counted.
    memory
        Memory of one worker with its copy of the project.
    trusted
        Run in place and without a sandbox: the tests can then do whatever you can.
    python
        The Python of the project; without it, its virtual environment, the active one, or this program's.
    junit
        Write JUnit-XML to this file.
    coverage
        Measure coverage; --html, --lcov, --cobertura, --fail-under and --since ask for it, too.
    source
        A program file or folder whose coverage counts; without it, all of the project that is no test.
    html
        Write coverage as HTML into this folder.
    lcov
        Write coverage as an LCOV tracefile.
    cobertura
        Write coverage as Cobertura XML.
    fail_under
        Exit code 1 when less than this percentage of lines and branches is covered.
    since
        A git revision: list the lines changed since then that no test runs.
    as_json
        One JSON object on stdout.

    """
    from agentic_diffusion.testing.project_run import RunSettings

    project, founds = found_tests(paths, kind=kind, python=python)
    if explain:
        _explain(founds, as_json=as_json)
        return 0 if founds else 5
    wished = Wished(source=source or [], html=html, lcov=lcov, cobertura=cobertura, fail_under=fail_under, since=since)
    settings = RunSettings(
        seconds=parse_duration(timeout), workers=workers, fail_fast=fail_fast, repeat=repeat, trusted=trusted,
        memory_bytes=parse_size(memory), coverage=coverage or wished.any,
    )  # fmt: skip
    measuring = Measuring.begin(project, founds, settings, wished)
    names = _failed(project, failed=failed)
    if failed:
        founds = [one for one in founds if one.path in names]
    ended = execute(project, founds, settings, names)
    covered = measuring.finish(ended) if measuring is not None else None
    _remember(project, ended, covered, whole=not paths and not failed and kind is None)
    _deliver(ended, covered, junit=junit, as_json=as_json)
    return ended.exit_code or (measuring.verdict() if measuring is not None else 0)


def found_tests(
    paths: Sequence[Path], *, kind: str | None = None, python: Path | None = None
) -> tuple[Project, list[Found]]:
    """The project that the paths lie in, and its test files of the kinds asked for."""
    from agentic_diffusion.testing import discovery
    from agentic_diffusion.testing.project import open_project

    project = open_project(paths[0] if paths else Path.cwd(), interpreter=python)
    kinds = _kinds(kind)
    return project, [one for one in discovery.find(project, paths) if one.kind in kinds]


def _kinds(given: str | None) -> tuple[Kind, ...]:
    from agentic_diffusion.testing.discovery import KINDS

    if given is None:
        return KINDS
    words = [word.strip() for word in given.split(",")]
    for word in words:
        if word not in KINDS:
            raise UsageError(f"There are no tests of kind {word!r}.", hint=f"kinds are {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in words)


def execute(
    project: Project, founds: Sequence[Found], settings: RunSettings, names: Mapping[str, Sequence[str]]
) -> ProjectRun:
    """Run test files, with a line for each on stderr."""
    from agentic_diffusion.testing import reports
    from agentic_diffusion.testing.project_run import run_project

    def told(one: FileRun) -> None:
        events.say(reports.file_line(one))

    return run_project(project, founds, sandbox_for(trusted=settings.trusted), settings, names=names, told=told)


@contextmanager
def open_store() -> Iterator[Store]:
    """The store of this configuration."""
    from agentic_diffusion.foundation.store import Store

    with Store.open(config.load().section(StoreSettings).url) as store:
        yield store


def _failed(project: Project, *, failed: bool) -> Mapping[str, Sequence[str]]:
    """The cases to run again, by file; nothing where all are to run."""
    from agentic_diffusion.testing import history

    if not failed:
        return {}
    with open_store() as store:
        return history.failed_last(store, project.root)


def _remember(project: Project, ended: ProjectRun, covered: ProjectCoverage | None, *, whole: bool) -> None:
    """Keep the run in the store; a store that cannot be used is told and costs nothing else."""
    from agentic_diffusion.testing import history

    try:
        with open_store() as store:
            share = None if covered is None else covered.share()
            history.remember(store, project.root, ended, run_id=events.run_id() or None, coverage=share, whole=whole)
    except StoreError as problem:
        events.get_logger(__name__).warning("the run is not recorded: %s (%s)", problem.message, problem.hint)


def _explain(founds: Sequence[Found], *, as_json: bool) -> None:
    from agentic_diffusion.testing import reports

    head = ("file", "language", "runner", "kind", "told by")
    rows = reports.explained(founds)
    if as_json:
        print_json([dict(zip(head, row, strict=True)) for row in rows])
    else:
        print_table(head, rows)


def _deliver(ended: ProjectRun, covered: ProjectCoverage | None, *, junit: Path | None, as_json: bool) -> None:
    from agentic_diffusion.testing import coverage_reports, reports

    if junit is not None:
        atomic_write(junit, reports.junit_xml(ended))
    if as_json:
        record = reports.as_json(ended)
        print_json(record if covered is None else record | {"coverage": coverage_reports.as_json(covered)})
        return
    sys.stdout.write(reports.text(ended))
    if covered is not None:
        sys.stdout.write(coverage_reports.text(covered))

"""`agd test suggest`: what to do next about a project's tests."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.cli.test_coverage import sandbox_for
from agentic_diffusion.cli.test_run import execute, found_tests, open_store
from agentic_diffusion.foundation.errors import StoreError, UsageError
from agentic_diffusion.foundation.resources import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentic_diffusion.testing.discovery import Found
    from agentic_diffusion.testing.project import Project
    from agentic_diffusion.testing.project_outcomes import ProjectRun
    from agentic_diffusion.testing.project_run import RunSettings
    from agentic_diffusion.testing.suggestions import Suggestion


def suggest(
    *paths: Path,
    limit: int = 20,
    seconds: float = 1.0,
    seed: int = 0,
    timeout: str = "60s",
    python: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Run the tests at PATHS and tell what to do next about them, the most telling first.

    Parameters
    ----------
    paths
        Test files and folders; without any, the project of the current folder.
    limit
        How many suggestions are shown.
    seconds
        Processor time of the search for an input that reaches what no test does, for one function.
    seed
        Seed of that search.
    timeout
        Longest time of one test file.
    python
        The Python of the project.
    as_json
        A JSON list on stdout.

    """
    from agentic_diffusion.testing import suggestions
    from agentic_diffusion.testing.project_run import RunSettings

    project, founds = found_tests(paths, python=python)
    if not founds:
        raise UsageError("There are no tests to look at.", hint="agd test generate writes some.")
    covers = all(found.language != "python" for found in founds) or "coverage" in project.python.packages
    settings = RunSettings(seconds=parse_duration(timeout), coverage=covers)
    ended = execute(project, founds, settings, {})
    found = suggestions.ranked(_all(project, founds, ended, settings, seconds=seconds, seed=seed))
    shown = found[:limit]
    if as_json:
        print_json([asdict(one) for one in shown])
        return
    for number, one in enumerate(shown, start=1):
        where = f"{one.path}{f':{one.line}' if one.line else ''}"
        sys.stdout.write(f"{number}. [{one.rule}] {where}: {one.what}\n   -> {one.mend}\n")
    if len(found) > limit:
        sys.stdout.write(f"{len(found) - limit} more; --limit shows them\n")
    if not found:
        sys.stdout.write("nothing to suggest\n")


def _all(
    project: Project, founds: Sequence[Found], ended: ProjectRun, settings: RunSettings, *, seconds: float, seed: int
) -> Iterator[Suggestion]:
    from agentic_diffusion.testing import coverage, suggestions

    sandbox = sandbox_for(trusted=False)
    yield from suggestions.of_run(ended, _flaky(project))
    yield from suggestions.of_order(project, ended, sandbox, settings)
    yield from suggestions.of_tests(project, founds)
    wanted = coverage.sources(project, founds)
    if settings.coverage:
        covered = coverage.gather(project, wanted, ended, sandbox, settings)
        yield from suggestions.of_coverage(project, covered, sandbox, seconds=seconds, seed=seed)
    yield from suggestions.of_mutants(project, wanted, founds)
    yield from suggestions.of_edges(project, wanted, founds)


def _flaky(project: Project) -> list[tuple[str, str]]:
    """Cases that remembered runs found flaky; none where there is no store."""
    from agentic_diffusion.testing import history

    try:
        with open_store() as store:
            runs = history.runs_of(store, project.root)
    except StoreError:
        return []
    return [(file, name) for run in runs for file, name in (run.summary or {}).get("flaky_cases", ())]

"""`agd test mutate`: small changes of a program that its tests do not notice, as diffs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.cli.test_coverage import sandbox_for
from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.foundation.resources import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.testing.discovery import Found
    from agentic_diffusion.testing.mutation import Judged
    from agentic_diffusion.testing.mutation_operators import Mutant
    from agentic_diffusion.testing.project import Project


def mutate(
    *targets: str,
    tests: Annotated[list[Path] | None, Parameter(negative="")] = None,
    max_mutants: Annotated[int | None, Parameter(name="--max")] = None,
    seed: int = 0,
    since: str | None = None,
    fail_under: float | None = None,
    timeout: str = "60s",
    python: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Change the programs TARGETS in small ways and see which changes the tests do not notice.

    A target is a file, a folder, or FILE::FUNCTION. What was judged is kept until the file or its tests change, so that
    a run that was ended goes on where it stopped.

    Parameters
    ----------
    targets
        Programs; without any, those that --since names.
    tests
        Test files or folders; without it, all tests of the project.
    max_mutants
        At most so many changes, drawn at random.
    seed
        Seed of that draw.
    since
        A git revision: only functions that changed since then.
    fail_under
        Exit code 1 when the tests notice less than this percentage.
    timeout
        Longest time of one test file, where whole files have to be run.
    python
        The Python of the project.
    as_json
        One JSON object on stdout.

    """
    from agentic_diffusion.testing import mutation

    if not targets and since is None:
        raise UsageError("There is nothing to change.", hint="agd test mutate src/parser.py::read")
    project, wanted, founds = _planned(targets, tests or [], since, python)
    settings = mutation.MutationSettings(most=max_mutants, seed=seed, file_seconds=parse_duration(timeout))
    began = time.monotonic()
    many = min(len(wanted), max_mutants or len(wanted))
    with events.progress("mutants", many, "mutants") as shown:
        found = mutation.judge(
            project, wanted, founds, sandbox_for(trusted=False), settings, told=lambda _: shown.advance()
        )
    seconds = time.monotonic() - began
    if as_json:
        survivors = [one.as_json() | {"diff": _diff(project, one)} for one in found if one.status in mutation.UNNOTICED]
        print_json({
            "score": mutation.score(found), "counts": dict(mutation.counted(found)), "seconds": seconds,
            "mutants": [one.as_json() for one in found], "survivors": survivors,
        })  # fmt: skip
    else:
        _show(project, found, seconds)
    low = fail_under is not None and 100 * mutation.score(found) < fail_under
    return int(ExitCode.NEGATIVE if low else ExitCode.DONE)


def _planned(
    targets: Sequence[str], tests: Sequence[Path], since: str | None, python: Path | None
) -> tuple[Project, list[Mutant], list[Found]]:
    """The project, the mutants of all targets, and the tests."""
    from agentic_diffusion.testing import changes, coverage, discovery, mutation
    from agentic_diffusion.testing.project import open_project

    pairs = [mutation.split_target(target) for target in targets] or [(Path.cwd(), None)]
    project = open_project(pairs[0][0], interpreter=python)
    founds = discovery.find(project, tests)
    changed = changes.changed_lines(project.root, since) if since is not None else None
    wanted: list[Mutant] = []
    for path, function in pairs:
        if not path.resolve().is_relative_to(project.root):
            raise UsageError(
                f"{path} lies outside of the project at {project.root}.", hint="name files of one project."
            )
        inside = [path.resolve().relative_to(project.root).as_posix()] if path.is_file() else []
        for file in inside or coverage.sources(project, discovery.find(project), [path]):
            if changed is None or file in changed:
                lines = None if changed is None else changed[file]
                wanted += mutation.plan(project, file, function=function, changed=lines)
    return project, wanted, founds


def _diff(project: Project, one: Judged) -> str:
    return one.mutant.diff((project.root / one.mutant.path).read_text(encoding="utf-8"))


def _show(project: Project, found: Sequence[Judged], seconds: float) -> None:
    from agentic_diffusion.testing import mutation

    for one in found:
        if one.status in mutation.UNNOTICED:
            where = f"{one.mutant.path}:{one.mutant.line}"
            sys.stdout.write(f"{one.status}: {where} ({one.mutant.operator})\n{_diff(project, one)}\n")
    counts = mutation.counted(found)
    told = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
    rate = f"{len(found) / seconds:.0f} a second" if seconds else ""
    sys.stdout.write(f"{len(found)} mutants in {seconds:.1f} s ({rate}): {told or 'none'}\n")
    sys.stdout.write(f"the tests notice {mutation.score(found):.1%}\n")

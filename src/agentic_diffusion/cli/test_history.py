"""`agd test history`: how many tests passed, and how much they covered, run by run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agentic_diffusion.cli.output import iso_time, print_json, print_table
from agentic_diffusion.cli.test_run import open_store
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import atomic_write

if TYPE_CHECKING:
    from agentic_diffusion.testing.history import Point


def history(
    path: Path | None = None,
    *,
    parts: Annotated[bool, Parameter(negative="")] = False,
    picture: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Show the remembered runs of the project at PATH (default: the current folder), the oldest first.

    Parameters
    ----------
    path
        The project, or something in it.
    parts
        Runs of parts of the project as well.
    picture
        Draw coverage and failures over time into this SVG file.
    as_json
        A JSON list on stdout.

    """
    from agentic_diffusion.testing import history as histories
    from agentic_diffusion.testing.picture import history_svg
    from agentic_diffusion.testing.project import open_project

    project = open_project(path or Path.cwd())
    with open_store() as store:
        points = histories.points(store, project.root, whole=not parts)
    if picture is not None:
        if not points:
            raise UsageError("There is no run to draw.", hint="run `agd test run` first.")
        atomic_write(picture, history_svg(points, title=project.root.name))
    if as_json:
        print_json([{"run": one.run, "started": iso_time(one.started), **one.numbers} for one in points])
    else:
        print_table(("run", "started", "passed", "failed", "coverage", "seconds"), [_row(one) for one in points])


def _row(point: Point) -> tuple[str, ...]:
    numbers = point.numbers
    covered = f"{numbers['coverage']:.1%}" if "coverage" in numbers else "-"
    return (
        point.run, iso_time(point.started) or "", f"{numbers['passed']:.0f}", f"{numbers['failed']:.0f}", covered,
        f"{numbers['seconds']:.1f}",
    )  # fmt: skip

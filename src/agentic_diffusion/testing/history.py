"""Runs of tests in the store: which cases failed last, and how counts and coverage went over time.

A run is a row of kind "test" whose settings name the project by its folder; its summary keeps the names of what
failed, and its metrics are the numbers that `agd test history` draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.testing.project_outcomes import ProjectRun

if TYPE_CHECKING:
    from agentic_diffusion.foundation.store import Run, Store

KIND = "test"
FAR = 10_000
"""How many runs of all kinds are looked through."""
SLOWEST = 50


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run of the history."""

    run: str
    """Its id."""
    started: float
    """Seconds since 1970."""
    numbers: Mapping[str, float]
    """passed, failed, seconds, and coverage where it was measured (a share)."""


def remember(
    store: Store, root: Path, run: ProjectRun, *, run_id: str | None, coverage: float | None, whole: bool
) -> str:
    """Keep a run that has ended; `whole` says that it was of the whole project. Returns its id."""
    counts = run.counts()
    failed = sum(counts[word] for word in ("failed", "error", "timeout", "killed"))
    numbers = {"passed": float(counts["passed"]), "failed": float(failed), "seconds": run.seconds}
    if coverage is not None:
        numbers["coverage"] = coverage
    identity = store.start_run(KIND, {"project": str(root), "whole": whole}, run_id=run_id)
    store.record_metrics(identity, numbers)
    slow = sorted(run.cases, key=lambda case: -case.seconds)[:SLOWEST]
    summary = {
        **counts, **numbers, "exit_code": run.exit_code,
        "failing": [[case.file, case.name] for case in run.cases if not case.ok or case.flaky],
        "broken": [one.found.path for one in run.files if one.problem],
        "flaky_cases": [[case.file, case.name] for case in run.cases if case.flaky],
        "slowest": [[case.file, case.name, case.seconds] for case in slow],
    }  # fmt: skip
    store.finish_run(identity, "interrupted" if run.interrupted else "done", summary)
    return identity


def runs_of(store: Store, root: Path) -> list[Run]:
    """The runs of one project, the newest first."""
    return [run for run in store.runs(FAR) if run.kind == KIND and run.settings.get("project") == str(root)]


def failed_last(store: Store, root: Path) -> dict[str, list[str]]:
    """The cases that failed in the newest run, by file; no names for a file that broke as a whole.

    UsageError when no run is remembered.
    """
    for run in runs_of(store, root):
        if run.summary is None:
            continue
        found: dict[str, list[str]] = {}
        for file, name in run.summary["failing"]:
            found.setdefault(file, []).append(name)
        return found | {file: [] for file in run.summary["broken"]}
    raise UsageError(f"No run of the tests at {root} is remembered.", hint="run them once without --failed.")


def points(store: Store, root: Path, *, whole: bool = True) -> list[Point]:
    """The history of a project, the oldest first; runs of parts are left out if `whole`."""
    kept: Sequence[Any] = [
        run for run in runs_of(store, root) if run.summary and (run.settings.get("whole") or not whole)
    ]
    names = ("passed", "failed", "seconds", "coverage")
    return [
        Point(
            run=run.id, started=run.started, numbers={name: run.summary[name] for name in names if name in run.summary}
        )
        for run in reversed(kept)
    ]

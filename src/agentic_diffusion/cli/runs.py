"""`agd runs`: the records of earlier runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import iso_time, print_json, print_table
from agentic_diffusion.foundation import config
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import format_size
from agentic_diffusion.foundation.settings import StoreSettings

if TYPE_CHECKING:
    from agentic_diffusion.foundation.store import Run, Store

app = App(name="runs", help="The records of earlier runs: settings, results, metrics.")
_Json = Annotated[bool, Parameter(name="--json", negative="")]


@contextmanager
def _store() -> Iterator[Store]:
    from agentic_diffusion.foundation.store import Store  # the help of these commands needs no database

    with Store.open(config.load().section(StoreSettings).url) as store:
        yield store


@app.command(name="list")
def list_runs(*, limit: int = 20, as_json: _Json = False) -> None:
    """List the newest runs: when, how long, forwards and peak memory.

    Parameters
    ----------
    limit
        How many runs at most.
    as_json
        A JSON list on stdout.

    """
    if limit < 1:
        raise UsageError(f"--limit is {limit}: at least 1 is needed.", hint="Leave it out for the newest 20.")
    with _store() as store:
        runs = store.runs(limit)
    if as_json:
        print_json([_as_dict(run) for run in runs])
        return
    head = ("run", "kind", "status", "started", "seconds", "forwards", "peak memory")
    print_table(head, [_row(run) for run in runs])


@app.command
def show(run: str, *, as_json: _Json = False) -> None:
    """Show one run: its settings and its summary.

    Parameters
    ----------
    run
        The run's id, as `agd runs list` shows it.
    as_json
        One JSON object on stdout.

    """
    with _store() as store:
        found = _as_dict(store.run(run))
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        if isinstance(value, dict):
            sys.stdout.write(f"{key}:\n" + "".join(f"  {name}: {_text(inner)}\n" for name, inner in value.items()))
        else:
            sys.stdout.write(f"{key}: {_text(value)}\n")


@app.command
def metrics(run: str, *, name: str | None = None, as_json: _Json = False) -> None:
    """Show the metrics of one run in the order of recording.

    Parameters
    ----------
    run
        The run's id, as `agd runs list` shows it.
    name
        Only the metric of this name.
    as_json
        A JSON list on stdout; a value that is not finite is null.

    """
    with _store() as store:
        found = store.metrics(run, name)
    if as_json:
        print_json([{"name": m.name, "step": m.step, "value": m.value, "time": iso_time(m.time)} for m in found])
        return
    rows = [(m.name, _text(m.step), f"{m.value:g}", iso_time(m.time) or "") for m in found]
    print_table(("metric", "step", "value", "time"), rows)


def _as_dict(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "kind": run.kind,
        "status": run.status,
        "started": iso_time(run.started),
        "finished": iso_time(run.finished),
        "seconds": _seconds(run),
        "version": run.version,
        "settings": run.settings,
        "summary": run.summary,
    }


def _row(run: Run) -> tuple[str, ...]:
    summary = run.summary or {}
    peak = summary.get("peak_memory_bytes")
    return (
        run.id,
        run.kind,
        run.status,
        iso_time(run.started) or "",
        _text(_seconds(run)),
        _text(summary.get("forwards")),
        format_size(peak) if isinstance(peak, int) else "-",
    )


def _seconds(run: Run) -> float | None:
    return None if run.finished is None else round(run.finished - run.started, 3)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

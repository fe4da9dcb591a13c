"""The journal of a run: a JSON line for each finished task, so that a run that was ended goes on where it was.

The first line says what the run is (settings, weights, prompt form, tasks); another run's journal is refused. Lines are
appended and forced to the disk; a last line that a crash cut off is dropped.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import atomic_write

if TYPE_CHECKING:
    from pathlib import Path


class Journal:
    """The finished tasks of one run; without a path nothing is written."""

    def __init__(self, path: Path | None, run: dict[str, Any]) -> None:
        """Open the journal of `run`, or begin it; UsageError when it is another run's."""
        self.path = path
        self.done: dict[str, dict[str, Any]] = {}
        if path is None:
            return
        if path.exists():
            self._read(path, run)
        else:
            atomic_write(path, json.dumps({"run": run}, sort_keys=True) + "\n")

    def add(self, task: str, record: dict[str, Any]) -> None:
        """Note a finished task; it is on the disk when this returns."""
        self.done[task] = record
        if self.path is None:
            return
        with self.path.open("ab") as file:
            file.write((json.dumps({"task": task, **record}) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Remove the journal: its run has ended, and the result is written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self, path: Path, run: dict[str, Any]) -> None:
        try:
            first, *lines = path.read_bytes().split(b"\n")
            noted = json.loads(first)["run"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"The journal {path} cannot be read.", hint="remove it, or name another file by --out."
            ) from error
        if noted != json.loads(json.dumps(run)):
            changed = sorted(key for key in {*noted, *run} if noted.get(key) != json.loads(json.dumps(run)).get(key))
            raise UsageError(
                f"The journal {path} is that of another run: {', '.join(changed)} differ.",
                hint="name another file by --out, or remove the journal to begin anew.",
            )
        kept = [first]
        for line in lines:
            try:
                record = json.loads(line)
                self.done[record.pop("task")] = record
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # cut off by a crash, or the empty piece behind the last line
            kept.append(line)
        atomic_write(path, b"\n".join(kept) + b"\n")

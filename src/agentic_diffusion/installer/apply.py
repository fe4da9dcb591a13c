"""Doing the steps of a plan, so that an interruption at any moment leaves nothing half made behind.

The journal has a line when a step begins and one when it ends. A step that began and did not end is undone at the next
start: the folder that it owns is removed. Folders are written relative to the journal's own, so that those of a moved
or copied checkout are its own and never the old one's. Then facts are gathered anew, so that the next plan begins where
the last one really got to. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.resources import require_disk
from agentic_diffusion.installer import fetch
from agentic_diffusion.installer.plan import Plan, Step

Action = Callable[[Step], str]
"""Does one step; returns a word about the result for people, or nothing."""


class Journal:
    """What was begun and what was ended, one JSON object a line; a torn last line is not counted."""

    def __init__(self, path: Path) -> None:
        """The journal at `path`; it need not exist."""
        self.path = path

    def unfinished(self) -> dict[str, str]:
        """The steps that began and did not end: name -> the folder to remove."""
        open_steps: dict[str, str] = {}
        for record in self._records():
            if record["event"] == "begin":
                open_steps[record["step"]] = self._own(record["owns"])
            else:
                open_steps.pop(record["step"], None)
        return open_steps

    def write(self, event: str, step: str, owns: str = "") -> None:
        """Add a line and see that it is on the disk."""
        below = os.path.relpath(owns, self.path.parent) if owns else ""
        record = {"event": event, "step": step, "owns": below, "at": round(time.time(), 3)}
        with fetch.disk_errors(f"write {self.path}"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                # A line torn by a crash stands alone, so that it cannot spoil this one.
                file.write(f"\n{json.dumps(record)}")
                file.flush()
                os.fsync(file.fileno())

    def _own(self, owns: str) -> str:
        """The folder behind an entry; none for one that does not lie below the journal's own folder."""
        state = self.path.parent
        folder = Path(os.path.normpath(state / owns))
        return str(folder) if state in folder.parents else ""

    def _records(self) -> list[dict[str, str]]:
        records = []
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        for line in lines:
            try:
                record = json.loads(line)
                records.append({key: str(record[key]) for key in ("event", "step", "owns")})
            except (ValueError, KeyError, TypeError):
                continue
        return records


def recover(journal: Journal) -> list[str]:
    """Undo what an interrupted run left; returns the names of the steps that were undone."""
    undone = []
    for step, owns in journal.unfinished().items():
        if owns:
            shutil.rmtree(owns, ignore_errors=True)
        journal.write("undone", step)
        undone.append(step)
    return undone


def apply(plan: Plan, actions: Mapping[str, Action], journal: Journal) -> None:
    """Do the steps in order; one line a step on stderr. Whatever is raised leaves the step for `recover`."""
    for folder, needed in disk_needs(plan).items():
        require_disk(folder, needed, "finish the set-up")
    for number, step in enumerate(plan.steps, start=1):
        started = time.monotonic()
        label = f"[{number}/{len(plan.steps)}] {step.name}"
        if sys.stderr.isatty():
            events.say(f"{label} ...")
        journal.write("begin", step.name, step.owns)
        result = actions[step.name](step)
        journal.write("end", step.name)
        events.say(f"{label}: {result or 'done'} ({time.monotonic() - started:.1f} s)")


def disk_needs(plan: Plan) -> dict[Path, int]:
    """Bytes needed by place: the steps on one file system together, named by the first of their folders."""
    needs: dict[int, tuple[Path, int]] = {}
    for step in plan.steps:
        folder = Path(step.place).absolute()
        while not folder.exists():
            folder = folder.parent
        device = folder.stat().st_dev
        first, so_far = needs.get(device, (Path(step.place), 0))
        needs[device] = (first, so_far + step.size.disk)
    return dict(needs.values())

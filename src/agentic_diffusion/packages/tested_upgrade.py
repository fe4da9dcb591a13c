"""An upgrade that is kept only when the tests pass with it; else every byte is put back, whenever it ends.

    .agd-upgrade/            beside the lock, while an upgrade is under way and no longer
      pyproject.toml uv.lock the old bytes
      state.json             what they are; written last, so that without it nothing was changed yet
      venv/                  where the tests run: the project's own environment is touched only once they passed

    phase trying             killed now, the next call puts the old bytes back
    phase kept               killed now, the new lock stays

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentic_diffusion.foundation import events, locking
from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.packages.installed import site_packages
from agentic_diffusion.packages.lock_diff import Change
from agentic_diffusion.packages.project import Project

FOLDER = ".agd-upgrade"
_FILES = ("pyproject.toml", "uv.lock")
_STDERR = 2
"""The number of the stream: the tests' talk is no data."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an upgrade ended."""

    kept: bool
    """Whether the new lock stayed; also when there was nothing to upgrade."""
    changes: tuple[Change, ...]
    """What the upgrade changes or would have changed."""
    exit_code: int | None
    """That of the tests; None when they were not run."""


def recover(project: Path) -> str:
    """End an upgrade that was killed; returns what was done in words, empty when there was none.

    An upgrade that is under way in another process is waited for.
    """
    folder = project / FOLDER
    if not folder.is_dir():
        return ""
    with locking.exclusive(folder / "lock", "an upgrade of this project"):
        said = _ended(project)
        shutil.rmtree(folder, ignore_errors=True)
        return said


def upgrade(project: Project, command: str, names: Sequence[str] = (), *, groups: Sequence[str] = ()) -> Outcome:
    """Upgrade `names` (or everything), run the tests, keep or restore.

    `command` is split as a shell would and run in the project's folder with the throw-away environment first on PATH;
    its output goes to stderr. Raises UsageError for an empty command and SetupError when uv fails; then, too, and when
    interrupted, the old bytes are back.
    """
    words = shlex.split(command)
    if not words:
        raise UsageError("There is no test command.", hint='Write one, such as --tested "pytest -q".')
    project.locked()
    folder = project.folder / FOLDER
    with locking.exclusive(folder / "lock", "an upgrade of this project"):
        _ended(project.folder)
        try:
            return _tried(project, words, names, groups)
        finally:
            _ended(project.folder)
            shutil.rmtree(folder, ignore_errors=True)


def _tried(project: Project, words: list[str], names: Sequence[str], groups: Sequence[str]) -> Outcome:
    _remember(project.folder)
    changes = tuple(project.upgrade(names))
    if not changes:
        _phase(project.folder, "kept")
        return Outcome(kept=True, changes=(), exit_code=None)
    for change in changes:
        events.say(change.words)
    venv = project.folder / FOLDER / "venv"
    project.sync(environment=venv, groups=groups)
    code = _run_tests(words, project.folder, venv)
    if code == 0:
        _phase(project.folder, "kept")
        if site_packages(project.folder):
            project.sync(groups=groups)
    return Outcome(kept=code == 0, changes=changes, exit_code=code)


def _run_tests(words: list[str], project: Path, venv: Path) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    environment |= {
        "VIRTUAL_ENV": str(venv),
        "PATH": f"{venv / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}",
    }
    program = shutil.which(words[0], path=environment["PATH"]) or words[0]
    try:
        done = subprocess.run(
            [program, *words[1:]],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,
            check=False,
        )
    except OSError as error:
        raise UsageError(
            f"The test command {words[0]!r} does not start: {error.strerror or error}.", hint="Correct --tested."
        ) from error
    return done.returncode


def _remember(project: Path) -> None:
    """Copy the files, then write the state that makes the copies count."""
    folder = project / FOLDER
    files: dict[str, str | None] = {}
    for name in _FILES:
        path = project / name
        if path.is_file():
            data = path.read_bytes()
            atomic_write(folder / name, data)
            files[name] = hashlib.sha256(data).hexdigest()
        else:
            files[name] = None
    atomic_write(folder / "state.json", json.dumps({"phase": "trying", "files": files}) + "\n")


def _phase(project: Path, phase: str) -> None:
    place = project / FOLDER / "state.json"
    state = json.loads(place.read_text(encoding="utf-8"))
    atomic_write(place, json.dumps({**state, "phase": phase}) + "\n")


def _ended(project: Path) -> str:
    """Restore where the phase says so, and empty the folder but for the lock, which the caller holds."""
    folder = project / FOLDER
    said = ""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        state = {"phase": "nothing", "files": {}}
    if state["phase"] == "trying":
        for name, digest in state["files"].items():
            said = "an upgrade did not end: the old lock is back" if _put_back(project, name, digest) else said
    # The state goes first: without it the rest counts for nothing.
    (folder / "state.json").unlink(missing_ok=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "venv", ignore_errors=True)
    return said


def _put_back(project: Path, name: str, digest: str | None) -> bool:
    """Give a file its old bytes; whether that changed anything."""
    path = project / name
    if digest is None:
        there = path.exists()
        path.unlink(missing_ok=True)
        return there
    data = (project / FOLDER / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise SetupError(
            f"The copy of {name} in {project / FOLDER} was changed, so it cannot be put back.",
            hint=f"Look at both files yourself, then remove {FOLDER}.",
        )
    if path.is_file() and path.read_bytes() == data:
        return False
    atomic_write(path, data)
    return True

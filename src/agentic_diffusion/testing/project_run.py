"""Run a project's test files through their own runners: in parallel, in a sandbox, each with a time limit of its own.

A worker (`worker_project.py`) is one sandboxed process with a copy of the project; each test file runs in a process
that it starts and ends. A worker that dies costs the file that killed it and is replaced. With `trusted` the tests run
in place, without a sandbox, with everything that the user may do. Times are seconds.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from agentic_diffusion.foundation.errors import ConfigError, SandboxError, SetupError
from agentic_diffusion.foundation.resources import usable_cpus
from agentic_diffusion.foundation.sandbox.base import MIB, Limits, Sandbox, SandboxProcess
from agentic_diffusion.testing import java_lines, project_commands, project_tales
from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.project import Project
from agentic_diffusion.testing.project_commands import Order
from agentic_diffusion.testing.project_outcomes import FileRun, ProjectRun, file_run, merged

WORKER = ("worker_project.py", "worker_pytest.py")
LIFE = 24 * 3600.0
START_SECONDS = 600.0
PREPARE_SECONDS = 300.0
PATIENCE = 21
"""A worker counts only the time in which a run had a processor, and ends it after 20 times its seconds anyway."""
REPLY_GRACE = 30.0
FEW = 3
"""Fewer files than this are no work for another worker, whose start costs as much as they do."""
OUTPUT_BYTES = 200_000
RESERVED = 64 * 1024 * MIB
"""Address space that virtual machines and numerical libraries reserve without using it."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How the tests of a project are run."""

    seconds: float = 60.0
    """Longest time of one test file."""
    workers: int = 0
    """Files that run at once; 0 takes every usable processor."""
    fail_fast: bool = False
    """Begin no file after the first failure."""
    repeat: int = 1
    """How often every file runs; cases that end differently are flaky."""
    trusted: bool = False
    """Run in place and without a sandbox."""
    memory_bytes: int = 2048 * MIB
    """Memory of one worker and its tests, with the copy of the project."""
    scratch_bytes: int = 1024 * MIB
    """Size of the copy and of all that tests write."""
    coverage: bool = False
    """Measure coverage."""
    branch: bool = True
    """Measure branches as well, where the language offers them."""
    words: tuple[str, ...] = ()
    """More words for the languages' runners."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        for name, least in (("seconds", 0.1), ("workers", 0), ("repeat", 1)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, and it must be at least {least}.", hint="leave it out."
                )


class ProjectWorker:
    """One process that runs test files of one language, one after another; started when first needed."""

    def __init__(
        self, project: Project, language: str, founds: Sequence[Found], sandbox: Sandbox, settings: RunSettings
    ) -> None:
        """Nothing starts yet; SetupError when the language's toolchain is missing."""
        self.project, self.language, self.sandbox, self.settings = project, language, sandbox, settings
        self.toolkit = project_commands.toolkit(project, language, founds)
        self.process: SandboxProcess | None = None
        self.written: dict[str, str | None] = {}
        self.counted: list[str] = []
        if language == "java" and settings.coverage:
            self.counted = project_commands.java_programs(project, founds)
            self.written.update(java_lines.instrumented(project.root, self.counted))

    def run(self, order: Order, seconds: float) -> dict[str, Any]:
        """What became of one order; a worker that died of it is told as a killed run, and replaced."""
        process = self._ready()
        try:
            return self._ask(process, "run", self._sent(order, seconds), PATIENCE * seconds + REPLY_GRACE)
        except SandboxError as error:
            self.close()
            return {
                "status": 1, "signal": "SIGKILL", "ended_by": None, "seconds": seconds, "stdout": "",
                "stderr": error.message, "binary": 0, "left_processes": [], "left_files": [], "changed_files": [],
                "results": dict.fromkeys(order.results, ""),
            }  # fmt: skip

    def file(self, found: Found, *, names: Sequence[str] = (), seconds: float | None = None) -> FileRun:
        """Run one test file, in `seconds` or the time of the settings."""
        how = self.settings
        branch = how.branch if how.coverage else None
        try:
            order = project_commands.order(self.project, found, names=names, branch=branch, words=how.words)
        except SetupError as error:
            return FileRun(found=found, problem=f"{error.message} {error.hint}")
        limit = how.seconds if seconds is None else seconds
        told = self.run(order, limit)
        tale = project_tales.read(order.form, found, told)
        made = file_run(found, told, tale, seconds=limit)
        measured = {name: text for name, text in told["results"].items() if _measured(name)}
        if self.counted and "lines.txt" in measured:
            measured["lines.txt"] = java_lines.named(measured["lines.txt"], self.counted)
        return replace(made, coverage=measured)

    def write(self, files: Mapping[str, str | None]) -> None:
        """Put texts into files of the copy; None brings back the project's own."""
        self.written.update(files)
        self._ask(self._ready(), "write", dict(files), START_SECONDS)

    def _sent(self, order: Order, seconds: float) -> dict[str, Any]:
        return {
            "argv": order.argv, "python": order.python, "cwd": order.cwd, "env": {**self.toolkit.env, **order.env},
            "seconds": seconds, "output_bytes": OUTPUT_BYTES, "results": list(order.results),
            "first": list(order.first), "unless": order.unless,
        }  # fmt: skip

    def _ready(self) -> SandboxProcess:
        """The worker, started, with its copy of the project."""
        if self.process is not None:
            return self.process
        how = self.settings
        python = str(self.project.python.program) if self.language == "python" else "python"
        self.process = self.sandbox.start(
            [python, "-B", WORKER[0]],
            files={name: (Path(__file__).parent / name).read_bytes() for name in WORKER} | dict(self.toolkit.files),
            limits=Limits(
                seconds=LIFE, cpu_seconds=int(LIFE), memory_bytes=how.memory_bytes, reserved_bytes=RESERVED,
                processes=512, file_bytes=how.scratch_bytes, scratch_bytes=how.scratch_bytes,
            ),
            env=dict(os.environ) if how.trusted else {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
            read_only=(self.project.root, *self.toolkit.read_only),
        )  # fmt: skip
        order = {
            "source": str(self.project.root),
            "copy": not how.trusted,
            "warm": self.language == "python",
            "paths": [],
        }
        self._ask(self.process, "open", order, START_SECONDS)
        kept = {name: text for name, text in self.written.items() if text is not None}
        if kept:
            self._ask(self.process, "write", kept, START_SECONDS)
        for words in self.toolkit.prepare:
            self._ask(
                self.process, "run", self._sent(Order(form="", argv=words), PREPARE_SECONDS), PATIENCE * PREPARE_SECONDS
            )
        return self.process

    def _ask(self, process: SandboxProcess, what: str, order: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """One request and its answer; SandboxError when there is none."""
        process.send(json.dumps({what: order}).encode())
        line = process.receive(seconds)
        if line is None:
            done = process.close()
            said = done.stderr.decode(errors="replace").strip().splitlines()
            why = f"by {done.killed_by}" if done.killed_by else said[-1] if said else f"exit code {done.status}"
            self.process = None
            raise SandboxError(
                f"The worker that runs the tests ended ({why}).",
                hint="the copy of the project may be too large for its memory: try --memory, or --trusted.",
            )
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End the worker and everything that it started."""
        process, self.process = self.process, None
        if process is not None:
            process.close()

    def __enter__(self) -> ProjectWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Queue:
    """The files that wait, and what became of those that ran."""

    def __init__(self, units: Sequence[Found]) -> None:
        self.waiting: queue.SimpleQueue[tuple[int, Found]] = queue.SimpleQueue()
        for numbered in sorted(enumerate(units), key=lambda pair: (pair[1].language, pair[0])):
            self.waiting.put(numbered)
        self.done: dict[int, FileRun] = {}
        self.stop = threading.Event()
        self.failure: BaseException | None = None


def units(founds: Sequence[Found]) -> list[Found]:
    """What is run at once: the files, but of a Go package only the first."""
    seen: dict[tuple[str, str], Found] = {}
    for found in founds:
        seen.setdefault((found.language, found.unit), found)
    return list(seen.values())


def run_project(
    project: Project,
    founds: Sequence[Found],
    sandbox: Sandbox,
    settings: RunSettings | None = None,
    *,
    names: Mapping[str, Sequence[str]] | None = None,
    told: Callable[[FileRun], None] = lambda _: None,
) -> ProjectRun:
    """Run test files and say what became of them; `told` hears of each file when it has ended.

    `names` chooses cases by file. Ctrl-C ends the run with what there is. SetupError when a toolchain is missing,
    SandboxError when the sandbox itself fails.
    """
    how, began = settings or RunSettings(), time.monotonic()
    todo = units(founds)
    shared = _Queue(todo)
    threads = [
        threading.Thread(
            target=_work,
            args=(project, todo, sandbox, how),
            daemon=True,
            kwargs={"names": names or {}, "shared": shared, "told": told},
        )
        for _ in range(how.workers or min(usable_cpus(), -(-len(todo) // FEW)))
    ]
    interrupted = False
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
    except KeyboardInterrupt:
        interrupted = True
        shared.stop.set()
    if shared.failure is not None:
        raise shared.failure
    return ProjectRun(
        files=tuple(shared.done[number] for number in sorted(shared.done)),
        not_run=tuple(found.path for number, found in enumerate(todo) if number not in shared.done),
        seconds=time.monotonic() - began,
        tier=sandbox.tier,
        interrupted=interrupted,
    )


def _work(
    project: Project, todo: Sequence[Found], sandbox: Sandbox, how: RunSettings, *,
    names: Mapping[str, Sequence[str]], shared: _Queue, told: Callable[[FileRun], None],
) -> None:  # fmt: skip
    """One thread: take files until none is left."""
    worker: ProjectWorker | None = None
    try:
        while not shared.stop.is_set():
            try:
                number, found = shared.waiting.get_nowait()
            except queue.Empty:
                return
            if worker is None or worker.language != found.language:
                if worker is not None:
                    worker.close()
                same = [one for one in todo if one.language == found.language]
                worker = ProjectWorker(project, found.language, same, sandbox, how)
            current = worker
            made = merged([current.file(found, names=names.get(found.path, ())) for _ in range(how.repeat)])
            shared.done[number] = made
            told(made)
            if how.fail_fast and not made.ok:
                shared.stop.set()
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that asked
        shared.failure = error
        shared.stop.set()
    finally:
        if worker is not None:
            worker.close()


def _measured(name: str) -> bool:
    return name in ("coverage.json", "cover.out", "lines.txt") or name.startswith("v8/")

"""The worker that runs a project's test files, one process each: `python worker_project.py`, inside the sandbox.

Reads one JSON object a line from descriptor 3 and writes one a line to descriptor 4:

    {"open": {"source": folder, "copy": true, "warm": true, "paths": [folder, ...]}}    ->  {"ready": true}
    {"write": {relative path: text or null (as it was)}}                                ->  {"written": true}
    {"run": {"argv": [...] | null, "python": {...} | null, "cwd": relative, "env": {...}, "seconds": s,
             "output_bytes": n, "results": [file or folder, ...], "first": [...], "unless": path}}
        ->  {"status": n, "signal": name | null, "ended_by": null | "time" | "output", "seconds": s, "stdout": text,
             "stderr": text, "binary": n, "results": {name: text}, "left_processes": [name], "left_files": [path],
             "changed_files": [path]}

With `copy` the project is copied into the scratch folder, where tests may write; what they leave there is told and
removed before the next file runs. `python` runs a test file in a fork of this process, which has imported pytest once.
In `argv` and `env`, {project} is the folder of the project, {home} the worker's own, {scratch} the one for results.
Whatever a run leaves
running is found, told and killed. Times are seconds.
Standard library only; imports nothing of this package, which is not visible in here.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import stat
import sys
import time
from typing import Any

REQUEST, REPLY = 3, 4
PR_SET_CHILD_SUBREAPER = 36
LINK_ABOVE = 4_000_000
"""Files larger than this are linked to and not copied; tests can read them and not change them."""
TALE_LIMIT = 64_000_000
"""Bytes of a results file that are read."""
NOT_COMPILED = 99
"""The exit code of a run whose first program failed."""
PATIENCE = 20
"""A run is ended after so many times its seconds, however little of them it had a processor."""
FLOOD = 64
"""A run that writes this many times what is kept of its output is ended."""
LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__", ".hypothesis"}
)
"""Folders that are not copied, and in which nobody looks for what tests left."""
LINKED = frozenset({"node_modules", ".venv", "venv"})
"""Folders that are linked to."""
IGNORED = (".pyc", ".pyo", ".coverage")


class Bench:
    """One copy of the project and the runs in it."""

    def __init__(self) -> None:
        """Nothing is copied yet."""
        self.home = os.getcwd()
        self.source = self.root = ""
        self.copied = False
        self.seen: dict[str, tuple[int, int]] = {}
        self.pytest: Any = None
        self.number = 0

    def open(self, order: dict[str, Any]) -> dict[str, Any]:
        """Make the copy, and import what every run in Python needs."""
        self.source, self.copied = order["source"], order["copy"]
        self.root = os.path.join(self.home, "project") if self.copied else self.source
        if self.copied:
            self._copy()
            self.seen = self._files()
        os.chdir(self.root)
        sys.path[:0] = [self.root, *([os.path.join(self.root, "src")] if os.path.isdir("src") else [])]
        for folder in order["paths"]:
            sys.path.append(folder)
        if order["warm"]:
            self._warm()
        return {"ready": True}

    def _warm(self) -> None:
        """Import the runner of Python once; every test file then runs in a fork."""
        sys.path.insert(0, self.home)
        self.pytest = importlib.import_module("worker_pytest")
        sys.path.remove(self.home)
        quiet = os.open(os.devnull, os.O_RDWR)
        kept = os.dup(1), os.dup(2)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        empty = os.path.join(self.home, "empty")
        os.makedirs(empty, exist_ok=True)
        self.pytest.warm(empty)
        for number, old in enumerate(kept, start=1):
            os.dup2(old, number)
            os.close(old)
        os.close(quiet)
        os.chdir(self.root)
        gc.collect()
        gc.freeze()  # forks share these pages

    def _copy(self) -> None:
        for place, folders, names in os.walk(self.source):
            inner = os.path.relpath(place, self.source)
            target = os.path.normpath(os.path.join(self.root, inner))
            os.makedirs(target, exist_ok=True)
            for name in [name for name in folders if name in LINKED]:
                os.symlink(os.path.join(place, name), os.path.join(target, name))
            folders[:] = [name for name in folders if name not in LINKED | LEFT_OUT]
            for name in names:
                self._bring(os.path.join(place, name), os.path.join(target, name))

    def _bring(self, source: str, target: str) -> None:
        """Copy one file; one that may not be read is left out, as it would be for whoever has no right to it."""
        with contextlib.suppress(OSError):
            if os.path.islink(source):
                os.symlink(os.readlink(source), target)
            elif os.stat(source).st_size > LINK_ABOVE:
                os.symlink(source, target)
            elif stat.S_ISREG(os.stat(source).st_mode):
                shutil.copy2(source, target)

    def _files(self) -> dict[str, tuple[int, int]]:
        """Every file of the copy with its time and size."""
        found = {}
        for place, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            for name in names:
                path = os.path.join(place, name)
                if not name.endswith(IGNORED):
                    with contextlib.suppress(OSError):
                        about = os.lstat(path)
                        found[path] = (about.st_mtime_ns, about.st_size)
        return found

    def write(self, files: dict[str, str | None]) -> dict[str, Any]:
        """Put texts into files of the copy; None brings back what the project has there."""
        for name, text in files.items():
            target = os.path.join(self.root, name)
            if text is None:
                with contextlib.suppress(OSError):
                    os.remove(target)
                if os.path.lexists(os.path.join(self.source, name)):
                    self._bring(os.path.join(self.source, name), target)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "w", encoding="utf-8", newline="") as stream:
                    stream.write(text)
            # a compiled form of the same second and size would be taken for this one
            cache = os.path.join(os.path.dirname(target), "__pycache__")
            shutil.rmtree(cache, ignore_errors=True)
        self.seen = self._files()
        return {"written": True}

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """One process to its end."""
        self.number += 1
        scratch = os.path.join(self.home, f"run-{self.number}")
        os.makedirs(os.path.join(scratch, "tmp"))
        began = time.monotonic()
        child, pipes = self._start(order, scratch)
        told = Reading(child, pipes, order).follow(began)
        told["left_processes"] = sweep(child)
        told["seconds"] = time.monotonic() - began
        told["results"] = {}
        for name in order["results"]:
            told["results"] |= self._read(scratch, name)
        told["left_files"], told["changed_files"] = self._tidy() if self.copied else ([], [])
        shutil.rmtree(scratch, ignore_errors=True)
        return told

    def _start(self, order: dict[str, Any], scratch: str) -> tuple[int, list[int]]:
        pairs = [os.pipe(), os.pipe()]
        sys.stdout.flush()
        child = os.fork()
        if child:
            for _, writing in pairs:
                os.close(writing)
            return child, [reading for reading, _ in pairs]
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for number, descriptor in enumerate((nothing, pairs[0][1], pairs[1][1])):
                os.dup2(descriptor, number)
            os.closerange(3, 64)
            self._become(order, scratch)
        except BaseException as error:  # the fork must not go on as a second worker
            os.write(2, f"the runner did not start: {error!r}\n".encode())
        os._exit(125)

    def _become(self, order: dict[str, Any], scratch: str) -> None:
        def filled(text: str) -> str:
            return text.replace("{project}", self.root).replace("{scratch}", scratch).replace("{home}", self.home)

        os.chdir(os.path.join(self.root, order["cwd"]))
        os.environ.update({name: filled(text) for name, text in order["env"].items()})
        os.environ["TMPDIR"] = os.path.join(scratch, "tmp")
        if order["python"] is not None:
            self.pytest.main(order["python"], self.root, scratch)
            return
        if (
            order["first"]
            and not os.path.exists(filled(order["unless"]))
            and _call([filled(w) for w in order["first"]])
        ):
            os._exit(NOT_COMPILED)
        words = [filled(word) for word in order["argv"]]
        os.execvpe(words[0], words, os.environ)  # noqa: S606 - words, never a shell

    def _read(self, scratch: str, name: str) -> dict[str, str]:
        """The text of a file of results, or of every file in a folder of them; empty where there is none."""
        path = os.path.join(scratch, name)
        if os.path.isdir(path):
            found: dict[str, str] = {}
            for inner in sorted(os.listdir(path)):
                found |= self._read(scratch, os.path.join(name, inner))
            return found
        try:
            with open(path, "rb") as stream:
                return {name: stream.read(TALE_LIMIT).decode(errors="replace")}
        except OSError:
            return {name: ""}

    def _tidy(self) -> tuple[list[str], list[str]]:
        """What the run left behind and what it changed; the copy is then as it was before."""
        now = self._files()
        new = sorted(now.keys() - self.seen.keys())
        changed = sorted(path for path, about in self.seen.items() if now.get(path) != about)
        for path in new:
            with contextlib.suppress(OSError):
                os.remove(path)
        if changed:
            self.write({os.path.relpath(path, self.root): None for path in changed})
        elif new:
            self.seen = self._files()
        return [os.path.relpath(path, self.root) for path in new], [os.path.relpath(p, self.root) for p in changed]


class Reading:
    """What one run writes, kept within bounds, and its end."""

    def __init__(self, child: int, pipes: list[int], order: dict[str, Any]) -> None:
        """Watch both pipes."""
        self.child, self.room, self.seconds = child, order["output_bytes"], order["seconds"]
        self.kept = {pipe: bytearray() for pipe in pipes}
        self.total = 0
        self.selector = selectors.DefaultSelector()
        for pipe in pipes:
            os.set_blocking(pipe, False)
            self.selector.register(pipe, selectors.EVENT_READ)

    def follow(self, began: float) -> dict[str, Any]:
        """Read until the run has ended or must be."""
        status, ended_by, waited = None, None, 0.0
        while status is None:
            self._turn(0.02)
            waited = max(waited, waiting(self.child))
            gone, code = os.waitpid(self.child, os.WNOHANG)
            status = code if gone else None
            spent = time.monotonic() - began
            late = spent - waited > self.seconds or spent > PATIENCE * self.seconds
            ended_by = "time" if late else "output" if self.total > FLOOD * self.room else None
            if status is None and ended_by:
                _kill_group(self.child)
                _, status = os.waitpid(self.child, 0)
            elif status is not None:
                ended_by = None
        self._turn(0.0)
        texts = [bytes(text) for text in self.kept.values()]
        for pipe in self.kept:
            os.close(pipe)
        self.selector.close()
        number = -status if (status := os.waitstatus_to_exitcode(status)) < 0 else 0
        return {
            "status": status,
            "signal": signal.Signals(number).name if number else None,
            "ended_by": ended_by,
            "stdout": texts[0].decode(errors="replace"),
            "stderr": texts[1].decode(errors="replace"),
            "binary": sum(_no_text(text) for text in texts),
        }

    def _turn(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            while True:
                try:
                    piece = os.read(key.fd, 65536)
                except BlockingIOError:
                    break
                if not piece:
                    self.selector.unregister(key.fd)
                    break
                self.total += len(piece)
                kept = self.kept[key.fd]
                kept += piece
                if len(kept) > self.room:
                    del kept[: len(kept) - self.room]
                if self.total > FLOOD * self.room:
                    return
        if not self.selector.get_map():
            time.sleep(min(seconds, 0.002))


def waiting(process: int) -> float:
    """Seconds in which a process wanted a processor and had none; they are not counted as its own. 0 where unknown."""
    try:
        with open(f"/proc/{process}/schedstat", encoding="ascii") as stream:
            return int(stream.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _no_text(data: bytes) -> int:
    """How many bytes are no text: control letters, and what is no UTF-8."""
    control = sum(data.count(bytes([number])) for number in range(32) if number not in (7, 8, 9, 10, 12, 13, 27))
    return control + data.decode(errors="replace").count("\ufffd")


def _call(words: list[str]) -> int:
    """Run a program to its end; its exit code."""
    child = os.fork()
    if child == 0:
        try:
            os.execvpe(words[0], words, os.environ)  # noqa: S606
        finally:
            os._exit(127)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _kill_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def sweep(group: int) -> list[str]:
    """Kill everything that a run left running; the names of those that were more than just ending."""
    names: list[str] = []
    for turn in range(200):
        try:
            gone, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if gone:
            continue
        alive = _descendants()
        if turn == 0 and alive:
            time.sleep(0.02)  # helpers of a runner that is ending get a moment
            continue
        names += [name for _, name in alive if name and name not in names]
        _kill_group(group) if not alive else None
        for process, _ in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.005)
    return names


def _descendants() -> list[tuple[int, str]]:
    """Numbers and names of all living processes below this one; none where /proc is closed."""
    parents: dict[int, tuple[int, str]] = {}
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with (
                    contextlib.suppress(OSError),
                    open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file,
                ):
                    head, _, rest = file.read().rpartition(")")
                    state, parent = rest.split()[:2]
                    if state != "Z":
                        parents[int(entry)] = (int(parent), head.partition("(")[2])
    own: set[int] = {os.getpid()}
    found: list[tuple[int, str]] = []
    grown = True
    while grown:
        grown = False
        for process, (above, name) in parents.items():
            if above in own and process not in own:
                own.add(process)
                found.append((process, name))
                grown = True
    return found


def serve() -> None:
    """Answer lines until there are no more."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    bench = Bench()
    with os.fdopen(REQUEST, "rb") as requests, os.fdopen(REPLY, "wb") as replies:
        os.set_inheritable(REQUEST, False)
        os.set_inheritable(REPLY, False)
        for line in requests:
            [(what, order)] = json.loads(line).items()
            reply = getattr(bench, {"open": "open", "write": "write", "run": "run"}[what])(order)
            replies.write(json.dumps(reply).encode() + b"\n")
            replies.flush()


if __name__ == "__main__":
    serve()

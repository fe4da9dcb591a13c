"""The worker: judges Python candidates one after another. This file runs INSIDE the sandbox (`python -I -S worker.py`).

It reads requests, one JSON object a line, from descriptor 3 and writes one reply a line to descriptor 4.
    {"program": P}                     keep P as the program for the requests that follow; the reply is {"ready": true}
    {"source": S, "nonce": N, ...}     run S under the kept program (or under its own "program")
For each candidate it forks. The child (`worker_cases`) runs the candidate and the cases, and reports each event as a
line that begins with the nonce; the parent, which the candidate cannot touch (not dumpable, own descriptors), bounds
it, kills all it left behind, empties the scratch folder (and /dev/shm where it is private), and hands the lines on.
What they mean is judged outside.
Times are seconds, sizes bytes.
Standard library only; imports nothing of this package, which is not visible in here.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

REQUEST, REPLY = 3, 4
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
SHARED_MEMORY = "/dev/shm"
EVENT_BYTES = 8_000_000
GRACE = 0.5
USUAL = (
    "bisect", "collections", "copy", "datetime", "decimal", "enum", "fractions", "functools", "heapq", "itertools",
    "math", "operator", "random", "re", "statistics", "string", "typing",
)  # fmt: skip


def main() -> None:
    """Answer requests until the pipe closes."""
    home = os.getcwd()
    sys.path.insert(0, home)  # for the two files beside this one, and no longer: candidates write here
    sys.dont_write_bytecode = True
    cases = importlib.import_module("worker_cases")
    with open("pytest_stub.py", encoding="utf-8") as stream:
        stub = compile(stream.read(), "pytest_stub.py", "exec", dont_inherit=True)
    sys.path.remove(home)
    for name in USUAL:
        importlib.import_module(name)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sweep([home])
    kept: Any = None
    for line in lines_of(REQUEST):
        request = json.loads(line)
        if "source" in request:
            program = cases.Prepared(request["program"], stub) if "program" in request else kept
            reply = Judgement(request, program, home, cases.run_candidate).run()
        else:
            if request["program"]["unittest"]:
                importlib.import_module("unittest")
            kept = cases.Prepared(request["program"], stub)
            gc.collect()
            gc.freeze()  # a collection in a child then leaves these pages shared
            reply = {"ready": True}
        write_all(REPLY, json.dumps(reply).encode() + b"\n")


def lines_of(descriptor: int) -> Iterator[bytes]:
    """The lines that arrive at a descriptor."""
    waiting = b""
    while True:
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            return
        waiting += piece
        while b"\n" in waiting:
            line, _, waiting = waiting.partition(b"\n")
            yield line


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[os.write(descriptor, data) :]


class Judgement:
    """One candidate from the fork to the empty scratch folder."""

    def __init__(self, request: dict[str, Any], program: Any, home: str, run_candidate: Callable[..., None]) -> None:
        self.request, self.program, self.home = request, program, home
        self.run_candidate = run_candidate
        self.mark = request["nonce"].encode() + b" "
        self.lines: list[str] = []
        self.forged = False
        self.size = self.printed = 0
        self.partial = b""
        self.cut: str | None = None
        self.case_end = 0.0

    def run(self) -> dict[str, Any]:
        """Fork, watch, clean up; the reply."""
        events_out, events_in = os.pipe()
        output_out, output_in = os.pipe()
        folder = os.path.join(self.home, "run")
        os.mkdir(folder)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(events_out)
                os.close(output_out)
                os.chdir(folder)
                self.run_candidate(self.request, self.program, events_in, output_in)
                code = 0
            finally:
                os._exit(code)
        os.close(events_in)
        os.close(output_in)
        status, usage = self.watch(child, events_out, output_out, started)
        os.close(events_out)
        os.close(output_out)
        places = [self.home, SHARED_MEMORY] if self.request["private_memory"] else [self.home]
        clean = reap(child, self.request["sweeps"]) and sweep(places)
        return {
            "lines": self.lines,
            "forged": self.forged,
            "cut": self.cut,
            "status": status,
            "memory": usage.ru_maxrss * 1024,
            "seconds": time.monotonic() - started,
            "clean": clean,
        }

    def watch(self, child: int, events: int, output: int, started: float) -> tuple[int, resource.struct_rusage]:
        """Read both pipes until the child ends or goes too far."""
        ended = os.pidfd_open(child)
        end = started + self.request["seconds"]
        self.case_end = end
        open_pipes = {events, output}
        for pipe in open_pipes:
            os.set_blocking(pipe, False)
        try:
            while self.cut is None:
                left = min(end, self.case_end) - time.monotonic()
                if left <= 0:
                    self.cut = "time"
                    break
                ready = select.select([ended, *open_pipes], [], [], left)[0]
                for pipe in open_pipes & set(ready):
                    if self.take(pipe, pipe == events) == 0:
                        open_pipes.discard(pipe)
                if ready == [ended]:
                    break
            if self.cut is not None:
                os.kill(child, signal.SIGKILL)
            _, code, usage = os.wait4(child, 0)
            while self.cut is None and self.take(events, True) > 0:
                pass
            return os.waitstatus_to_exitcode(code), usage
        finally:
            os.close(ended)

    def take(self, pipe: int, is_events: bool) -> int:
        """Read one piece; how much it was, 0 at the end of the pipe, -1 when there is nothing yet."""
        try:
            piece = os.read(pipe, 1 << 16)
        except BlockingIOError:
            return -1
        if not is_events:
            self.printed += len(piece)
            if self.printed > self.request["output_bytes"]:
                self.cut = "output"
            return len(piece)
        self.size += len(piece)
        if self.size > EVENT_BYTES:
            self.cut = "output"
        *lines, self.partial = (self.partial + piece).split(b"\n")
        for line in lines:
            if not line.startswith(self.mark):
                self.forged = True
                continue
            text = line[len(self.mark) :].decode(errors="replace")
            if text.startswith('["begin"'):
                self.case_end = time.monotonic() + self.request["case_wall"] + GRACE
            self.lines.append(text)
        return len(piece)


def reap(child: int, sweeps: bool) -> bool:
    """Kill what the candidate started; whether nothing is left."""
    for _ in range(200):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        if sweeps:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(-1, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        time.sleep(0.005)
    return False


def sweep(folders: list[str]) -> bool:
    """Empty folders that belong to this sandbox alone; whether that worked."""
    for folder in folders:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(entry.path)
                else:
                    os.unlink(entry.path)
            except OSError:
                return False
    return True


def remove_tree(path: str) -> None:
    """Remove a folder even when the candidate closed it or what is in it."""
    shutil = importlib.import_module("shutil")  # few candidates need it, and every fork would carry its libraries

    def open_up(function: Callable[..., Any], name: str, _: Any) -> None:
        for place in (os.path.dirname(name), name):
            with contextlib.suppress(OSError):
                if stat.S_ISDIR(os.lstat(place).st_mode):
                    os.chmod(place, 0o700)
        if function in (os.unlink, os.rmdir):
            function(name)
        else:
            shutil.rmtree(name)

    shutil.rmtree(path, onerror=open_up)


if __name__ == "__main__":
    main()

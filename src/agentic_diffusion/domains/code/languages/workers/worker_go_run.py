"""One process of a Go candidate: started with its limits, watched, and its report read. Part of `worker_go.py`.

Every line of a report begins with a word that the process was given on descriptor 0 before any of the candidate's code
ran. Lines count from 1, times are seconds.
Standard library only; imports nothing of this package, which is not visible in the sandbox.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import resource
import secrets
import select
import shutil
import signal
import time
from typing import Any

REQUEST, REPORT = 3, 5
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK = 0.03
"""Seconds between two looks at what a program has used."""
STARVED, PATIENCE = 0.01, 3
"""The share of the processor above which a program is at work, and how many times the wall-clock limit it then gets."""
HEAP_MARGIN = 96 << 20
EVENT_BYTES = 8_000_000
UNPREPARED = "what comes before the cases did not end in time"
_FATAL = re.compile(r"^(?:fatal error|panic|runtime|SIG\w+): (.*)", re.MULTILINE)
_LINE = re.compile(r"agd_candidate\.go:(\d+)")


class Run:
    """One process of a candidate."""

    def __init__(
        self, *, argv: list[str], request: dict[str, Any], order: dict[str, Any], end: float, printed: int
    ) -> None:
        """Start it: the program, its package, the first case."""
        self.request, self.order, self.end, self.printed = request, order, end, printed
        self.word = secrets.token_hex(16)
        self.found: dict[int, dict[str, Any]] = {}
        self.current: int | None = None
        self.before_cases = True
        self.said = b""
        self.partial = b""
        self.taken = 0
        self.complete = self.forged = False
        secret_out, secret_in = os.pipe()
        self.reports, reports_in = os.pipe()
        self.output, output_in = os.pipe()
        os.write(secret_in, self.word.encode())
        os.close(secret_in)
        self.folder = os.path.join(os.path.dirname(os.path.dirname(argv[0])), "run")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder)
        self.child = os.fork()
        if self.child == 0:
            try:
                self.become(argv, (secret_out, output_in, reports_in))
            finally:
                os._exit(127)
        for descriptor in (secret_out, reports_in, output_in):
            os.close(descriptor)
        self.case_begin = time.monotonic()
        self.cpu_start = 0.0

    def become(self, argv: list[str], pipes: tuple[int, int, int]) -> None:
        """In the child: the candidate's program with its limits; `pipes` give the word, take output, take reports."""
        os.setsid()
        os.chdir(self.folder)
        high = [os.dup2(descriptor, 100 + place) for place, descriptor in enumerate(pipes)]
        os.dup2(high[0], 0)
        os.dup2(high[1], 1)
        os.dup2(high[1], 2)
        os.dup2(high[2], REPORT)
        os.closerange(REQUEST, REPORT)
        os.closerange(REPORT + 1, 256)
        memory = self.request["memory_bytes"] + HEAP_MARGIN
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        seconds = int(self.request["seconds"]) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        places = {"HOME": self.folder, "TMPDIR": self.folder, "PATH": "/usr/bin:/bin"}
        os.execve(argv[0], argv, {**places, "GOTRACEBACK": "single"})

    def watch(self) -> tuple[str, str, str | None, int | None] | None:
        """Until it ends or goes too far: None when all cases ran, else what became of the current one."""
        ended = os.pidfd_open(self.child)
        waiting = {self.reports, self.output}
        cut = None
        for pipe in waiting:
            os.set_blocking(pipe, False)
        while cut is None:
            ready = select.select([ended, *waiting], [], [], LOOK)[0]
            for pipe in waiting & set(ready):
                if self.take(pipe) == 0:
                    waiting.discard(pipe)
            if ready == [ended]:
                break
            cut = self.too_much()
        if cut is not None:
            os.kill(self.child, signal.SIGKILL)
        _, code, _ = os.wait4(self.child, 0)
        for pipe in (self.reports, self.output):
            while self.take(pipe) > 0:
                pass
            os.close(pipe)
        os.close(ended)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.child, signal.SIGKILL)
        if self.forged:
            return "error", "faked: a report was written that the harness did not write", None, None
        if self.complete and cut is None:
            return None
        return cut or self.fate(os.waitstatus_to_exitcode(code))

    def too_much(self) -> tuple[str, str, str | None, int | None] | None:
        """Which limit is passed."""
        if self.printed > self.request["output_bytes"]:
            return "output", f"more than {self.request['output_bytes']} bytes were written", None, None
        if self.taken > EVENT_BYTES:
            return "output", "too much was reported", None, None
        cpu, memory = usage(self.child)
        if memory > self.request["memory_bytes"]:
            return "memory", f"more than {self.request['memory_bytes'] >> 20} MiB were used", None, None
        now, spent = time.monotonic(), cpu - self.cpu_start
        # on a busy machine a program that has had little of the processor gets more of the clock
        starved = STARVED * (now - self.case_begin) < spent < self.order["case_cpu"]
        late = now > self.case_begin + self.order["case_seconds"] * (PATIENCE if starved else 1)
        if late or now > self.end or spent > self.order["case_cpu"]:
            return "timeout", UNPREPARED if self.before_cases else "the case did not end in time", None, None
        return None

    def take(self, pipe: int) -> int:
        """Read one piece; how much it was, 0 at the end, -1 when there is nothing yet."""
        try:
            piece = os.read(pipe, 1 << 16)
        except BlockingIOError:
            return -1
        if pipe == self.output:
            self.printed += len(piece)
            self.said = (self.said + piece)[-(1 << 18) :]
            return len(piece)
        self.taken += len(piece)
        *lines, self.partial = (self.partial + piece).split(b"\n")
        for line in lines:
            word, _, text = line.decode(errors="replace").partition(" ")
            if word != self.word or self.complete:
                self.forged = True
            else:
                self.event(text)
        return len(piece)

    def event(self, text: str) -> None:
        """One line of the report."""
        kind, _, rest = text.partition(" ")
        if kind == "all":
            self.complete = True
        elif kind == "lines":
            case, *lines = map(int, rest.split())
            self.found[case]["lines"] = lines
        elif kind == "begin":
            self.current, self.before_cases = int(rest), False
            self.case_begin = time.monotonic()
            self.cpu_start = usage(self.child)[0]
        else:
            number, status, line, seconds, quoted = rest.split(" ", 4)
            kind_said, message = ast.literal_eval("(" + quoted.replace('" "', '", "', 1) + ")")
            self.found[int(number)] = outcome(
                int(number), status, message.strip(), kind_said or None, int(line) or None, float(seconds)
            )
            self.current = None

    def fate(self, code: int) -> tuple[str, str, str | None, int | None]:
        """What became of a case that ended its process."""
        text = self.said.decode(errors="replace")
        found = _FATAL.search(text)
        place = _LINE.search(text[found.start() :]) if found else None
        line = int(place[1]) if place else None
        if "out of memory" in text or "cannot allocate memory" in text:
            return "memory", "no memory was left", None, line
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and not found):
            return "killed", "the process was killed", None, None
        if found:
            overflow = "stack overflow" in text or "goroutine stack exceeds" in text
            return "error", "stack overflow" if overflow else found[1].strip(), "panic", line
        return "killed", f"the program ended the process (exit code {code})", None, None


def outcome(  # noqa: PLR0917  (the six fields of the record)
    case: int, status: str, message: str, kind: str | None = None, line: int | None = None, seconds: float = 0.0
) -> dict[str, Any]:
    """One outcome as the protocol wants it."""
    return {"case": case, "status": status, "message": message, "type": kind, "line": line, "seconds": seconds}


def usage(child: int) -> tuple[float, int]:
    """Processor seconds and resident bytes of a process."""
    try:
        with open(f"/proc/{child}/stat", encoding="ascii", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / TICK, int(fields[21]) * PAGE

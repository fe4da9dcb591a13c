"""Our side of a sandboxed program: start its warden, feed it, read it within bounds, and stop it.

All tiers share this file; a tier only says how the program is confined (`Launch`).
Times are seconds, sizes bytes.
Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from agentic_diffusion.foundation.errors import SandboxError
from agentic_diffusion.foundation.sandbox import warden
from agentic_diffusion.foundation.sandbox.base import REPLY_FD, REQUEST_FD, Completed, Limits

PACKAGE_ROOT = Path(__file__).resolve().parents[3]
# The warden needs three files of this folder: the packages above them are made by hand, which halves its start.
BOOT = """
import sys, types
root, name = sys.argv[1], ""
for part in ("agentic_diffusion", "foundation", "sandbox"):
    root, name = root + "/" + part, name + "." * bool(name) + part
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [root]
import agentic_diffusion.foundation.sandbox.warden as warden
warden.main(*map(int, sys.argv[2:5]))
"""
HIGH = 64
GRACE = 5.0
"""Seconds of its own processor time that the warden has for killing and cleaning after it was told to stop."""
PATIENCE = 120.0
"""Seconds in which a busy machine must have given it that time; one that sleeps for ever is ended after them."""
LAST_WORD = 1.0
"""Seconds in which a program that closed its pipes is expected to have ended."""
LINE_LIMIT = 64 * 1024 * 1024
"""Bytes that a long-lived program may write without ending a line."""


@dataclass(kw_only=True)
class Launch:
    """How one program is confined."""

    argv: list[str]
    """The program as the warden executes it; the first word is an absolute path."""
    environment: dict[str, str]
    """Its whole environment."""
    limits: Limits
    """What it may use."""
    bubblewrap: bool = False
    """Whether argv is bubblewrap's, with the words {events} and {gate} where its descriptors belong."""
    control_group: bool = False
    """Whether to count processes and memory in a fresh control group."""
    user: int | None = None
    """The user to become, when we are root."""
    may_search: bool = False
    """Whether that user keeps the right to enter folders."""
    landlock: dict[str, Any] | None = None
    """Readable, device and writable paths and the filter in hexadecimal."""
    descriptors: list[int] = field(default_factory=list)
    """Descriptors that argv names; closed here after the start."""
    scratch: Path | None = None
    """The scratch folder on this machine, removed at the end; None when the sandbox has its own."""


class Running:
    """A started program: used by `run`, and the `SandboxProcess` that `start` returns."""

    def __init__(self, launch: Launch, *, protocol: bool, stdin: bytes = b"") -> None:
        """Start the warden, which starts the program; SandboxError when not even that works."""
        self.limits = launch.limits
        self.scratch = launch.scratch
        self.started = time.monotonic()
        self.kept = {"stdout": bytearray(), "stderr": bytearray()}
        self.truncated = False
        self.selector = selectors.DefaultSelector()
        self.lines: list[bytes] = []
        self.partial = bytearray()
        self.result = bytearray()
        self.ended = self.released = False
        self.failure: SandboxError | None = None
        self.completed: Completed | None = None
        self.outgoing = bytearray(stdin)
        self.writer: int | None = None
        self._spawn(launch, protocol=protocol)

    def _spawn(self, launch: Launch, *, protocol: bool) -> None:
        settings_out, settings_in = os.pipe()
        control_out, self.control = os.pipe()
        self.result_fd, result_in = os.pipe()
        inner: list[int] = [settings_out, control_out, result_in]
        pairs: list[tuple[int, int]] = []
        if protocol:
            request_out, self.writer = os.pipe()
            reply_out, reply_in = os.pipe()
            high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, HIGH) for end in (request_out, reply_in)]
            os.close(request_out)
            os.close(reply_in)
            pairs = [(high[0], REQUEST_FD), (high[1], REPLY_FD)]
            inner += high
            self._watch(reply_out, "reply")
        descriptors = launch.descriptors + [source for source, _ in pairs]
        settings = {
            "argv": launch.argv,
            "environment": launch.environment,
            "limits": vars(launch.limits),
            "bubblewrap": launch.bubblewrap,
            "control_group": launch.control_group,
            "user": launch.user,
            "may_search": launch.may_search,
            "landlock": launch.landlock,
            "descriptors": descriptors,
            "protocol": pairs,
            "directory": str(launch.scratch) if launch.scratch else "",
            "scratch": str(launch.scratch) if launch.scratch else "",
        }
        command = [sys.executable, "-I", "-S", "-c", BOOT, str(PACKAGE_ROOT)]
        try:
            self.warden = subprocess.Popen(
                [*command, *map(str, inner[:3])],
                stdin=subprocess.DEVNULL if protocol else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[*inner, *launch.descriptors],
                start_new_session=True,
                env={},
                cwd="/",
            )
        except OSError as error:
            raise SandboxError(
                f"The sandbox's helper process could not be started: {error.strerror}.",
                hint="free memory or processes and run again",
            ) from error
        finally:
            for descriptor in (*inner, *launch.descriptors):
                os.close(descriptor)
        with os.fdopen(settings_in, "wb") as pipe:
            pipe.write(json.dumps(settings).encode())
        self._take_pipes()

    def _take_pipes(self) -> None:
        """Own the pipes of the warden as plain descriptors, none of which blocks."""
        for name, stream in (("stdout", self.warden.stdout), ("stderr", self.warden.stderr)):
            if stream is not None:
                self._watch(os.dup(stream.fileno()), name)
                stream.close()
        self._watch(self.result_fd, "result")
        if self.warden.stdin is not None:
            self.writer = os.dup(self.warden.stdin.fileno())
            self.warden.stdin.close()
        if self.writer is not None:
            os.set_blocking(self.writer, False)

    def _watch(self, descriptor: int, name: str) -> None:
        os.set_blocking(descriptor, False)
        self.selector.register(descriptor, selectors.EVENT_READ, name)

    def _watching(self, name: str) -> bool:
        return any(key.data == name for key in self.selector.get_map().values())

    # Moving bytes ---------------------------------------------------------------------------------------------------

    def _turn(self, wait: float) -> None:
        """Wait at most `wait` seconds for something to move, and move it."""
        writing = self.writer is not None and bool(self.outgoing)
        if writing and self.writer is not None and self.writer not in self.selector.get_map():
            self.selector.register(self.writer, selectors.EVENT_WRITE, "write")
        for key, _ in self.selector.select(max(0.0, wait)):
            if key.data == "write":
                self._push()
            else:
                self._pull(key.fd, key.data)

    def _push(self) -> None:
        if self.writer is None:
            return
        try:
            sent = os.write(self.writer, self.outgoing[:65536])
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.outgoing.clear()
            self._close_writer()
            return
        del self.outgoing[:sent]
        if not self.outgoing:
            self.selector.unregister(self.writer)

    def _close_writer(self) -> None:
        if self.writer is not None:
            with contextlib.suppress(KeyError):
                self.selector.unregister(self.writer)
            os.close(self.writer)
            self.writer = None

    def _pull(self, descriptor: int, name: str) -> None:
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if not piece:
            self.selector.unregister(descriptor)
            os.close(descriptor)
            self.ended = self.ended or name in {"result", "reply"}
        elif name == "result":
            self.result += piece
        elif name == "reply":
            self._split(piece)
        else:
            kept = self.kept[name]
            room = self.limits.output_bytes - len(kept)
            kept += piece[:room]
            if len(piece) > room and not self.truncated:
                self.truncated = True
                self._stop("output")

    def _split(self, piece: bytes) -> None:
        self.partial += piece
        if b"\n" in piece:
            *lines, rest = bytes(self.partial).split(b"\n")
            self.lines += lines
            self.partial = bytearray(rest)
        elif len(self.partial) > LINE_LIMIT:
            self._stop("output")

    def _stop(self, reason: str) -> None:
        """Tell the warden to end everything; `reason` becomes `killed_by` ("" when it is our own wish)."""
        if self.control >= 0:
            if reason:
                with contextlib.suppress(BrokenPipeError):
                    os.write(self.control, reason.encode())
            os.close(self.control)
            self.control = -1

    # SandboxProcess -------------------------------------------------------------------------------------------------

    def send(self, line: bytes) -> None:
        """Write one line; SandboxError when the program has gone."""
        self.outgoing += line + b"\n"
        while self.outgoing and not self.ended:
            self._turn(0.1)
        if self.ended or self.writer is None:
            raise SandboxError(
                "The sandboxed program ended before it took its next request.",
                hint="it may have crossed a limit; look at the result of close()",
            )

    def receive(self, timeout: float) -> bytes | None:
        """The next line; None after `timeout` seconds or when the program has gone."""
        end = time.monotonic() + timeout
        while not self.lines and not self.ended:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self._turn(min(left, 1.0))
        return self.lines.pop(0) if self.lines else None

    def alive(self) -> bool:
        """Whether the program still runs, as far as its pipes tell."""
        if not self.ended:
            self._turn(0.0)
        return not self.ended

    def close(self) -> Completed:
        """Stop everything and say how it ended."""
        if self.completed is None:
            self._close_writer()
            # one that has gone by itself gets the moment in which its warden says how
            end = time.monotonic() + (LAST_WORD if self.ended else 0.0)
            while not self.released and self._watching("result") and time.monotonic() < end:
                self._turn(end - time.monotonic())
            self._stop("")
            self.completed = self._finish(time.monotonic())
        return self.completed

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The end --------------------------------------------------------------------------------------------------------

    def wait(self) -> Completed:
        """Feed and read the program until it has ended by itself or by a limit."""
        try:
            if self.completed is None:
                self.completed = self._finish(self.started + self.limits.seconds)
        except BaseException:
            self._abandon()
            raise
        return self.completed

    def _finish(self, end: float) -> Completed:
        if self.failure is None:
            try:
                return self._report(end)
            except SandboxError as error:
                self.failure = error
        raise self.failure

    def _report(self, end: float) -> Completed:
        """What the warden says once all pipes are closed; from `end` on it has GRACE and PATIENCE left."""
        if not self.outgoing:
            self._close_writer()
        spent: float | None = None
        while any(key.data != "write" for key in self.selector.get_map().values()):
            late = time.monotonic() - end
            if late > 0:
                # wall-clock time alone says nothing: a warden that gets no processor is not at fault
                now = warden.processor_seconds(self.warden.pid)
                spent = now if spent is None else spent
                if late > PATIENCE or now - spent > GRACE:
                    self._abandon()
                    break
            self._turn(0.5 if late > 0 else min(0.5, -late))
            if not self.outgoing:
                self._close_writer()
        self._release()
        try:
            report = json.loads(self.result)
        except ValueError:
            note = bytes(self.kept["stderr"][-300:]).decode(errors="replace").strip().replace("\n", " ")
            raise SandboxError(
                f"The sandbox's helper process ended without a report: {note or 'nothing was said'}.",
                hint="run `agd doctor` to see which sandbox tiers work here",
            ) from None
        if "error" in report:
            note = bytes(self.kept["stderr"][-300:]).decode(errors="replace").strip().replace("\n", " ")
            raise SandboxError(
                f"The sandbox could not start the program: {report['error']}{': ' + note if note else ''}.",
                hint="run `agd doctor` to see which sandbox tiers work here",
            )
        return Completed(
            status=report["status"],
            stdout=bytes(self.kept["stdout"]),
            stderr=bytes(self.kept["stderr"]),
            timed_out=report["killed_by"] == "time",
            killed_by="output" if self.truncated else report["killed_by"],
            truncated=self.truncated,
            seconds=report["seconds"],
            peak_memory=report["peak_memory"],
        )

    def _abandon(self) -> None:
        """The warden does not answer, or we are being interrupted: let it clean up for a moment, then end it."""
        self._stop("")
        try:
            self.warden.wait(GRACE)
        except subprocess.TimeoutExpired:
            # while it lives it inherits all orphans, so its descendants are still to be found
            warden.kill_descendants(self.warden.pid)
            self.warden.kill()
        self._release()

    def _release(self) -> None:
        if self.released:
            return
        self.released = self.ended = True
        self._close_writer()
        self._stop("")
        for key in list(self.selector.get_map().values()):
            self.selector.unregister(key.fd)
            os.close(key.fd)
        self.selector.close()
        self.warden.wait()
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = None

    def __del__(self) -> None:
        # somebody forgot close(): the warden must not outlive us for that
        if getattr(self, "control", -1) >= 0:
            self._stop("")

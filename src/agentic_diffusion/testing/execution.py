"""Run candidates against a suite in a sandbox, and say which pass.

    judge     many candidates, one server process in one sandbox, a fork and an empty folder for each candidate; where
              there are many, a second server in a sandbox of its own takes every other one
              (Python; other languages by `runner`)
    confirm   one candidate once more in a fresh process, beside a planted assertion that must fail
A server that misbehaves is replaced, and the remaining candidates still get their verdict. Expected literals stay
outside the sandbox (see `rewrite`). Times are seconds, lines count from 1.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.languages import ParseProblem
from agentic_diffusion.foundation.errors import SandboxError, UsageError
from agentic_diffusion.foundation.resources import usable_cpus
from agentic_diffusion.foundation.sandbox.base import Limits, Sandbox, SandboxProcess
from agentic_diffusion.testing import rewrite, verdicts
from agentic_diffusion.testing.pace import STUB_PACE, Pace
from agentic_diffusion.testing.runner import WorkerServer, read_object
from agentic_diffusion.testing.suite import Case, Suite, combine, inline_suite, load_suite, make_suite
from agentic_diffusion.testing.verdicts import Outcome, Verdict

__all__ = [
    "Case",
    "Outcome",
    "Pace",
    "Suite",
    "Verdict",
    "combine",
    "confirm",
    "inline_suite",
    "judge",
    "judge_each",
    "load_suite",
    "make_suite",
    "suite_is_vacuous",
]

SERVER_SECONDS = 24 * 3600.0
START_SECONDS = 60.0
REPLY_GRACE = 5.0
MANY = 48
"""So many candidates are worth the start of a second server."""
LONG_SECONDS = 0.5
"""So much time spent on the first few is worth it too: the others may be slow as well."""
HERE = Path(__file__).parent
WORKER_FILES = ("worker_python.py", "worker_cases.py", "pytest_stub.py")
STUBS = (
    # every name exists and fails when called
    "def __getattr__(name):\n"
    "    if name.startswith('__'):\n        raise AttributeError(name)\n"
    "    def stub(*arguments, **named):\n        raise NotImplementedError\n"
    "    return stub\n",
    # every name exists and gives something that equals nothing
    "def __getattr__(name):\n"
    "    if name.startswith('__'):\n        raise AttributeError(name)\n"
    "    return lambda *arguments, **named: object()\n",
)


def judge(
    suite: Suite,
    candidates: Sequence[str],
    sandbox: Sandbox,
    limits: Limits | None = None,
    *,
    pace: Pace | None = None,
    seed: int | None = None,
    counted: bool = False,
    workers: int | None = None,
) -> list[Verdict]:
    """A verdict for every candidate, in their order; see `judge_each`."""
    each = judge_each(suite, candidates, sandbox, limits, pace=pace, seed=seed, counted=counted, workers=workers)
    return list(each)


def judge_each(
    suite: Suite,
    candidates: Sequence[str],
    sandbox: Sandbox,
    limits: Limits | None = None,
    *,
    pace: Pace | None = None,
    seed: int | None = None,
    counted: bool = False,
    workers: int | None = None,
) -> Iterator[Verdict]:
    """A verdict for every candidate, in their order, each made when it is asked for.

    Languages other than Python are judged by batches of `Worker.batch`. `limits` bounds each candidate. `seed` fixes
    which assertions are sent negated (default: unpredictable). `counted` says that the candidates count their lines
    (see `counters`). `workers` is how many Python servers there are at most, so many candidates run at once (default:
    two, or one where there is one processor core). Candidates that do not parse are not run. SandboxError when the
    sandbox itself fails.
    """
    language = languages.get(suite.language)
    with _server(suite, sandbox, limits or Limits(), pace or Pace(), _random(seed)) as server:
        server.counted = counted
        if isinstance(server, Server):
            yield from _in_turn(server, candidates, workers or min(2, usable_cpus()))
            return
        for start in range(0, len(candidates), server.batch):
            batch = candidates[start : start + server.batch]
            problems = [language.parse_error(candidate) for candidate in batch]
            judged = server.verdicts([text for text, problem in zip(batch, problems, strict=True) if problem is None])
            for candidate, problem in zip(batch, problems, strict=True):
                if problem is not None:
                    yield verdicts.unparsed(candidate, suite, problem, sandbox.tier)
                else:
                    yield next(judged)


def _in_turn(first: Server, candidates: Sequence[str], workers: int) -> Iterator[Verdict]:
    """Verdicts in order; a candidate is submitted as soon as a server is idle and the caller asks for more."""
    language = languages.get(first.suite.language)
    idle, servers = deque([first]), 1
    waiting: deque[tuple[str, Server | ParseProblem]] = deque()
    began = time.monotonic()

    def finish() -> Verdict:
        candidate, judge_of = waiting.popleft()
        if isinstance(judge_of, ParseProblem):
            return verdicts.unparsed(candidate, first.suite, judge_of, first.sandbox.tier)
        verdict = judge_of.collect(candidate)
        idle.append(judge_of)
        return verdict

    with contextlib.ExitStack() as stack:
        for number, candidate in enumerate(candidates):
            while not idle:
                yield finish()
            left = len(candidates) - number
            long = number > 0 and time.monotonic() - began > LONG_SECONDS
            if servers < workers and left > 1 and (left >= MANY or long):
                servers += 1
                idle.append(stack.enter_context(first.twin()))
            problem = language.parse_error(candidate)
            waiting.append((candidate, problem or idle[0]))
            if problem is None:
                idle.popleft().submit(candidate)
        while waiting:
            yield finish()


def confirm(
    suite: Suite,
    candidate: str,
    sandbox: Sandbox,
    limits: Limits | None = None,
    *,
    pace: Pace | None = None,
    seed: int | None = None,
) -> Verdict:
    """Judge a candidate again in a fresh process, beside a copy of one assertion made false, which must fail.

    A candidate that passes the false one fakes its results: `ok` is False and `message` begins with "faked".
    """
    problem = languages.get(suite.language).parse_error(candidate)
    if problem is not None:
        return verdicts.unparsed(candidate, suite, problem, sandbox.tier)
    with _server(suite, sandbox, limits or Limits(), pace or Pace(), _random(seed)) as server:
        verdict = server.verdict(candidate)
        return server.with_planted(candidate) if verdict.ok else verdict


def suite_is_vacuous(suite: Suite, sandbox: Sandbox, limits: Limits | None = None, *, pace: Pace | None = None) -> bool:
    """Whether the suite passes for anything: for functions that fail, and for functions that return nonsense.

    Such functions return at once, so a suite that does not end for either of them never ends by itself: UsageError.
    """
    pace = pace or STUB_PACE
    found: list[Verdict] = []
    slow = None
    with _server(suite, sandbox, limits or Limits(), pace, _random(0)) as server:
        for stub in server.stubs:
            found.append(server.verdict(stub))
            slow = next((outcome for outcome in found[-1].outcomes if outcome.status == "timeout"), None)
            if not found[-1].ok and slow is None:
                return False
    if slow is not None and not found[0].ok:
        what = "their set-up" if slow.message == verdicts.UNPREPARED else f"the case {slow.case.name!r}"
        raise UsageError(
            f"The tests do not end: {what} ran longer than {pace.cpu_seconds:g} s of processor time or"
            f" {pace.wall_seconds:g} s in all, for functions that return at once.",
            hint=f"look for an endless or a long loop in the tests ({suite.origin})",
        )
    return bool(found) and all(verdict.ok for verdict in found)


def _random(seed: int | None) -> random.Random:
    return random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311  (asked for by the caller)


def _server(suite: Suite, sandbox: Sandbox, limits: Limits, pace: Pace, rng: random.Random) -> Server | WorkerServer:
    """The server of the suite's language."""
    kind = Server if languages.get(suite.language).harness is None else WorkerServer
    return kind(suite, sandbox, limits, pace, rng)


class Server:
    """Python's: one sandboxed worker for one suite; started when first needed, replaced when it misbehaves."""

    def __init__(self, suite: Suite, sandbox: Sandbox, limits: Limits, pace: Pace, rng: random.Random) -> None:
        """Nothing starts yet."""
        self.suite, self.sandbox, self.limits, self.pace, self.rng = suite, sandbox, limits, pace, rng
        self.sealed = rewrite.build(suite.source, sealed=True, rng=rng)
        self.open: rewrite.Program | None = None
        self.process: SandboxProcess | None = None
        self.greeted = False

    stubs = STUBS
    counted = False
    """Whether the candidates count their lines."""

    def twin(self) -> Server:
        """Another server that runs the same program, in a sandbox of its own."""
        other = copy.copy(self)
        other.process, other.greeted = None, False
        return other

    def verdict(self, candidate: str) -> Verdict:
        """Judge one candidate."""
        self.submit(candidate)
        return self.collect(candidate)

    def submit(self, candidate: str) -> None:
        """Let the worker begin with a candidate, in the sealed form."""
        self._send(candidate, None)

    def collect(self, candidate: str) -> Verdict:
        """The verdict on the candidate that was submitted; it is run once more, open, if a value is no plain data."""
        reply = self._receive()
        verdict = verdicts.read(self.suite, candidate, self.sealed, reply, self.sandbox.tier)
        if verdict is not None:
            return verdict
        if self.open is None:
            self.open = rewrite.build(self.suite.source, sealed=False, rng=self.rng)
        self._send(candidate, self.open)
        reply = self._receive()
        return verdicts.must_read(self.suite, candidate, self.open, reply, self.sandbox.tier)

    def with_planted(self, candidate: str) -> Verdict:
        """Judge one candidate in the open form with a false case among the true ones."""
        program = rewrite.build(self.suite.source, sealed=False, rng=self.rng, planted=True)
        self._send(candidate, program)
        reply = self._receive()
        return verdicts.must_read(self.suite, candidate, program, reply, self.sandbox.tier)

    def _send(self, candidate: str, program: rewrite.Program | None) -> None:
        """Hand the worker one candidate, under a program of its own where one is given."""
        limits, pace = self.limits, self.pace
        request: dict[str, Any] = {
            "source": candidate,
            "nonce": secrets.token_hex(16),
            "sweeps": self.sandbox.sweeps,
            "private_memory": self.sandbox.private_memory,
            "seconds": limits.seconds,
            "cpu_seconds": limits.cpu_seconds,
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
            "output_bytes": limits.output_bytes,
            "case_cpu": pace.cpu_seconds,
            "case_wall": pace.wall_seconds,
            "counted": self.counted,
        }
        if program is not None:
            request["program"] = program.sent
        try:
            self._started().send(json.dumps(request).encode())
        except SandboxError:
            if not self.greeted:
                self._fail()

    def _receive(self) -> dict[str, Any] | None:
        """The worker's reply; None when the worker died of this candidate, and a fresh one waits for the next."""
        process = self._started()
        if not self.greeted:
            if read_object(process.receive(START_SECONDS)) != {"ready": True}:
                self._fail()
            self.greeted = True
        reply = read_object(process.receive(self.limits.seconds + REPLY_GRACE))
        if reply is None or not reply.get("clean", False):
            self._stop()
        return reply

    def _started(self) -> SandboxProcess:
        """The worker, started and sent its program."""
        if self.process is None:
            self.greeted = False
            self.process = self.sandbox.start(
                ["python", "-I", "-S", WORKER_FILES[0]],
                files={name: (HERE / name).read_bytes() for name in WORKER_FILES},
                # the worker lives as long as it is needed; each candidate has its own clock inside
                limits=self.limits.having(seconds=SERVER_SECONDS, cpu_seconds=int(SERVER_SECONDS)),
            )
            self.process.send(json.dumps({"program": self.sealed.sent}).encode())
        return self.process

    def _fail(self) -> NoReturn:
        """Say that the worker does not start."""
        said = self._stop()
        raise SandboxError(
            f"The test worker did not start in the {self.sandbox.tier} sandbox: {said or 'it said nothing'}.",
            hint="run `agd doctor` to see which sandbox tiers work here",
        )

    def _stop(self) -> str:
        """End the worker and all that it started; the last line that it complained in."""
        process, self.process = self.process, None
        if process is None:
            return ""
        said = process.close().stderr.decode(errors="replace").strip().splitlines()
        return said[-1] if said else ""

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

"""Run candidates of any language that has a harness: one sandboxed worker for one suite, fed by batches.

The worker (see `languages/harness.py`) answers by lines. An answer counts only with the nonce of its batch. A worker
that dies, hangs or says what it should not is replaced, and the candidates that it left unanswered are tried again one
by one, so that a bad candidate costs only itself. Times are seconds, lines count from 1.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.languages.harness import Harness, Rewriting
from agentic_diffusion.domains.code.languages.language import ParseProblem
from agentic_diffusion.foundation.errors import SandboxError
from agentic_diffusion.foundation.sandbox.base import Completed, Limits, Sandbox, SandboxProcess
from agentic_diffusion.testing import values, verdicts
from agentic_diffusion.testing.pace import Pace
from agentic_diffusion.testing.suite import Suite, make_suite
from agentic_diffusion.testing.verdicts import Outcome, Verdict

SERVER_SECONDS = 24 * 3600.0
REPLY_GRACE = 5.0
"""Seconds beyond a candidate's own in which its answer must have come."""
COMPILE_GRACE = 30.0
"""Seconds that the compiler of a batch may take before the first answer."""


class WorkerServer:
    """One sandboxed worker for one suite; started when first needed, replaced when it misbehaves."""

    def __init__(self, suite: Suite, sandbox: Sandbox, limits: Limits, pace: Pace, rng: random.Random) -> None:
        """Nothing starts yet; SetupError when the language's toolchain is missing."""
        self.suite, self.sandbox, self.limits, self.pace, self.rng = suite, sandbox, limits, pace, rng
        language = languages.get(suite.language)
        if language.harness is None:
            raise TypeError(f"{language.name} has no harness")
        self.harness: Harness = language.harness
        self.worker = self.harness.worker()
        self.rewriting = self.harness if isinstance(self.harness, Rewriting) else None
        self.process: SandboxProcess | None = None
        self.judged = 0
        self.counted = False  # counted candidates call what their workers always offer

    @property
    def stubs(self) -> tuple[str, ...]:
        """Programs that tests which prove something do not pass."""
        return self.harness.stubs(self.suite.source)

    @property
    def batch(self) -> int:
        """How many candidates are judged at once."""
        return self.worker.batch

    def verdict(self, candidate: str) -> Verdict:
        """Judge one candidate."""
        return next(self.verdicts([candidate]))

    def verdicts(self, candidates: Sequence[str]) -> Iterator[Verdict]:
        """Judge candidates, at most `batch` of them at once, in their order."""
        for start in range(0, len(candidates), self.worker.batch):
            yield from self._batch(candidates[start : start + self.worker.batch])

    def with_planted(self, candidate: str) -> Verdict:
        """Judge one candidate with a false case among the true ones, in a worker of its own."""
        planted = self.harness.planted(self.suite.source, self.rng)
        suite = make_suite(planted.source, origin=self.suite.origin, language=self.suite.language)
        if len(suite.cases) != len(self.suite.cases) + 1:
            raise TypeError(f"the harness of {suite.language} planted {len(suite.cases) - len(self.suite.cases)} cases")
        with WorkerServer(suite, self.sandbox, self.limits, self.pace, self.rng) as server:
            outcomes = list(server.verdict(candidate).outcomes)
        if outcomes.pop(planted.case).status == "passed":
            return verdicts.faked(candidate, self.suite, self.sandbox.tier, verdicts.PASSED_FALSE)
        kept = [self._renamed(outcome, number) for number, outcome in enumerate(outcomes)]
        return verdicts.verdict_of(candidate, tuple(kept), self.sandbox.tier)

    def _renamed(self, outcome: Outcome, number: int) -> Outcome:
        return Outcome(**{**vars(outcome), "case": self.suite.cases[number]})

    def _batch(self, candidates: Sequence[str]) -> list[Verdict]:
        """Verdicts of a batch; those that got none are tried again alone, each in a worker that has judged nothing."""
        fresh = self.judged == 0
        found, ending = self._ask(candidates)
        for number, candidate in enumerate(candidates):
            if number in found:
                continue
            if not (fresh and len(candidates) == 1):
                again, ending = self._ask([candidate])
                if again:
                    found[number] = again[0]
                    continue
            found[number] = self._lost(candidate, ending)
        return [found[number] for number in range(len(candidates))]

    def _ask(self, candidates: Sequence[str]) -> tuple[dict[int, Verdict], Completed | str]:
        """Verdicts by place as far as they came; then how the worker ended, or what it did wrong ("" for nothing)."""
        process = self._ready()
        nonce = secrets.token_hex(16)
        rewrite = self.rewriting.candidate_program if self.rewriting is not None else str
        request = {
            "judge": [{"id": number, "source": rewrite(text)} for number, text in enumerate(candidates)],
            "nonce": nonce,
            "seconds": self.limits.seconds,
            "memory_bytes": self.limits.memory_bytes,
            "output_bytes": self.limits.output_bytes,
        }
        found: dict[int, Verdict] = {}
        try:
            process.send(json.dumps(request).encode())
        except SandboxError:
            return found, self._stop()
        patience = COMPILE_GRACE
        while True:
            end = time.monotonic() + self.limits.seconds + REPLY_GRACE + patience
            line = process.receive(end - time.monotonic())
            patience = 0.0
            if line is None:
                late = process.alive()
                ended = self._stop()
                return found, "time" if late else ended
            reply = read_object(line)
            if reply is not None and reply.get("done") == len(candidates) and len(found) == len(candidates):
                self.judged += len(candidates)
                if not reply.get("clean", False):
                    self._stop()
                return found, ""
            number = reply.get("id") if reply is not None else None
            honest = reply is not None and reply.get("nonce") == nonce and number not in found
            if reply is None or not honest or not isinstance(number, int) or not 0 <= number < len(candidates):
                self._stop()
                return found, "forged"
            found[number] = self._read(candidates[number], reply)

    def _read(self, candidate: str, reply: dict[str, Any]) -> Verdict:
        """The verdict that an answer amounts to."""
        tier = self.sandbox.tier
        try:
            problem = reply["problem"]
            if problem is not None:
                place = [max(1, int(problem[name] or 1)) for name in ("line", "column")]
                told = ParseProblem(line=place[0], column=place[1], message=str(problem["message"]))
                return verdicts.unparsed(candidate, self.suite, told, tier)
            outcomes = {item["case"]: self._outcome(item) for item in reply["outcomes"]}
            ordered = tuple(outcomes[number] for number in range(len(self.suite.cases)))
        except (KeyError, TypeError, ValueError, IndexError):
            return verdicts.faked(candidate, self.suite, tier, verdicts.UNREADABLE)
        return verdicts.verdict_of(candidate, ordered, tier)

    def _outcome(self, item: dict[str, Any]) -> Outcome:
        kind, said = item["type"], " ".join(str(item["message"]).split())
        if item["status"] not in verdicts.STATUSES:
            raise ValueError(f"{item['status']!r} is no status")
        message = said if kind is None or said.startswith(kind) else f"{kind}: {said}" if said else str(kind)
        return Outcome(
            case=self.suite.cases[item["case"]],
            status=item["status"],
            message="" if item["status"] == "passed" else values.shorten(message),
            error_type=None if item["status"] == "passed" else kind,
            line=item["line"] if isinstance(item["line"], int) and item["status"] != "passed" else None,
            seconds=float(item["seconds"]),
            lines=tuple(sorted(int(line) for line in item.get("lines", ()))),
        )

    def _lost(self, candidate: str, ending: Completed | str) -> Verdict:
        """The verdict on a candidate of which its worker died, alone."""
        if ending == "forged":
            return verdicts.faked(candidate, self.suite, self.sandbox.tier, verdicts.FOREIGN)
        status, why = _why(ending)
        outcomes = tuple(
            Outcome(case=case, status=status, message=why, error_type=None, line=None, seconds=0.0)
            for case in self.suite.cases
        )
        return verdicts.verdict_of(candidate, outcomes, self.sandbox.tier)

    def _ready(self) -> SandboxProcess:
        """The worker, started and given its suite."""
        if self.process is None:
            worker, limits = self.worker, self.limits
            self.judged = 0
            self.process = self.sandbox.start(
                list(worker.argv),
                files=worker.files,
                env=worker.env,
                read_only=worker.read_only,
                # the worker lives as long as it is needed; each candidate has its own clock inside
                limits=limits.having(
                    seconds=SERVER_SECONDS,
                    cpu_seconds=int(SERVER_SECONDS),
                    memory_bytes=limits.memory_bytes + worker.memory_bytes,
                    reserved_bytes=worker.reserved_bytes,
                    processes=max(limits.processes, worker.processes),
                ),
            )
            try:
                self.process.send(json.dumps({"open": self._opening()}).encode())
                line = self.process.receive(worker.start_seconds)
            except SandboxError:
                line = None
            if line is None or read_object(line) != {"ready": True}:
                done = self._stop()
                said = done.stderr.decode(errors="replace").strip().splitlines()
                raise SandboxError(
                    f"The {self.suite.language} worker did not start in the {self.sandbox.tier} sandbox:"
                    f" {said[-1] if said else 'it said nothing'}.",
                    hint="run `agd doctor` to see which sandbox tiers and toolchains work here",
                )
        return self.process

    def _opening(self) -> dict[str, Any]:
        source = self.suite.source
        return {
            "suite": self.rewriting.suite_program(source) if self.rewriting is not None else source,
            "cases": [{"name": case.name, "line": case.line} for case in self.suite.cases],
            "case_seconds": self.pace.wall_seconds,
            "case_cpu": self.pace.cpu_seconds,
        }

    def _stop(self) -> Completed:
        """End the worker and all that it started."""
        process, self.process = self.process, None
        if process is None:
            raise TypeError("no worker runs")
        return process.close()

    def __enter__(self) -> WorkerServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self._stop()


def _why(ending: Completed | str) -> tuple[str, str]:
    """Status and message for a candidate whose worker ended before it answered."""
    if isinstance(ending, str):
        return "timeout", "the candidate did not end in time"
    if ending.killed_by == "output":
        return "output", "too much output"
    if ending.killed_by == "memory" or b"out of memory" in ending.stderr or b"OutOfMemory" in ending.stderr:
        return "memory", "out of memory"
    if ending.timed_out:
        return "timeout", "the candidate did not end in time"
    limit = f" (more {ending.killed_by} than allowed)" if ending.killed_by else ""
    return "killed", f"the candidate took its whole sandbox down{limit}"


def read_object(line: bytes | None) -> dict[str, Any] | None:
    """The JSON object in a line; None without one."""
    if line is None:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

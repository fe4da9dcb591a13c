"""What the worker's report of a candidate means: outcomes and a verdict.

The report is read with suspicion, for the candidate's code ran in the process that wrote it: cases must begin and end
in order, every assertion that an honest run passes must have reported, the end must be there, and a sealed assertion
holds only if the value sent equals what was expected out here. A report that contradicts itself is "faked", and never
passes.
Lines count from 1, times are seconds.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace
from typing import Any

from agentic_diffusion.domains.code.languages import ParseProblem
from agentic_diffusion.testing import values
from agentic_diffusion.testing.rewrite import Program
from agentic_diffusion.testing.suite import Case, Suite

FAKED = "faked"
PASSED_FALSE = "an assertion that is false was passed as well"
FOREIGN = "a report was written that the harness did not write"
UNREADABLE = "a report cannot be read"
UNPREPARED = "what comes before the cases did not end in time"
"""The message of a time-out outside any case: the program's own top level, or the set-up of the tests."""
STATUSES = ("passed", "failed", "error", "timeout", "killed", "memory", "output")
"""What can become of a case."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one case."""

    case: Case
    """The case."""
    status: str
    """One of `STATUSES`."""
    message: str
    """Why, in one line; empty when it passed."""
    error_type: str | None
    """Name of the exception, or None."""
    line: int | None
    """The line of the candidate where the exception arose, or None."""
    seconds: float
    """How long it ran; 0.0 when it did not come to its end."""
    lines: tuple[int, ...] = ()
    """The lines that a counted candidate (see `counters`) passed in it; empty for candidates that do not count."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one candidate."""

    candidate: str
    """Its source text."""
    outcomes: tuple[Outcome, ...]
    """One a case, in the suite's order."""
    passed: int
    """How many cases passed."""
    total: int
    """How many there are."""
    ok: bool
    """Whether all passed, and nothing was faked."""
    tier: str
    """The sandbox tier it ran in."""
    failure_line: int | None
    """The line of the candidate where its parse or its first exception failed, where one is known."""
    message: str
    """The first failure in one line; empty when all is well."""

    @property
    def share_passed(self) -> float:
        """Share of the cases that passed; 0 where there are none."""
        return self.passed / self.total if self.total else 0.0


def summary(verdict: Verdict | None) -> dict[str, object]:
    """What a record shows of a verdict, JSON-ready; None everywhere where nothing was judged."""
    if verdict is None:
        return dict.fromkeys(("passed", "total", "ok", "message"))
    return {"passed": verdict.passed, "total": verdict.total, "ok": verdict.ok, "message": verdict.message}


class _FakedReportError(Exception):
    """The report contradicts itself."""


class _OpaqueValueError(Exception):
    """A value could not be sent as plain data, so the open form has to be run."""


def unparsed(candidate: str, suite: Suite, problem: ParseProblem, tier: str) -> Verdict:
    """The verdict on a candidate that does not parse and was not run."""
    message = f"SyntaxError: line {problem.line}: {problem.message}"
    outcomes = tuple(
        Outcome(case=case, status="error", message=message, error_type="SyntaxError", line=problem.line, seconds=0.0)
        for case in suite.cases
    )
    return verdict_of(candidate, outcomes, tier)


def read(suite: Suite, candidate: str, program: Program, reply: dict[str, Any] | None, tier: str) -> Verdict | None:
    """The verdict that a worker's reply amounts to; None when the open form has to be run instead."""
    if reply is None:
        outcomes = tuple(_outcome(case, "killed", "the candidate took its whole sandbox down") for case in suite.cases)
        return verdict_of(candidate, outcomes, tier)
    try:
        found = _Reading(suite, program).read(reply)
    except _OpaqueValueError:
        return None
    except (
        _FakedReportError,
        values.ForeignValueError,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        RecursionError,
    ) as error:
        meant = isinstance(error, _FakedReportError | values.ForeignValueError)
        return faked(candidate, suite, tier, str(error) if meant else UNREADABLE)
    if program.planted is not None:
        planted = found.pop(program.planted)
        if planted.status == "passed":
            return faked(candidate, suite, tier, PASSED_FALSE)
    ordered = {program.owners[number]: outcome for number, outcome in found.items()}
    return verdict_of(candidate, tuple(ordered[number] for number in range(len(suite.cases))), tier)


def must_read(suite: Suite, candidate: str, program: Program, reply: dict[str, Any] | None, tier: str) -> Verdict:
    """As `read`, for open programs: those send no values, so one that claims an opaque value fakes."""
    verdict = read(suite, candidate, program, reply, tier)
    return verdict or faked(candidate, suite, tier, "a report was written that the harness does not write")


class _Reading:
    """Walks through the lines of one report."""

    def __init__(self, suite: Suite, program: Program) -> None:
        self.suite, self.program = suite, program
        self.order = [part["case"] for part in program.sent["parts"] if part["case"] is not None]
        self.order += [call["case"] for call in program.sent["calls"]]
        self.outcomes: dict[int, Outcome] = {}
        self.waiting = list(self.order)
        self.current: int | None = None
        self.seen: set[int] = set()
        self.complaint: str | None = None
        self.finished = False
        self.stopped: Outcome | None = None
        self.lines: dict[int, tuple[int, ...]] = {}

    def read(self, reply: dict[str, Any]) -> dict[int, Outcome]:
        """The outcome of every case of the program."""
        if reply["forged"]:
            raise _FakedReportError(FOREIGN)
        for text in reply["lines"]:
            if self.finished:
                raise _FakedReportError("a report went on after its end")
            kind, *rest = json.loads(text)
            if kind not in _EVENTS:
                raise _FakedReportError("a report holds an event that does not exist")
            _EVENTS[kind](self, *rest)
        self._close(reply)
        for number, lines in self.lines.items():
            self.outcomes[number] = replace(self.outcomes[number], lines=lines)
        return self.outcomes

    def begin(self, number: int) -> None:
        """A case starts."""
        if self.current is not None or self.stopped is not None or not self.waiting or self.waiting[0] != number:
            raise _FakedReportError("cases were reported out of order")
        self.current = self.waiting.pop(0)
        self.seen, self.complaint = set(), None

    def value(self, number: int, data: Any) -> None:
        """A sealed assertion sent its value."""
        check = self.program.checks[number]
        if not check.sealed:
            raise _FakedReportError("a value was reported where none is asked for")
        actual = values.decode(data)
        try:
            holds = values.holds(check, actual)
        except TypeError as error:
            self._note(number, f"TypeError: {error}")
            return
        self._note(number, "" if holds else values.complaint(check, values.shown(actual), values.shown(check.expected)))

    def opaque(self, number: int, text: str) -> None:
        """A sealed assertion has a value that is no plain data."""
        del number, text
        raise _OpaqueValueError

    def truth(self, number: int, answer: bool, sides: list[str]) -> None:
        """An assertion sent its truth, or the opposite of it."""
        check = self.program.checks[number]
        if check.sealed or not isinstance(answer, bool):
            raise _FakedReportError("a truth was reported where none is asked for")
        left, right = (values.shorten(side) for side in sides) if sides else ("", "")
        self._note(number, "" if answer != check.negated else values.complaint(check, left, right))

    def passed_lines(self, number: int, lines: list[int]) -> None:
        """The lines that a counted candidate passed in the case that is about to end."""
        if self.current != number or not all(isinstance(line, int) for line in lines):
            raise _FakedReportError("lines were reported of a case that does not run")
        self.lines[number] = tuple(lines)

    def alike(self, number: int) -> None:
        """A value equals an object that it cannot know."""
        del number
        raise _FakedReportError("a value claims to equal everything")

    def end(self, number: int, seconds: float) -> None:
        """A case came to its end."""
        self._leave(number)
        missed = set(self.program.required.get(number, ())) - self.seen
        if missed:
            raise _FakedReportError("a case ended without running its assertions")
        case = self._case(number)
        if self.complaint:
            self.outcomes[number] = _outcome(case, "failed", f"AssertionError: {self.complaint}", seconds=seconds)
        else:
            self.outcomes[number] = _outcome(case, "passed", "", seconds=seconds)

    def raised(self, number: int | None, kind: str, message: str, line: int | None, seconds: float) -> None:
        """A case, or what prepares for the cases, ended in an exception."""
        text = " ".join(f"{kind}: {message}".split()) if message else kind
        status = {"AssertionError": "failed", "Failed": "failed", "CaseTimeout": "timeout", "MemoryError": "memory"}
        late = UNPREPARED if number is None else "the case did not end in time"
        found = Outcome(
            case=self._case(self.order[0] if number is None else number),
            status=status.get(kind, "error"),
            message=late if kind == "CaseTimeout" else values.shorten(text),
            error_type=str(kind),
            line=line if isinstance(line, int) else None,
            seconds=float(seconds),
        )
        if number is None:
            self.stopped = found
            return
        self._leave(number)
        if self.complaint:
            # the assertion before the exception would have ended the case
            found = _outcome(found.case, "failed", f"AssertionError: {self.complaint}", seconds=found.seconds)
        self.outcomes[number] = found
        if kind == "CaseTimeout":
            self.stopped = replace(found, message="not run, since a case before it did not end", seconds=0.0)

    def finish(self) -> None:
        """The candidate's process came to its end."""
        if self.current is not None or (self.waiting and self.stopped is None):
            raise _FakedReportError("a report ended before its cases")
        self.finished = True

    def _note(self, number: int, complaint: str) -> None:
        self.seen.add(number)
        if complaint and self.complaint is None:
            self.complaint = complaint

    def _leave(self, number: int) -> None:
        if self.current != number:
            raise _FakedReportError("a case ended that had not begun")
        self.current = None

    def _case(self, number: int) -> Case:
        owner = self.program.owners[number]
        return self.suite.cases[owner] if owner >= 0 else Case(name="planted", line=0, source="")

    def _close(self, reply: dict[str, Any]) -> None:
        """Give every case without an outcome the reason why the process ended."""
        left = [number for number in self.order if number not in self.outcomes]
        if self.finished and reply["status"] != 0:
            raise _FakedReportError("a report was finished by a process that was not")
        stopped = self.stopped if self.finished else None
        for number in left:
            case = self._case(number)
            if stopped is not None:
                self.outcomes[number] = replace(stopped, case=case)
            else:
                self.outcomes[number] = _outcome(case, *_why_it_died(reply))


_EVENTS: dict[str, Any] = {
    "begin": _Reading.begin,
    "value": _Reading.value,
    "opaque": _Reading.opaque,
    "truth": _Reading.truth,
    "alike": _Reading.alike,
    "lines": _Reading.passed_lines,
    "end": _Reading.end,
    "raised": _Reading.raised,
    "finish": _Reading.finish,
}


def _why_it_died(reply: dict[str, Any]) -> tuple[str, str]:
    """Status and message for a process that did not finish its report."""
    if reply["cut"] == "time":
        return "timeout", "the case did not end in time"
    if reply["cut"] == "output":
        return "output", "too much output"
    status = reply["status"]
    if status == -signal.SIGXCPU:
        return "timeout", "too much processor time"
    if status == -signal.SIGKILL:
        return "killed", "killed before finishing (memory, or by itself)"
    if status < 0:
        return "killed", f"died before finishing ({_signal_name(-status)})"
    return "killed", f"died before finishing (exit status {status})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _outcome(case: Case, status: str, message: str, *, seconds: float = 0.0) -> Outcome:
    kind = "AssertionError" if status == "failed" else None
    return Outcome(case=case, status=status, message=message, error_type=kind, line=None, seconds=seconds)


def faked(candidate: str, suite: Suite, tier: str, why: str) -> Verdict:
    """The verdict on a candidate that meddled with its report: nothing passed."""
    message = f"{FAKED}: {why}"
    outcomes = tuple(_outcome(case, "error", message) for case in suite.cases)
    return verdict_of(candidate, outcomes, tier)


def verdict_of(candidate: str, outcomes: tuple[Outcome, ...], tier: str) -> Verdict:
    """The verdict that outcomes amount to, one a case in the suite's order."""
    passed = sum(outcome.status == "passed" for outcome in outcomes)
    bad = [outcome for outcome in outcomes if outcome.status != "passed"]
    return Verdict(
        candidate=candidate,
        outcomes=outcomes,
        passed=passed,
        total=len(outcomes),
        ok=bool(outcomes) and not bad,
        tier=tier,
        failure_line=next((outcome.line for outcome in bad if outcome.line is not None), None),
        message=bad[0].message if bad else "",
    )

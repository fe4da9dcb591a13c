"""What became of a project's tests: cases, files and the whole run, and the verdict on files that misbehave.

A case ends as passed, failed (an assertion), error (anything else), skipped, timeout or killed; a file that broke
before, between or after its cases has a `problem` as well, in one sentence. Times are seconds, lines count from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from agentic_diffusion.testing.discovery import KINDS, Found, Kind

CaseStatus = Literal["passed", "failed", "error", "skipped", "timeout", "killed"]
STATUSES: tuple[CaseStatus, ...] = get_args(CaseStatus)
BAD = frozenset({"failed", "error", "timeout", "killed"})
"""The ends that make a run fail."""
FEW = 3
"""How many names a note lists."""


@dataclass(frozen=True, kw_only=True)
class CaseRun:
    """One case of one run."""

    file: str
    """The file that it stands in, relative to the project."""
    name: str
    """Its name, as its runner selects it."""
    status: CaseStatus
    """How it ended."""
    seconds: float = 0.0
    """How long it took."""
    message: str = ""
    """Why it failed or was skipped."""
    line: int | None = None
    """Where it begins, or where it failed."""
    kind: Kind = "unit"
    """Unit, integration or system."""
    flaky: bool = False
    """Whether repetitions ended differently."""

    @property
    def ok(self) -> bool:
        """Whether it did not fail."""
        return self.status not in BAD


@dataclass(frozen=True, kw_only=True)
class FileRun:
    """One test file (for Go: one package) of one run."""

    found: Found
    """The file."""
    cases: tuple[CaseRun, ...] = ()
    """Its cases in the order in which they ran."""
    problem: str = ""
    """Why the file as a whole is not well; empty when it is."""
    line: int | None = None
    """Where that is."""
    notes: tuple[str, ...] = ()
    """What else was seen: processes and files left behind, output that is no text."""
    seconds: float = 0.0
    """How long it took, with the start of its runner."""
    stdout: str = ""
    """The end of what it wrote."""
    stderr: str = ""
    """The end of what it complained."""
    coverage: Mapping[str, Any] = field(default_factory=dict)
    """What its runner measured, as it came; see `coverage`."""

    @property
    def ok(self) -> bool:
        """Whether nothing of it failed."""
        return not self.problem and all(case.ok for case in self.cases)


@dataclass(frozen=True, kw_only=True)
class ProjectRun:
    """A whole run."""

    files: tuple[FileRun, ...]
    """What ran, in the order of the files."""
    not_run: tuple[str, ...] = ()
    """Files that were not begun, after the first failure or an interruption."""
    seconds: float = 0.0
    """Wall-clock time of everything."""
    tier: str = ""
    """The sandbox."""
    interrupted: bool = False
    """Whether somebody pressed Ctrl-C."""

    @property
    def cases(self) -> list[CaseRun]:
        """All cases."""
        return [case for one in self.files for case in one.cases]

    @property
    def exit_code(self) -> int:
        """As pytest's: 0 all passed, 1 something failed, 2 interrupted, 5 no tests were found."""
        if self.interrupted:
            return 2
        if any(not one.ok for one in self.files) or any(case.flaky for case in self.cases):
            return 1
        return 0 if self.cases else 5

    def counts(self) -> dict[str, int]:
        """How many cases ended in which way, and how many files have a problem."""
        found = {status: sum(case.status == status for case in self.cases) for status in STATUSES}
        problems = sum(bool(one.problem) for one in self.files)
        return found | {"flaky": sum(case.flaky for case in self.cases), "problems": problems}


@dataclass(kw_only=True)
class Tale:
    """What a runner told of one file, in a form that all languages share."""

    cases: list[CaseRun] = field(default_factory=list)
    """Cases that ended."""
    running: str = ""
    """The case that had begun and not ended."""
    running_line: int | None = None
    """Where it begins."""
    broken: str = ""
    """Why the file does not load."""
    broken_line: int | None = None
    """Where."""
    done: bool = False
    """Whether the runner came to its end."""
    binary: int = 0
    """How many letters that are no text its cases wrote, where the runner caught what they wrote."""


def file_run(found: Found, told: Mapping[str, Any], tale: Tale, *, seconds: float) -> FileRun:
    """The verdict on one file: its cases, the case that took the runner along, and a problem in one sentence."""
    problem, status = _problem(told, tale, seconds)
    cases = list(tale.cases)
    if tale.running and status is not None:
        cases.append(
            CaseRun(
                file=found.path, name=tale.running, status=status, message=problem, line=tale.running_line,
                seconds=told["seconds"] if status == "timeout" else 0.0,
            )
        )  # fmt: skip
    return FileRun(
        found=found,
        cases=tuple(replace(case, kind=case.kind if case.kind != "unit" else found.kind) for case in cases),
        problem=problem,
        line=tale.broken_line if tale.broken else tale.running_line,
        notes=tuple(_notes(told, tale.binary)),
        seconds=told["seconds"],
        stdout=told["stdout"],
        stderr=told["stderr"],
    )


def _problem(told: Mapping[str, Any], tale: Tale, seconds: float) -> tuple[str, CaseStatus | None]:
    """What is wrong with the file as a whole, and how the case ended that was running."""
    where = f" in {tale.running}" if tale.running else ""
    if told["ended_by"] == "time":
        return f"ran longer than {seconds:g} s and was ended{where}", "timeout"
    if told["ended_by"] == "output":
        return f"wrote without end and was ended{where}", "killed"
    if told["signal"]:
        return f"took its runner along by {told['signal']}{where}", "killed"
    if tale.broken:
        return f"does not load: {tale.broken}", "error"
    if not tale.done:
        return f"ended its runner with exit code {told['status']} before the results were whole{where}", "killed"
    return "", None


def _notes(told: Mapping[str, Any], caught: int) -> Iterable[str]:
    if told["left_processes"]:
        yield f"left processes running, which were ended: {_listed(told['left_processes'])}"
    if told["left_files"]:
        yield f"left files behind: {_listed(told['left_files'])}"
    if told["changed_files"]:
        yield f"changed files of the project: {_listed(told['changed_files'])}"
    if told["binary"] + caught:
        yield f"printed {told['binary'] + caught} letters that are no text"


def _listed(names: list[str]) -> str:
    more = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {more} more" if more > 0 else "")


def merged(runs: list[FileRun]) -> FileRun:
    """Repetitions of one file as one: the worst end of every case, `flaky` where the ends differ."""
    if len(runs) == 1:
        return runs[0]
    worst = next((one for one in runs if not one.ok), runs[-1])
    by_name: dict[str, list[CaseRun]] = {}
    for one in runs:
        for case in one.cases:
            by_name.setdefault(case.name, []).append(case)
    cases = []
    for seen in by_name.values():
        bad = next((case for case in seen if not case.ok), seen[-1])
        differs = len({case.status for case in seen}) > 1 or len(seen) < len(runs)
        told = f"flaky: {sum(case.ok for case in seen)} of {len(runs)} runs passed"
        cases.append(replace(bad, flaky=differs, message=f"{told}; {bad.message}" if differs else bad.message))
    return replace(worst, cases=tuple(cases), seconds=sum(one.seconds for one in runs))


def kind_of_markers(markers: Iterable[str]) -> Kind:
    """The kind that a case's own marks say; "unit" where they say nothing."""
    return next((kind for kind in KINDS if kind != "unit" and kind in markers), "unit")

"""A run of a project's tests, told: text for people, JSON and JUnit-XML for programs.

JUnit-XML is the dialect that CI servers read: a `testsuite` a file, a `testcase` a case, `failure` for an assertion
that does not hold, `error` for everything else; a file that broke as a whole has a `testcase` of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.project_outcomes import CaseRun, FileRun, ProjectRun

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 has no word for."""
_MARKS = {"passed": ".", "failed": "F", "error": "E", "skipped": "s", "timeout": "T", "killed": "K"}


def file_line(one: FileRun) -> str:
    """One line about a file, while the run goes on: `tests/test_x.py ..F`."""
    marks = "".join("~" if case.flaky else _MARKS[case.status] for case in one.cases)
    return f"{one.found.unit} {marks}{'!' if one.problem else ''}".rstrip()


def text(run: ProjectRun) -> str:
    """The whole report: what failed and why, what else was seen, and a line of counts."""
    return "".join(f"{line}\n" for line in (*_failures(run), *_notes(run), _counts(run)))


def _failures(run: ProjectRun) -> Iterator[str]:
    for one in run.files:
        if one.problem:
            where = f"{one.found.unit}{f':{one.line}' if one.line else ''}"
            yield f"PROBLEM {where}: {one.problem}"
            if not one.cases:
                yield from _indented(_end(one.stderr or one.stdout))
        for case in one.cases:
            if case.flaky or (not case.ok and not (one.problem and case.message == one.problem)):
                word = "FLAKY" if case.flaky else case.status.upper()
                yield f"{word} {_place(case)}"
                yield from _indented(_end(case.message))


def _notes(run: ProjectRun) -> Iterator[str]:
    for one in run.files:
        for note in one.notes:
            yield f"note: {one.found.unit} {note}"
    if run.not_run:
        yield f"not run: {', '.join(run.not_run)}"


def _counts(run: ProjectRun) -> str:
    found = run.counts()
    parts = [f"{number} {word}" for word, number in found.items() if number and word != "problems"]
    problems = found["problems"]
    if problems:
        parts.append(f"{problems} file{'s' if problems > 1 else ''} with a problem")
    return f"{', '.join(parts) or 'no tests were found'} in {run.seconds:.1f} s (sandbox: {run.tier})"


def explained(founds: Sequence[Found]) -> list[tuple[str, ...]]:
    """A row a test file: path, language, runner, kind, rule."""
    return [(one.path, one.language, one.framework, one.kind, one.rule) for one in founds]


def as_json(run: ProjectRun) -> dict[str, Any]:
    """The run as a JSON-ready mapping."""
    return {
        "exit_code": run.exit_code, "seconds": run.seconds, "tier": run.tier, "interrupted": run.interrupted,
        "counts": run.counts(), "not_run": list(run.not_run), "files": [_file(one) for one in run.files],
    }  # fmt: skip


def _file(one: FileRun) -> dict[str, Any]:
    found = one.found
    return {
        "path": found.path, "language": found.language, "framework": found.framework, "kind": found.kind,
        "rule": found.rule, "seconds": one.seconds, "problem": one.problem, "line": one.line, "notes": list(one.notes),
        "cases": [_case(case) for case in one.cases],
    }  # fmt: skip


def _case(case: CaseRun) -> dict[str, Any]:
    return {
        "name": case.name, "status": case.status, "kind": case.kind, "seconds": case.seconds, "line": case.line,
        "flaky": case.flaky, "message": case.message,
    }  # fmt: skip


def junit_xml(run: ProjectRun) -> str:
    """The run as JUnit-XML."""
    root = ElementTree.Element("testsuites", time=f"{run.seconds:.3f}")
    for one in run.files:
        cases = list(one.cases)
        if one.problem and all(case.message != one.problem for case in cases):
            whole = CaseRun(
                file=one.found.path, name=one.found.path, status="error", message=one.problem, line=one.line
            )
            cases.append(whole)
        bad = [case.status for case in cases]
        suite = ElementTree.SubElement(
            root, "testsuite", name=one.found.unit, tests=str(len(cases)), failures=str(bad.count("failed")),
            errors=str(sum(bad.count(word) for word in ("error", "timeout", "killed"))),
            skipped=str(bad.count("skipped")), time=f"{one.seconds:.3f}",
        )  # fmt: skip
        for case in cases:
            _xml_case(suite, case)
        for name, said in (("system-out", one.stdout), ("system-err", one.stderr)):
            if said and not one.ok:
                ElementTree.SubElement(suite, name).text = _UNWRITABLE.sub("?", said)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _xml_case(suite: ElementTree.Element, case: CaseRun) -> None:
    name = case.name.removeprefix(f"{case.file}::")
    made = ElementTree.SubElement(
        suite, "testcase", classname=case.file, name=_UNWRITABLE.sub("?", name), time=f"{case.seconds:.6f}"
    )
    if case.line is not None:
        made.set("line", str(case.line))
    if case.status == "passed":
        return
    word = {"skipped": "skipped", "failed": "failure"}.get(case.status, "error")
    message = _UNWRITABLE.sub("?", case.message)
    inner = ElementTree.SubElement(made, word, message=message.split("\n")[0][:200])
    if word != "skipped":
        inner.set("type", case.status)
        inner.text = message


def _place(case: CaseRun) -> str:
    if case.name.startswith(f"{case.file}::"):
        return case.name
    return f"{case.file}{f':{case.line}' if case.line else ''} {case.name}"


def _indented(said: str) -> Iterator[str]:
    return (f"    {line}" for line in said.splitlines())


def _end(said: str, lines: int = 20) -> str:
    return "\n".join(said.strip().splitlines()[-lines:])

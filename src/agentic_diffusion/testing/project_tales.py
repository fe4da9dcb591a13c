"""Read what the languages' runners tell into one form, `Tale`.

python    our pytest plug-in's and unittest result's lines (tale.jsonl)
node      our reporter's lines (node.jsonl)
jest      jest's and vitest's JSON report
go        the events of `go test -json`
junit     the XML report of JUnit's console launcher
java      the lines of our own runner of annotated methods
main      nothing but an exit code
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.project_outcomes import CaseRun, CaseStatus, Tale, kind_of_markers

NOT_COMPILED = 99
"""The exit code of a run whose compiler failed; see `worker_project`."""
WORDS = 4000
"""Characters of a message that are kept."""
_GO_STATUS: dict[str, CaseStatus] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
_JEST_STATUS: dict[str, CaseStatus] = {
    "passed": "passed", "failed": "failed", "pending": "skipped", "skipped": "skipped", "todo": "skipped",
    "disabled": "skipped",
}  # fmt: skip
_GO_PLACE = re.compile(r"(\w[\w./-]*_test\.go):(\d+):")
_UNLOADED = re.compile(r"SyntaxError|(?:Error|TypeError)(?: \[ERR_[A-Z_]+\])?: (?:Cannot find|Unknown file extension)")
_PANIC = re.compile(r"^(panic: .*|fatal error: .*)$", re.MULTILINE)


def read(form: str, found: Found, told: Mapping[str, Any]) -> Tale:
    """The tale of one run; `form` is one of those above."""
    readers = {
        "python": lambda: python(found, told["results"]["tale.jsonl"]),
        "node": lambda: node(found, told["results"]["node.jsonl"], told),
        "jest": lambda: jest(found, told["results"]["jest.json"], told),
        "go": lambda: go(found, told["results"]["go.jsonl"], told),
        "junit": lambda: junit(found, told["results"]["reports/TEST-junit-jupiter.xml"], told),
        "java": lambda: python(found, told["results"]["tale.jsonl"]),
        "main": lambda: whole_file(found, told),
    }
    tale: Tale = readers[form]()
    if found.language == "java" and told["status"] == NOT_COMPILED:
        place = re.search(r"\.java:(\d+): error: (.*)", told["stderr"])
        return Tale(
            broken=f"it does not compile: {place[2] if place else told['stderr'].strip()[:200]}",
            broken_line=int(place[1]) if place else None,
        )
    return tale


def lines(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text, one a line; a line that was cut off is left out."""
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def python(found: Found, text: str) -> Tale:
    """Lines of `worker_pytest`, and of our runner for Java, which writes the same."""
    tale = Tale()
    for record in lines(text):
        if "begin" in record:
            tale.running, tale.running_line = record["begin"], record["line"]
        elif "case" in record:
            tale.running = ""
            tale.binary += record.get("binary", 0)
            tale.cases.append(
                CaseRun(
                    file=found.path, name=record["case"], status=record["status"], seconds=record["seconds"],
                    message=record["message"].strip()[:WORDS], line=record["line"],
                    kind=kind_of_markers(record["markers"]),
                )
            )  # fmt: skip
        elif "broken" in record:
            tale.broken = tale.broken or record["broken"]
            tale.broken_line = tale.broken_line or record["line"]
        elif "done" in record:
            tale.done = True
    return tale


def node(found: Found, text: str, told: Mapping[str, Any]) -> Tale:
    """Events of node's test runner; a script that uses it not at all is one case, judged by its exit code."""
    tale, seen = Tale(), False
    names: list[str] = []
    for record in lines(text):
        seen = True
        if record["type"] == "open":
            continue
        if record["type"] == "start":
            del names[record["nesting"] :]
            names.append(record["name"])
            tale.running, tale.running_line = " > ".join(names), record["line"]
        elif record["type"] == "done":
            tale.done = True
        elif record["type"] in ("pass", "fail"):
            outer = names[: record["nesting"]]
            tale.running = " > ".join(outer)
            if record["suite"] and record["type"] == "pass":
                continue
            inner = " > ".join([*outer, record["name"], ""])
            if record["suite"] and any(not case.ok and case.name.startswith(inner) for case in tale.cases):
                continue
            status: CaseStatus = "passed" if record["type"] == "pass" else "failed" if record["assertion"] else "error"
            tale.cases.append(
                CaseRun(
                    file=found.path, name=" > ".join([*outer, record["name"]]), line=record["line"],
                    status="skipped" if record["skip"] else status, seconds=record["seconds"],
                    message=record["message"][:WORDS],
                )
            )  # fmt: skip
    if not seen:
        error = _last_error(told["stderr"])
        if told["status"] and _UNLOADED.match(error):
            return Tale(broken=error)
        return whole_file(found, told)
    if tale.done and told["status"] and all(case.ok for case in tale.cases):
        tale.broken = _last_error(told["stderr"]) or f"its process ended with exit code {told['status']}"
    return tale


def jest(found: Found, text: str, told: Mapping[str, Any]) -> Tale:
    """The report that jest and vitest write alike."""
    tale = Tale()
    try:
        report = json.loads(text)
    except ValueError:
        tale.broken = _last_error(told["stderr"]) if told["status"] else ""
        return tale
    tale.done = True
    for file in report["testResults"]:
        if file.get("message") and not file["assertionResults"]:
            tale.broken = _last_error(file["message"]) or "it does not load"
        for case in file["assertionResults"]:
            place = case.get("location") or {}
            tale.cases.append(
                CaseRun(
                    file=found.path, name=" > ".join([*case["ancestorTitles"], case["title"]]),
                    status=_JEST_STATUS[case["status"]], seconds=(case.get("duration") or 0) / 1000,
                    message="\n".join(case.get("failureMessages") or ())[:WORDS], line=place.get("line"),
                )
            )  # fmt: skip
    return tale


def go(found: Found, text: str, told: Mapping[str, Any]) -> Tale:
    """Events of `go test -json`: a parent of subtests is no case of its own when it only passes their ends on."""
    tale = Tale()
    said: dict[str, list[str]] = {}
    ended: dict[str, tuple[CaseStatus, float]] = {}
    open_cases: dict[str, None] = {}
    package = ""
    for record in lines(text):
        action, name = record.get("Action"), record.get("Test", "")
        if action in ("output", "build-output"):
            said.setdefault(name, []).append(record["Output"])
        elif action == "run":
            open_cases[name] = None
        elif name and action in _GO_STATUS:
            open_cases.pop(name, None)
            ended[name] = (_GO_STATUS[action], record.get("Elapsed", 0.0))
        elif not name and action in ("pass", "fail", "skip"):
            package = action
    for name, (status, seconds) in ended.items():
        if any(other.startswith(f"{name}/") for other in ended) and (status == "passed" or _inner_failed(name, ended)):
            continue
        message = "".join(line for line in said.get(name, ()) if not line.lstrip().startswith(("===", "---")))
        place = _GO_PLACE.search(message)
        tale.cases.append(
            CaseRun(
                file=found.path, name=name, status=status, seconds=seconds, line=int(place[2]) if place else None,
                message=message.strip()[:WORDS] if status != "passed" else "",
            )
        )  # fmt: skip
    everything = "".join(line for part in said.values() for line in part) + told["stderr"]
    panic = _PANIC.search(everything)
    if open_cases:
        tale.running = list(open_cases)[-1]
    if panic and (open_cases or "panic:" in panic[1]):
        tale.broken = panic[1]
    elif package not in {"pass", "skip"} and not any(not case.ok for case in tale.cases) and not open_cases:
        tale.broken = _go_problem(everything) or f"go ended with exit code {told['status']}"
        place = re.search(r"\.go:(\d+):", everything)
        tale.broken_line = int(place[1]) if place else None
    tale.done = package != "" and not open_cases
    return tale


def _inner_failed(name: str, ended: Mapping[str, tuple[CaseStatus, float]]) -> bool:
    return any(other.startswith(f"{name}/") and status == "failed" for other, (status, _) in ended.items())


def _go_problem(text: str) -> str:
    found = re.search(r"^\S*\.go:\d+:(?:\d+:)? .*$", text, re.MULTILINE)
    if found:
        return found[0].strip()
    wanted = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("FAIL", "#", "ok"))]
    return wanted[0] if wanted else ""


def junit(found: Found, text: str, told: Mapping[str, Any]) -> Tale:
    """The XML report of JUnit's console launcher."""
    tale = Tale()
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - see the import
    except ElementTree.ParseError:
        tale.broken = _last_error(told["stderr"] + told["stdout"]) if told["status"] == 1 else ""
        return tale
    tale.done = True
    for case in root.iter("testcase"):
        failure, error, skipped = (case.find(name) for name in ("failure", "error", "skipped"))
        bad = failure if failure is not None else error
        status: CaseStatus = "failed" if failure is not None else "error" if error is not None else "passed"
        message = ((bad.get("message") or "") + "\n" + (bad.text or "")).strip() if bad is not None else ""
        place = re.search(rf"\({re.escape(found.path.rpartition('/')[2])}:(\d+)\)", message)
        tale.cases.append(
            CaseRun(
                file=found.path, name=case.get("name", "").removesuffix("()"), message=message[:WORDS],
                status="skipped" if skipped is not None else status, seconds=float(case.get("time", "0")),
                line=int(place[1]) if place else None,
            )
        )  # fmt: skip
    return tale


def whole_file(found: Found, told: Mapping[str, Any]) -> Tale:
    """A program that tells nothing but its exit code is one case, named after its file."""
    name = found.path.rpartition("/")[2]
    if told["ended_by"] or told["signal"]:
        return Tale(running=name)
    status: CaseStatus = "passed" if told["status"] == 0 else "failed"
    message = "" if told["status"] == 0 else told["stderr"].strip()[-WORDS:]
    case = CaseRun(file=found.path, name=name, status=status, seconds=told["seconds"], message=message)
    return Tale(cases=[case], done=True)


def _last_error(text: str) -> str:
    """The line that names the error, of what a runner complained."""
    said = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    named = [line for line in said if re.match(r"(?:\[?\w*)(?:Error|Exception)\b.*:|.*\berror: ", line)]
    return (named or said or [""])[0][:300]

"""Runs one Python test file with pytest, or with unittest where there is no pytest, and tells the results as they come.

Used by `worker_project.py`, in a fork for each file. Results go to the file tale.jsonl, one JSON object a line, so that
what was told before a crash is kept:

    {"collected": n}  {"begin": name, "line": n}  {"case": name, "status": s, "seconds": s, "message": text, "line": n,
    "markers": [..], "binary": n}  {"broken": text, "line": n}  {"done": exit code}

With coverage the lines and arcs of every file of the project are told at the end, by case (see `_Covered`).
Standard library only, but for pytest and coverage of the project.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import sys
import time
import traceback
import unittest
from typing import Any

MESSAGE_LIMIT = 4000
_UNPRINTED = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f\ufffd]")


def warm(folder: str) -> None:
    """Import pytest and its plug-ins by a session without tests; nothing where there is no pytest."""
    if importlib.util.find_spec("pytest") is None:
        return
    import pytest

    os.chdir(folder)
    with contextlib.suppress(SystemExit):
        pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder])


def main(order: dict[str, Any], root: str, scratch: str) -> None:
    """Run the tests of `order["path"]` and end this process."""
    if "analyse" in order:
        analyse(order, root, scratch)
    tale = Tale(os.path.join(scratch, "tale.jsonl"))
    covered = _Covered(root, scratch, order["cover"]) if order.get("cover") else None
    tale.covered = covered
    try:
        code = _with_pytest(order, tale, scratch) if order["framework"] == "pytest" else _with_unittest(order, tale)
    except SystemExit as stop:
        tale.say({"broken": f"the file ends the program: SystemExit({stop.code!r})", "line": None})
        code = 1
    if covered is not None:
        covered.write()
    tale.say({"done": code})
    # as an interpreter ends: threads that are no daemons are waited for by the one who runs us, not by us
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Tale:
    """The file of results; each line is written at once."""

    def __init__(self, path: str) -> None:
        """Open it."""
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.process = os.getpid()
        self.covered: _Covered | None = None

    def say(self, record: dict[str, Any]) -> None:
        """Write one line, unless this is a fork that a test made."""
        if os.getpid() == self.process:
            os.write(self.descriptor, json.dumps(record).encode() + b"\n")

    def begin(self, name: str, line: int | None) -> None:
        """A case begins."""
        self.say({"begin": name, "line": line})
        if self.covered is not None:
            self.covered.switch(name)


def _with_pytest(order: dict[str, Any], tale: Tale, scratch: str) -> int:
    import pytest

    words = ["-q", "-p", "no:cacheprovider", "-o", "console_output_style=classic", "--tb=short", "--color=no"]
    if order.get("no_plugins"):
        words += ["-p", "no:randomly"]
    words += ["--basetemp", os.path.join(scratch, "tmp", "pytest"), *order["words"]]
    return int(pytest.main([*words, *order["names"]], plugins=[Reporter(tale)]))


class Reporter:
    """A pytest plug-in that tells the results."""

    def __init__(self, tale: Tale) -> None:
        """Tell them to `tale`."""
        self.tale = tale
        self.running: dict[str, Any] = {}
        self.marks: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: Any) -> None:
        """Note the marks of every case."""
        for item in session.items:
            self.marks[item.nodeid] = sorted({mark.name for mark in item.iter_markers()})
        self.tale.say({"collected": len(session.items)})

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be read."""
        if report.failed:
            text = _short(report.longreprtext)
            self.tale.say({"broken": _reason(text), "line": _line_of(text, report.nodeid), "detail": text})

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """A case begins."""
        line = None if location[1] is None else location[1] + 1
        self.running = {"case": nodeid, "status": "passed", "seconds": 0.0, "message": "", "line": line}
        self.tale.begin(nodeid, line)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A phase of a case has ended."""
        case = self.running
        case["seconds"] += report.duration
        if report.skipped and case["status"] == "passed":
            expected = hasattr(report, "wasxfail")
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            case["status"], case["message"] = "skipped", report.wasxfail if expected else reason
        if report.failed and case["status"] in ("passed", "skipped"):
            case["status"] = "failed" if report.when == "call" else "error"
            text = report.longreprtext
            case["message"] = _short(text)
        if report.when == "teardown":
            case["binary"] = sum(len(_UNPRINTED.findall(text)) for text in (report.capstdout, report.capstderr))
            case["markers"] = self.marks.get(report.nodeid, [])
            self.tale.say(case)

    def pytest_internalerror(self, excinfo: Any) -> None:
        """Something that no test may raise, such as SystemExit while the file is imported."""
        self.tale.say({"broken": f"it ends the program: {excinfo.value!r}", "line": None})

    def pytest_keyboard_interrupt(self) -> None:
        """A test interrupted the runner."""
        self.tale.say({"broken": "a test interrupted the runner (KeyboardInterrupt, or pytest.exit)", "line": None})


def _with_unittest(order: dict[str, Any], tale: Tale) -> int:
    """The file's unittest cases, and its plain functions test_x without arguments."""
    path = order["path"]
    name = os.path.splitext(os.path.basename(path))[0]
    sys.path.insert(0, os.path.dirname(path))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        tale.say({"broken": "no Python can import it", "line": None})
        return 2
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception:
        text = _short(traceback.format_exc())
        tale.say({"broken": _reason(text), "line": _line_of(text, path), "detail": text})
        return 2
    suite = unittest.TestSuite([unittest.defaultTestLoader.loadTestsFromModule(module)])
    for word, value in vars(module).items():
        if word.startswith("test") and callable(value) and not isinstance(value, type):
            suite.addTest(unittest.FunctionTestCase(value, description=word))
    tale.say({"collected": suite.countTestCases()})
    result = UnittestResult(tale, os.path.relpath(path), set(order.get("cases") or ()))
    suite.run(result)
    return 5 if not suite.countTestCases() else 0 if result.wasSuccessful() else 1


class UnittestResult(unittest.TestResult):
    """A unittest result that tells each case; a failing subtest fails its case."""

    def __init__(self, tale: Tale, path: str, wanted: set[str]) -> None:
        """Tell them to `tale`; of the cases only those `wanted`, if any are."""
        super().__init__()
        self.tale, self.path, self.wanted = tale, path, wanted
        self.case: dict[str, Any] = {}
        self.began = 0.0

    def _name(self, test: unittest.TestCase) -> str:
        if isinstance(test, unittest.FunctionTestCase):
            return f"{self.path}::{test.shortDescription()}"
        return f"{self.path}::{type(test).__name__}::{getattr(test, '_testMethodName', test)}"

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """A case begins."""
        super().startTest(test)
        self.case = {
            "case": self._name(test),
            "status": "passed",
            "seconds": 0.0,
            "message": "",
            "line": None,
            "markers": [],
        }
        self.began = time.perf_counter()
        self.tale.begin(self.case["case"], None)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """A case has ended."""
        super().stopTest(test)
        self.case["seconds"] = time.perf_counter() - self.began
        self.tale.say(self.case)

    def _mark(self, status: str, message: str) -> None:
        if self.case and self.case["status"] == "passed":
            self.case["status"], self.case["message"] = status, _short(message)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """An assertion does not hold."""
        super().addFailure(test, err)
        self._mark("failed", self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """The case raised; set-up of a class does so without a case."""
        super().addError(test, err)
        if not isinstance(test, unittest.TestCase):
            self.tale.say({"broken": _reason(self.errors[-1][1]), "line": None, "detail": _short(self.errors[-1][1])})
        self._mark("error", self.errors[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """A part of a case has ended."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._mark("failed", "".join(traceback.format_exception(*err)))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """The case was skipped."""
        super().addSkip(test, reason)
        self._mark("skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """The case failed as it said that it would."""
        super().addExpectedFailure(test, err)
        self._mark("skipped", "expected failure")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        """The case passed although it said that it would not."""
        super().addUnexpectedSuccess(test)
        self._mark("failed", "it was expected to fail, and passed")


class _Covered:
    """Lines and arcs by file and case, measured by coverage.py; written to the file coverage.json."""

    def __init__(self, root: str, scratch: str, how: dict[str, Any]) -> None:
        """Start to measure."""
        import coverage

        self.root, self.target = root, os.path.join(scratch, "coverage.json")
        self.coverage = coverage.Coverage(
            data_file=None,
            branch=how["branch"],
            source=[root],
            config_file=False,
            messages=False,
            check_preimported=False,
        )
        self.coverage.start()
        self.process = os.getpid()

    def switch(self, name: str) -> None:
        """What follows belongs to the case `name`."""
        self.coverage.switch_context(name)

    def write(self) -> None:
        """End the measurement and write {"files": {path: {"contexts": {case: [line]}, "arcs": [[from, to]]}}}."""
        self.coverage.stop()
        data = self.coverage.get_data()
        files = {}
        for path in data.measured_files():
            by_line = data.contexts_by_lineno(path)
            contexts: dict[str, list[int]] = {}
            for line, names in by_line.items():
                for name in names:
                    contexts.setdefault(name, []).append(line)
            files[os.path.relpath(path, self.root)] = {"contexts": contexts, "arcs": list(data.arcs(path) or [])}
        with open(self.target, "w", encoding="utf-8") as stream:
            json.dump({"files": files}, stream)


def _short(text: str) -> str:
    """The text, or its beginning and its end."""
    half = MESSAGE_LIMIT // 2
    return text if len(text) <= MESSAGE_LIMIT else f"{text[:half]}\n...\n{text[-half:]}"


def _reason(text: str) -> str:
    """The last line that names an error."""
    errors = [
        line.removeprefix("E").strip()
        for line in text.splitlines()
        if re.match(r"(?:E\s+)?[\w.]*(?:Error|Exit|Exception|Interrupt)\b", line)
    ]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (errors or lines or ["it cannot be read"])[-1]


def _line_of(text: str, path: str) -> int | None:
    """The line of the file that the text blames."""
    name = re.escape(os.path.basename(path.split("::", maxsplit=1)[0]))
    found = re.findall(rf'{name}:(\d+)|{name}", line (\d+)', text)
    return int(found[-1][0] or found[-1][1]) if found else None


def analyse(order: dict[str, Any], root: str, scratch: str) -> None:
    """Write what coverage.py knows of files without running them to analysis.json, and end this process.

    {path: {"statements": [line], "branches": [[from, to]], "first": {line: first line of its statement}}}; a file that
    does not parse is left out.
    """
    from coverage.exceptions import CoverageException
    from coverage.parser import PythonParser

    found = {}
    for path in order["analyse"]:
        try:
            parser = PythonParser(filename=os.path.join(root, path), exclude=order["exclude"])
            parser.parse_source()
            exits = parser.exit_counts()
            arcs = [list(arc) for arc in parser.arcs() if exits.get(arc[0], 0) > 1]
        except (CoverageException, SyntaxError):
            continue
        lines = range(1, parser.text.count("\n") + 2)
        first = {line: parser.first_line(line) for line in lines if parser.first_line(line) != line}
        found[path] = {"statements": sorted(parser.statements), "branches": arcs, "first": first}
    with open(os.path.join(scratch, "analysis.json"), "w", encoding="utf-8") as stream:
        json.dump(found, stream)
    os._exit(0)

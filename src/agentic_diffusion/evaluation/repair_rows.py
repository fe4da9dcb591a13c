"""Rows that ask for a repair, and whole exercises: HumanEvalFix, QuixBugs, exercism."""

from __future__ import annotations

import ast
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from agentic_diffusion.evaluation import python_rows, stubs
from agentic_diffusion.evaluation.tasks import BenchTask, LeftOutError

if TYPE_CHECKING:
    from agentic_diffusion.evaluation.rows import Row

_TRACKS = {"js": "javascript", "ts": "typescript", "golang": "go"}
_NODE = '''class Node:
    """A node of the graphs and lists in the tests."""

    def __init__(self, value=None, successor=None, successors=(), predecessors=(), incoming_nodes=(),
                 outgoing_nodes=()):
        self.value = value
        self.successor = successor
        self.successors = list(successors)
        self.predecessors = list(predecessors)
        self.incoming_nodes = list(incoming_nodes)
        self.outgoing_nodes = list(outgoing_nodes)


'''


_FORMAT = """
class QuixFixOracleHelper {
    static String format(Object value, boolean whole) {
        if (value instanceof Iterable<?>) {
            java.util.List<String> parts = new java.util.ArrayList<>();
            for (Object part : (Iterable<?>) value) {
                parts.add(format(part, whole));
            }
            return "[" + String.join(",", parts) + "]";
        }
        if (value != null && value.getClass().isArray()) {
            java.util.List<Object> parts = new java.util.ArrayList<>();
            for (int i = 0; i < java.lang.reflect.Array.getLength(value); i++) {
                parts.add(java.lang.reflect.Array.get(value, i));
            }
            return format(parts, whole);
        }
        String text = String.valueOf(value);
        return whole && value instanceof Number && text.endsWith(".0") ? text.substring(0, text.length() - 2) : text;
    }
}
"""


def humanevalfix(row: Row) -> BenchTask:
    """HumanEvalFix: a stub, a faulty body, a right one; the language is the name's beginning, as in "Python/0"."""
    task = row.text("task_id")
    language = task.partition("/")[0].lower()
    language = _TRACKS.get(language, language)
    name, prompt = row.text("entry_point"), row.text("prompt")
    # In some languages the stub is what is declared and the prompt has words of its own.
    stub = row.text("declaration", default="") or prompt
    parts = stubs.take_apart(prompt, name, language)
    if parts is None:
        raise row.fault(f"its prompt does not define {name}")
    test = row.text("test")
    if language == "python":
        setup = row.text("test_setup", default="")
        test = f"from solution import {name}\n" + (f"{setup.strip()}\n" if setup.strip() else "") + test.strip() + "\n"
    imports = row.text("import", default="")
    return BenchTask(
        id=task,
        language=language,
        kind="repair",
        text=row.text("instruction", default="") or parts.text,
        signature=parts.signature,
        preamble=imports + parts.preamble,
        prefix=parts.prefix,
        faulty=stub + row.text("buggy_solution"),
        shown=(row.text("example_test"),) if row.fields.get("example_test") else (),
        entry_point=name,
        tests=test,
        canonical=imports + stub + row.text("canonical_solution"),
    )


def quixbugs(row: Row) -> BenchTask:
    """QuixBugs: a program with one wrong line; the tests of Python are its table of cases, or pytest functions."""
    task, language = row.text("task_id"), row.text("language").lower()
    buggy, correct = row.text("buggy"), row.text("correct")
    name = task.rpartition("/")[2]
    if language != "python":
        return _quixbugs_foreign(row, task, language, name)
    head = python_rows.head_of(buggy, name)
    if not head:
        raise row.fault(f"its program does not define {name}")
    tests, shown = _quixbugs_tests(row, name)
    return BenchTask(
        id=task,
        language=language,
        kind="repair",
        text=_closing_words(buggy),
        signature=head,
        preamble=python_rows.imports_of(buggy),
        prefix=head + "\n",
        faulty=_without_closing_words(buggy),
        shown=shown,
        entry_point=name,
        tests=tests,
        canonical=_without_closing_words(correct),
    )


def exercism(row: Row) -> BenchTask:
    """A practice exercise: instructions, a stub, an example solution, test files of the track's own tool."""
    track, slug = row.text("track").lower(), row.text("slug")
    task = f"{track}/{slug}"
    solution, example, tests = row.files("solution"), row.files("example"), row.files("test")
    if row.fields.get("editor") or len(solution) != 1 or len(example) != 1:
        raise LeftOutError(task, "its solution is made of several files")
    if not tests:
        raise row.fault("its field 'test' has no file")
    stub_file, stub = next(iter(solution.items()))
    text = row.text("instructions").strip()
    return BenchTask(
        id=task,
        language=_TRACKS.get(track, track),
        text=f"{text}\n\nGo on from this:\n{stub.strip()}",
        tests=_exercism_tests(tests, stub_file, track),
        canonical=next(iter(example.values())),
    )


def _quixbugs_tests(row: Row, name: str) -> tuple[str, tuple[str, ...]]:
    """The tests as a file of ours, and the first assertion of it that may be shown."""
    source = row.text("pytest")
    tree = python_rows.parse(source)
    if tree is None:
        raise row.fault("its field 'pytest' does not parse")
    cases = row.fields.get("json_tests") or []
    if not cases:
        body = [node for node in tree.body if not _is_foreign(node)]
        for node in body:
            if isinstance(node, ast.FunctionDef):  # pytest takes any name that begins so, our suites a word of its own
                node.name = re.sub(r"^test(?!_)", "test_", node.name)
        return f"from solution import {name}\n\n{_NODE}" + "\n\n".join(map(ast.unparse, body)) + "\n", ()
    if not isinstance(cases, list) or not all(isinstance(case, list) and len(case) == 2 for case in cases):
        raise row.fault("its field 'json_tests' is no list of pairs (arguments, value)")
    check = next((node for node in ast.walk(tree) if isinstance(node, ast.Assert)), None)
    if check is None:
        raise row.fault("its field 'pytest' asserts nothing")
    slow = _slow_inputs(tree)
    lines = []
    for given, expected in cases:
        arguments = given if isinstance(given, list) else [given]
        if arguments not in slow:
            fresh = python_rows.parse(ast.unparse(check))
            assert fresh is not None
            values = {"input_data": _literal(arguments), "expected": _literal(expected)}
            lines.append(python_rows.substitute(fresh.body[0], values))
    head = "import pytest\n" if any("pytest." in line for line in lines) else ""
    return f"{head}from solution import {name}\n" + "".join(f"{line}\n" for line in lines), tuple(lines[:1])


def _quixbugs_foreign(row: Row, task: str, language: str, name: str) -> BenchTask:
    """Java: unit tests for a class of a package of its own, which are brought into one package with the program."""
    buggy, correct = row.text("buggy"), row.text("correct")
    if re.search(r"\b(?:Node|WeightedEdge)\b", buggy):
        raise LeftOutError(task, "its program needs classes that do not come with the row")
    cut = re.compile(r"^(?:package [\w.]+;|import java_(?:programs|testcases)[\w.]*;)\n", re.MULTILINE)
    faulty = cut.sub("", buggy)
    at = faulty.find("class ")
    begin = faulty.rfind("\n", 0, at) + 1
    return BenchTask(
        id=task,
        language=language,
        kind="repair",
        text=f"The class {name}.",
        preamble=cut.sub("", re.sub(r"/\*.*?\*/", "", faulty[:begin], flags=re.DOTALL)).strip() + "\n\n",
        prefix=faulty[begin : faulty.find("\n", begin) + 1],
        faulty=faulty[begin:],
        entry_point=name.lower(),
        tests=_junit5(cut.sub("", row.text("junit"))),
        canonical=cut.sub("", correct),
    )


def _junit5(source: str) -> str:
    """Tests of JUnit 4 in the words of JUnit 5; the benchmark's helper that formats results is one of our own."""
    source = re.sub(r"@(?:org\.junit\.)?Test\([^)]*\)|@org\.junit\.Test\b", "@Test", source)
    source = source.replace("@org.junit.Ignore", "@Disabled").replace("@Ignore", "@Disabled")
    source = re.sub(r"^import (?:static )?org\.junit\.[^;]+;\n", "", source, flags=re.MULTILINE)
    source = re.sub(r"\b(?:org\.junit\.Assert|java_programs|java_testcases\.junit)\.", "", source)
    return source + (_FORMAT if "QuixFixOracleHelper" in source else "")


def _exercism_tests(tests: dict[str, str], stub_file: str, track: str) -> str:
    """One test file that takes the program from where candidates are put, with no test skipped."""
    module = PurePosixPath(stub_file).stem
    # A file of data that tests read comes before them.
    source = "\n".join(text for _, text in sorted(tests.items(), key=lambda item: "_test" in item[0].lower()))
    if track == "python":
        source = re.sub(rf"^from {re.escape(module)}\b", "from solution", source, flags=re.MULTILINE)
        return re.sub(rf"^import {re.escape(module)}$", f"import solution as {module}", source, flags=re.MULTILINE)
    if track in ("javascript", "typescript"):
        source = re.sub(rf"(['\"])\./{re.escape(module)}(?:\.[jt]s)?\1", r"\1./solution\1", source)
        return re.sub(r"\bx(it|test|describe)\b(?=\()", r"\1", source)
    if track == "java":
        return re.sub(r"^\s*@Disabled\([^)]*\)\n", "", source, flags=re.MULTILINE)
    return source


def _is_foreign(node: ast.stmt) -> bool:
    """Imports of the benchmark's own folders, and the switch between faulty and right programs."""
    if isinstance(node, ast.If):
        return "use_correct" in ast.unparse(node.test)
    return isinstance(node, ast.Import | ast.ImportFrom) and bool(
        re.search(r"\b(?:pytest|node|load_testdata|\w+_programs)\b", ast.unparse(node))
    )


def _slow_inputs(tree: ast.Module) -> list[Any]:
    """Inputs for which the benchmark's own tests may be skipped, since they take minutes."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == "input_data":
            try:
                found.append(ast.literal_eval(node.comparators[0]))
            except ValueError:
                continue
    return found


def _literal(value: Any) -> ast.expr:
    """A JSON value as an expression of Python."""
    return ast.parse(repr(json.loads(json.dumps(value))), mode="eval").body


def _closing_words(source: str) -> str:
    """The description that stands as a string at the end of a program."""
    tree = python_rows.parse(source)
    last = tree.body[-1] if tree is not None and tree.body else None
    is_text = isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and isinstance(last.value.value, str)
    return last.value.value.strip() if is_text else ""  # type: ignore[union-attr]


def _without_closing_words(source: str) -> str:
    """The program without that string, which in right programs holds other solutions."""
    tree = python_rows.parse(source)
    if tree is None or len(tree.body) < 2 or not _closing_words(source):
        return source
    return "\n".join(source.splitlines()[: tree.body[-2].end_lineno]).strip("\n") + "\n"

"""JavaScript: what is code in an answer, what is a case in a test file, and how both are rewritten."""

from __future__ import annotations

import json
import random

import pytest

from agentic_diffusion.domains.code.languages.harness import Harness, Rewriting
from agentic_diffusion.domains.code.languages.javascript import JAVASCRIPT
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Limits, Sandbox, choose
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.execution import judge, make_suite

HARNESS = JAVASCRIPT.harness
needs_node = pytest.mark.skipif(toolchains.find("node") is None, reason="node is not installed")
FILE = """
const { add, Stack } = require('./solution');
const total = add(1, 2);
assert.strictEqual(total, 3);
if (add(2, 2) !== 4) { throw new Error('no'); }
describe('stack', () => {
  beforeEach(() => {});
  test('pushes', () => { const s = new Stack(); s.push(1); expect(s.size).toBe(1); });
  it('waits', async () => { await new Promise((go) => setTimeout(go, 5)); expect(add(1, 1)).toEqual(2); });
});
for (const [a, b] of [[1, 1], [2, 3]]) assert.ok(add(a, b) > a);
"""
GOOD = """export const add = (a, b) => a + b;
export class Stack {
  size = 0;
  push() { this.size += 1; }
}
"""


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return choose()


def test_it_keeps_the_protocols() -> None:
    harness: Harness = HARNESS
    assert isinstance(harness, Rewriting)
    assert JAVASCRIPT.tools == ("node",)
    assert JAVASCRIPT.opening("f") == "function f("


@pytest.mark.parametrize(
    ("source", "line"),
    [("function f() {}\n", None), ("const a = ;\n", 1), ("function f() {\n  return 1;\n", 2), ("", None)],
)
def test_parse_errors_have_a_place(source: str, line: int | None) -> None:
    problem = JAVASCRIPT.parse_error(source)
    assert (problem.line if problem else None) == line
    assert problem is None or problem.message


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("Here:\n```js\nfunction f() {}\n```\nDone.", "function f() {}\n"),
        ("Sure!\nfunction f() {\n  return 1;\n}\nThis works.", "function f() {\n  return 1;\n}\n"),
        ("function f() {}\nconsole.log(f());\n", "function f() {}\n"),
        ("const K = 2;\nconst f = (x) => x * K;\nmodule.exports = { f };\nf(1);", None),
        ("function f( {", "function f( {\n"),
        ("", ""),
    ],
)
def test_extract(answer: str, program: str | None) -> None:
    expected = "const K = 2;\nconst f = (x) => x * K;\n\nmodule.exports = { f };\n" if program is None else program
    assert JAVASCRIPT.extract(answer) == expected


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("function f(a, b) { return a }", "function f(a, b)"),
        ("const f = (a, b) => a;", "const f = (a, b) =>"),
        ("Write a function add(a, b) that adds.", "function add(a, b)"),
        ("Write something.", None),
    ],
)
def test_signature(text: str, head: str | None) -> None:
    assert JAVASCRIPT.signature(text) == head


def test_missing_modules_are_added_once() -> None:
    assert JAVASCRIPT.with_imports("const f = (x) => util.inspect(x);\n").startswith("const util = require('util');")
    bound = "const util = require('util');\nconst f = (x) => util.inspect(x);\n"
    assert JAVASCRIPT.with_imports(bound) == bound


def test_cases() -> None:
    cases = HARNESS.cases(FILE, "x")
    assert [case.name for case in cases[2:4]] == ["pushes", "waits"]
    assert [case.line for case in cases] == [4, 5, 8, 9, 11]
    assert HARNESS.tested_names(FILE) == {"add", "Stack"}
    assert HARNESS.example(FILE) == "assert.strictEqual(total, 3)"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", r"The tests \(x\) are empty"),
        ("const a = ;", "do not parse as JavaScript: line 1"),
        ("f(1);", "hold no assertion and no test"),
        ("const fs = require('fs'); assert.ok(fs);", "need the module 'fs' in line 1"),
    ],
)
def test_tests_that_are_refused(source: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        HARNESS.cases(source, "x")


def test_joined_files_keep_their_names_apart() -> None:
    joined = HARNESS.join(["const x = f(1);\nassert.equal(x, 2);\n", "const x = f(2);\nassert.equal({ x }.x, 3);\n"])
    assert len(HARNESS.cases(joined, "x")) == 2
    assert "x_2 = f(2)" in joined and "{ x: x_2 }.x" in joined


@pytest.mark.parametrize("seed", range(6))
def test_a_planted_case_is_one_more(seed: int) -> None:
    planted = HARNESS.planted(FILE, random.Random(seed))
    cases = HARNESS.cases(planted.source, "x")
    rest = [case.name for number, case in enumerate(cases) if number != planted.case]
    assert rest == [case.name for case in HARNESS.cases(FILE, "x")]
    assert cases[planted.case].source not in {case.source for case in HARNESS.cases(FILE, "x")}


def test_candidates_keep_their_lines() -> None:
    program = HARNESS.candidate_program(GOOD)
    assert program.splitlines()[0] == "       const add = (a, b) => a + b;"
    assert "module.exports.Stack = Stack;" in program
    assert json.loads(HARNESS.suite_program(FILE))["names"] == ["Stack", "add"]


@needs_node
def test_a_file_of_every_form_is_judged(sandbox: Sandbox) -> None:
    suite = make_suite(FILE, origin="x", language="javascript")
    plain = GOOD.replace("export ", "")
    common = plain + "module.exports = { add, Stack };\n"
    wrong = GOOD.replace("+ b", "- b")
    broken = "throw new TypeError('early');\n"
    verdicts = judge(suite, [GOOD, plain, common, wrong, broken], sandbox, Limits(seconds=30.0))
    assert [verdict.passed for verdict in verdicts] == [5, 5, 5, 1, 0]
    assert verdicts[3].message == "AssertionError: got -1, expected 3"
    assert verdicts[4].message == "TypeError: early"
    assert verdicts[4].failure_line == 1


@needs_node
def test_planted_copies_fail_for_honest_programs(sandbox: Sandbox) -> None:
    planted = HARNESS.planted(FILE, random.Random(1))
    suite = make_suite(planted.source, origin="x", language="javascript")
    (verdict,) = judge(suite, [GOOD], sandbox, Limits(seconds=30.0))
    assert [number for number, item in enumerate(verdict.outcomes) if item.status != "passed"] == [planted.case]


@needs_node
def test_generated_benchmark_files(sandbox: Sandbox) -> None:
    source = (
        'const _ = require("lodash")\nfunction compare(a, b) { return _.isEqual(a, b) }\n'
        "var x0 = f([1]); var v0 = [2];\nif(!compare(x0, v0)){ throw 'Error ' + JSON.stringify(x) }\n"
    )
    suite = make_suite(source, origin="x", language="javascript")
    good, bad = judge(suite, ["const f = (a) => [a[0] + 1]", "const f = () => null"], sandbox)
    assert good.ok
    assert bad.message == "AssertionError: !compare(x0, v0) holds, where f([1]) = null, v0 = [2]"

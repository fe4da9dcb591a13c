"""Which lines each case passes, and which line is suspected: the same small program in five languages."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.foundation.sandbox import Limits, Sandbox
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.counters import counted
from agentic_diffusion.testing.execution import Pace, inline_suite, judge
from agentic_diffusion.testing.localisation import localise, ochiai, spectrum

LIMITS = Limits(seconds=20.0)
PYTHON = """def f(x):
    total = 0
    if x > 2:
        total = total - x
    elif x < 0:
        total = -1
    else:
        total = x
    return total
"""
SCRIPT = """function f(x) {
  let total = 0;
  if (x > 2) {
    total = total - x;
  } else if (x < 0)
    total = -1;
  else total = x;
  return total;
}
"""
JAVA = """class Solution {
  static final int MOST = 9;
  static int f(int x) {
    int total = 0;
    if (x > 2) {
      total = total - x;
    } else if (x < 0)
      total = -1;
    else total = x;
    return total;
  }
}
"""
GO = """package main

func f(x int) int {
\ttotal := 0
\tif x > 2 {
\t\ttotal = total - x
\t} else if x < 0 {
\t\ttotal = -1
\t} else {
\t\ttotal = x
\t}
\treturn total
}
"""
# language, toolchain, program, tests of f(1), f(5), f(-3), the lines that each passes, the faulty line
PROGRAMS = [
    ("python", None, PYTHON, "assert f({}) == {}", [[2, 3, 5, 8, 9], [2, 3, 4, 9], [2, 3, 5, 6, 9]], 4),
    ("javascript", "node", SCRIPT, "assert.equal(f({}), {})", [[2, 3, 5, 7, 8], [2, 3, 4, 8], [2, 3, 5, 6, 8]], 4),
    (
        "typescript",
        "tsc",
        SCRIPT.replace("f(x)", "f(x: number): number"),
        "assert.equal(f({}), {})",
        [[2, 3, 5, 7, 8], [2, 3, 4, 8], [2, 3, 5, 6, 8]],
        4,
    ),
    ("java", "jdk", JAVA, "assert f({}) == {};", [[4, 5, 7, 9, 10], [4, 5, 6, 10], [4, 5, 7, 8, 10]], 6),
    ("go", "go", GO, "assert(f({}) == {})", [[4, 5, 7, 10, 12], [4, 5, 6, 12], [4, 5, 7, 8, 12]], 6),
]


def _needs(tool: str | None) -> None:
    if tool is not None and toolchains.find(tool) is None:
        pytest.skip(f"{tool} is not installed")


@pytest.mark.parametrize(("language", "tool", "program", "form", "lines", "fault"), PROGRAMS, ids=lambda v: str(v)[:6])
def test_the_line_that_the_failing_case_alone_passes_comes_first(
    sandbox: Sandbox, language: str, tool: str | None, program: str, form: str, lines: list[list[int]], fault: int
) -> None:
    _needs(tool)
    suite = inline_suite([form.format(*pair) for pair in ((1, 1), (5, 5), (-3, -1))], language=language)
    found = spectrum(suite, program, sandbox, LIMITS)
    assert found.failed == (False, True, False)
    assert [sorted(passed) for passed in found.covered] == lines
    first, *others = localise(found)
    assert (first.line, first.end, first.ochiai) == (fault, fault, 1.0)
    assert "1 of 1 failing and 0 passing cases pass it" in first.reasons
    assert all(suspect.score < first.score for suspect in others)


@pytest.mark.parametrize(
    ("language", "tool", "program", "form", "lines", "fault"), PROGRAMS[:2], ids=lambda v: str(v)[:6]
)
def test_a_counted_program_does_what_the_program_does(
    sandbox: Sandbox, language: str, tool: str | None, program: str, form: str, lines: list[list[int]], fault: int
) -> None:
    _needs(tool)
    suite = inline_suite([form.format(*pair) for pair in ((1, 1), (5, -5), (-3, -1), (2, 3))], language=language)
    rewritten = counted(program, language)
    assert rewritten is not None
    verdict = judge(suite, [rewritten.program], sandbox, LIMITS, counted=True)[0]
    assert [outcome.status for outcome in verdict.outcomes] == ["passed", "passed", "passed", "failed"]


ODD = {
    "python": (
        'from __future__ import annotations\nclass A:\n    """doc"""\n    k = 1\n    def g(self, x):\n'
        "        if x: return x\n        for i in (1,\n                  2):\n            try:\n"
        "                x = lambda: (\n                    1)\n            finally:\n                pass\n",
        [(4, 4), (6, 6), (7, 8), (9, 9), (10, 11), (13, 13)],
    ),
    "javascript": (
        "'use strict';\nconst f = (x) => ({ x });\nfunction g(a) {\n  switch (a) {\n    case 1: return 2;\n"
        "    default:\n      a =\n        3;\n  }\n  do a--; while (a > 0);\n  loop: for (const b of [1])\n"
        "    if (b) continue loop;\n}\n",
        [(2, 2), (4, 4), (5, 5), (7, 8), (10, 10), (11, 11), (12, 12)],
    ),
    "java": (
        "class A {\n  int k = 3;\n  A() {\n    super();\n    k = 4;\n  }\n  int g(int x) {\n    switch (x) {\n"
        "      case 1: return 2;\n      default: x = 3;\n    }\n    return x;\n  }\n}\n",
        [(5, 5), (8, 8), (9, 9), (10, 10), (12, 12)],
    ),
    "go": (
        'package main\n\nimport "fmt"\n\nvar k = 3\n\nfunc g(x int) int {\n\tswitch x {\n\tcase 1:\n\t\treturn 2\n\t}\n'
        "\tif x > 1 {\n\t\treturn 1\n\t} else {\n\t\tfmt.Println(\n\t\t\tx)\n\t}\n\treturn x\n}\n",
        [(8, 8), (10, 10), (12, 12), (13, 13), (15, 16), (18, 18)],
    ),
}


@pytest.mark.parametrize("language", ODD)
def test_statements_are_counted_by_their_heads(language: str) -> None:
    program, expected = ODD[language]
    rewritten = counted(program, language)
    assert rewritten is not None
    assert [(unit.line, unit.end) for unit in rewritten.units] == expected
    assert counted(rewritten.program, language) is not None, "the counted program still parses"


def test_values_set_before_any_case_are_suspects_that_no_case_counts() -> None:
    java = counted(JAVA, "java")
    assert java is not None
    assert [(unit.line, unit.end) for unit in java.idle] == [(2, 2)]


def test_what_does_not_parse_is_not_counted() -> None:
    assert counted("def f(:\n", "python") is None


def test_a_counted_endless_program_lets_the_other_cases_run(sandbox: Sandbox) -> None:
    program = "def f(x):\n    while x:\n        x = x\n    return 1\n"
    suite = inline_suite(["assert f(1) == 1", "assert f(0) == 1"])
    found = spectrum(suite, program, sandbox, LIMITS, pace=Pace(cpu_seconds=0.3, wall_seconds=3.0))
    assert found.verdict.outcomes[1].message.startswith("not run")
    assert found.failed == (True, False)
    assert [sorted(lines) for lines in found.covered] == [[2, 3], [2, 4]]
    assert localise(found)[0].line == 3


def test_the_line_that_throws_is_suspected_more(sandbox: Sandbox) -> None:
    program = "def f(x):\n    y = 0\n    z = x / y\n    return z\n"
    found = spectrum(inline_suite(["assert f(1) == 1"]), program, sandbox, LIMITS)
    first = localise(found)[0]
    assert first.line == 3
    assert "a failing case ends here: ZeroDivisionError: division by zero" in first.reasons


def test_doubt_decides_where_the_tests_do_not(sandbox: Sandbox) -> None:
    program = "def f(x):\n    y = x + 1\n    z = y - 1\n    return z\n"
    found = spectrum(inline_suite(["assert f(1) == 2"]), program, sandbox, LIMITS)
    assert [suspect.line for suspect in localise(found)] == [2, 3, 4]
    doubted = localise(found, {3: 0.9, 4: 0.2})
    assert [suspect.line for suspect in doubted] == [3, 4, 2]
    assert doubted[0].as_json()["doubt"] == 0.9
    assert "the model doubts it by 0.90" in doubted[0].reasons


def test_the_parse_error_names_the_suspect(sandbox: Sandbox) -> None:
    found = spectrum(inline_suite(["assert f(1) == 2"]), "def f(x):\n    return x +\n", sandbox, LIMITS)
    first = localise(found)[0]
    assert first.line == 2
    assert first.reasons[0].startswith("it does not parse or compile here: SyntaxError")


def test_a_program_that_passes_has_no_suspects(sandbox: Sandbox) -> None:
    found = spectrum(inline_suite(["assert f(1) == 2"]), "def f(x):\n    return x + 1\n", sandbox, LIMITS)
    assert localise(found) == []


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_ochiai_lies_between_none_and_one_and_falls_with_passing_cases(failing: int, passing: int, more: int) -> None:
    total = failing + more
    value = ochiai(failing, passing, total)
    assert 0 <= value <= 1
    assert ochiai(failing, passing + 1, total) <= value <= ochiai(failing + 1, passing, total)
    assert math.isclose(ochiai(total, 0, total), 1.0)

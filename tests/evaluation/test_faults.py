"""Faults: rows and mutants that tests notice, the lines in which they differ, and the search by inverse operators."""

from __future__ import annotations

import pytest

from agentic_diffusion.evaluation import inverse_search, repair_rows
from agentic_diffusion.evaluation.faults import changed_lines, of_mutants, of_rows
from agentic_diffusion.evaluation.rows import Row
from agentic_diffusion.evaluation.tasks import BenchTask
from agentic_diffusion.foundation.sandbox import Limits, Sandbox, choose
from agentic_diffusion.testing.execution import judge
from agentic_diffusion.testing.suite import make_suite

LIMITS = Limits(seconds=20.0)
RIGHT = "def f(x):\n    if x > 2:\n        return x + 1\n    return 0\n"
FAULTY = RIGHT.replace("x + 1", "x - 1")
TESTS = "assert f(3) == 4\nassert f(2) == 0\n"


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return choose()


def task(name: str = "quixbugs/python/f", **changes: object) -> BenchTask:
    fields = {
        "id": name,
        "language": "python",
        "kind": "repair",
        "text": "",
        "faulty": FAULTY,
        "tests": TESTS,
        "canonical": RIGHT,
    }
    return BenchTask(**(fields | changes))  # type: ignore[arg-type]


def test_a_row_whose_fault_the_tests_notice_is_a_fault(sandbox: Sandbox) -> None:
    (fault,) = of_rows([task()], sandbox, LIMITS)
    assert (fault.source, fault.lines, fault.program, fault.language) == ("quixbugs", {3}, FAULTY, "python")


@pytest.mark.parametrize("changes", [{"faulty": RIGHT}, {"canonical": FAULTY}, {"canonical": None}, {"kind": "write"}])
def test_other_rows_are_none(sandbox: Sandbox, changes: dict[str, object]) -> None:
    assert list(of_rows([task(**changes)], sandbox, LIMITS)) == []


def test_mutants_are_those_that_the_tests_notice_the_same_for_a_seed(sandbox: Sandbox) -> None:
    tasks = [task(f"t/{number}", kind="write") for number in range(3)]
    found = list(of_mutants(tasks, sandbox, LIMITS, count=2, seed=1))
    assert len(found) == 2
    for fault in found:
        assert not judge(fault.suite, [fault.program], sandbox, LIMITS)[0].ok
        assert fault.source == "mutants"
        assert changed_lines(fault.program, RIGHT) <= fault.lines
    again = list(of_mutants(tasks, sandbox, LIMITS, count=2, seed=1))
    assert [fault.program for fault in again] == [fault.program for fault in found]


def test_a_missing_line_is_noticed_on_both_sides_of_the_gap() -> None:
    assert changed_lines("a\nb\nc\n", "a\nb\nx\nc\n") == {2, 3}
    assert changed_lines("a\nb\n", "x\nb\n") == {1}
    assert changed_lines("a\n\nb\n", "a\nb\n") == frozenset(), "blank lines are no fault"


def test_inverse_operators_find_what_they_can_and_say_how_many_they_tried(sandbox: Sandbox) -> None:
    (fault,) = of_rows([task()], sandbox, LIMITS)
    program, judged = inverse_search.search(fault, sandbox, LIMITS, seconds=60.0)
    assert program == RIGHT
    assert judged >= 1
    texts = list(inverse_search.candidates(fault, sandbox, LIMITS))
    assert len(texts) == len(set(texts))
    assert FAULTY not in texts


def test_tests_of_junit_4_are_read_and_the_benchmark_s_formatter_is_ours() -> None:
    junit = (
        "package java_testcases.junit;\n\npublic class F_TEST {\n    @org.junit.Test(timeout = 3000)\n"
        "    public void test_0() throws java.lang.Exception {\n"
        "        java.util.ArrayList result = java_programs.F.f((int)2);\n"
        "        String shown = java_testcases.junit.QuixFixOracleHelper.format(result,true);\n"
        '        org.junit.Assert.assertEquals("[1,2]", shown);\n    }\n'
        "    @org.junit.Ignore @org.junit.Test(timeout = 9) public void slow() {}\n}\n"
    )
    fields = {
        "task_id": "quixbugs/java/F", "language": "java", "junit": junit,
        "buggy": "package java_programs;\nimport java.util.*;\npublic class F {\n}\n",
        "correct": "public class F {\n}\n",
    }  # fmt: skip
    found = repair_rows.quixbugs(Row(source="x", line=1, fields=fields))
    suite = make_suite(found.tests, origin="x", language="java")
    assert [case.name for case in suite.cases] == ["test_0"]
    assert 'assertEquals("[1,2]", shown)' in suite.cases[0].source
    assert "ArrayList result = F.f((int)2)" in suite.cases[0].source
    assert "class QuixFixOracleHelper" in found.tests

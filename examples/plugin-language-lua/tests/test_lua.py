"""Lua keeps the contract of languages, and the ways in which Lua's tests and programs can go wrong are told."""

from __future__ import annotations

import random

import pytest

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Limits, choose
from agentic_diffusion.testing import execution
from agentic_diffusion.testing.contracts import LANGUAGE_CHECKS, LanguageSample
from agentic_diffusion.testing.suite import inline_suite, make_suite

LUA = languages.get("lua")
SAMPLE = LanguageSample(
    function="twice",
    right="function twice(x)\n  return 2 * x\nend\n",
    wrong="function twice(x)\n  return 3 * x + 1\nend\n",
    failing="function twice(x)\n  local y\n  return y.z + x\nend\n",
    failing_line=3,
    broken="function twice(x)\n  return 2 * (x\nend\n",
    broken_lines=range(2, 4),
    tests=("assert(twice(2) == 4)", "assert(twice(-3) == -6)"),
    no_test="local unused = 1\n",
)
TESTS = """
local solution = require("solution")
local three = 3
assert(twice(2) == 4, "two") -- a comment
assert(
  solution.twice(three) == 6)
function test_more()
  assert(twice(4) == 8)
end
assert(twice(0) == 0)
"""


@pytest.fixture(scope="module")
def sandbox():
    return choose()


@pytest.mark.parametrize("check", LANGUAGE_CHECKS, ids=lambda check: check.__name__)
def test_lua_keeps_the_contract(check, sandbox):
    check(LUA, SAMPLE, sandbox)


def test_lua_is_found_by_the_ending_of_a_file(tmp_path):
    path = tmp_path / "twice_test.lua"
    path.write_text(TESTS)
    assert languages.for_file(path) is LUA
    assert [case.name for case in execution.load_suite(path).cases] == [
        'assert(twice(2) == 4, "two")', "assert( solution.twice(three) == 6)", "test_more", "assert(twice(0) == 0)",
    ]  # fmt: skip


def test_a_file_of_all_forms_is_judged(sandbox):
    suite = make_suite(TESTS, origin="x", language="lua")
    off = "local M = {}\nfunction M.twice(x) return x == 3 and 0 or 2 * x end\nreturn M\n"
    right, module = execution.judge(suite, [SAMPLE.right, off], sandbox)
    assert right.ok, right.message
    assert [outcome.status for outcome in module.outcomes] == ["passed", "failed", "passed", "passed"]


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("function twice(x) while true do end end", "timeout"),
        ("while true do end", "timeout"),
        ("function twice(x) local t = {} for i = 1, 1e9 do t[i] = i end end", "memory"),
        ("function twice(x) return coroutine.wrap(function() error('no') end)() end", "error"),
        ("function twice(x) return io.open('/etc/passwd') and 2 * x end", "error"),
        ("function twice(x) return debug.getregistry() and 2 * x end", "error"),
        ("function twice(x) return python.eval('1') end", "error"),
        ("function assert() end\nfunction twice(x) return 0 end", "failed"),
        (
            "string.rep = nil\nfunction twice(x) return setmetatable({}, {__eq = function() return true end}) end",
            "failed",
        ),
    ],
)
def test_programs_that_misbehave_pass_nothing(program, status, sandbox):
    suite = inline_suite([SAMPLE.tests[0]], language="lua")
    [verdict] = execution.judge(suite, [program], sandbox, Limits(seconds=3), pace=execution.Pace(wall_seconds=1.0))
    assert not verdict.ok
    assert verdict.outcomes[0].status == status, verdict.message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("assert(f(1) == )", "The tests (x) do not parse: line 1: "),
        ("assert(f(1)) assert(f(2))", "Line 1 of the tests (x) has more than one statement."),
        ("local a = 1", "The tests (x) hold no test."),
        ("", "The tests (x) hold no test."),
    ],
)
def test_tests_that_cannot_be_are_refused(source, message):
    with pytest.raises(UsageError) as caught:
        make_suite(source, origin="x", language="lua")
    assert caught.value.message.startswith(message)


def test_a_planted_assertion_differs_from_all_true_ones():
    for seed in range(5):
        planted = LUA.harness.planted(TESTS, random.Random(seed))
        assert planted.source.startswith(TESTS.rstrip())
        assert planted.source.splitlines()[-1] not in TESTS

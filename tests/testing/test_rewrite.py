"""Sealed programs and the values that come back: nothing expected is sent, and no value changes on the way."""

from __future__ import annotations

import ast
import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.testing import claims, rewrite, values, worker_cases
from agentic_diffusion.testing.pytest_stub import approx

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(bytearray, st.binary())
)
HASHABLE = st.integers() | st.text() | st.tuples(st.integers(), st.text())
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.builds(tuple, st.lists(inner))
        | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE)
        | st.frozensets(HASHABLE)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    back = values.decode(json.loads(json.dumps(worker_cases.encode(value))))
    assert type(back) is type(value)
    assert back == value


def test_nan_comes_back() -> None:
    assert math.isnan(values.decode(worker_cases.encode(float("nan"))))


@pytest.mark.parametrize(
    "value",
    [
        object(),
        range(3),
        approx(1),
        type("L", (list,), {})(),
        [1, {2: object()}],
        pytest.param(10**400_000, id="large"),
        {1: print},
    ],
)
def test_other_values_are_not_sent(value: Any) -> None:
    with pytest.raises(worker_cases.OpaqueError):
        worker_cases.encode(value)


def test_deep_values_are_not_sent() -> None:
    value: list[Any] = []
    for _ in range(500):
        value = [value]
    with pytest.raises(worker_cases.OpaqueError):
        worker_cases.encode(value)


@pytest.mark.parametrize(
    "data", [{}, {"no": 1}, {"int": "x"}, {"set": [[1]]}, {"a": 1, "b": 2}, {"range": ["1"]}, 1.5, [0] * 30_000]
)
def test_forged_values_are_refused(data: Any) -> None:
    with pytest.raises(values.ForeignValueError):
        values.decode(data)


@given(st.integers() | st.text() | st.lists(st.integers()) | st.tuples(st.text()), st.integers(0, 2**32))
def test_the_answer_is_not_in_a_sealed_program(answer: Any, seed: int) -> None:
    source = f"assert f('question') == {answer!r}\nassert {answer!r} in f(('two', 2))\n"
    program = rewrite.build(source, sealed=True, rng=random.Random(seed))
    sent = {
        node.value
        for part in program.sent["parts"]
        for node in ast.walk(ast.parse(part["code"]))
        if isinstance(node, ast.Constant)
    }
    assert sent <= {"question", "two", 2, 0, 1}
    assert [check.expected for check in program.checks] == [answer, answer]
    assert [check.mirrored for check in program.checks] == [False, True]
    assert program.required == {0: (0,), 1: (1,)}


@given(
    st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.booleans()
    | st.binary()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.integers())
    | st.tuples(st.integers()),
    st.integers(0, 2**32),
)
def test_another_value_is_another(value: Any, seed: int) -> None:
    other = claims.other_value(value, random.Random(seed))
    assert type(other) is type(value)
    assert other != value or abs(value) > 1e15


@pytest.mark.parametrize(
    ("assertion", "actual", "message"),
    [
        ("f(3) == 7", 5, "f(3) gave 5, expected 7"),
        ("7 == f(3)", 5, "f(3) gave 5, expected 7"),
        ("f(3) != 7", 7, "f(3) gave 7, expected != 7"),
        ("f(3) < 7", 8, "f(3) gave 8, expected < 7"),
        ("7 < f(3)", 5, "f(3) gave 5, expected 7 < it"),
        ("f(3) is None", 0, "f(3) gave 0, expected None itself"),
        ("f(3) in (1, 2)", 3, "f(3) gave 3, expected one of (1, 2)"),
        ("'a' in f(3)", "bc", "f(3) gave 'bc', which does not contain 'a'"),
        ("'a' not in f(3)", "abc", "f(3) gave 'abc', expected 'a' not in it"),
        ("f(3) == approx(0.3)", 0.4, "f(3) gave 0.4, expected approx(0.3)"),
    ],
)
def test_sealed_comparisons(assertion: str, actual: Any, message: str) -> None:
    (check,) = rewrite.build(f"assert {assertion}", sealed=True, rng=random.Random(0)).checks
    assert check.sealed
    assert not values.holds(check, actual)
    assert values.complaint(check, values.shown(actual), values.shown(check.expected)) == message


def test_sealed_comparisons_that_hold() -> None:
    for assertion, actual in [
        ("f() == 0.3", 0.3),
        ("f() == approx(0.3)", 0.1 + 0.2),
        ("1 <= f()", 1),
        ("f() is True", True),
    ]:
        (check,) = rewrite.build(f"assert {assertion}", sealed=True, rng=random.Random(0)).checks
        assert values.holds(check, actual)


def test_messages_are_short() -> None:
    assert len(values.shown("x" * 10_000)) == values.SHOWN


def test_a_comparison_of_two_computed_values_is_not_sealed() -> None:
    for source in ("assert f(1) == g(1)", "assert f(1) is 'x'", "assert f(1)", "assert 0 < f(1) < 3"):
        (check,) = rewrite.build(source, sealed=True, rng=random.Random(0)).checks
        assert not check.sealed


def test_negation_is_drawn_and_fixed_by_the_seed() -> None:
    source = "\n".join(f"assert f({number})" for number in range(64))
    negated = [check.negated for check in rewrite.build(source, sealed=True, rng=random.Random(1)).checks]
    assert 10 < sum(negated) < 54
    assert negated == [check.negated for check in rewrite.build(source, sealed=True, rng=random.Random(1)).checks]


def test_what_an_honest_run_cannot_miss() -> None:
    source = (
        "def test_a():\n"
        "    assert f(1) == 1 and f(2) == 2\n"
        "    if f(3):\n        assert f(4) == 4\n"
        "    for _ in f(5):\n        assert f(6) == 6\n"
        "    assert f(7) == 7\n"
        "    if f(8):\n        return\n"
        "    assert f(9) == 9\n"
    )
    program = rewrite.build(source, sealed=True, rng=random.Random(0))
    named = {number: check.left for number, check in enumerate(program.checks)}
    assert [named[number] for number in program.required[0]] == ["f(1)", "f(2)", "f(7)"]


@given(st.integers(0, 2**32))
def test_one_more_case_is_planted(seed: int) -> None:
    source = (
        "import unittest\nassert f(1) == 2\nassert f(2)\n"
        "def test_a():\n    x = f(3)\n    assert x == [1]\n    assert g(x) == 'y'\n"
        "class T(unittest.TestCase):\n    def test_b(self):\n        self.assertEqual(f(4), 5)\n"
    )
    program = rewrite.build(source, sealed=False, rng=random.Random(seed), planted=True)
    assert program.planted is not None
    assert sorted(program.owners) == [-1, 0, 1, 2, 3]
    assert program.owners[program.planted] == -1
    assert program.required[program.planted]


@pytest.mark.parametrize(
    ("assertion", "claims"),
    [
        ("f(1) == [2]", "f(1) == [2, "),
        ("f(1) == g(2)", "f(1) == [g(2)]"),
        ("f(1) == {1}", "f(1) == [{1}]"),
        ("f(1) < g(2)", "g(2) < f(1)"),
        ("f(1) is None", "f(1) is ..."),
        ("f(1) in g(2)", "(f(1), 0) in [g(2)]"),
        ("f(1) and g(2)", "not f(1)"),
        ("f(1) != 2", "not f(1) != 2"),
    ],
)
def test_what_is_planted_is_another_claim(assertion: str, claims: str) -> None:
    program = rewrite.build(f"assert {assertion}", sealed=False, rng=random.Random(3), planted=True)
    (number,) = program.required[program.planted or 0]
    assert program.checks[number].source.startswith(claims)


def test_another_claim_is_preferred_to_a_negation() -> None:
    source = "assert f(1)\nassert f(2) != 3\ndef test_a():\n    assert f(4) == 5\nassert f(6)\n"
    for seed in range(20):
        program = rewrite.build(source, sealed=False, rng=random.Random(seed), planted=True)
        assert program.planted is not None
        assert program.checks[program.required[program.planted][-1]].source.startswith("f(4) == ")

"""Reports that a hostile candidate could write, nonce and all: each is told as faked or failed, and none raises."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.testing import rewrite, verdicts
from agentic_diffusion.testing.execution import inline_suite

SUITE = inline_suite(["assert f(1) == 2", "assert g(f(2), f(3))"])
PROGRAM = rewrite.build(SUITE.source, sealed=True, rng=random.Random(0))
YES = not PROGRAM.checks[1].negated
HONEST: list[list[Any]] = [
    ["begin", 0],
    ["value", 0, 2],
    ["end", 0, 0.1],
    ["begin", 1],
    ["truth", 1, YES, []],
    ["end", 1, 0.1],
    ["finish"],
]


def read(events: list[Any], **reply: Any) -> verdicts.Verdict | None:
    given_reply = {"lines": [json.dumps(event) for event in events], "forged": False, "cut": None, "status": 0, **reply}
    return verdicts.read(SUITE, "candidate", PROGRAM, given_reply, "tier")


def test_the_honest_report() -> None:
    verdict = read(HONEST)
    assert verdict is not None
    assert (verdict.ok, verdict.passed, verdict.message, verdict.tier) == (True, 2, "", "tier")


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (HONEST[:1] + HONEST[2:], "a case ended without running its assertions"),
        (HONEST[3:], "cases were reported out of order"),
        (HONEST[:3] + HONEST[6:], "a report ended before its cases"),
        ([*HONEST, ["begin", 0]], "a report went on after its end"),
        ([*HONEST[:3], *HONEST], "cases were reported out of order"),
        ([["truth", 0, True, []], *HONEST], "a truth was reported where none is asked for"),
        ([["value", 1, 2], *HONEST], "a value was reported where none is asked for"),
        ([["end", 0, 0.1], *HONEST], "a case ended that had not begun"),
        ([["passed"], *HONEST], "a report holds an event that does not exist"),
        ([["value", 0, {"os": 1}], *HONEST], "a value from the sandbox could not be read"),
        ([["value", 99, 1], *HONEST], "a report cannot be read"),
        ([["begin"], *HONEST], "a report cannot be read"),
        ([5, *HONEST], "a report cannot be read"),
        ([["alike", 0], *HONEST], "a value claims to equal everything"),
    ],
)
def test_contradictions(events: list[Any], why: str) -> None:
    verdict = read(events)
    assert verdict is not None
    assert (verdict.ok, verdict.passed) == (False, 0)
    assert verdict.message == f"faked: {why}"


def test_a_wrong_nonce_and_a_wrong_end() -> None:
    for reply in ({"forged": True}, {"status": 1}, {"status": -9}):
        verdict = read(HONEST, **reply)
        assert verdict is not None
        assert verdict.message.startswith("faked: ")


def test_lines_that_are_no_json() -> None:
    for line in ("", "{", "[" * 100_000):
        verdict = verdicts.read(
            SUITE, "c", PROGRAM, {"lines": [line], "forged": False, "cut": None, "status": 0}, "tier"
        )
        assert verdict is not None
        assert verdict.message == "faked: a report cannot be read"


def test_a_value_that_cannot_be_sent_asks_for_the_open_form() -> None:
    assert read([HONEST[0], ["opaque", 0, "text"], *HONEST[2:]]) is None
    found = verdicts.must_read(
        SUITE,
        "c",
        PROGRAM,
        {"lines": ['["begin", 0]', '["opaque", 0, ""]'], "forged": False, "cut": None, "status": 0},
        "tier",
    )
    assert found.message.startswith("faked")


@pytest.mark.parametrize(
    ("reply", "status", "message"),
    [
        ({"cut": "time", "status": -9}, "timeout", "the case did not end in time"),
        ({"cut": "output", "status": -9}, "output", "too much output"),
        ({"status": -24}, "timeout", "too much processor time"),
        ({"status": -9}, "killed", "killed before finishing (memory, or by itself)"),
        ({"status": -11}, "killed", "died before finishing (SIGSEGV)"),
        ({"status": -63}, "killed", "died before finishing (signal 63)"),
        ({"status": 3}, "killed", "died before finishing (exit status 3)"),
    ],
)
def test_ends_before_the_end(reply: dict[str, Any], status: str, message: str) -> None:
    verdict = read(HONEST[:4], **reply)
    assert verdict is not None
    assert [outcome.status for outcome in verdict.outcomes] == ["passed", status]
    assert verdict.message == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
EVENT = st.tuples(
    st.sampled_from(["begin", "end", "value", "truth", "raised", "opaque", "alike", "finish"]),
    st.lists(JSON, max_size=5),
)


@given(st.lists(st.one_of(st.sampled_from(HONEST), EVENT.map(lambda event: [event[0], *event[1]]), JSON), max_size=12))
def test_nothing_that_is_written_can_raise(events: list[Any]) -> None:
    verdict = read(events)
    if verdict is not None and verdict.ok:
        # only a report that gives the right answer in the right order can pass
        assert [event for event in events if event[0] != "value"] == [event for event in HONEST if event[0] != "value"]

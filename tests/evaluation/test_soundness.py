"""Hidden cases come from the canonical solution, and tests that cannot be believed are left out."""

from __future__ import annotations

import pytest
from own_rows import ROWS

from agentic_diffusion.evaluation.loaders import load
from agentic_diffusion.evaluation.soundness import check, poor_bodies
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.testing.execution import judge

LIMITS = Limits(seconds=10)
MORE = [
    ROWS["mbpp"],
    ROWS["mbpp"] | {"task_id": "wrong", "code": "def plus_one(n):\n    return n + 2\n"},
    ROWS["mbpp"] | {"task_id": "constant", "code": "def same(n):\n    return 5\n",
                    "test_list": ["assert same(1) == 5", "assert same(2) == 5"]},
    ROWS["mbpp"] | {"task_id": "unreadable", "test_list": ["assert plus_one(1) == 2", "import numpy"]},
    ROWS["mbpp"] | {"task_id": "ratio", "code": "def ratio(a, b):\n    return a / b\n",
                    "test_list": ["assert ratio(1, 4) == 0.25", "assert ratio(3, 2) == 1.5"]},
]  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory, sandbox):
    import json

    path = tmp_path_factory.mktemp("rows") / "own.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in MORE))
    return check(load(str(path)).tasks, sandbox, LIMITS, hidden=4, bodies=10)


def test_tasks_that_prove_nothing_are_left_out_and_named(found):
    assert [ready.task.id for ready in found.ready] == ["7", "ratio"]
    reasons = dict(found.left_out)
    assert reasons["wrong"].startswith("its canonical solution fails its tests: AssertionError")
    assert reasons["constant"] == "its tests pass for the body 'return 5'"
    assert reasons["unreadable"].startswith("its tests cannot be used here: ")
    assert (found.with_canonical, found.canonical_passed, found.bodies_passed) == (4, 3, 1)
    assert found.as_json()["tasks"] == 2


def test_hidden_cases_tell_a_program_that_knows_the_examples(found, sandbox):
    ready = found.ready[0]
    assert ready.has_hidden
    knowing = "def plus_one(n):\n    return {1: 2, 5: 6, 9: 10}.get(n)\n"
    wrong, right = judge(ready.suite, [knowing, "def plus_one(n):\n    return 1 + n\n"], sandbox, LIMITS)
    assert (ready.passes(wrong), wrong.ok) == (True, False)
    assert (ready.passes(right), right.ok) == (True, True)


def test_fractions_are_compared_with_some_room(found, sandbox):
    ready = found.ready[1]
    assert "abs(ratio(" in ready.suite.source
    near = "def ratio(a, b):\n    return a / b + (0 if (a, b) in ((1, 4), (3, 2)) else 1e-9)\n"
    assert judge(ready.suite, [near], sandbox, LIMITS)[0].ok


def test_poor_bodies_are_programs_and_every_one_scores_nothing(found, sandbox):
    ready = found.ready[0]
    bodies = poor_bodies(ready.task)
    assert len(bodies) >= 6
    assert not any(ready.passes(verdict) for verdict in judge(ready.suite, bodies, sandbox, LIMITS))

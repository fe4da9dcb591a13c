"""Checks run side by side; a failing, crashing or hanging one is a result and spoils no other."""

from __future__ import annotations

import threading

import pytest

from agentic_diffusion.foundation.errors import StoreError, UsageError
from agentic_diffusion.installer.health import Check, Finding, chosen, healthy, run


def fine() -> Finding:
    return Finding(status="ok", message="fine")


def refuses() -> Finding:
    raise StoreError("The database is locked.", hint="Close the other program.")


def breaks() -> Finding:
    raise ZeroDivisionError("by nothing")


def test_each_check_becomes_one_result_in_order() -> None:
    results = run({"a": refuses, "b": fine, "c": breaks})

    assert [result.as_dict() for result in results] == [
        {"name": "a", "status": "fail", "message": "The database is locked.", "fix": "Close the other program."},
        {"name": "b", "status": "ok", "message": "fine", "fix": ""},
        {"name": "c", "status": "crash", "message": "ZeroDivisionError: by nothing", "fix": "report this"},
    ]
    assert not healthy(results)
    assert healthy(results[1:2])


def test_checks_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=5)

    def meets() -> Finding:
        together.wait()
        return fine()

    assert healthy(run(dict.fromkeys(("a", "b", "c"), meets)))


def test_a_check_that_hangs_is_named_and_the_others_are_kept() -> None:
    never = threading.Event()

    def hangs() -> Finding:
        never.wait()
        return fine()

    results = run({"slow": hangs, "quick": fine}, seconds=0.1)
    never.set()

    assert [result.status for result in results] == ["crash", "ok"]
    assert results[0].message == "no answer within 0.1 s"


def test_a_warning_is_healthy() -> None:
    assert healthy(run({"a": lambda: Finding(status="warn", message="slow"), "b": fine}))


def test_choosing_by_name() -> None:
    checks: dict[str, Check] = {"a": fine, "b": fine}

    assert list(chosen(checks, [])) == ["a", "b"]
    assert list(chosen(checks, ["b"])) == ["b"]
    with pytest.raises(UsageError, match="no check 'c'") as caught:
        chosen(checks, ["c"])
    assert caught.value.hint == "Known are: a, b."

"""What a generation gives back: its sentences and its JSON, for results of every kind."""

import json

from agentic_diffusion.codegen.result import Candidate, GenerationResult
from agentic_diffusion.testing.suite import inline_suite
from agentic_diffusion.testing.verdicts import Outcome, Verdict

SUITE = inline_suite(["assert f(1) == 2", "assert f(2) == 3"])


def _verdict(*passed: bool) -> Verdict:
    outcomes = tuple(
        Outcome(
            case=case, status="passed" if good else "failed", message="" if good else "AssertionError: 1 == 2",
            error_type=None, line=None, seconds=0.0,
        )
        for case, good in zip(SUITE.cases, passed, strict=True)
    )  # fmt: skip
    message = "" if all(passed) else "AssertionError: 1 == 2"
    return Verdict(
        candidate="", outcomes=outcomes, passed=sum(passed), total=2, ok=all(passed), tier="none", failure_line=None,
        message=message,
    )  # fmt: skip


def _candidate(**changes) -> Candidate:
    return Candidate(
        **{
            "number": 3, "origin": "sample", "program": "def f(x):\n    return x\n", "tokens": [1], "finished": True,
            "confidences": [0.5], "confidence": -0.7,
        } | changes
    )  # fmt: skip


def _result(best: Candidate | None, **changes) -> GenerationResult:
    return GenerationResult(
        language="python",
        **{
            "program": best.program if best else "", "verified": False, "best": best,
            "candidates": [best] if best else [], "drawn": 4, "suite": SUITE, "mode": "ar", "seed": 0, "forwards": 10,
            "row_forwards": 40, "new_tokens": 60, "denoise_seconds": 2.0, "judge_seconds": 0.5, "seconds": 3.0,
            "tier": "none", "weights": "0",
        } | changes
    )  # fmt: skip


def test_rates_are_per_second_of_denoising_and_per_forward_of_a_sample():
    result = _result(_candidate())
    assert (result.tokens_per_second, result.tokens_per_forward) == (30.0, 1.5)
    nothing = _result(None, denoise_seconds=0.0, row_forwards=0)
    assert (nothing.tokens_per_second, nothing.tokens_per_forward) == (0.0, 0.0)


def test_the_share_passed_is_of_all_tests():
    assert _candidate(verdict=_verdict(True, False)).share_passed == 0.5
    assert _candidate().share_passed == 0.0
    assert not _candidate(program="").parses
    assert not _candidate(parse_error="line 1: invalid syntax").parses


def test_every_result_explains_itself():
    half = _candidate(verdict=_verdict(True, False))
    assert _result(None).explain() == "No candidate held any code."
    assert _result(half).explain() == (
        "Candidate 3 (sample) came closest of 1 distinct candidate(s): it passed 1 of 2 tests; AssertionError: 1 == 2."
    )
    won = _candidate(verdict=_verdict(True, True))
    assert _result(won, verified=True).explain().startswith("Candidate 3 (sample) passed 2 of 2 tests, and again alone")
    assert _result(_candidate(), suite=None).explain() == (
        "Candidate 3 (sample) was taken because it parses and the model was surest of it; nothing was tested."
    )
    broken = _candidate(parse_error="line 2: invalid syntax")
    assert "it does not parse (line 2: invalid syntax)" in _result(broken, suite=None).explain()


def test_json_says_what_the_object_says():
    result = _result(_candidate(verdict=_verdict(True, False)))
    data = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert data["explanation"] == result.explain()
    assert data["candidates"][0] == {
        "number": 3, "origin": "sample", "program": "def f(x):\n    return x\n", "finished": True,
        "mean_log_probability": -0.7, "parse_error": None, "undefined": None,
        "style_distance": None, "passed": 1, "total": 2, "ok": False,
        "message": "AssertionError: 1 == 2",
    }  # fmt: skip
    assert _candidate().as_json()["ok"] is None

"""A judge that stays: the same verdicts turn after turn, from one worker."""

from __future__ import annotations

import pytest

from agentic_diffusion.foundation.sandbox import Limits, Sandbox
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.execution import Pace, inline_suite, judge
from agentic_diffusion.testing.standing_judge import StandingJudge

LIMITS, PACE = Limits(seconds=20.0), Pace(cpu_seconds=1.0, wall_seconds=5.0)
PROGRAMS = {
    "python": ["def f(x):\n    return x + 1\n", "def f(x:\n", "def f(x):\n    return x\n"],
    "javascript": ["const f = (x) => x + 1;\n", "const f = (\n", "const f = (x) => x;\n"],
}
TESTS = {"python": "assert f(1) == 2", "javascript": "assert.equal(f(1), 2)"}


@pytest.mark.parametrize("language", PROGRAMS)
def test_every_turn_gives_the_verdicts_of_a_judge_that_comes_and_goes(sandbox: Sandbox, language: str) -> None:
    if language != "python" and toolchains.find("node") is None:
        pytest.skip("node is not installed")
    suite = inline_suite([TESTS[language]], language=language)
    expected = [verdict.ok for verdict in judge(suite, PROGRAMS[language], sandbox, LIMITS, pace=PACE)]
    assert expected == [True, False, False]
    with StandingJudge(suite, sandbox, LIMITS, PACE) as court:
        assert court.batch >= 1
        assert [verdict.ok for verdict in court.each(PROGRAMS[language])] == expected
        process = court.server.process if court.server is not None else None
        assert [verdict.ok for verdict in court.each(PROGRAMS[language][::-1])] == expected[::-1]
        assert court.server is None or court.server.process is process, "the worker stays"
        assert list(court.each([])) == []
    assert court.server is None or court.server.process is None

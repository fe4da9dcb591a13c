"""The gate accepts what is better beyond chance, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.adaptation.gate import GateSettings, judge
from agentic_diffusion.foundation.errors import ConfigError, UsageError


def test_clear_gains_are_accepted_and_clear_losses_refused():
    rng = np.random.default_rng(0)
    before = rng.normal(100, 30, 60)
    better = judge(before, before + rng.normal(5, 4, 60), GateSettings())
    assert better.accepted
    assert better.interval[0] > 0
    assert not judge(before, before - rng.normal(5, 4, 60), GateSettings()).accepted


def test_pairing_sees_a_small_gain_among_tasks_that_differ_much():
    rng = np.random.default_rng(1)
    before = rng.normal(100, 200, 50)
    assert judge(before, before + 1 + rng.normal(0, 1, 50), GateSettings()).confidence > 0.99


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_identical_rewards_are_never_accepted(rewards):
    verdict = judge(np.array(rewards), np.array(rewards), GateSettings(resamples=100))
    assert (verdict.accepted, verdict.confidence, verdict.gain) == (False, 0.0, 0.0)


def test_chance_passes_about_as_often_as_the_confidence_says():
    rng = np.random.default_rng(2)
    passed = [judge(np.zeros(40), rng.normal(0, 1, 40), GateSettings(resamples=400)).accepted for _ in range(300)]
    assert 0.02 < np.mean(passed) < 0.09


def test_rewards_of_other_tasks_and_impossible_settings_are_refused():
    with pytest.raises(UsageError, match=r"rewards of shapes \(3,\) and \(2,\)"):
        judge(np.zeros(3), np.zeros(2), GateSettings())
    with pytest.raises(ConfigError, match="confidence 1"):
        GateSettings(confidence=1.5)

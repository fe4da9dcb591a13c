"""pass@k, intervals and paired differences: their laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.evaluation import passk
from agentic_diffusion.foundation.errors import UsageError

COUNTS = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(COUNTS)
def test_the_estimate_is_the_share_of_draws_with_a_right_sample(counts):
    n, c, k = counts
    assert passk.pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)


def test_it_is_unbiased_by_counting_every_draw():
    right = [True, False, False, True, False, False]
    for k in range(1, 7):
        draws = list(itertools.combinations(right, k))
        assert passk.pass_at_k(6, 2, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@given(COUNTS)
def test_more_draws_and_more_right_samples_never_lower_it(counts):
    n, c, k = counts
    value = passk.pass_at_k(n, c, k)
    assert 0 <= value <= 1
    assert k == n or passk.pass_at_k(n, c, k + 1) >= value - 1e-12
    assert c == n or passk.pass_at_k(n, c + 1, k) >= value - 1e-12
    assert passk.pass_at_k(n, c, 1) == pytest.approx(c / n)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_impossible_counts_are_refused(n, c, k):
    with pytest.raises(UsageError, match=rf"pass@{k} cannot be told from {n} samples of which {c} are right"):
        passk.pass_at_k(n, c, k)


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_between_zero_and_one(counts):
    right, trials = counts
    found = passk.wilson(right, trials)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12 <= 1 + 1e-9


def test_wilson_by_a_published_value():
    found = passk.wilson(13, 164)
    assert (found.low, found.high) == (pytest.approx(0.0469, abs=1e-4), pytest.approx(0.1309, abs=1e-4))
    with pytest.raises(UsageError, match="5 of 4 is no share"):
        passk.wilson(5, 4)


def test_one_sample_a_task_takes_wilson_and_more_take_the_bootstrap():
    rng = np.random.default_rng(0)
    assert passk.score([(1, 1), (1, 0)], 1, rng) == passk.wilson(1, 2)
    several = passk.score([(4, 1), (4, 0), (4, 4)], 2, rng)
    assert several.method == "bootstrap over tasks"
    assert several.value == pytest.approx(np.mean([0.5, 0.0, 1.0]))
    assert several.low <= several.value <= several.high


def test_the_bootstrap_narrows_with_more_tasks_and_is_fixed_by_its_generator():
    few, many = [0.0, 1.0] * 5, [0.0, 1.0] * 100
    narrow, wide = (passk.bootstrap(values, np.random.default_rng(1)) for values in (many, few))
    assert narrow.high - narrow.low < wide.high - wide.low
    assert passk.bootstrap(few, np.random.default_rng(1)) == wide


def test_paired_differences_take_what_is_common_and_turn_with_the_order():
    left = {"a": (1, 1), "b": (1, 1), "c": (1, 0), "only": (1, 1)}
    right = {"a": (1, 1), "b": (1, 0), "c": (1, 0)}
    found, common = passk.paired_difference(left, right, 1, np.random.default_rng(0))
    turned, _ = passk.paired_difference(right, left, 1, np.random.default_rng(0))
    assert (found.value, common) == (pytest.approx(1 / 3), 3)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))
    same, _ = passk.paired_difference(left, left, 1, np.random.default_rng(0))
    assert (same.low, same.value, same.high) == (0, 0, 0)
    with pytest.raises(UsageError, match="no task in common"):
        passk.paired_difference(left, {"x": (1, 1)}, 1, np.random.default_rng(0))

"""New inputs keep what holds in all known calls, and differ from them."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.evaluation.inputs import mutate, new_inputs

LITERALS = st.booleans() | st.integers(-500, 500) | st.floats(-50, 50) | st.text("ab ", max_size=4)
VALUES = LITERALS | st.lists(LITERALS, max_size=3) | st.tuples(LITERALS, st.lists(LITERALS, max_size=2))


@given(VALUES, st.integers(0, 2**32))
def test_a_changed_value_keeps_its_type(value, seed):
    assert type(mutate(value, Random(seed))) is type(value)


@given(st.integers(-(10**6), 10**6), st.integers(0, 2**32))
def test_a_number_keeps_its_sign_and_stays_near(value, seed):
    made = mutate(value, Random(seed))
    assert (made >= 0) == (value >= 0) or made == 0 or value < 0
    assert abs(made) <= max(1000, abs(value) + 1)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.lists(st.integers(1, 60), min_size=3, max_size=6).map(sorted)), min_size=2, max_size=3),
       st.integers(0, 2**32))  # fmt: skip
def test_lists_stay_sorted_and_numbers_positive(calls, seed):
    known = [tuple(call) for call in calls]
    for (made,) in new_inputs(known, 5, Random(seed)):
        assert made == sorted(made)
        assert all(number >= 1 for number in made)


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=2, max_size=3), st.integers(0, 2**32))
def test_a_number_that_is_a_length_stays_one(lists, seed):
    known = [(items, len(items)) for items in lists]
    for items, length in new_inputs(known, 5, Random(seed)):
        assert len(items) == length


@settings(max_examples=50)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=3), st.integers(0, 2**32))
def test_new_inputs_are_new_distinct_and_fixed_by_the_generator(calls, seed):
    made = new_inputs(calls, 4, Random(seed))
    shown = [repr(call) for call in made]
    assert len(set(shown)) == len(shown) <= 4
    assert not set(shown) & {repr(call) for call in calls}
    assert repr(new_inputs(calls, 4, Random(seed))) == repr(made)


def test_nothing_comes_of_nothing():
    assert new_inputs([], 3, Random(0)) == []
    assert new_inputs([()], 3, Random(0)) == []

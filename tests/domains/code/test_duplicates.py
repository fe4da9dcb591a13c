"""Duplicates: equal and nearly equal texts are found, others are not, and no text is dropped by chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.domains.code.duplicates import NEARLY, DuplicateFinder, jaccard

WORDS = [f"name{number}" for number in range(300)]


def test_what_differs_in_blanks_alone_is_equal():
    finder = DuplicateFinder()
    assert finder.add("a", "def f(x):\n    return x") is None
    assert finder.add("b", "def f(x): return  x\n") == ("equal", "a")
    assert finder.add("c", "def f(y): return y") is None


@settings(max_examples=40, deadline=None)
@given(changed=st.integers(0, 60), seed=st.integers(0, 99))
def test_nearly_equal_is_what_the_jaccard_index_says(changed, seed):
    draw = np.random.default_rng(seed)
    text = list(draw.permutation(WORDS))
    other = list(text)
    for place in draw.choice(len(text), size=changed, replace=False):
        other[place] = f"other{place}"
    finder = DuplicateFinder()
    assert finder.add("a", " ".join(text)) is None
    runs = [set(zip(*(words[place:] for place in range(5)), strict=False)) for words in (text, other)]
    index = len(runs[0] & runs[1]) / len(runs[0] | runs[1])
    found = finder.add("b", " ".join(other))
    assert found == (("equal", "a") if not changed else ("nearly equal", "a") if index >= NEARLY else None)


def test_short_texts_are_compared_for_equality_alone():
    finder = DuplicateFinder()
    assert finder.add("a", "import os") is None
    assert finder.add("b", "import re") is None
    assert finder.add("c", "import os") == ("equal", "a")
    assert finder.add("d", "") is None


def test_jaccard_of_sets():
    left, right = np.array([1, 2, 3], dtype=np.uint64), np.array([2, 3, 4], dtype=np.uint64)
    assert jaccard(left, right) == pytest.approx(0.5)
    assert jaccard(left[:0], right[:0]) == 1.0
    assert jaccard(left, right[:0]) == 0.0

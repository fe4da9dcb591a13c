"""Holes in programs: they join to the program again, and are worth filling."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.domains.code.holes import LONGEST_SPAN, MOST_LINES, cut_hole
from agentic_diffusion.foundation.errors import UsageError

PROGRAM = "def f(x):\n    # double\n    y = 2 * x\n\n    if y > 3:\n        y -= 1\n    return y\n"
LINES = st.sampled_from(["def g(a):", "  x = 1", "", "}", "  return x", "// note", "  # note", "é(", '  """Doc."""'])


@settings(max_examples=80, deadline=None)
@given(lines=st.lists(LINES, max_size=12), kind=st.sampled_from(["line", "lines", "span"]), seed=st.integers(0, 999))
def test_the_three_parts_join_to_the_program(lines, kind, seed):
    program = "\n".join(lines)
    hole = cut_hole(program, kind, random.Random(seed))
    if hole is not None:
        assert hole.prefix + hole.middle + hole.suffix == program
        assert hole.middle.strip()
        assert hole == cut_hole(program, kind, random.Random(seed))


@pytest.mark.parametrize("kind", ["line", "lines", "span"])
def test_holes_have_the_size_of_their_kind_and_leave_the_head(kind):
    holes = [cut_hole(PROGRAM, kind, random.Random(seed)) for seed in range(60)]
    assert all(hole is not None for hole in holes)
    for hole in holes:
        if kind == "span":
            assert len(hole.middle) <= LONGEST_SPAN
        else:
            assert hole.prefix.startswith("def f(x):\n")
            assert hole.prefix.endswith("\n")
            assert 1 <= len(hole.middle.splitlines()) <= (1 if kind == "line" else MOST_LINES)
    assert len({hole.middle for hole in holes}) >= 3


def test_comments_blank_lines_and_brackets_alone_are_no_holes():
    middles = {cut_hole(PROGRAM, "line", random.Random(seed)).middle for seed in range(60)}
    assert middles == {"    y = 2 * x\n", "    if y > 3:\n", "        y -= 1\n", "    return y\n"}
    assert cut_hole("def f():\n\n    # nothing\n", "line", random.Random(0)) is None
    assert cut_hole("", "span", random.Random(0)) is None
    with pytest.raises(UsageError, match="There is no hole of kind 'word'"):
        cut_hole(PROGRAM, "word", random.Random(0))

"""Versions in PEP 440's order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.packages import versions

# The order that PEP 440 itself gives, with epochs and local versions.
ORDER = [
    "no version", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2",
    "1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7", "1.0+5",
    "1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1", "1!0.5",
]  # fmt: skip


def test_the_order_of_the_standard() -> None:
    for earlier, later in itertools.pairwise(ORDER):
        assert versions.key(earlier) < versions.key(later), (earlier, later)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.integers(0, 3))
def test_trailing_zeros_count_for_nothing(release: list[int], zeros: int) -> None:
    short = ".".join(map(str, release))
    assert versions.key(short) == versions.key(short + ".0" * zeros)
    assert versions.key(f"{short}rc1") < versions.key(short) < versions.key(f"{short}.post1")


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.0-1", "1.0.post1"), ("1.0c1", "1.0rc1"), ("v1.0", "1.0"), ("1.0-ALPHA.1", "1.0a1"), ("1.0rev2", "1.0.post2")],
)
def test_spellings_of_one_version(one: str, other: str) -> None:
    assert versions.key(one) == versions.key(other)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [("1.2.3", "2.0", "major"), ("1.2.3", "1.3", "minor"), ("1.2.3", "1.2.4", "patch"), ("1.0", "1!1.0", "major"),
     ("1", "1.0.1", "patch"), ("2.0.0", "1.9", "major")],
)  # fmt: skip
def test_how_far_apart(old: str, new: str, word: str) -> None:
    assert versions.leap(old, new) == word

"""Other claims: whatever an honest program answers, the assertion holds for it and the other claim does not."""

from __future__ import annotations

import ast
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.testing.claims import almost_equal, other_claim
from agentic_diffusion.testing.pytest_stub import approx

FORMS = (
    "abs(x - {n}) < {t}",
    "abs({n} - x) <= {t}",
    "{t} > abs(x - {n})",
    "{t} >= math.fabs(x - {n})",
    "abs(x - N) < T",
    "abs(x - (N + 0)) / 7 < T",
    "abs(x - abs(N) * math.copysign(1, N)) <= T",
    "abs((x - {n}) / 4) < {t}",
    "abs(x - {n}) * 50 < {t}",
    "abs(round(x - {n}, 3)) <= {t}",
    "(x - {n}) ** 2 * 100 <= {t}",
    "round(abs(x - {n}), 2) == 0",
    "round(x - {n}) == 0",
    "round(x - {n}, 2) == {k}",
    "abs(x - {n}) == {k}",
    "math.isclose(x, {n})",
    "math.isclose({n}, x, rel_tol=0.5)",
    "math.isclose(x, N, abs_tol=T)",
    "x == approx({n}, rel=0.05)",
    "approx(N, abs=T) == x",
    "[x] == approx([{n}])",
    "x < {n} + 1",
    "{n} <= x",
    "N - 1 <= x <= N + 1",
    "x == {n}",
    "{n} == x",
    "x > N - 1 and abs(x - {n}) <= {t}",
)
NUMBERS = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e18, 1e18), st.sampled_from([0, 0.0, 1e100, -3.5]))


@settings(max_examples=25, deadline=None)
@given(number=NUMBERS, tolerance=st.sampled_from([1e-9, 0.01, 1, 250.0]), offset=st.floats(-1, 1), seed=st.integers(0))
@pytest.mark.parametrize("form", FORMS)
def test_the_other_claim_is_false(form: str, number: float, tolerance: float, offset: float, seed: int) -> None:
    """Answers at the number, and beside it within the tolerance."""
    source = form.format(n=repr(number), t=repr(tolerance), k=3)
    claim, strong = other_claim(ast.parse(source, mode="eval").body, random.Random(seed))
    assert strong
    other = ast.unparse(ast.fix_missing_locations(ast.Expression(body=claim)))
    for x in (number, number + tolerance * offset, number + 3, number - 3):
        space = {"x": x, "N": number, "T": tolerance, "math": math, "approx": approx}
        if eval(source, space):
            assert not eval(other, space), (source, other, x)


@pytest.mark.parametrize("source", ["f(1)", "x != 3", "not x", "abs(x - 3) > 1 > x < 4", "abs(x - 3) != 2"])
def test_the_negation_is_what_is_left(source: str) -> None:
    claim, strong = other_claim(ast.parse(source, mode="eval").body, random.Random(0))
    assert not strong
    assert ast.unparse(claim) in {f"not {source}", f"not ({source})"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("self.assertAlmostEqual(a, b)", "round(abs(a - b), 7) == 0"),
        ("self.assertAlmostEqual(a, b, 2, msg='m')", "round(abs(a - b), 2) == 0"),
        ("self.assertAlmostEqual(a, b, places=3)", "round(abs(a - b), 3) == 0"),
        ("self.assertAlmostEqual(a, b, delta=0.5)", "abs(a - b) <= 0.5"),
        ("self.assertAlmostEqual(*both)", None),
        ("self.assertAlmostEqual(a)", None),
        ("self.assertEqual(a, b)", None),
    ],
)
def test_almost_equal(source: str, said: str | None) -> None:
    found = almost_equal(ast.parse(source, mode="eval").body)
    assert (found and ast.unparse(found)) == said

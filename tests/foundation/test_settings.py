"""Every setting is described, and no valid section can hold a value that its own checks would refuse."""

import ast
import inspect
import itertools
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.foundation import settings
from agentic_diffusion.foundation.errors import ConfigError

SECTIONS = [value for value in vars(settings).values() if inspect.isclass(value) and is_dataclass(value)]


@pytest.mark.parametrize("cls", SECTIONS)
def test_each_field_has_a_docstring_below_it(cls):
    body = ast.parse(inspect.getsource(cls)).body[0].body
    described = {
        before.target.id
        for before, after in itertools.pairwise(body)
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    assert described == {field.name for field in fields(cls)}


@given(
    mode=st.sampled_from(["denoise", "verify", "ar", "other"]),
    block=st.integers(-1, 10),
    top_p=st.floats(-0.5, 1.5),
    samples=st.integers(-1, 3),
)
def test_the_checks_are_exactly_the_documented_ranges(mode, block, top_p, samples):
    valid = mode != "other" and block >= (4 if mode == "denoise" else 1) and 0 < top_p <= 1 and samples >= 1
    if valid:
        settings.GenerateSettings(mode=mode, block=block, top_p=top_p, samples=samples)
    else:
        with pytest.raises(ConfigError):
            settings.GenerateSettings(mode=mode, block=block, top_p=top_p, samples=samples)

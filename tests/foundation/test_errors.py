"""Every error keeps its sentence, its hint and its exit code, also on the way between processes."""

import pickle

import pytest

from agentic_diffusion.foundation import errors


def _subclasses(cls: type) -> list[type]:
    return [cls, *(below for child in cls.__subclasses__() for below in _subclasses(child))]


@pytest.mark.parametrize("kind", _subclasses(errors.AgdError))
def test_an_error_survives_pickling(kind):
    error = kind("It went wrong.", hint="Try again.")
    error.detail = {"line": 3}
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.message, copy.hint, copy.detail) == ("It went wrong.", "Try again.", {"line": 3})
    assert str(copy) == "It went wrong.\nhint: Try again."


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.ConfigError, 2),
        (errors.NegativeResultError, 1),
        (errors.NotVerifiedError, 3),
        (errors.SetupError, 4),
        (errors.ResourceError, 4),
        (errors.ModelFileError, 4),
        (errors.SandboxError, 4),
        (errors.StoreError, 4),
    ],
)
def test_exit_codes_are_the_documented_ones(kind, code):
    assert kind("m", hint="h").as_json() == {"error": kind.__name__, "message": "m", "hint": "h", "exit_code": code}


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    own = [kind for kind in _subclasses(errors.AgdError) if kind.__module__ == errors.__name__]
    assert len(own) > 8
    for kind in own:  # a layer above may have branches that none below needs to know
        assert kind.__name__ in errors.__doc__

"""A stand-in for the few names of pytest that plain tests use. Inside the sandbox it is the module `pytest`.

`raises`, `approx`, `fail`, `skip` and `mark.parametrize`; other marks change nothing. The real package is not there: it
would cost a hundred times the run of a test. `approx` is also how expected values outside the sandbox are compared.
Standard library only; imports nothing of this package.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

RELATIVE, ABSOLUTE = 1e-6, 1e-12


class approx:  # noqa: N801  (the name that tests write)
    """Equal to a number, or to a list, tuple or dict of numbers, up to a tolerance (`math.isclose`)."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None) -> None:  # noqa: A002
        """`rel` is relative to the expected number, `abs` absolute; with `abs` alone there is no relative one."""
        self.expected = expected
        self.relative = rel if rel is not None else (0.0 if abs is not None else RELATIVE)
        self.absolute = abs if abs is not None else ABSOLUTE

    def __eq__(self, actual: object) -> bool:
        return self._close(actual, self.expected)

    def _close(self, actual: Any, expected: Any) -> bool:
        if isinstance(expected, dict):
            return (
                isinstance(actual, dict)
                and actual.keys() == expected.keys()
                and all(self._close(actual[key], expected[key]) for key in expected)
            )
        if isinstance(expected, list | tuple):
            return (
                isinstance(actual, list | tuple)
                and len(actual) == len(expected)
                and all(self._close(*pair) for pair in zip(actual, expected, strict=True))
            )
        if isinstance(actual, int | float) and isinstance(expected, int | float):
            return actual == expected or math.fabs(actual - expected) <= max(
                self.relative * math.fabs(expected), self.absolute
            )
        return bool(actual == expected)

    def __repr__(self) -> str:
        return f"approx({self.expected!r})"


class Failed(AssertionError):  # noqa: N818  (the name that pytest prints)
    """What `fail` raises, and `raises` when nothing was raised."""


class Skipped(BaseException):
    """What `skip` raises."""


class raises:  # noqa: N801
    """`with raises(ValueError, match="..."):` fails unless the block raises it."""

    def __init__(self, expected: type[BaseException] | tuple[type[BaseException], ...], *, match: str | None = None):
        """`match` is searched in the exception's text."""
        self.expected, self.match = expected, match
        self.value: BaseException | None = None
        self.type: type[BaseException] | None = None

    def __enter__(self) -> raises:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if kind is None:
            raise Failed(f"did not raise {self.expected}")
        if not issubclass(kind, self.expected):
            return False
        self.value, self.type = error, kind
        if self.match is not None and not re.search(self.match, str(error)):
            raise Failed(f"raised {kind.__name__} with {str(error)!r}, which does not match {self.match!r}")
        return True


def fail(reason: str = "") -> None:
    """Fail the case."""
    raise Failed(reason)


def skip(reason: str = "") -> None:
    """Leave the case; it counts as failed, since nothing was shown."""
    raise Skipped(reason)


class _Mark:
    """`mark.parametrize(...)`, and any other mark as a decorator that changes nothing."""

    def parametrize(
        self, names: str | Sequence[str], values: Iterable[Any], **_: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Call the function once for each of `values`."""
        keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
        rows = [dict(zip(keys, value if len(keys) > 1 else (value,), strict=True)) for value in values]

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            def run(*arguments: Any, **given: Any) -> None:
                for row in rows:
                    function(*arguments, **given, **row)

            return run

        return decorate

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def change_nothing(*arguments: Any, **_: Any) -> Any:
            if len(arguments) == 1 and callable(arguments[0]):
                return arguments[0]
            return change_nothing

        return change_nothing


mark = _Mark()

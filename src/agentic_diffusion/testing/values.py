"""Values that come out of the sandbox: read as plain data, compared with what was expected, shown in messages.

A value is JSON: null, true, false, small whole numbers, strings and lists mean themselves; everything else is an object
with one key that names the exact built-in type. Nothing of it is executed, so a value cannot lie about being equal.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from agentic_diffusion.testing.rewrite import Check

SHOWN = 120
"""Characters of a value in a message."""


NODES = 20_000
"""Parts of a value that are read; hostile values could otherwise make comparing them take for ever."""


class ForeignValueError(ValueError):
    """The text from the sandbox is not a value as the worker writes them."""


def decode(data: Any) -> Any:
    """The value behind its JSON form; ForeignValueError when it is not one."""
    try:
        return _decode(data, [NODES])
    except (TypeError, KeyError, ValueError, RecursionError, OverflowError) as error:
        raise ForeignValueError("a value from the sandbox could not be read") from error


def _decode(data: Any, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise ValueError("too many parts")
    if data is None or isinstance(data, bool | int | str):
        return data

    def inner(items: Any) -> list[Any]:
        if not isinstance(items, list):
            raise TypeError("no list")
        return [_decode(item, left) for item in items]

    if isinstance(data, list):
        return inner(data)
    if not isinstance(data, dict):
        raise TypeError("no value")
    ((kind, body),) = data.items()
    readers: dict[str, Callable[[], object]] = {
        "int": lambda: int(body, 16),
        "float": lambda: float.fromhex(body),
        "complex": lambda: complex(float.fromhex(body[0]), float.fromhex(body[1])),
        "bytes": lambda: bytes.fromhex(body),
        "bytearray": lambda: bytearray.fromhex(body),
        "tuple": lambda: tuple(inner(body)),
        "set": lambda: set(inner(body)),
        "frozenset": lambda: frozenset(inner(body)),
        "dict": lambda: dict(inner(pair) for pair in body),
    }
    value: object = readers[kind]()
    return value


def holds(check: Check, actual: Any) -> bool:
    """Whether a sealed check holds for the value that the sandbox sent; TypeError as the comparison itself would."""
    left, right = (check.expected, actual) if check.mirrored else (actual, check.expected)
    return bool(_COMPARISONS[check.operator](left, right))


_COMPARISONS: dict[str, Callable[[Any, Any], object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
    "is": operator.is_,
    "is not": operator.is_not,
}


def shown(value: Any) -> str:
    """A value as text, shortened."""
    try:
        return shorten(repr(value))
    except ValueError:  # Python does not print numbers of more than some thousand digits
        return f"a {type(value).__name__} too long to print"


def shorten(text: str) -> str:
    """Text cut to `SHOWN` characters."""
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def complaint(check: Check, actual: str, expected: str) -> str:
    """The message of a failed check: "f(3) gave 5, expected 7"."""
    if check.operator == "truth":
        return f"{shorten(check.source)} does not hold"
    wanted = {
        "==": f"expected {expected}",
        "is": f"expected {expected} itself",
        "in": f"which does not contain {expected}" if check.mirrored else f"expected one of {expected}",
    }
    relation = f"{expected} {check.operator} it" if check.mirrored else f"{check.operator} {expected}"
    return f"{shorten(check.left)} gave {actual}, {wanted.get(check.operator, 'expected ' + relation)}"

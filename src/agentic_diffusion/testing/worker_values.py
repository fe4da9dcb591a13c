"""Plain values for the search for inputs: seeds by type, values near another, simpler ones. Beside `worker_explore.py`.

A value is plain when it is what its text says, so that a test can write it down.
Standard library only; imports nothing of this package, which is not visible in the sandbox.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
import itertools
import random
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

PLAIN: dict[type, list[Any]] = {
    int: [0, 1, -1, 2, 3, 10, 100], float: [0.0, 1.0, -1.5, 0.5, 2.0], bool: [False, True],
    str: ["", "a", "ab", "A b", "1", " "], bytes: [b"", b"a", b"\x00\xff"], type(None): [None],
    list: [[], [1], [2, 1], [1, 1, 2], ["a", "b"]], tuple: [(), (1,), (1, 2)], dict: [{}, {"a": 1}, {"a": 1, "b": 2}],
    set: [set(), {1}, {1, 2}],
}  # fmt: skip


def literals_of(function: Any) -> list[Any]:
    """The plain literals of a function's text, and the numbers beside them."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return []
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in texts]
    numbers = [one for one in found if type(one) is int and abs(one) < 10**9]
    return [one for one in found if is_plain(one)] + [one + by for one in numbers for by in (-1, 1)]


def of_type(hint: Any, literals: list[Any]) -> Iterator[Any]:
    """Seeds of a type; of every type where nothing is said."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is None or hint is Any or hint is inspect.Parameter.empty or isinstance(hint, typing.TypeVar):
        kinds: tuple[type, ...] = (int, str, list, float, type(None), dict)
        yield from [one for one in literals if type(one) in kinds]
        for rank in itertools.zip_longest(*(PLAIN[kind] for kind in kinds)):
            yield from (one for one in rank if one is not None)
    elif origin is typing.Literal:
        yield from inner
    elif origin in (typing.Union, types.UnionType):
        for one in inner:
            yield from of_type(one, literals)
    elif origin in (list, set, frozenset, tuple) or getattr(origin, "__name__", "") in (
        "Sequence",
        "Iterable",
        "Collection",
    ):
        maker: Callable[[Any], Any] = {set: set, frozenset: frozenset, tuple: tuple}.get(origin, list)
        if origin is tuple and inner and inner[-1] is not Ellipsis:
            pools = [list(of_type(one, literals))[:6] for one in inner]
            yield from (tuple(row) for row in itertools.islice(zip(*map(itertools.cycle, pools), strict=False), 6))
            return
        some = list(of_type(inner[0] if inner else None, literals))[:8]
        with contextlib.suppress(TypeError):
            yield from [
                maker([]),
                *(maker([one]) for one in some[:4]),
                maker(some[:2]),
                maker(some[:3][::-1]),
                maker(some[:1] * 2),
            ]
    elif origin is dict or getattr(origin, "__name__", "") == "Mapping":
        keys, values = (list(of_type(one, literals))[:4] for one in (inner or (str, int)))
        with contextlib.suppress(TypeError):
            yield from [{}, dict(zip(keys[:1], values, strict=False)), dict(zip(keys, values, strict=False))]
    elif hint in PLAIN:
        yield from [one for one in literals if type(one) is hint]
        yield from PLAIN[hint]


def tweaked(value: Any, pool: list[Any], rng: random.Random) -> Any:  # noqa: PLR0911 - one line a type
    """A value near this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, -value, value * 2, value // 2, rng.randint(-1000, 1000)))
    if isinstance(value, float):
        return rng.choice((value + 1, value - 0.5, -value, value * 10, float(rng.randint(-9, 9))))
    if isinstance(value, str):
        letters = "".join(one for one in pool if isinstance(one, str)) + "aB 1,=-_"
        place = rng.randint(0, len(value))
        return rng.choice(
            (
                value[:place] + rng.choice(letters) + value[place:],
                value[:place] + value[place + 1 :],
                value + value,
                value[::-1],
                value.swapcase(),
            )
        )
    if isinstance(value, list) and value:
        place = rng.randrange(len(value))
        inner = tweaked(value[place], [], rng)
        return rng.choice(
            (
                [*value, value[place]],
                value[:place] + value[place + 1 :],
                value[::-1],
                [*value[:place], inner, *value[place + 1 :]],
                [*value, inner],
                sorted(value, key=repr),
            )
        )
    if isinstance(value, tuple) and value:
        return tuple(tweaked(one, [], rng) if rng.random() < 0.5 else one for one in value)
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        return rng.choice(
            ({**value, key: tweaked(value[key], [], rng)}, {name: one for name, one in value.items() if name != key})
        )
    return copy.deepcopy(rng.choice(pool)) if pool else value


def smaller(value: Any) -> Iterator[Any]:
    """Simpler values of the same type."""
    if isinstance(value, bool):
        return
    if isinstance(value, int) and value:
        yield from {0, 1, value // 2, abs(value), value - (1 if value > 0 else -1)} - {value}
    elif isinstance(value, str | list | tuple | bytes) and value:
        yield from (value[:0], value[1:], value[:-1], value[: len(value) // 2])
    elif isinstance(value, float) and value:
        yield from (0.0, 1.0, float(int(value)))
    elif isinstance(value, dict) and value:
        yield dict(list(value.items())[1:])


def is_plain(value: Any) -> bool:
    """Whether a value is what its text says."""
    try:
        return bool(ast.literal_eval(repr(value)) == value) and type(ast.literal_eval(repr(value))) is type(value)
    except Exception:
        return False

"""New inputs out of known ones: literal arguments changed a little, so that they stay what the function expects.

What holds in all known calls is kept: types, signs, sorted lists stay sorted, lists of one length in a call stay of one
length, as does a number that is the length of a list. Random numbers come in as a generator.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

LARGEST = 1_000
"""Numbers beyond this, in a new input, are only taken from known ones; small inputs keep slow solutions fast."""
Arguments = tuple[Any, ...]


def new_inputs(known: Sequence[Arguments], count: int, rng: Random) -> list[Arguments]:
    """Up to `count` argument lists that differ from the known ones and from each other.

    All known calls must have the same number of arguments; otherwise only those of the first one's are looked at.
    """
    calls = [call for call in known if len(call) == len(known[0])] if known else []
    if not calls or not calls[0]:
        return []
    seen = {repr(call) for call in known}
    found: list[Arguments] = []
    keeper = _Keeper(calls)
    for _ in range(count * 20):
        if len(found) == count:
            break
        made = keeper.change(rng)
        if made is not None and repr(made) not in seen:
            seen.add(repr(made))
            found.append(made)
    return found


class _Keeper:
    """Knows what holds in all known calls."""

    def __init__(self, calls: Sequence[Arguments]) -> None:
        self.calls = calls
        places = range(len(calls[0]))
        self.sorted = [all(_is_sorted(call[i]) for call in calls) for i in places]
        self.tied = {
            place
            for one, other in itertools.permutations(places, 2)
            if all(_tied(call[one], call[other]) for call in calls)
            for place in (one, other)
        }
        self.least = [_least([call[i] for call in calls]) for i in places]

    def change(self, rng: Random) -> Arguments | None:
        """One new argument list; None where a try went wrong."""
        base = list(rng.choice(self.calls))
        for place in rng.sample(range(len(base)), k=rng.randint(1, len(base))):
            known = [call[place] for call in self.calls]
            value = base[place]
            if place not in self.tied and rng.random() < 0.3:
                base[place] = rng.choice(known)
                continue
            if place in self.tied and not isinstance(value, list | tuple | str):
                continue
            changed = mutate(value, rng, known=known, keep_length=place in self.tied)
            if self.sorted[place] and isinstance(changed, list):
                changed = sorted(changed)
            base[place] = changed
        made = tuple(base)
        fits = all(least is None or _smallest(value) >= least for value, least in zip(made, self.least, strict=True))
        return made if fits else None


def mutate(value: Any, rng: Random, *, known: Sequence[Any] = (), keep_length: bool = False) -> Any:
    """Another value of the same type; types that are no literals come back as they are."""
    if isinstance(value, bool | int | float):
        return _number(value, rng)
    if isinstance(value, str):
        return _text(value, rng, keep_length=keep_length)
    if isinstance(value, list | tuple):
        pool = [item for whole in known if isinstance(whole, list | tuple) for item in whole]
        return type(value)(_items(list(value), rng, pool, keep_length=keep_length))
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        return value | {key: mutate(value[key], rng, known=list(value.values()))}
    if isinstance(value, set | frozenset) and value:
        items = sorted(value, key=repr)
        return type(value)(_items(items, rng, items, keep_length=False))
    return value


def _number(value: float, rng: Random) -> float:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return _int(value, rng)
    if math.isfinite(value) and value == round(value):
        return float(_int(round(value), rng))
    return round(value * rng.choice((0.5, 1.5, 2)), 3)


def _int(value: int, rng: Random) -> int:
    made = rng.choice(
        (value + 1, value - 1, value + rng.randint(2, 9), value - rng.randint(2, 9), value * 2, value // 2)
    )
    if abs(made) > max(LARGEST, abs(value)):
        made = value - 1
    return abs(made) if value >= 0 else made


def _text(value: str, rng: Random, *, keep_length: bool) -> str:
    if not value:
        return value if keep_length else rng.choice("ab1 ")
    at = rng.randrange(len(value))
    moves = [value[:at] + rng.choice(value) + value[at + 1 :], value[at:] + value[:at]]
    if not keep_length:
        moves += [value[:at] + value[at + 1 :], value[:at] + value[at] + value[at:], value + value[: at + 1]]
    return rng.choice(moves)


def _items(items: list[Any], rng: Random, pool: list[Any], *, keep_length: bool) -> list[Any]:
    if not items:
        return items if keep_length or not pool else [rng.choice(pool)]
    at = rng.randrange(len(items))
    move = rng.choice(("change", "swap", "take") if keep_length else ("change", "swap", "take", "drop", "repeat"))
    if move == "change":
        items[at] = mutate(items[at], rng)
    elif move == "swap":
        other = rng.randrange(len(items))
        items[at], items[other] = items[other], items[at]
    elif move == "take" and pool:
        items[at] = rng.choice(pool)
    elif move == "drop":
        del items[at]
    elif move == "repeat":
        items.insert(at, items[rng.randrange(len(items))])
    return items


def _is_sorted(value: Any) -> bool:
    """Whether a list is in rising order, and long enough for that to mean something."""
    if not isinstance(value, list) or len(value) < 3:
        return False
    try:
        return all(a <= b for a, b in itertools.pairwise(value))
    except TypeError:
        return False


def _tied(one: Any, other: Any) -> bool:
    """Whether two arguments speak of one length."""
    if not isinstance(one, list | tuple | str) or isinstance(other, bool):
        return False
    return len(one) == other if isinstance(other, int) else isinstance(other, type(one)) and len(one) == len(other)


def _least(values: Sequence[Any]) -> float | None:
    """The bound that the numbers of an argument keep in all known calls: 1, 0, or none."""
    smallest = min(map(_smallest, values))
    return 1 if 1 <= smallest < float("inf") else 0 if 0 <= smallest < 1 else None


def _smallest(value: Any) -> float:
    """The smallest number in a value; infinity without one."""
    if isinstance(value, bool | str | bytes):
        return float("inf")
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return min(map(_smallest, value), default=float("inf"))
    return float("inf")

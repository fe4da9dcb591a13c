"""Small tasks as data: what a generated task asks for, drawn at random, and what it gives for an input.

    source -> kept by tests -> mapped -> arranged -> folded

    source    numbers (a list), range (1 to n), digits (of n), words (a list), letters (of a text)
    tests     none, one, or two joined by "and"/"or"
    mapping   what is made of each element, or none
    arrange   what is done to the list of them, or nothing
    fold      what is returned

`evaluate` is the meaning: the texts in words and in programming languages are rendered from the same data elsewhere and
have to agree with it. Integers stay within 32 bits, texts within ASCII, so that five languages agree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from agentic_diffusion.foundation.errors import UsageError

Source = Literal["numbers", "range", "digits", "words", "letters"]
Element = Literal["int", "text"]
Value = int | str | bool | list[int] | list[str]
INTEGER_LIMIT = 2**31 - 1
VOWELS = "aeiou"
ELEMENTS: dict[Source, Element] = {
    "numbers": "int", "range": "int", "digits": "int", "words": "text", "letters": "text",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation by name with its constants."""

    name: str
    """Its name in the tables of this module and of the renderings."""
    constants: tuple[int | str, ...] = ()
    """What it is parametrised with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One task."""

    source: Source
    """Where the elements come from."""
    tests: tuple[Operation, ...] = ()
    """Which of them are kept; at most two."""
    joint: Literal["and", "or"] = "and"
    """How two tests are joined."""
    mapping: Operation | None = None
    """What is made of each."""
    arrange: Operation | None = None
    """What is done to the list."""
    fold: Operation = Operation("list")
    """What is returned."""

    @property
    def element(self) -> Element:
        """The type of the elements after the mapping."""
        if self.mapping is not None and self.mapping.name == "length":
            return "int"
        return ELEMENTS[self.source]

    @property
    def result(self) -> Literal["int", "text", "bool", "ints", "texts"]:
        """The type of what is returned."""
        if self.fold.name == "list":
            return "ints" if self.element == "int" else "texts"
        return FOLDS[self.fold.name].result

    @property
    def parts(self) -> int:
        """How many parts the task has beside its source and its fold: its difficulty."""
        return len(self.tests) + (self.mapping is not None) + (self.arrange is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fold:
    of: tuple[Element, ...]
    result: Literal["int", "text", "bool", "ints", "texts"]
    apply: Callable[[list[int] | list[str], Operation], Value]


def _first_longest(words: list[str]) -> str:
    return max(words, key=len, default="")


_TESTS: dict[str, tuple[tuple[Source, ...], Callable[..., bool]]] = {
    "even": (("numbers", "range", "digits"), lambda x: x % 2 == 0),
    "odd": (("numbers", "range", "digits"), lambda x: x % 2 != 0),
    "positive": (("numbers",), lambda x: x > 0),
    "negative": (("numbers",), lambda x: x < 0),
    "divisible": (("numbers", "range"), lambda x, c: x % c == 0),
    "not_divisible": (("numbers", "range"), lambda x, c: x % c != 0),
    "greater": (("numbers", "range", "digits"), lambda x, c: x > c),
    "smaller": (("numbers", "range", "digits"), lambda x, c: x < c),
    "differs": (("numbers", "digits"), lambda x, c: x != c),
    "longer": (("words",), lambda x, c: len(x) > c),
    "shorter": (("words",), lambda x, c: len(x) < c),
    "starts": (("words",), lambda x, c: x.startswith(c)),
    "ends": (("words",), lambda x, c: x.endswith(c)),
    "contains": (("words",), lambda x, c: c in x),
    "lacks": (("words",), lambda x, c: c not in x),
    "vowel": (("letters",), lambda x: x in VOWELS),
    "no_vowel": (("letters",), lambda x: x not in VOWELS),
    "is": (("letters",), lambda x, c: x == c),
    "is_not": (("letters",), lambda x, c: x != c),
    "before": (("letters",), lambda x, c: x < c),
}
_MAPPINGS: dict[str, tuple[tuple[Source, ...], Callable[..., int | str]]] = {
    "square": (("numbers", "range", "digits"), lambda x: x * x),
    "cube": (("range", "digits"), lambda x: x * x * x),
    "times": (("numbers", "range", "digits"), lambda x, c: x * c),
    "plus": (("numbers", "range", "digits"), lambda x, c: x + c),
    "minus": (("numbers", "range"), lambda x, c: x - c),
    "negate": (("numbers", "range"), lambda x: -x),
    "absolute": (("numbers",), abs),
    "distance": (("numbers", "range"), lambda x, c: abs(x - c)),
    "length": (("words",), len),
    "upper": (("words", "letters"), str.upper),
    "twice": (("words", "letters"), lambda x: x + x),
    "followed": (("words", "letters"), lambda x, c: x + c),
    "preceded": (("words",), lambda x, c: c + x),
}
_ARRANGE: dict[str, Callable[..., list[int] | list[str]]] = {
    "reversed": lambda xs: xs[::-1],
    "ascending": sorted,
    "descending": lambda xs: sorted(xs, reverse=True),
    "distinct": lambda xs: list(dict.fromkeys(xs)),
    "first": lambda xs, c: xs[:c],
    "without_first": lambda xs, c: xs[c:],
    "every_second": lambda xs: xs[::2],
}
FOLDS: dict[str, _Fold] = {
    "list": _Fold(of=("int", "text"), result="ints", apply=lambda xs, _: xs),
    "sum": _Fold(of=("int",), result="int", apply=lambda xs, _: sum(xs)),  # type: ignore[arg-type]
    "product": _Fold(of=("int",), result="int", apply=lambda xs, _: _product(xs)),  # type: ignore[arg-type]
    "count": _Fold(of=("int", "text"), result="int", apply=lambda xs, _: len(xs)),
    "largest": _Fold(of=("int",), result="int", apply=lambda xs, op: max(xs, default=op.constants[0])),
    "smallest": _Fold(of=("int",), result="int", apply=lambda xs, op: min(xs, default=op.constants[0])),
    "any": _Fold(of=("int", "text"), result="bool", apply=lambda xs, _: len(xs) > 0),
    "none": _Fold(of=("int", "text"), result="bool", apply=lambda xs, _: len(xs) == 0),
    "joined": _Fold(of=("text",), result="text", apply=lambda xs, op: str(op.constants[0]).join(xs)),  # type: ignore[arg-type]
    "longest": _Fold(of=("text",), result="text", apply=lambda xs, _: _first_longest(xs)),  # type: ignore[arg-type]
}


def evaluate(spec: Spec, given: int | str | list[int] | list[str]) -> Value:
    """What a task gives for an input; UsageError where a number leaves 32 bits."""
    kept = [element for element in _elements(spec.source, given) if _passes(spec, element)]
    if spec.mapping is not None:
        _, apply = _MAPPINGS[spec.mapping.name]
        kept = [apply(element, *spec.mapping.constants) for element in kept]
    if spec.arrange is not None:
        kept = list(_ARRANGE[spec.arrange.name](kept, *spec.arrange.constants))
    result = FOLDS[spec.fold.name].apply(kept, spec.fold)  # type: ignore[arg-type]
    # Partial sums and products are bounded by those of the absolute values.
    sizes = [abs(value) for value in kept if isinstance(value, int)]
    reached = _product(sizes) if spec.fold.name == "product" else sum(sizes)
    if reached > INTEGER_LIMIT:
        raise UsageError("The task leaves 32 bits for this input.", hint="Draw a smaller input.")
    return result


def draw_spec(draw: random.Random, *, difficulty: int) -> Spec:
    """A task with `difficulty` parts beside source and fold (0 to 4), as near as its source allows.

    Raises UsageError for a difficulty out of range.
    """
    if not 0 <= difficulty <= 4:
        raise UsageError(f"A difficulty of {difficulty} is out of range.", hint="Use 0 (one step) to 4.")
    source = draw.choice(list(ELEMENTS))
    places = draw.sample(("test", "second test", "mapping", "arrange"), difficulty)
    if "second test" in places and "test" not in places:
        places[places.index("second test")] = "test"
    tests = _draw_tests(draw, source, 1 + ("second test" in places)) if "test" in places else ()
    mapping = _draw(draw, source, _MAPPINGS) if "mapping" in places else None
    plain = Spec(source=source, tests=tests, joint=draw.choice(("and", "or")), mapping=mapping)
    arrange = None
    if "arrange" in places:
        name = draw.choice(list(_ARRANGE))
        arrange = Operation(name, (draw.randint(2, 5),)) if "first" in name else Operation(name)
    fold = _draw_fold(draw, plain, arrange)
    return Spec(source=source, tests=tests, joint=plain.joint, mapping=mapping, arrange=arrange, fold=fold)


def draw_input(draw: random.Random, source: Source) -> int | str | list[int] | list[str]:
    """An input for a source."""
    if source == "numbers":
        return [draw.randint(-20, 40) for _ in range(draw.randint(1, 7))]
    if source == "range":
        return draw.randint(1, 12)
    if source == "digits":
        return draw.randint(10, 999_999)
    if source == "words":
        return [_word(draw) for _ in range(draw.randint(1, 6))]
    return _word(draw) + draw.choice(("", " " + _word(draw), _word(draw)))


def empty_input(source: Source) -> int | str | list[int] | list[str]:
    """The input with the fewest elements."""
    return {"numbers": [], "range": 0, "digits": 0, "words": [], "letters": ""}[source]  # type: ignore[return-value]


_WORDS = (
    "apple", "banana", "cherry", "date", "elder", "fig", "grape", "kiwi", "lemon", "mango", "night", "ocean", "piano",
    "queen", "river", "stone", "table", "under", "violet", "water", "yellow", "zebra", "ant", "bee", "cat", "dog",
    "egg", "fox", "owl", "sun", "sky", "tree", "a", "to", "of",
)  # fmt: skip


def _word(draw: random.Random) -> str:
    return draw.choice(_WORDS)


def _elements(source: Source, given: int | str | list[int] | list[str]) -> list[int] | list[str]:
    if isinstance(given, list):
        return given
    if isinstance(given, str):
        return list(given)
    return [int(digit) for digit in str(given)] if source == "digits" else list(range(1, given + 1))


def _passes(spec: Spec, element: int | str) -> bool:
    results = [_TESTS[test.name][1](element, *test.constants) for test in spec.tests]
    return any(results) if spec.joint == "or" and results else all(results)


def _draw(
    draw: random.Random, source: Source, table: Mapping[str, tuple[tuple[Source, ...], Callable[..., object]]]
) -> Operation:
    """An operation of a table that suits a source, with its constants."""
    name = draw.choice([name for name, (sources, _) in table.items() if source in sources])
    return Operation(name, _constants(draw, name, source))


def _constants(draw: random.Random, name: str, source: Source) -> tuple[int | str, ...]:
    if name in ("divisible", "not_divisible"):
        return (draw.randint(3, 9),)
    if name in ("greater", "smaller", "differs"):
        return (draw.randint(2, 7) if source in ("digits", "range") else draw.randint(-5, 20),)
    if name in ("times", "plus", "minus", "distance"):
        return (draw.randint(2, 10),)
    if name in ("longer", "shorter"):
        return (draw.randint(3, 5),)
    if name in ("starts", "ends", "contains", "lacks", "is", "is_not", "before"):
        return (draw.choice("aeionrst"),)
    return (draw.choice("!?-*"),) if name in ("followed", "preceded") else ()


def _draw_tests(draw: random.Random, source: Source, count: int) -> tuple[Operation, ...]:
    """Tests of different kinds; two kinds that exclude or imply one another are no pair."""
    tests = [_draw(draw, source, _TESTS)]
    for _ in range(20):
        if len(tests) == count:
            break
        other = _draw(draw, source, _TESTS)
        if _family(other.name) != _family(tests[0].name):
            tests.append(other)
    return tuple(tests)


_FAMILIES = (
    ("even", "odd"), ("positive", "negative", "greater", "smaller"), ("divisible", "not_divisible"),
    ("longer", "shorter"), ("contains", "lacks"), ("vowel", "no_vowel", "is"),
)  # fmt: skip


def _family(name: str) -> str:
    return next((names[0] for names in _FAMILIES if name in names), name)


def _draw_fold(draw: random.Random, plain: Spec, arrange: Operation | None) -> Operation:
    """A fold that suits the elements, to which neither the mapping nor the order is all the same."""
    letters = plain.source == "letters"
    names = [name for name, fold in FOLDS.items() if plain.element in fold.of]
    if plain.mapping is not None or not plain.tests:
        names = [name for name in names if name not in ("any", "none")]
    if plain.mapping is not None:
        names.remove("count")
    if arrange is not None:
        order_counts = ["list", "joined"] + (["sum"] if "first" in arrange.name else [])
        names = [name for name in names if name in order_counts]
    elif not plain.parts:
        names = [name for name in names if name not in ("list", "joined")]
    if letters:
        names = [name for name in names if name not in ("longest", "list")]
    name = draw.choice(names)
    if name in ("largest", "smallest"):
        return Operation(name, (draw.choice((0, -1)),))
    return (
        Operation(name, ("" if letters else draw.choice((" ", ", ", "-", "")),))
        if name == "joined"
        else Operation(name)
    )


def _product(values: list[int]) -> int:
    result = 1
    for value in values:
        result *= value
    return result

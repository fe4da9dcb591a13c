"""A true case of Java or Go made false: the same claim of equality, with another value where one is expected.

What claims to equal everything (an `equals` that is always true, a `panic` that does nothing) passes such a copy, and
no honest program does. A claim is `==`, a call such as `x.equals(v)` or `assertEquals(v, x)`, or an `if` that fails
unless one holds. Only literals are changed that the expected value surely shows, and only so that the copy compiles:
a number stays a number of its type, a letter a letter. Where no literal can be changed the harness writes a plainly
false statement instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import trees

_EQUAL = re.compile(
    r"(?:assert_?)?(?:deep_?|is_?|array_?|iterable_?)?(?:equals?|eq|compare|same|alike)\Z", re.IGNORECASE
)
_TRUE = frozenset({"assert", "assertTrue"})
_CALLS = frozenset({"call_expression", "method_invocation"})
_TRANSPARENT = frozenset(
    {"array_creation_expression", "array_initializer", "cast_expression", "parenthesized_expression", "argument_list",
     "object_creation_expression", "class_body", "block", "expression_statement", "composite_literal", "literal_value",
     "literal_element", "keyed_element", "type_conversion_expression"}
)  # fmt: skip
"""What a value shines through."""
_BUILDERS = frozenset(
    {"List.of", "Set.of", "Map.of", "Map.entry", "Map.ofEntries", "Arrays.asList", "Optional.of", "Integer.valueOf",
     "Long.valueOf", "Double.valueOf", "String.valueOf", "BigInteger.valueOf", "string", "int", "int8", "int16",
     "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "byte", "rune", "float32", "float64"}
)  # fmt: skip
"""Calls that give another value for another argument."""
_FILLERS = frozenset({"put", "add"})
"""As statements of a `new HashMap<>() {{ put(1, 2); }}`, too."""
_NUMBERS = frozenset({"decimal_integer_literal", "int_literal"})
_FLOATS = frozenset({"decimal_floating_point_literal", "float_literal"})
_STRINGS = frozenset({"string_literal", "interpreted_string_literal", "raw_string_literal"})
_LETTERS = frozenset({"character_literal", "rune_literal"})
_LEAVES = _NUMBERS | _FLOATS | _STRINGS | _LETTERS | {"true", "false"}
_WHOLE = re.compile(r"(\d+)([lL]?)\Z")
_REAL = re.compile(r"(\d+\.?\d*|\.\d+)([fFdD]?)\Z")


@dataclass(frozen=True)
class Place:
    """Where a case can be made false."""

    node: Node
    """What goes."""
    value: Node
    """What it stands for: itself, or what the variable of that name begins with."""


def places(case: Node, values: Mapping[str, Node]) -> list[Place]:
    """The expected values of a case that can be changed; `values` are those that local names begin with."""
    found = []
    for sides in _claims(case):
        resolved = [Place(side, values.get(trees.text(side), side)) for side in sides]
        found += [place for place in resolved if _leaves(place.value) or _is_error(sides, place.node)]
    return found


def changed(place: Place, rng: Random) -> str:
    """Another value, as source text."""
    leaves = _leaves(place.value)
    if not leaves:
        return 'errors.New("planted")'
    leaf = rng.choice(leaves)
    start, data = place.value.start_byte, (place.value.text or b"")
    new = _other(leaf, rng).encode()
    return (data[: leaf.start_byte - start] + new + data[leaf.end_byte - start :]).decode("utf-8", "replace")


def copies(
    case: Node, values: Mapping[str, Node], rng: Random, *, body: Sequence[Node] = (), name: str = ""
) -> list[Callable[[], str]]:
    """The ways to write a copy of a case with another expected value.

    `values` are what the local names begin with. A case that is a function has a `body`, of whose statements one is
    changed, and gets the new `name`.
    """
    found = [place for part in (body or [case]) for place in places(part, values)]
    return [partial(_copy, case, place, rng, name) for place in found]


def _copy(case: Node, place: Place, rng: Random, new_name: str) -> str:
    name = case.child_by_field_name("name")
    edits = [(place.node, changed(place, rng))] + ([(name, new_name)] if new_name and name is not None else [])
    data = case.text or b""
    for node, new in sorted(edits, key=lambda edit: -edit[0].start_byte):
        start, end = node.start_byte - case.start_byte, node.end_byte - case.start_byte
        data = data[:start] + new.encode() + data[end:]
    return data.decode("utf-8", "replace")


# Claims of equality ------------------------------------------------------------------------------------------------


def _claims(node: Node) -> Iterator[tuple[Node, Node]]:
    """The two sides of every equality without which a statement fails."""
    if node.type == "if_statement":
        condition = node.child_by_field_name("condition")
        if condition is not None and node.child_by_field_name("alternative") is None:
            yield from _holding(condition, wanted=False)
    elif node.type in {"assert_statement", "expression_statement"} and node.named_children:
        yield from _holding(node.named_children[0], wanted=True)


def _holding(node: Node, *, wanted: bool) -> Iterator[tuple[Node, Node]]:
    """The equalities that a condition needs in order to be `wanted`."""
    operator = node.child_by_field_name("operator")
    said = trees.text(operator) if operator is not None else ""
    if node.type in {"parenthesized_expression", "condition"} and node.named_children:
        yield from _holding(node.named_children[0], wanted=wanted)
    elif node.type == "unary_expression" and said == "!":
        yield from _holding(node.named_children[-1], wanted=not wanted)
    elif node.type == "binary_expression":
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if left is None or right is None:
            return
        if said == ("&&" if wanted else "||"):
            yield from _holding(left, wanted=wanted)
            yield from _holding(right, wanted=wanted)
        elif said == ("==" if wanted else "!="):
            yield left, right
    elif node.type in _CALLS and wanted:
        yield from _called(node)


def _called(call: Node) -> Iterator[tuple[Node, Node]]:
    """The two sides of a call that claims an equality."""
    owner, name = _callee(call)
    arguments = call.child_by_field_name("arguments")
    given = [node for node in (arguments.named_children if arguments is not None else []) if trees.text(node) != "t"]
    if name in _TRUE and given:
        yield from _holding(given[0], wanted=True)
    elif _EQUAL.match(name) or (name == "Is" and owner is not None and trees.text(owner) == "errors"):
        if len(given) >= 2:
            yield given[0], given[1]
        elif given and owner is not None:
            yield owner, given[0]


def _callee(call: Node) -> tuple[Node | None, str]:
    """What a call's function belongs to, and its name."""
    if call.type == "method_invocation":
        name = call.child_by_field_name("name")
        return call.child_by_field_name("object"), trees.text(name) if name is not None else ""
    function = call.child_by_field_name("function")
    if function is None:
        return None, ""
    field = function.child_by_field_name("field")
    return function.child_by_field_name("operand"), trees.text(field if field is not None else function)


def _is_error(sides: tuple[Node, Node], node: Node) -> bool:
    """Whether a node is the second argument of Go's `errors.Is`, for which any new error can stand."""
    call = node.parent.parent if node.parent is not None else None
    return (
        node == sides[1]
        and call is not None
        and call.type == "call_expression"
        and trees.text(call.child_by_field_name("function") or call) == "errors.Is"
    )


# Values ------------------------------------------------------------------------------------------------------------


def _leaves(value: Node) -> list[Node]:
    """The literals in a value that show in it; none where something is called of which that is not known."""
    if value.type in {"array_initializer", "literal_value"}:
        return []  # no expression of its own
    for node in trees.walk(value):
        if node.type in _CALLS and not _builds(node):
            return []
    return [
        leaf
        for leaf in trees.walk_outside(value, _STRINGS | _LETTERS)
        if leaf.type in _LEAVES and _shows(leaf, value) and _changes(leaf)
    ]


def _constructs(arguments: Node, given: Node) -> bool:
    made = arguments.parent is not None and arguments.parent.type == "object_creation_expression"
    return made and given.type in _LEAVES | {"unary_expression"}


def _builds(call: Node) -> bool:
    owner, name = _callee(call)
    place = call.parent
    if owner is None and place is not None and place.type == "expression_statement":
        return name in _FILLERS
    return (f"{trees.text(owner)}.{name}" if owner is not None else name) in _BUILDERS


def _shows(leaf: Node, top: Node) -> bool:
    node = leaf
    while node != top:
        parent = node.parent
        if parent is None:
            return False
        sign = parent.type == "unary_expression" and trees.text(parent)[0] in "-+&"
        if not sign and parent.type not in _TRANSPARENT and parent.type not in _CALLS:
            return False
        # a number that a constructor is given may be a capacity
        if parent.type == "argument_list" and node.type not in _STRINGS and _constructs(parent, node):
            return False
        # a number that is a key may be the index in an array, which has an end
        if parent.type == "keyed_element" and parent.named_children[0] == node and leaf.type not in _STRINGS:
            return False
        node = parent
    return True


def _changes(leaf: Node) -> bool:
    """Whether a literal is of a form that `_other` can change; octal and other rare numbers are left alone."""
    said = trees.text(leaf)
    if leaf.type in _NUMBERS:
        return _WHOLE.match(said) is not None and (said[0] != "0" or said.rstrip("lL") == "0")
    if leaf.type in _FLOATS:
        return _REAL.match(said) is not None
    return not said.startswith('"""')


def _other(leaf: Node, rng: Random) -> str:
    """Another literal of the same type: whole numbers stay within a byte where they were."""
    said = trees.text(leaf)
    if leaf.type in {"true", "false"}:
        return "false" if leaf.type == "true" else "true"
    if leaf.type in _STRINGS:
        return f"{said[:-1]}{rng.choice('379' if said[-2:-1].isdigit() else '?~^')}{said[-1]}"
    if leaf.type in _LETTERS:
        return f"'{rng.choice([letter for letter in '?~^' if letter not in said])}'"
    match = (_WHOLE if leaf.type in _NUMBERS else _REAL).match(said)
    if match is None:
        raise TypeError(f"{said!r} is no number that can be changed")
    if leaf.type in _NUMBERS:
        number = int(match[1])
        return f"{number - rng.randint(1, 9) if number >= 10 else number + rng.randint(11, 99)}{match[2]}"
    real = float(match[1])
    return f"{real + rng.randint(11, 99) if real < 1e6 else real / 2}{match[2]}"

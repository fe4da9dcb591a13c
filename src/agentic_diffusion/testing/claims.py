"""What an assertion could claim instead: something false wherever the assertion itself holds.

    f(x) == 5                    another expected value
    f(x) < 5                     the order turned round
    abs(f(x) - 3.14) < 0.01      the number inside moved away by more than twice the tolerance, for whoever answers with
                                 a number that is near to everything; also rounded, scaled, squared, `math.isclose`,
                                 `pytest.approx` and `assertAlmostEqual`
    anything else                its negation, which a fake that tells the same lie of both is not caught by
Only the syntax tree is looked at; nothing runs.
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from agentic_diffusion.testing import assertions

_ORDERS: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.Lt, ast.LtE: ast.Lt, ast.Gt: ast.Gt, ast.GtE: ast.Gt}
"""The operators of order, each with the one that contradicts it once its sides are exchanged."""
_ABSOLUTE = {"abs", "fabs", "math.fabs"}
_CLOSE = {"isclose", "math.isclose", "cmath.isclose"}
_APPROX = {"approx", "pytest.approx"}
_SMALL = 0.1
"""Relative tolerances up to this one tell a number from twice that number."""


def other_claim(test: ast.expr, rng: random.Random) -> tuple[ast.expr, bool]:
    """An expression that is false where `test` is true, and whether it is more than the negation."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        found = [other_claim(value, rng) for value in test.values]
        return rng.choice([claim for claim in found if claim[1]] or found)
    other = None
    if isinstance(test, ast.Call):
        other = _not_close(test, rng)
    elif isinstance(test, ast.Compare):
        other = _order(test, rng) or (_comparison(test, rng) if len(test.ops) == 1 else None)
    return (other, True) if other is not None else (ast.UnaryOp(op=ast.Not(), operand=test), False)


def almost_equal(node: ast.expr | None) -> ast.expr | None:
    """What `self.assertAlmostEqual(a, b, ...)` asserts, as an expression; None for other calls."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "self.assertAlmostEqual":
        return None
    named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg != "msg"}
    if any(isinstance(item, ast.Starred) for item in node.args) or not named.keys() <= {"places", "delta"}:
        return None
    first, second, *rest = [*node.args, *[None] * 2][: max(2, len(node.args))]
    if first is None or second is None:
        return None
    distance: ast.expr = _call("abs", ast.BinOp(left=first, op=ast.Sub(), right=second))
    delta = named.get("delta")
    if delta is not None:
        return ast.Compare(left=distance, ops=[ast.LtE()], comparators=[delta])
    places = named.get("places", rest[0] if rest else None) or ast.Constant(value=7)
    return ast.Compare(left=_call("round", distance, places), ops=[ast.Eq()], comparators=[ast.Constant(value=0)])


def other_value(value: Any, rng: random.Random) -> Any:
    """A value like `value` but unequal to it; None where that is not obvious."""
    step = rng.randint(1, 9)
    makers: dict[type, Callable[[Any], Any]] = {
        bool: lambda given: not given,
        int: lambda given: given + step,
        float: lambda given: given * 2 + step if math.isfinite(given) else step + 0.5,
        str: lambda given: given + rng.choice("abcdefgh"),
        bytes: lambda given: given + b"x",
        list: lambda given: [*given, step],
        tuple: lambda given: (*given, step),
        dict: lambda given: {**given, f"k{step}{len(given)}": step},
    }
    return makers[type(value)](value) if type(value) in makers else None


def _order(test: ast.Compare, rng: random.Random) -> ast.expr | None:
    """Another claim instead of `a < b`, or of `a < b < c`."""
    kinds = {_ORDERS.get(type(operator)) for operator in test.ops}
    if len(kinds) != 1 or None in kinds:
        return None
    sides = [test.left, *test.comparators]
    (kind,) = kinds
    if len(sides) == 2:
        small, large = sides if kind is ast.Lt else sides[::-1]
        moved = _distance(small, [large], rng)
        if moved is not None:
            pair = [moved, large] if kind is ast.Lt else [large, moved]
            return ast.Compare(left=pair[0], ops=test.ops, comparators=pair[1:])
    first, *others = sides[::-1]
    return ast.Compare(left=first, ops=[_ORDERS[type(operator)]() for operator in test.ops], comparators=others)


def _comparison(test: ast.Compare, rng: random.Random) -> ast.expr | None:
    """Another claim instead of `a == b`, `a is b` or `a in b`."""
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(operator, ast.Eq):
        told_left = assertions.literal(left)[0] and not assertions.literal(right)[0]
        asked, told = (right, left) if told_left else (left, right)
        moved = _distance(asked, [told], rng, signed=True) if _number(told) is not None else None
        pair = (moved, told) if moved is not None else (asked, _other_side(told, rng))
        first, second = pair[::-1] if told_left else pair
        return ast.Compare(left=first, ops=[operator], comparators=[second])
    if isinstance(operator, ast.Is):
        return ast.Compare(left=left, ops=[operator], comparators=[ast.Constant(value=...)])
    if isinstance(operator, ast.In):
        both = ast.Tuple(elts=[left, ast.Constant(value=0)], ctx=ast.Load())
        return ast.Compare(left=both, ops=[operator], comparators=[ast.List(elts=[right], ctx=ast.Load())])
    return None


def _other_side(right: ast.expr, rng: random.Random) -> ast.expr:
    """Another expected value; for one that is computed, a list with it inside."""
    if isinstance(right, ast.Call) and ast.unparse(right.func) in _APPROX and right.args:
        value, *bounds = right.args
        named = {keyword.arg: keyword.value for keyword in right.keywords}
        relative = named.get("rel", bounds[0] if bounds else None)
        found, inner = assertions.literal(value)
        many = other_value(inner, rng) if found and _number(value) is None else None
        if many is not None:
            moved: ast.expr | None = _parsed(repr(many))
        else:
            moved = _far(value, [*bounds, *named.values()], rng, flip=not _is_small(relative))
        if moved is not None:
            return ast.Call(func=right.func, args=[moved, *bounds], keywords=right.keywords)
    found, value = assertions.literal(right)
    other = other_value(value, rng) if found else None
    if other is None:
        return ast.List(elts=[right], ctx=ast.Load())
    return _parsed(repr(other))


def _not_close(test: ast.Call, rng: random.Random) -> ast.expr | None:
    """`math.isclose` of two numbers with one of them moved away; None for other calls."""
    if ast.unparse(test.func) not in _CLOSE or len(test.args) != 2:
        return None
    place = _known_side(test.args, rng)
    named = {keyword.arg: keyword.value for keyword in test.keywords}
    moved = _far(test.args[place], list(named.values()), rng, flip=not _is_small(named.get("rel_tol")))
    if moved is None:
        return None
    args = [moved if index == place else item for index, item in enumerate(test.args)]
    return ast.Call(func=test.func, args=args, keywords=test.keywords)


def _distance(
    node: ast.expr, bounds: Sequence[ast.expr], rng: random.Random, scale: float = 1.0, *, signed: bool = False
) -> ast.expr | None:
    """A distance such as `abs(a - 3)`, with the 3 moved so far that the result exceeds all `bounds`; None for others.

    `scale` is what the distance is multiplied by. With `signed` a difference, `round(a - 3, 2)`, counts as well.
    """
    if isinstance(node, ast.Call) and node.args and not node.keywords:
        name, (first, *rest) = ast.unparse(node.func), node.args
        inner = None
        if name in _ABSOLUTE:
            inner = _shifted(first, bounds, rng, scale)
        elif name == "round" and _keeps_units(rest):
            inner = _distance(first, bounds, rng, scale, signed=signed)
            if inner is None and signed:
                inner = _shifted(first, bounds, rng, scale)
        return None if inner is None else ast.Call(func=node.func, args=[inner, *rest], keywords=[])
    if isinstance(node, ast.BinOp):
        power = _number(node.right) if isinstance(node.op, ast.Pow) else None
        factor = _factor(node)
        inner = None
        if power is not None and power > 0 and power % 2 == 0:
            inner = _shifted(node.left, bounds, rng, scale)
        elif factor is not None:
            inner = _distance(node.left, bounds, rng, scale * factor, signed=signed)
        return None if inner is None else ast.BinOp(left=inner, op=node.op, right=node.right)
    return None


def _shifted(node: ast.expr, bounds: Sequence[ast.expr], rng: random.Random, scale: float) -> ast.expr | None:
    """A difference or a sum with one of its sides moved far away; None for what is neither."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {"round", "float"} and node.args:
        first, *rest = node.args
        inner = _shifted(first, bounds, rng, scale) if _keeps_units(rest) and not node.keywords else None
        return None if inner is None else ast.Call(func=node.func, args=[inner, *rest], keywords=[])
    if not isinstance(node, ast.BinOp):
        return None
    factor = _factor(node)
    if factor is not None:
        inner = _shifted(node.left, bounds, rng, scale * factor)
        return None if inner is None else ast.BinOp(left=inner, op=node.op, right=node.right)
    if not isinstance(node.op, ast.Add | ast.Sub):
        return None
    sides = [node.left, node.right]
    place = _known_side(sides, rng)
    moved = _far(sides[place], bounds, rng, scale=scale)
    if moved is None:
        return None
    sides[place] = moved
    return ast.BinOp(left=sides[0], op=node.op, right=sides[1])


def _known_side(sides: Sequence[ast.expr], rng: random.Random) -> int:
    """The side that the tests know best, for the other is the candidate's: a number, or else what calls nothing."""
    numbers = [place for place, side in enumerate(sides) if _number(side) is not None]
    quiet = [
        place for place, side in enumerate(sides) if not any(isinstance(item, ast.Call) for item in ast.walk(side))
    ]
    return rng.choice(numbers or quiet or range(len(sides)))


def _far(
    node: ast.expr, bounds: Sequence[ast.expr], rng: random.Random, *, scale: float = 1.0, flip: bool = False
) -> ast.expr | None:
    """A number more than twice as far from `node` as the sum of `bounds`; with `flip` always of the other sign.

    The way is longer than the number itself, so that it does not vanish in rounding. None where a bound is not finite.
    """
    step, flip = rng.randint(1, 9), flip or rng.random() < 1 / 2
    known = [_number(bound) for bound in bounds]
    numbers = [number for number in known if number is not None]
    value = _number(node)
    if value is not None and len(numbers) == len(known):
        way = (3 * (1 + sum(abs(number) for number in numbers)) + step) / min(1.0, scale)
        if not math.isfinite(way):
            return None
        way = math.ceil(way) if value >= 0 else -math.ceil(way)
        return _parsed(repr(-value - way if flip else 2 * value + way))
    given = f"({ast.unparse(node)})"
    total = " + ".join(["1", *(f"abs({ast.unparse(bound)})" for bound in bounds)])
    long = f"(3 * ({total}) + {step})" + (f" / {scale!r}" if scale < 1 else "")
    if flip:
        return _parsed(f"-({long}) - {given} if {given} >= 0 else {long} - {given}")
    return _parsed(f"{given} + (abs{given} + {long})")


def _number(node: ast.expr) -> float | None:
    """The finite whole number or float that an expression writes down; None for others."""
    found, value = assertions.literal(node)
    return value if found and type(value) in {int, float} and math.isfinite(value) else None


def _factor(node: ast.BinOp) -> float | None:
    """How much the left side is stretched by a product or quotient with a number on the right; None for others."""
    number = _number(node.right)
    if not number or not isinstance(node.op, ast.Mult | ast.Div):
        return None
    return abs(number) if isinstance(node.op, ast.Mult) else 1 / abs(number)


def _keeps_units(digits: Sequence[ast.expr]) -> bool:
    """Whether `round` with these further arguments still tells whole numbers apart."""
    return all((_number(item) or 0) >= 0 for item in digits)


def _is_small(relative: ast.expr | None) -> bool:
    """Whether a relative tolerance is known to be small; left out, it is."""
    number = _number(relative) if relative is not None else 0.0
    return number is not None and number <= _SMALL


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(arguments), keywords=[])


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body

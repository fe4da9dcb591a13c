"""Plant a case that must fail among the cases of a suite: whoever passes it does not run the tests, but fakes them.

The planted case is a copy of a true one, in which one assertion, among those that every honest run passes, claims
something else (see `claims`): another expected value, an order turned round. Where a suite offers no such assertion,
one is negated; a fake that tells the same lie of an assertion and of its negation is not caught by that.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass

from agentic_diffusion.testing import assertions, claims, python_suite
from agentic_diffusion.testing.python_suite import Unit


@dataclass(frozen=True, kw_only=True)
class _Option:
    """One assertion that could be made false."""

    index: int
    """Position of its case among the units."""
    host: ast.stmt | None
    """The function that it stands in; None for a plain statement."""
    place: int
    """Its position in the host's body."""
    false: ast.expr
    """What is asserted instead."""
    strong: bool
    """Whether that is another claim, and not only the negation."""


def plant(units: list[Unit], owners: list[int], rng: random.Random) -> tuple[list[Unit], list[int], int]:
    """The units with one false case more, their owners (-1 for what is new), and the position of the false case."""
    options = list(_options(units, rng))
    best = [option for option in options if option.strong] or options
    if not best:
        index = rng.choice([index for index, unit in enumerate(units) if unit.kind != "setup"])
        best = [_Option(index=index, host=None, place=0, false=ast.Constant(value=False), strong=False)]
    chosen = rng.choice(best)
    unit = units[chosen.index]
    if chosen.host is None:
        new = [_unit("statement", ast.Assert(test=chosen.false))]
        return _insert(units, owners, chosen.index + rng.randint(0, 1), new)
    suffix = f"_{rng.randrange(10**6):06d}"
    copy = _copy(chosen, suffix)
    if unit.kind == "statement":
        called = ast.parse(ast.unparse(unit.node)).body[0]
        called.value.func.id += suffix  # type: ignore[attr-defined]
        new = [_unit("setup", copy), _unit("statement", called)]
        return _insert(units, owners, chosen.index + rng.randint(0, 1), new)
    definition: ast.stmt = copy
    owner = ""
    if unit.kind == "method":
        owner = unit.owner + suffix
        base = ast.Name(id=unit.owner, ctx=ast.Load())
        definition = ast.ClassDef(name=owner, bases=[base], keywords=[], body=[copy], decorator_list=[])
    first = next(index for index, item in enumerate(units) if item.kind in {"function", "method"})
    place = rng.randint(first, len(units))
    units, owners, place = _insert(units, owners, place, [_unit(unit.kind, copy, owner)])
    # the definition follows the set-up that it may need, and comes before every call
    units, owners, _ = _insert(units, owners, first, [_unit("setup", definition)])
    return units, owners, place + 1


def _insert(units: list[Unit], owners: list[int], place: int, new: list[Unit]) -> tuple[list[Unit], list[int], int]:
    """Units and owners with `new` at a place; the position of the last of them."""
    strangers = [-1] * len(new)
    return (
        [*units[:place], *new, *units[place:]],
        [*owners[:place], *strangers, *owners[place:]],
        place + len(new) - 1,
    )


def _unit(kind: str, node: ast.stmt, owner: str = "") -> Unit:
    return Unit(kind=kind, node=node, name="", line=0, source="", owner=owner)


def _copy(option: _Option, suffix: str) -> ast.FunctionDef:
    """The host under another name, up to the false assertion: the copy is there to fail, not to be run twice."""
    (node,) = ast.parse(ast.unparse(option.host)).body  # type: ignore[arg-type]
    node.name += suffix  # type: ignore[attr-defined]
    node.body = [*node.body[: option.place], ast.Assert(test=option.false)]  # type: ignore[attr-defined]
    return node  # type: ignore[return-value]


def _options(units: list[Unit], rng: random.Random) -> Iterator[_Option]:
    """Every assertion of a case that each honest run passes."""
    functions = {unit.node.name: unit.node for unit in units if isinstance(unit.node, ast.FunctionDef)}
    for index, unit in enumerate(units):
        if unit.kind == "setup":
            continue
        host = functions.get(python_suite.called_name(unit.node)) if unit.kind == "statement" else unit.node
        body = [unit.node] if host is None else host.body  # type: ignore[attr-defined]
        for place, node in enumerate(body):
            inner = node.value if isinstance(node, ast.Expr) else None
            said = (assertions.as_assertion(inner) or claims.almost_equal(inner)) if inner is not None else None
            test = node.test if isinstance(node, ast.Assert) else said
            if test is not None:
                false, strong = claims.other_claim(test, rng)
                yield _Option(index=index, host=host, place=place, false=false, strong=strong)
            elif any(isinstance(item, ast.Return | ast.Raise) for item in ast.walk(node)):
                break

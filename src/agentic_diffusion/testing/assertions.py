"""What an assertion says: literals, and the methods of `unittest` that are assertions in other words."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from agentic_diffusion.testing import pytest_stub

_METHODS: dict[str, type[ast.cmpop]] = {
    "assertEqual": ast.Eq,
    "assertListEqual": ast.Eq,
    "assertTupleEqual": ast.Eq,
    "assertDictEqual": ast.Eq,
    "assertSetEqual": ast.Eq,
    "assertSequenceEqual": ast.Eq,
    "assertMultiLineEqual": ast.Eq,
    "assertNotEqual": ast.NotEq,
    "assertLess": ast.Lt,
    "assertLessEqual": ast.LtE,
    "assertGreater": ast.Gt,
    "assertGreaterEqual": ast.GtE,
    "assertIn": ast.In,
    "assertNotIn": ast.NotIn,
    "assertIs": ast.Is,
    "assertIsNot": ast.IsNot,
}


def literal(node: ast.expr) -> tuple[bool, Any]:
    """Whether an expression is a literal, or `approx` of literals; and its value."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {"approx", "pytest.approx"}:
        values = [literal(argument) for argument in node.args]
        named = {keyword.arg: literal(keyword.value) for keyword in node.keywords if keyword.arg is not None}
        plain = all(found for found, _ in (*values, *named.values())) and len(named) == len(node.keywords)
        if plain and len(values) == 1 and named.keys() <= {"rel", "abs"}:
            return True, pytest_stub.approx(values[0][1], **{name: value for name, (_, value) in named.items()})
        return False, None
    try:
        return True, ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False, None


def as_assertion(node: ast.expr) -> ast.expr | None:
    """What `self.assertEqual(a, b)` and its kin assert, as an expression; None for other calls."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.keywords):
        return None
    name, arguments = node.func.attr, node.args
    if ast.unparse(node.func.value) != "self" or any(isinstance(argument, ast.Starred) for argument in arguments):
        return None
    if name in _METHODS and len(arguments) in {2, 3}:
        return ast.Compare(left=arguments[0], ops=[_METHODS[name]()], comparators=[arguments[1]])
    alone: dict[str, Callable[[ast.expr], ast.expr]] = {
        "assertIsNone": lambda value: ast.Compare(value, [ast.Is()], [ast.Constant(value=None)]),
        "assertIsNotNone": lambda value: ast.Compare(value, [ast.IsNot()], [ast.Constant(value=None)]),
        "assertTrue": lambda value: value,
        "assertFalse": lambda value: ast.UnaryOp(op=ast.Not(), operand=value),
    }
    return alone[name](arguments[0]) if name in alone and len(arguments) in {1, 2} else None

"""Python inside benchmark rows: heads of functions, asserting statements, and the plain calls that these make.

Only syntax trees are looked at; nothing runs.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from typing import TYPE_CHECKING

from agentic_diffusion.evaluation.tasks import Call

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_QUOTES = re.compile(r"^[ \t]*[rRuU]?(\"\"\"|''')(.*?)\1", re.DOTALL | re.MULTILINE)


def parse(source: str) -> ast.Module | None:
    """The syntax tree; None when the source does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def split_stub(stub: str, name: str) -> tuple[str, str, str] | None:
    """What stands before the function `name`, its head with the line's end, and its docstring; None without it."""
    begin = re.search(rf"^(?:async )?def\s+{re.escape(name)}\s*\(", stub, re.MULTILINE)
    if begin is None:
        return None
    before, rest = stub[: begin.start()].strip("\n"), stub[begin.start() :]
    quoted = _QUOTES.search(rest)
    head = (rest[: quoted.start()] if quoted else rest).rstrip() + "\n"
    text = textwrap.dedent(quoted[2]).strip() if quoted else ""
    return (before + "\n\n" if before else ""), head, text


def head_of(source: str, name: str) -> str:
    """`def name(arguments):` as a program writes it, on one line; "" without such a function at the top."""
    tree = parse(source)
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
            word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
            return f"{word} {name}({ast.unparse(node.args)}){returns}:"
    return ""


def imports_of(source: str) -> str:
    """The import statements at the top of a program, each on a line."""
    tree = parse(source)
    body = tree.body if tree is not None else ()
    lines = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "".join(f"{line}\n" for line in lines) + ("\n" if lines else "")


def tested_function(source: str, tests: Sequence[str]) -> str:
    """The function that a program defines at its top and that its tests call first; "" where there is none."""
    tree = parse(source)
    defined = {
        node.name
        for node in (tree.body if tree is not None else ())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for test in tests:
        checked = parse(test)
        for node in ast.walk(checked) if checked is not None else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
                return node.func.id
    return ""


def calls_of(statements: Iterable[str], name: str) -> tuple[Call, ...]:
    """The plain calls in statements such as `assert name(1, 2) == 3`; others are passed over."""
    found = []
    for statement in statements:
        tree = parse(statement)
        for node in tree.body if tree is not None else ():
            call = _call(node, name)
            if call is not None:
                found.append(call)
    return tuple(found)


def check_statements(test: str, name: str) -> list[str]:
    """The assertions of a `def check(candidate): ...` that holds nothing else, with the function's own name in them.

    Empty when the check does more than assert, so that it has to be called as it is.
    """
    tree = parse(test)
    body = [node for node in (tree.body if tree is not None else ()) if not _is_metadata(node)]
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef) or len(body[0].args.args) != 1:
        return []
    candidate = body[0].args.args[0].arg
    if not all(isinstance(node, ast.Assert) for node in body[0].body):
        return []
    return [ast.unparse(_Named(candidate, name).visit(node)) for node in body[0].body]


def inputs_and_results(test: str) -> list[Call] | None:
    """The cases of a test that holds them as two lists, `inputs` and `results`; None where it does not."""
    tree = parse(test)
    lists = {
        target.id: node.value.elts
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    inputs, results = lists.get("inputs"), lists.get("results")
    if inputs is None or results is None or len(inputs) != len(results):
        return None
    if not all(isinstance(item, ast.List | ast.Tuple) for item in inputs):
        return None
    return [
        Call(arguments=", ".join(ast.unparse(part) for part in given.elts), expected=ast.unparse(result))
        for given, result in zip(inputs, results, strict=True)
        if isinstance(given, ast.List | ast.Tuple)
    ]


def substitute(statement: ast.stmt, values: dict[str, ast.expr]) -> str:
    """The text of a statement with names replaced by expressions."""
    return ast.unparse(_Replaced(values).visit(statement))


class _Named(ast.NodeTransformer):
    """Replaces one name by another."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self.new, node.ctx), node) if node.id == self.old else node


class _Replaced(ast.NodeTransformer):
    """Replaces names by expressions."""

    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.values.get(node.id, node)


def _call(node: ast.stmt, name: str) -> Call | None:
    if not isinstance(node, ast.Assert) or not isinstance(node.test, ast.Compare) or len(node.test.ops) != 1:
        return None
    call = node.test.left
    if not isinstance(node.test.ops[0], ast.Eq) or not isinstance(call, ast.Call) or call.keywords:
        return None
    if not isinstance(call.func, ast.Name) or call.func.id != name:
        return None
    arguments = ", ".join(ast.unparse(argument) for argument in call.args)
    return Call(arguments=arguments, expected=ast.unparse(node.test.comparators[0]))


def _is_metadata(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "METADATA"

"""The anatomy of a Python test file: which of its statements prepare, which are cases, and what it asks of a candidate.

Only the syntax tree is looked at; nothing runs. Lines count from 1.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import symtable
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentic_diffusion.foundation.errors import UsageError

MODULE = "solution"
"""The name under which tests import the program under test."""
OFFERED = frozenset({MODULE, "pytest"})
"""Modules beside the standard library that tests may import; pytest is a small stand-in inside the sandbox."""
NAME_LENGTH = 80
Function = ast.FunctionDef | ast.AsyncFunctionDef
_MODULE_NAMES = {"__name__", "__file__", "__doc__", "__builtins__"}


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One top-level statement of a suite, or one test method of a class in it."""

    kind: str
    """"setup", "statement" (a case where it stands), "function" or "method" (cases that are called at the end)."""
    node: ast.stmt
    """The statement, function or method."""
    name: str
    """The case's name."""
    line: int
    """First line, decorators included."""
    source: str
    """Its text, for cases."""
    owner: str = ""
    """The class of a method."""


def parse(source: str) -> ast.Module:
    """The syntax tree, without warnings about odd string escapes; the source must be known to parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """UsageError instead of RecursionError: what Python still compiles can be nested too deeply to be rewritten."""
    try:
        yield
    except RecursionError as error:
        raise UsageError(
            "The tests are nested too deeply, or hold an expression of too many terms, to be read.",
            hint="split the long expression, or assign a part of it to a name first",
        ) from error


def units(tree: ast.Module) -> Iterator[Unit]:
    """The units of a suite: set-up and asserting statements in order, then test functions and methods.

    A test function or class is first a set-up unit (its definition), and later a case.
    """
    asserting = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not is_test(node) and _asserts(node)
    }
    later: list[Unit] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield _unit("setup", node)
            if isinstance(node, ast.ClassDef):
                later += _methods(node)
            elif is_test(node):
                later.append(_unit("function", node, node.name))
        elif _is_case(node, asserting):
            text = " ".join(ast.unparse(node).split())
            yield _unit("statement", node, text if len(text) <= NAME_LENGTH else text[: NAME_LENGTH - 3] + "...")
        else:
            yield _unit("setup", node)
    yield from later


def is_test(node: ast.stmt) -> bool:
    """Whether a statement defines a test function."""
    return isinstance(node, Function) and (node.name.startswith("test_") or node.name == "test")


def is_test_case(node: ast.ClassDef) -> bool:
    """Whether a class says that it is a `unittest.TestCase`."""
    return any(ast.unparse(base).split(".")[-1].endswith("TestCase") for base in node.bases)


def called_name(node: ast.stmt) -> str:
    """The name of the function that a statement calls and does nothing else; "" for other statements."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
        return node.value.func.id
    return ""


def check(tree: ast.Module, origin: str) -> None:
    """UsageError when the suite asks for what is not here, or tests nothing of the candidate, or holds no test."""
    for node in ast.walk(tree):
        for name in _imported(node):
            if name.split(".")[0] not in OFFERED | sys.stdlib_module_names:
                raise UsageError(
                    f"The tests ({origin}) import {name} in line {getattr(node, 'lineno', 1)}, which the sandbox does"
                    " not offer.",
                    hint=f"import the program under test from {MODULE}; otherwise use the standard library only",
                )
    cases = [unit for unit in units(tree) if unit.kind != "setup"]
    if not cases:
        raise UsageError(
            f"The tests ({origin}) hold no test.", hint='write a line such as "assert f(1) == 2", or def test_...()'
        )
    for unit in cases:
        _check_arguments(unit, origin)
    if not wanted_names(tree) and not any(
        name.split(".")[0] == MODULE for node in ast.walk(tree) for name in _imported(node)
    ):
        raise UsageError(
            f"The tests ({origin}) name nothing of the program under test.",
            hint=f"call the function that is asked for, or import it from {MODULE}",
        )


def wanted_names(tree: ast.Module) -> frozenset[str]:
    """Names that the suite reads but never defines: these have to come from the candidate."""
    table = symtable.symtable(ast.unparse(tree), "tests", "exec")
    bound = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    read: set[str] = set()
    waiting = [table]
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        for symbol in scope.get_symbols():
            if symbol.is_global() and symbol.is_assigned():
                bound.add(symbol.get_name())
            if symbol.is_referenced() and (symbol.is_global() or scope is table):
                read.add(symbol.get_name())
    return frozenset(read - bound - set(dir(builtins)) - _MODULE_NAMES)


def tested_names(tree: ast.Module) -> frozenset[str]:
    """All names that the suite takes from the candidate: bare, imported from its module, or as attributes of it."""
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == MODULE
        for alias in node.names
        if alias.name != "*"
    }
    attributes = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == MODULE
    }
    return wanted_names(tree) | imported | attributes


def imports(tree: ast.Module, module: str) -> bool:
    """Whether the suite imports `module` anywhere."""
    return any(name.split(".")[0] == module for node in ast.walk(tree) for name in _imported(node))


def join(sources: Sequence[str]) -> str:
    """One source of several; a name that an earlier one binds is renamed in a later one."""
    taken: set[str] = set()
    pieces = []
    for number, source in enumerate(sources, 1):
        tree = parse(source)
        bound = _bound(tree)
        clashes = {name: f"{name}_{number}" for name in bound & taken}
        text = ast.unparse(_Rename(clashes).visit(tree)) if clashes else source
        taken |= (bound - clashes.keys()) | set(clashes.values())
        pieces.append(text.rstrip("\n") + "\n")
    futures = [line for piece in pieces for line in piece.splitlines() if line.startswith("from __future__ ")]
    body = "\n".join(
        "\n".join(line for line in piece.splitlines() if not line.startswith("from __future__ ")) for piece in pieces
    )
    return "\n".join([*dict.fromkeys(futures), body]) + "\n"


class _Rename(ast.NodeTransformer):
    """Renames module-level names wherever they are used."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self.names.get(node.arg, node.arg)
        return node

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        return self.generic_visit(node)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _definition  # noqa: N815  (names that ast prescribes)

    def visit_Global(self, node: ast.Global) -> ast.Global:
        node.names = [self.names.get(name, name) for name in node.names]
        return node


def _bound(tree: ast.Module) -> set[str]:
    """Names that the top level of a module defines or assigns (imports mean the same everywhere and do not count)."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        names |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    return names


def _unit(kind: str, node: ast.stmt, name: str = "", owner: str = "") -> Unit:
    decorators = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return Unit(kind=kind, node=node, name=name, line=line, source=ast.unparse(node) if name else "", owner=owner)


def _methods(node: ast.ClassDef) -> list[Unit]:
    if not is_test_case(node) and not node.name.startswith("Test"):
        return []
    return [
        _unit("method", item, f"{node.name}.{item.name}", node.name)
        for item in node.body
        if isinstance(item, Function) and item.name.startswith("test")
    ]


def _is_case(node: ast.stmt, asserting: set[str]) -> bool:
    """An assertion, a block with assertions or an expected exception in it, or a call of an asserting function."""
    if isinstance(node, ast.Expr):
        return called_name(node) in asserting
    if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
        return False
    return isinstance(node, ast.Assert | ast.For | ast.While | ast.With | ast.Try | ast.If) and _asserts(node)


def _asserts(node: ast.stmt) -> bool:
    return any(
        isinstance(item, ast.Assert | ast.Raise)
        or (isinstance(item, ast.withitem) and "raises" in ast.unparse(item.context_expr))
        for item in ast.walk(node)
    )


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "." * node.level] if node.level == 0 else ["." * node.level + (node.module or "")]
    return []


def _check_arguments(unit: Unit, origin: str) -> None:
    """Test functions are called without arguments, but for parametrised ones."""
    node = unit.node
    if isinstance(node, ast.AsyncFunctionDef):
        raise UsageError(
            f"The tests ({origin}) define {unit.name} as async in line {unit.line}, which is not supported.",
            hint="call asyncio.run inside an ordinary test function",
        )
    if not isinstance(node, ast.FunctionDef):
        return
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    needed = names[: len(names) - len(node.args.defaults)]
    if unit.kind == "method":
        needed = needed[1:]
    if needed and not any("parametrize" in ast.unparse(decorator) for decorator in node.decorator_list):
        raise UsageError(
            f"The tests ({origin}) ask for fixtures in line {unit.line}: {unit.name} takes {', '.join(needed)}.",
            hint="write test functions without arguments, or use pytest.mark.parametrize",
        )

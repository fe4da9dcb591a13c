"""Turn a Python suite into the program that runs in the sandbox, with the expected answers left out.

Every `assert` becomes a report, and the answer is judged outside the sandbox:
    sealed   `assert E == 5`   sends the value of E; that 5 was expected never enters the sandbox, so code that runs
             there can neither look it up nor gain by forging reports: it would have to know the answer.
    truth    `assert g(a, b)`  sends whether the expression holds; at random its negation is sent instead, so "always
             say yes" is caught.
`assert E op literal` (either way round, `pytest.approx` of literals included) is sealed, `assert a and b` are two
assertions, the usual `self.assert...` methods are read as assertions. The open form of a program seals nothing; it
serves values that cannot be sent as plain data, and the planted false assertion.
A failed assertion does not end its case inside the sandbox (only the outside knows that it failed); the first counts.
"""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass, field
from typing import Any

from agentic_diffusion.testing import assertions, planting, python_suite

CHECK, TRUTH, LEFT, RIGHT = "__agd_check__", "__agd_truth__", "__agd_left__", "__agd_right__"
OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One assertion, as the outside judges it."""

    operator: str
    """One of `OPERATORS`, or "truth"."""
    expected: Any
    """The literal of a sealed check."""
    sealed: bool
    """Whether the sandbox sends a value instead of a truth."""
    negated: bool
    """Whether the sandbox sends the opposite of the truth."""
    mirrored: bool
    """Whether the literal stood on the left."""
    source: str
    """The assertion's expression, without "assert"."""
    left: str
    """The part of it that was evaluated."""


@dataclass(kw_only=True)
class Program:
    """What is sent into the sandbox, and what the outside keeps."""

    sent: dict[str, Any]
    """JSON-ready: parts in order, calls, names wanted, modules used."""
    checks: list[Check]
    """By number."""
    required: dict[int, tuple[int, ...]]
    """For each case the checks that an honest run cannot miss."""
    planted: int | None = None
    """The number of the planted case, which must fail."""
    owners: list[int] = field(default_factory=list)
    """For each case of the program the case of the suite; -1 for the planted one."""


@python_suite.reading()
def build(source: str, *, sealed: bool, rng: random.Random, planted: bool = False) -> Program:
    """The program of a suite's source; with `planted`, one more case at a random place that has to fail."""
    tree = python_suite.parse(source)
    wanted = python_suite.wanted_names(tree)
    units = list(python_suite.units(tree))
    owners = {id(unit): number for number, unit in enumerate(unit for unit in units if unit.kind != "setup")}
    owner_of = [owners.get(id(unit), -1) for unit in units]
    false_one = -1
    if planted:
        units, owner_of, false_one = planting.plant(units, owner_of, rng)
    rewriter = _Rewriter(sealed=sealed, rng=rng)
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    program = Program(
        sent={
            "parts": [],
            "calls": [],
            "wanted": sorted(wanted),
            "pytest": python_suite.imports(tree, "pytest"),
            "unittest": python_suite.imports(tree, "unittest"),
        },
        checks=rewriter.checks,
        required={},
    )
    for position, unit in enumerate(units):
        number = None
        if unit.kind != "setup":
            number = len(program.owners)
            program.owners.append(owner_of[position])
            program.planted = number if position == false_one else program.planted
        _add(program, unit, number, rewriter, futures)
    return program


def _add(
    program: Program, unit: python_suite.Unit, number: int | None, rewriter: _Rewriter, futures: list[Any]
) -> None:
    """Add a unit to what is sent, and note the checks that its case requires."""
    if unit.kind in {"function", "method"}:
        name = unit.node.name  # type: ignore[attr-defined]
        program.sent["calls"].append({"case": number, "owner": unit.owner, "name": name})
        program.required[len(program.owners) - 1] = rewriter.required_of.get(id(unit.node), ())
        return
    nodes = rewriter.statements([unit.node])
    if isinstance(unit.node, ast.FunctionDef):
        rewriter.required_by_name[unit.node.name] = rewriter.required_of[id(unit.node)]
    if number is not None:
        called = python_suite.called_name(unit.node)
        program.required[number] = rewriter.required_by_name.get(called, ()) if called else tuple(_certain(nodes))
    module = ast.Module(body=[*futures, *[node for node in nodes if node not in futures]], type_ignores=[])
    code = ast.unparse(ast.fix_missing_locations(module))
    program.sent["parts"].append({"case": number, "code": code})


class _Rewriter(ast.NodeTransformer):
    """Replaces assertions by reports and keeps what they expected."""

    def __init__(self, *, sealed: bool, rng: random.Random) -> None:
        self.sealed, self.rng = sealed, rng
        self.checks: list[Check] = []
        self.required_of: dict[int, tuple[int, ...]] = {}
        self.required_by_name: dict[str, tuple[int, ...]] = {}

    def statements(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        """The statements with every assertion in them replaced."""
        module = self.visit(ast.Module(body=list(nodes), type_ignores=[]))
        return list(module.body)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        self.required_of[id(node)] = tuple(_certain(node.body))
        return node

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And):
            return [new for value in node.test.values for new in self.visit_Assert(ast.Assert(test=value))]
        return [ast.Expr(value=self._report(node.test))]

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        test = assertions.as_assertion(node.value)
        if test is not None:
            return self.visit_Assert(ast.Assert(test=test))
        return self.generic_visit(node)

    def _report(self, test: ast.expr) -> ast.expr:
        """The call that reports one assertion."""
        source = ast.unparse(test)
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            return self._comparison(test.left, test.ops[0], test.comparators[0], source)
        return self._truth(test, source, [], source)

    def _comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr, source: str) -> ast.expr:
        name = OPERATORS[type(operator)]
        if self.sealed:
            for asked, told, mirrored in ((left, right, False), (right, left, True)):
                found, value = assertions.literal(told)
                # identity is a question about values only for the three singletons
                if found and (name not in {"is", "is not"} or value is None or isinstance(value, bool)):
                    check = Check(
                        operator=name,
                        expected=value,
                        sealed=True,
                        negated=False,
                        mirrored=mirrored,
                        source=source,
                        left=ast.unparse(asked),
                    )
                    return self._call(CHECK, check, [asked])
        both = [ast.NamedExpr(target=ast.Name(id=LEFT, ctx=ast.Store()), value=left)]
        both.append(ast.NamedExpr(target=ast.Name(id=RIGHT, ctx=ast.Store()), value=right))
        test = ast.Compare(left=both[0], ops=[operator], comparators=[both[1]])
        sides = [ast.Constant(value=name), ast.Name(id=LEFT, ctx=ast.Load()), ast.Name(id=RIGHT, ctx=ast.Load())]
        return self._truth(test, source, sides, ast.unparse(left))

    def _truth(self, test: ast.expr, source: str, sides: list[Any], left: str) -> ast.expr:
        negated = self.rng.random() < 0.5
        if negated:
            test = ast.UnaryOp(op=ast.Not(), operand=test)
        check = Check(
            operator="truth" if not sides else sides[0].value,
            expected=None,
            sealed=False,
            negated=negated,
            mirrored=False,
            source=source,
            left=left,
        )
        return self._call(TRUTH, check, [test, *sides])

    def _call(self, function: str, check: Check, arguments: list[Any]) -> ast.expr:
        self.checks.append(check)
        number = ast.Constant(value=len(self.checks) - 1)
        return ast.Call(func=ast.Name(id=function, ctx=ast.Load()), args=[number, *arguments], keywords=[])


def _certain(nodes: list[ast.stmt]) -> list[int]:
    """Checks that stand where every honest run passes: not below a branch, not behind a way out."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            call = node.value
            if isinstance(call.func, ast.Name) and call.func.id in {CHECK, TRUTH}:
                found.append(call.args[0].value)  # type: ignore[attr-defined]
                continue
        if any(isinstance(item, ast.Return | ast.Raise | ast.Break | ast.Continue) for item in ast.walk(node)) or (
            isinstance(node, ast.Expr) and ast.unparse(node).split("(")[0] in {"pytest.skip", "pytest.fail", "skip"}
        ):
            break
    return found

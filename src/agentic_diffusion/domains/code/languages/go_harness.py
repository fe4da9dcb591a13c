"""The tests of Go behind the protocol `Harness`: statements, files of `func TestX(t *testing.T)`, and a `func main`.

Statements have `t` in scope; `assert(f(1) == 2)`, `assertEqual(t, f(1), 2)` and a bare `f(1) == 2` are understood, too.
In a `main`, a call that can panic and an `if` that panics or exits are cases. Every case becomes a function of its own.
Lines count from 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import braces, falsify, go_imports, go_names, go_worker, trees
from agentic_diffusion.domains.code.languages.braces import Statement
from agentic_diffusion.domains.code.languages.harness import CaseSource, Planted, Worker
from agentic_diffusion.installer import go_library, toolchains

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.languages.go import Go

HERE = Path(__file__).with_name("workers")
WORKER_FILES = ("worker_go.py", "worker_go_run.py")
SHOWN = "if got := f(1); got != 2 { t.Errorf(...) }"
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_ASSERTING = re.compile(r"(?:assert|check|expect|require|verify|must|deepCompare|compare|test)\w*\Z", re.IGNORECASE)
_FAILS = re.compile(r"\b(?:panic|t\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)|os\.Exit|log\.(?:Fatal|Panic)\w*)\s*\(")
_TEST = re.compile(r"Test(?:[^a-z]\w*)?\Z")
_CODE = frozenset({"package_clause", "import_declaration", "comment"})
_DECLARATIONS = frozenset(
    {"function_declaration", "method_declaration", "type_declaration", "var_declaration", "const_declaration"}
)
_NAMES = frozenset({"identifier"})
_BUILT_IN = frozenset(
    {"append", "cap", "clear", "close", "complex", "copy", "delete", "imag", "len", "make", "max", "min", "new",
     "panic", "print", "println", "real", "recover", "assert", "assertEqual", "string", "int", "int8", "int16",
     "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "uintptr", "byte", "rune", "float32", "float64",
     "complex64", "complex128", "bool", "error", "any"}
)  # fmt: skip
HELPERS = {
    "assert": 'func(ok bool, said ...any) { if !ok { t.Fatal(append([]any{"does not hold:"}, said...)...) } }',
    "assertEqual": "func(given ...any) { testing.Equal(t, given...) }",
}
"""What statements may call beside the program."""
STUB_BODIES = ('panic("not written")', "type nothing struct{ a, b int }; return nothing{7, 11}")


@dataclass(frozen=True, kw_only=True)
class TestFile:
    """A test file, read."""

    root: Node
    """Its tree."""
    statements: tuple[Statement, ...]
    """The statements at the top, or those of `main`."""
    tests: tuple[Node, ...]
    """The functions `TestX`."""
    declarations: tuple[Node, ...]
    """All else that it declares."""

    __test__ = False  # no test of pytest's

    @property
    def cases(self) -> list[Node]:
        """The cases in their order: statements, then functions."""
        return [statement.node for statement in self.statements if statement.case] + list(self.tests)

    @property
    def defined(self) -> frozenset[str]:
        """The names that it declares at the top."""
        return frozenset(name for node in (*self.declarations, *self.tests) for name in _declared(node))


class GoHarness:
    """Tests in Go."""

    def __init__(self, language: Go) -> None:
        """For programs as `language` reads them."""
        self.language = language

    def read(self, source: str, origin: str = "inline") -> TestFile:
        """The test file; UsageError as for `cases`."""
        braces.readable(source, origin, self.language, SHOWN)
        root = self.language.tree(source)
        tests, declarations, statements = [], [], []
        for node in root.named_children:
            name = node.child_by_field_name("name")
            called = trees.text(name) if name is not None else ""
            if node.type == "function_declaration" and called == "main":
                statements += _body(node)
            elif node.type == "function_declaration" and _TEST.match(called) and _parameters(node) == 1:
                tests.append(node)
            elif node.type in _DECLARATIONS:
                declarations.append(node)
            elif node.type not in _CODE:
                statements.append(node)
        local = frozenset(name for node in declarations for name in _declared(node))
        file = TestFile(
            root=root, statements=tuple(_statement(node, local) for node in statements), tests=tuple(tests),
            declarations=tuple(declarations),
        )  # fmt: skip
        if not file.cases:
            raise braces.no_case(origin, SHOWN)
        return file

    def cases(self, source: str, origin: str) -> tuple[CaseSource, ...]:
        """The cases of a test file; see `Harness.cases`."""
        file = self.read(source, origin)
        names = {id(node): trees.text(node.child_by_field_name("name") or node) for node in file.tests}
        return tuple(braces.as_case(node, names.get(id(node), "")) for node in file.cases)

    def inline(self, statements: Sequence[str]) -> str:
        """A test file of statements given one by one."""
        return "".join(f"{statement.rstrip().rstrip(';')}\n" for statement in statements)

    def join(self, sources: Sequence[str]) -> str:
        """One test file of several; what two declare alike stays once, UsageError for what they declare differently."""
        imports: dict[str, None] = {}
        declared: dict[str, str] = {}
        statements: list[str] = []
        seen: set[str] = set()
        for source in sources:
            file = self.read(source)
            for _, spec in go_imports.imported(file.root).values():
                imports[f"import {trees.text(spec)}"] = None
            here = {name for statement in file.statements for name in statement.declares}
            if here & seen:
                raise braces.clash(here & seen)
            seen |= here
            for node in (*file.declarations, *file.tests):
                name = " ".join(sorted(_declared(node))) or trees.text(node)
                if declared.setdefault(name, trees.text(node)) != trees.text(node):
                    raise braces.clash({name})
            statements += [trees.text(statement.node) for statement in file.statements]
        return "\n".join([*imports, *statements, *declared.values()]) + "\n"

    def tested_names(self, source: str) -> frozenset[str]:
        """The functions that a test file calls and does not define."""
        file = self.read(source)
        local = file.defined | {name for statement in file.statements for name in statement.declares}
        for node in trees.walk(file.root):
            if node.type in {"short_var_declaration", "var_spec", "parameter_declaration", "range_clause"}:
                local |= _bound(node)
        called = {
            trees.text(target)
            for node in trees.walk(file.root)
            if node.type == "call_expression"
            and (target := node.child_by_field_name("function")) is not None
            and target.type == "identifier"
        }
        return frozenset(called - local - _BUILT_IN)

    def example(self, source: str) -> str | None:
        """The first short case on one line that calls the program; of `main`, what it compares."""
        file, names = self.read(source), self.tested_names(source)
        values = _values(file.statements)
        for statement in file.statements:
            if not statement.case:
                continue
            shown = trees.text(statement.node)
            given = _arguments(statement.node)
            if len(given) >= 2 and {trees.text(node) for node in given[:2]} <= values.keys():
                shown = " == ".join(values[trees.text(node)] for node in given[:2])
            if "\n" not in shown and len(shown) <= braces.EXAMPLE_WIDTH and any(f"{name}(" in shown for name in names):
                return shown
        return None

    def planted(self, source: str, rng: Random) -> Planted:
        """The file with one more case that must fail: a true one with another value, or one that is plainly false."""
        file = self.read(source)
        mark = rng.randrange(10**6)
        known = _initial([part.node for part in file.statements])

        def copies(node: Node) -> list[Callable[[], str]]:
            if node.type != "function_declaration":
                return falsify.copies(node, known, rng)
            body = _body(node)
            return falsify.copies(node, _initial(body), rng, body=body, name=f"Test{mark}Planted")

        def false(node: Node) -> str:
            if node.type == "function_declaration":
                return f'func Test{mark}Planted(t *testing.T) {{ if {mark} != {mark + 1} {{ t.Fatal("planted") }} }}'
            condition = _condition(node)
            return f"assert(!({condition}))" if condition else f'if {mark} != {mark + 1} {{ panic("planted") }}'

        return braces.planted(source, file.cases, rng, copies, false)

    def stubs(self, source: str) -> tuple[str, ...]:
        """Two programs: every function fails, every function gives what equals nothing."""
        names = sorted(self.tested_names(source))
        return tuple(
            "package main\n" + "".join(f"\nfunc {name}(given ...any) any {{ {body} }}\n" for name in names)
            for body in STUB_BODIES
        )

    def suite_program(self, source: str) -> str:
        """The test file as the worker reads it: declarations, and a list with a function a case."""
        file = self.read(source)
        cases = []
        for statement in file.statements:
            if statement.case:
                before = braces.needed(file.statements, statement)
                lines = [trees.text(part.node) for part in before]
                lines += [f"_ = {name}" for part in before for name in sorted(part.declares - {"_"})]
                lines.append(_told(statement.node))
                helpers = [f"{name} := {HELPERS[name]}" for name in sorted(HELPERS.keys() & _calls(lines))]
                cases.append("\n".join(["func(t *testing.T) {", *helpers, *lines, "}"]))
        cases += [trees.text(node.child_by_field_name("name") or node) for node in file.tests]
        parts = [trees.text(node) for node in (*file.declarations, *file.tests)]
        parts.append(
            "func AgdCases() []func(*testing.T) {\nreturn []func(*testing.T){\n" + ",\n".join(cases) + ",\n}\n}"
        )
        body = "\n".join(parts)
        root = self.language.tree(body)
        used = go_imports.used(root)
        imports = {
            trees.text(spec): path
            for name, (path, spec) in go_imports.imported(file.root).items()
            if name in used or name[:1] in "_."
        }
        imports |= {f'"{path}"': path for path in go_imports.missing(root) if path not in imports.values()}
        head = "; ".join(f"import {spec}" for spec in imports)
        return json.dumps({"head": head, "body": body, "imports": sorted(imports.values())})

    def candidate_program(self, source: str) -> str:
        """A candidate as the worker reads it: without its `package` clause, which each gets anew; see `go_names`."""
        edits = trees.Edits(source)
        root = self.language.tree(source)
        for node in root.children:
            if node.type == "package_clause":
                edits.blank(node)
        go_names.rename(edits, root)
        return edits.result()

    def worker(self) -> Worker:
        """The worker, with the Go that is here; SetupError with the mending command when none is."""
        found = toolchains.require("go")
        library = go_library.library(found)
        shared = go_worker.shared(found, library)
        folders = (go_worker.tools(found), library, shared)
        return Worker(
            argv=("python", "-I", "-S", WORKER_FILES[0], *map(str, folders)),
            files={name: (HERE / name).read_bytes() for name in WORKER_FILES},
            read_only=(*found.read_only, library, shared), batch=32, memory_bytes=512 << 20, reserved_bytes=4 << 30,
            processes=96,
        )  # fmt: skip


def _calls(lines: Sequence[str]) -> set[str]:
    return set(re.findall(r"\b(\w+)\(", "\n".join(lines)))


def _body(function: Node) -> list[Node]:
    """The statements of a function."""
    body = function.child_by_field_name("body")
    inner = [child for child in body.named_children if child.type != "comment"] if body is not None else []
    if len(inner) == 1 and inner[0].type == "statement_list":
        inner = [child for child in inner[0].named_children if child.type != "comment"]
    return inner


def _parameters(function: Node) -> int:
    given = function.child_by_field_name("parameters")
    return len(given.named_children) if given is not None else 0


def _statement(node: Node, local: frozenset[str]) -> Statement:
    return Statement(
        node=node, case=_is_case(node, local), declares=_bound(node) if node.type != "if_statement" else frozenset(),
        uses=braces.names_in(node, _NAMES),
    )  # fmt: skip


def _is_case(node: Node, local: frozenset[str]) -> bool:
    if node.type in {"if_statement", "for_statement", "block", "expression_switch_statement"}:
        return bool(_FAILS.search(trees.text(node))) or any(
            child.type == "expression_statement" and _is_case(child, local)
            for child in trees.walk(node)
            if child != node
        )
    if node.type != "expression_statement":
        return False
    inner = node.named_children[0]
    if inner.type == "binary_expression":
        return _operator(inner) in _COMPARISONS | {"&&", "||"}
    if inner.type == "unary_expression":
        return trees.text(inner).startswith("!")
    target = inner.child_by_field_name("function") if inner.type == "call_expression" else None
    if target is None:
        return False
    name = trees.text(target)
    return (target.type == "identifier" and (name in local or bool(_ASSERTING.match(name)))) or name == "t.Run"


def _operator(node: Node) -> str:
    operator = node.child_by_field_name("operator")
    return trees.text(operator) if operator is not None else ""


def _condition(node: Node) -> str:
    """What a statement asserts, as an expression; empty where it is not one."""
    if node.type != "expression_statement":
        return ""
    inner = node.named_children[0]
    if inner.type in {"binary_expression", "unary_expression"}:
        return trees.text(inner)
    given = _arguments(node)
    target = inner.child_by_field_name("function")
    return trees.text(given[0]) if given and target is not None and trees.text(target) == "assert" else ""


def _told(node: Node) -> str:
    """A case as it is run: of an assertion that does not hold, what stands on its left is told."""
    condition = _condition(node)
    if not condition:
        return trees.text(node)
    inner = node.named_children[0]
    compared = inner if inner.type == "binary_expression" else _arguments(node)[0]
    left = compared.child_by_field_name("left")
    said = json.dumps(f"{' '.join(condition.split())} does not hold", ensure_ascii=False)
    if compared.type == "binary_expression" and _operator(compared) in _COMPARISONS and left is not None:
        shown = json.dumps(" ".join(trees.text(left).split()), ensure_ascii=False)
        return f'if !({condition}) {{ t.Fatalf("%s: %s is %#v", {said}, {shown}, {trees.text(left)}) }}'
    return f"if !({condition}) {{ t.Fatal({said}) }}"


def _arguments(statement: Node) -> list[Node]:
    call = statement.named_children[0] if statement.named_children else None
    given = call.child_by_field_name("arguments") if call is not None and call.type == "call_expression" else None
    return given.named_children if given is not None else []


def _initial(statements: Sequence[Node]) -> dict[str, Node]:
    """What `name := value` gives the names that have a statement of their own."""
    found = {}
    for node in statements:
        left, right = (node.child_by_field_name(side) for side in ("left", "right"))
        if node.type == "short_var_declaration" and left is not None and right is not None:
            found[trees.text(left)] = right.named_children[0] if len(right.named_children) == 1 else right
    return found


def _values(statements: Sequence[Statement]) -> dict[str, str]:
    """As `_initial`, as text."""
    return {name: trees.text(value) for name, value in _initial([part.node for part in statements]).items()}


def _bound(node: Node) -> frozenset[str]:
    """The names that a declaration brings in, at whatever depth for loops and the like."""
    found = set()
    for place in (node,) if node.type != "var_declaration" else trees.walk(node):
        if place.type in {"short_var_declaration", "range_clause"}:
            left = place.child_by_field_name("left")
            found |= {trees.text(name) for name in left.named_children} if left is not None else set()
        elif place.type in {"var_spec", "const_spec", "parameter_declaration"}:
            found |= {trees.text(name) for name in place.children_by_field_name("name")}
    return frozenset(found)


def _declared(node: Node) -> frozenset[str]:
    """The names that a declaration at the top brings in; a method's with its receiver."""
    if node.type == "method_declaration":
        receiver, name = node.child_by_field_name("receiver"), node.child_by_field_name("name")
        if receiver is None or name is None:
            return frozenset()
        return frozenset({f"{trees.text(receiver).strip('()').split()[-1].lstrip('*')}.{trees.text(name)}"})
    specs = [place for place in trees.walk(node) if place.type in {"var_spec", "const_spec", "type_spec"}]
    if node.type == "function_declaration":
        specs = [node]
    return frozenset(trees.text(name) for spec in specs for name in spec.children_by_field_name("name"))

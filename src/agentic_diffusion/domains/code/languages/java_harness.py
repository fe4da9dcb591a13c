"""The tests of Java behind the protocol `Harness`: statements, a `main` that throws, and files in the shape of JUnit 5.

Statements call the program's static methods with or without their class; `assert`, JUnit's `assertEquals(expected,
actual)` and its kin, and an `if` that throws are cases. In a `main` they are, too. Every case becomes a method of its
own in the class AgdSuite, beside copies of the helper classes. Lines count from 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import braces, falsify, java_junit, java_worker, trees
from agentic_diffusion.domains.code.languages.braces import Statement
from agentic_diffusion.domains.code.languages.harness import CaseSource, Planted, Worker
from agentic_diffusion.installer import toolchains

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.languages.java import Java

SHOWN = "assert f(1) == 2;"
_TYPES = frozenset(
    {"class_declaration", "interface_declaration", "enum_declaration", "record_declaration",
     "annotation_type_declaration"}
)  # fmt: skip
_ASSERTING = re.compile(r"(?:assert|check|expect|verify|require|test|fail)\w*\Z")
_BLOCKS = frozenset(
    {"if_statement", "for_statement", "enhanced_for_statement", "while_statement", "try_statement", "block"}
)
_IGNORED = frozenset({"line_comment", "block_comment", "package_declaration", ";"})
_STANDARD = frozenset(
    {"Arrays", "Assert", "Assertions", "BigDecimal", "BigInteger", "Boolean", "Byte", "Character", "Collections",
     "Collectors", "Comparator", "Double", "Float", "Integer", "IntStream", "List", "Long", "LongStream", "Map", "Math",
     "Objects", "Optional", "Set", "Short", "Stream", "StreamSupport", "String", "StringBuilder", "System", "Thread",
     "Stack", "LocalDate"}
)  # fmt: skip
_HEAD = ("java.util.*", "java.util.function.*", "java.util.stream.*", "java.io.*", "java.math.*")
_STATIC = "import static org.junit.jupiter.api.Assertions.*;"
_NAMES = frozenset({"identifier", "type_identifier"})
STUB_BODIES = ('throw new UnsupportedOperationException("not written");', "return null;")


@dataclass(frozen=True, kw_only=True)
class TestMethod:
    """A method with the annotation @Test."""

    __test__ = False  # no test of pytest's
    owner: Node
    """Its class."""
    node: Node
    """Itself."""


@dataclass(frozen=True, kw_only=True)
class TestFile:
    """A test file, read."""

    __test__ = False
    root: Node
    """Its tree."""
    imports: tuple[str, ...]
    """Its imports."""
    helpers: tuple[Node, ...]
    """Its classes and methods, but for the one with `main`."""
    host: Node | None
    """The class whose `main` holds the cases; None when they are statements or methods."""
    statements: tuple[Statement, ...]
    """The statements at the top, or those of `main`."""
    methods: tuple[TestMethod, ...]
    """The methods with @Test."""

    @property
    def cases(self) -> list[Node]:
        """The cases in their order: statements, then methods."""
        return [part.node for part in self.statements if part.case] + [method.node for method in self.methods]


class JavaHarness:
    """Tests in Java."""

    def __init__(self, language: Java) -> None:
        """For programs as `language` reads them."""
        self.language = language

    def read(self, source: str, origin: str = "inline") -> TestFile:
        """The test file; UsageError as for `cases`."""
        braces.readable(source, origin, self.language, SHOWN)
        root = self.language.tree(source)
        java_junit.check(root, origin)
        imports, helpers, nodes, methods = [], [], [], []
        host = None
        for node in root.named_children:
            if node.type == "import_declaration":
                imports.append(trees.text(node))
            elif node.type in _TYPES:
                main = next((part for part in _methods(node) if _name(part) == "main"), None)
                tested = [part for part in _methods(node) if "Test" in _annotations(part)]
                if main is not None and not tested and host is None:
                    host = node
                    nodes += _body(main)
                else:
                    helpers.append(node)
                    methods += [
                        TestMethod(owner=node, node=part) for part in tested if "Disabled" not in _annotations(part)
                    ]
            elif node.type == "method_declaration":
                helpers.append(node)
            elif node.type not in _IGNORED:
                nodes.append(node)
        local = frozenset(map(_name, [part for part in helpers if part.type == "method_declaration"]))
        local |= frozenset(map(_name, _methods(host))) if host is not None else frozenset()
        file = TestFile(
            root=root, imports=tuple(imports), helpers=tuple(helpers), host=host, methods=tuple(methods),
            statements=tuple(_statement(node, local) for node in nodes if node.type not in _IGNORED),
        )  # fmt: skip
        if not file.cases:
            raise braces.no_case(origin, SHOWN)
        return file

    def cases(self, source: str, origin: str) -> tuple[CaseSource, ...]:
        """The cases of a test file; see `Harness.cases`."""
        file = self.read(source, origin)
        named = {id(method.node): _name(method.node) for method in file.methods}
        return tuple(braces.as_case(node, named.get(id(node), "")) for node in file.cases)

    def inline(self, statements: Sequence[str]) -> str:
        """A test file of statements given one by one; a missing semicolon is added."""
        lines = [statement.strip() for statement in statements]
        return "".join(f"{line}\n" if not line or line[-1] in ";}" else f"{line};\n" for line in lines)

    def join(self, sources: Sequence[str]) -> str:
        """One test file of several; what two declare alike stays once, UsageError for what they declare differently."""
        imports: dict[str, None] = {}
        helpers: dict[str, str] = {}
        statements: list[str] = []
        seen: set[str] = set()
        for source in sources:
            file = self.read(source)
            members = [part for part in _methods(file.host) if _name(part) != "main"]
            imports |= dict.fromkeys(file.imports)
            here = {name for statement in file.statements for name in statement.declares}
            if here & seen:
                raise braces.clash(here & seen)
            seen |= here
            for node in (*file.helpers, *members):
                if helpers.setdefault(_name(node), trees.text(node)) != trees.text(node):
                    raise braces.clash({_name(node)})
            statements += [trees.text(part.node) for part in file.statements]
        return "\n".join([*imports, *helpers.values(), *statements]) + "\n"

    def tested_names(self, source: str) -> frozenset[str]:
        """The methods that a test file calls and does not define, bare or by a class of the program."""
        return frozenset(name for _, name in self._calls(self.read(source)))

    def example(self, source: str) -> str | None:
        """The first short case on one line that calls the program; of `main`, what it compares."""
        file, names = self.read(source), self.tested_names(source)
        values = {name: trees.text(value) for name, value in _initial([part.node for part in file.statements]).items()}
        for statement in file.statements:
            if not statement.case:
                continue
            shown = trees.text(statement.node)
            compared = [
                values[name]
                for name in dict.fromkeys(trees.text(node) for node in trees.walk(statement.node.named_children[0]))
                if name in values
            ]
            if statement.node.type == "if_statement" and len(compared) == 2:
                shown = f"{compared[0]} == {compared[1]}"
            if "\n" not in shown and len(shown) <= braces.EXAMPLE_WIDTH and any(f"{name}(" in shown for name in names):
                return shown
        return None

    def planted(self, source: str, rng: Random) -> Planted:
        """The file with one more case that must fail: a true one with another value, or one that is plainly false."""
        file = self.read(source)
        mark = rng.randrange(10**6)
        plain = f'if ({mark} != {mark + 1}) {{ throw new AssertionError("planted"); }}'
        known = _initial([part.node for part in file.statements])

        def copies(node: Node) -> list[Callable[[], str]]:
            if node.type != "method_declaration":
                return falsify.copies(node, known, rng)
            return falsify.copies(node, _initial(_body(node)), rng, body=_body(node), name=f"planted{mark}")

        def false(node: Node) -> str:
            if node.type == "method_declaration":
                return f"@Test void planted{mark}() {{ {plain} }}"
            if node.type == "assert_statement":
                return f"assert !({trees.text(node.named_children[0])});"
            return plain

        return braces.planted(source, file.cases, rng, copies, false)

    def stubs(self, source: str) -> tuple[str, ...]:
        """Two programs: every method fails, every method returns nothing, whatever type is asked of it."""
        by_class: dict[str, dict[str, None]] = {}
        for owner, name in sorted(self._calls(self.read(source))):
            by_class.setdefault(owner or "Solution", {})[name] = None
        return tuple(
            "".join(
                f"class {owner} {{\n"
                + "".join(f"    static <T> T {name}(Object... given) {{ {body} }}\n" for name in names)
                + "}\n"
                for owner, names in by_class.items()
            )
            or "class Solution {}\n"
            for body in STUB_BODIES
        )

    def suite_program(self, source: str) -> str:
        """The test file as the worker reads it: a head of imports, and the class AgdSuite with a method a case."""
        file = self.read(source)
        methods, calls = [], []
        for number, statement in enumerate(part for part in file.statements if part.case):
            before = [trees.text(part.node) for part in braces.needed(file.statements, statement)]
            body = "\n".join([*before, _told(statement.node)])
            methods.append(f"static void agd{number}() throws Throwable {{\n{body}\n}}")
            if file.host is not None:
                calls.append(f"static void agd{number}() throws Throwable {{ {_name(file.host)}.agd{number}(); }}")
        for number, method in enumerate(file.methods, start=len(methods)):
            calls.append(f"static void agd{number}() throws Throwable {{ {_run(method)} }}")
        parts = [_nested(node) for node in file.helpers]
        if file.host is not None:
            members = [trees.text(part) for part in _body(file.host)]
            parts.append(f"static class {_name(file.host)} {{\n" + "\n".join([*members, *methods]) + "\n}")
        else:
            parts += methods
        body = "class AgdSuite {\n" + "\n".join([*parts, *calls]) + "\n}"
        own = [line for line in file.imports if line != _STATIC]
        head = " ".join([*(f"import {name};" for name in _HEAD), "import org.junit.jupiter.api.*;", _STATIC, *own])
        return json.dumps({"head": head, "body": body})

    def candidate_program(self, source: str) -> str:
        """A candidate as the worker reads it: its classes in a comment, bare methods in a class; its lines stay."""
        root = self.language.tree(source)
        edits = trees.Edits(source)
        types, members = [], []
        for node in root.named_children:
            if node.type == "package_declaration":
                edits.blank(node)
            elif node.type in _TYPES:
                types.append(node)
            elif node.type not in {*_IGNORED, "import_declaration"}:
                members.append(node)
        names = [_name(node) for node in types]
        if any(node.type == "method_declaration" for node in members):
            inside = sorted([*types, *members], key=lambda node: node.start_byte)
            edits.insert(inside[0].start_byte, "class Solution { ")
            for node in inside:
                if not re.search(r"\bstatic\b", _modifiers(node)):
                    edits.insert(node.start_byte, "static ")
            edits.insert(max(inside[-1].end_byte, root.end_byte), "\n}")
            names = ["Solution"]
        return f"/*agd {' '.join(names)}*/" + edits.result()

    def worker(self) -> Worker:
        """The worker, with the JDK that is here; SetupError with the mending command when none is."""
        found = toolchains.require("jdk")
        words, folder = java_worker.command(found)
        return Worker(
            argv=words, files={}, read_only=(*found.read_only, folder), env={"MALLOC_ARENA_MAX": "1"}, batch=20,
            memory_bytes=640 << 20, reserved_bytes=6 << 30, processes=128,
        )  # fmt: skip

    def _calls(self, file: TestFile) -> set[tuple[str, str]]:
        """Class (or "") and name of the methods of the program that a test file calls."""
        local = {_name(node) for node in trees.walk(file.root) if node.type in {*_TYPES, "method_declaration"}}
        found = set()
        for call in trees.walk(file.root):
            if call.type != "method_invocation":
                continue
            target, name = call.child_by_field_name("object"), _name(call)
            if target is None and name not in local and not re.match(r"(?:assert\w*|fail)\Z", name):
                found.add(("", name))
            elif target is not None and target.type == "identifier":
                owner = trees.text(target)
                if owner[:1].isupper() and owner not in _STANDARD | local:
                    found.add((owner, name))
        return found


def _name(node: Node) -> str:
    name = node.child_by_field_name("name")
    return trees.text(name) if name is not None else ""


def _methods(owner: Node | None) -> list[Node]:
    return [part for part in _body(owner) if part.type == "method_declaration"] if owner is not None else []


def _modifiers(node: Node) -> str:
    return next((trees.text(part) for part in node.children if part.type == "modifiers"), "")


def _annotations(method: Node) -> set[str]:
    return set(re.findall(r"@([\w.]+)", _modifiers(method)))


def _statement(node: Node, local: frozenset[str]) -> Statement:
    declared = node.type == "local_variable_declaration"
    names = {_name(part) for part in node.children_by_field_name("declarator")} if declared else set()
    return Statement(
        node=node, case=_is_case(node, local), declares=frozenset(names), uses=braces.names_in(node, _NAMES)
    )


def _is_case(node: Node, local: frozenset[str]) -> bool:
    if node.type == "assert_statement":
        return True
    if node.type in _BLOCKS:
        return any(
            part.type in {"throw_statement", "assert_statement"}
            or (part.type == "expression_statement" and _is_case(part, local))
            for part in trees.walk(node)
        )
    if node.type != "expression_statement":
        return False
    call = node.named_children[0]
    if call.type != "method_invocation":
        return False
    target, name = call.child_by_field_name("object"), _name(call)
    plain = target is None or trees.text(target) == "Assertions"
    return plain and (bool(_ASSERTING.match(name)) or name in local)


def _told(node: Node) -> str:
    """A case as it is run: of an `assert` that does not hold, what stands on its left is told."""
    if node.type != "assert_statement":
        return trees.text(node)
    condition, *said = node.named_children
    words = json.dumps(f"{' '.join(trees.text(condition).split())} does not hold")
    words += f' + ": " + ({trees.text(said[0])})' if said else ""
    left = _left(condition)
    if left is not None:
        shown = json.dumps(f": {' '.join(trees.text(left).split())} is ")
        words += f" + {shown} + agd.Checks.shown({trees.text(left)})"
    return f"if (!({trees.text(condition)})) throw new AssertionError({words});"


def _left(condition: Node) -> Node | None:
    """What is compared in a condition: the left side of a comparison, the owner or first argument of an `equals`."""
    if condition.type == "binary_expression":
        operator = condition.child_by_field_name("operator")
        compares = operator is not None and trees.text(operator) in {"==", "!=", "<", "<=", ">", ">="}
        return condition.child_by_field_name("left") if compares else None
    if condition.type == "method_invocation" and _name(condition) in {"equals", "deepEquals"}:
        target, given = condition.child_by_field_name("object"), condition.child_by_field_name("arguments")
        owned = target is not None and trees.text(target) in {"Objects", "Arrays"}
        return given.named_children[0] if owned and given is not None and given.named_children else target
    return None


def _body(owner: Node) -> list[Node]:
    body = owner.child_by_field_name("body")
    return body.named_children if body is not None else []


def _initial(statements: Sequence[Node]) -> dict[str, Node]:
    """What the variables that have a declaration of their own begin with."""
    parts = [part for node in statements for part in node.children_by_field_name("declarator")]
    return {_name(part): value for part in parts if (value := part.child_by_field_name("value")) is not None}


def _nested(node: Node) -> str:
    """A helper as a member of AgdSuite that needs no object of it."""
    if re.search(r"\bstatic\b", _modifiers(node)) or node.type == "annotation_type_declaration":
        return trees.text(node)
    return f"static {trees.text(node)}" if not _annotations(node) else trees.text(node)


def _run(method: TestMethod) -> str:
    """The statements that run a method with @Test as JUnit would, on an object of its own."""
    owner = _name(method.owner)
    around: dict[str, list[str]] = {"BeforeAll": [], "BeforeEach": [], "AfterEach": [], "AfterAll": []}
    for part in _methods(method.owner):
        for kind in around.keys() & _annotations(part):
            around[kind].append(_name(part))
    lines = [f"{owner}.{name}();" for name in around["BeforeAll"]]
    lines += [f"{owner} agd = new {owner}();"] + [f"agd.{name}();" for name in around["BeforeEach"]]
    after = [f"agd.{name}();" for name in around["AfterEach"]] + [f"{owner}.{name}();" for name in around["AfterAll"]]
    return " ".join([*lines, "try {", f"agd.{_name(method.node)}();", "} finally {", *after, "}"])

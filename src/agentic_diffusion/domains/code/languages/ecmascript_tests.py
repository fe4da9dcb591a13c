"""Test files of JavaScript and TypeScript as trees: which statements are cases, and what they ask of the program.

A case is an asserting statement at the top (`assert.equal(f(1), 2)`, `expect(f(1)).toBe(2)`, `if (...) throw`, a loop
over such), or a registered test (`test("name", () => ...)`, `it`, inside `describe` or not). All else at the top
prepares. The program under test is a module called `solution`, or any relative one; its names may be used bare as well.
Lines count from 1, offsets are bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import trees
from agentic_diffusion.domains.code.languages.ecmascript import bound_names, declarators, declared, pattern_names
from agentic_diffusion.foundation.errors import UsageError

ASSERT_MODULES = frozenset({"assert", "assert/strict"})
TEST_MODULES = frozenset({"test", "@jest/globals", "vitest", "chai"})
MODULES = ASSERT_MODULES | TEST_MODULES | {"lodash", "util", "process", "perf_hooks", "timers", "console"}
"""The modules that are there inside (see workers/javascript_inside.js)."""
TESTS = frozenset({"test", "it", "xtest", "xit", "fit"})
GROUPS = frozenset({"describe", "xdescribe", "fdescribe", "suite", "context"})
HOOKS = frozenset({"before", "beforeAll", "after", "afterAll", "beforeEach", "afterEach"})
HARNESS = frozenset({"assert", "expect", "require"}) | TESTS | GROUPS | HOOKS
GLOBALS = frozenset(
    {
        "AggregateError", "Array", "ArrayBuffer", "BigInt", "BigInt64Array", "BigUint64Array", "Boolean", "DataView",
        "Date", "Error", "EvalError", "FinalizationRegistry", "Float32Array", "Float64Array", "Function", "Infinity",
        "Int16Array", "Int32Array", "Int8Array", "Intl", "JSON", "Map", "Math", "NaN", "Number", "Object", "Promise",
        "Proxy", "RangeError", "ReferenceError", "Reflect", "RegExp", "Set", "String", "Symbol", "SyntaxError",
        "TypeError", "URIError", "Uint16Array", "Uint32Array", "Uint8Array", "Uint8ClampedArray", "WeakMap",
        "WeakRef", "WeakSet", "arguments", "clearImmediate", "clearInterval", "clearTimeout", "console", "decodeURI",
        "decodeURIComponent", "encodeURI", "encodeURIComponent", "escape", "eval", "exports", "global", "globalThis",
        "isFinite", "isNaN", "module", "parseFloat", "parseInt", "performance", "process", "queueMicrotask",
        "setImmediate", "setInterval", "setTimeout", "structuredClone", "undefined", "unescape",
    }
)  # fmt: skip
"""Names that every program finds."""
TYPES = frozenset(
    {"interface_declaration", "type_alias_declaration", "ambient_declaration", "enum_declaration", "function_signature"}
)
_COMPOUND = frozenset(
    {"if_statement", "for_statement", "for_in_statement", "while_statement", "do_statement", "try_statement"}
    | {"statement_block", "switch_statement"}
)
_FUNCTION_LIKE = frozenset({"arrow_function", "function_expression", "generator_function"})
NAME_WIDTH = 80


@dataclass(frozen=True, kw_only=True)
class Found:
    """One case, by its node."""

    kind: str
    """"statement", or "test" for a registered one."""
    node: Node
    """The statement, or the call that registers."""
    name: str
    """Title or shortened statement."""


@dataclass(frozen=True, kw_only=True)
class TestFile:
    """A test file that was read."""

    source: str
    """Its text."""
    root: Node
    """Its tree."""
    cases: tuple[Found, ...]
    """In the order of the text."""
    asserting: frozenset[str]
    """Names whose call asserts: `assert`, `expect`, imported assertions, helpers that assert."""
    under_test: frozenset[str]
    """Names that the file asks of the program under test, called or not."""
    called: frozenset[str]
    """Those of them that it calls."""


def read(source: str, root: Node, origin: str) -> TestFile:
    """Read a test file that parses; UsageError when it needs what is not there, or holds no case."""
    for name, node in modules(root):
        if not is_solution(name) and bare(name) not in MODULES:
            raise UsageError(
                f"The tests ({origin}) need the module {name!r} in line {trees.line(node)}, which is not there when"
                " candidates run.",
                hint=f"tests may import the program under test and {', '.join(sorted(MODULES))}",
            )
    asserting = _asserting(root)
    cases = tuple(_cases(root, asserting))
    if not cases:
        raise UsageError(
            f"The tests ({origin}) hold no assertion and no test.",
            hint='write a line such as "assert.equal(f(1), 2)", or a test("name", () => { ... })',
        )
    under_test, called = _asked(root)
    return TestFile(source=source, root=root, cases=cases, asserting=asserting, under_test=under_test, called=called)


def bare(module: str) -> str:
    """The name of a module without "node:"."""
    return module.removeprefix("node:")


def is_solution(module: str) -> bool:
    """Whether a module's name means the program under test."""
    return module.startswith(("./", "../")) or module in {"solution", "solution.js", "solution.ts"}


def required(node: Node) -> str | None:
    """The module that a `require("...")` call names; None for other nodes."""
    if node.type != "call_expression" or trees.text(node.child_by_field_name("function") or node) != "require":
        return None
    given = arguments(node)
    return string(given[0]) if given else None


def string(node: Node) -> str | None:
    """What a plain string literal says; None for other nodes."""
    return trees.text(node)[1:-1] if node.type == "string" else None


def arguments(call: Node) -> list[Node]:
    """The arguments of a call, comments left out."""
    given = call.child_by_field_name("arguments")
    return [node for node in given.named_children if node.type != "comment"] if given is not None else []


def modules(root: Node) -> Iterator[tuple[str, Node]]:
    """Every module that a file imports or requires, and where."""
    for node in trees.walk(root):
        name = None
        if node.type in {"import_statement", "export_statement"}:
            from_ = node.child_by_field_name("source")
            name = string(from_) if from_ is not None else None
        else:
            name = required(node)
        if node.type == "import_require_clause":
            name = next((string(child) for child in node.named_children if child.type == "string"), None)
        if name is not None:
            yield name, node


def base(node: Node | None) -> str:
    """The first name of a chain of calls and members: "expect" of `expect(1).not.toBe(2)`; "" without one."""
    while node is not None and node.type in {"call_expression", "member_expression", "await_expression"}:
        inner = node.child_by_field_name("function") or node.child_by_field_name("object")
        node = inner or (node.named_children[0] if node.named_children else None)
    return trees.text(node) if node is not None and node.type == "identifier" else ""


def base_node(node: Node) -> Node:
    """The node of that name."""
    while node.type != "identifier":
        node = node.child_by_field_name("function") or node.child_by_field_name("object") or node.named_children[0]
    return node


def registers(node: Node, names: frozenset[str] = TESTS) -> bool:
    """Whether a node is the call that registers a test (or, by other `names`, a group): a title, then a function."""
    if node.type != "call_expression" or base(node) not in names:
        return False
    given = arguments(node)
    if not given or given[0].type not in {"string", "template_string", "binary_expression"}:
        return False
    skipped = trees.text(node.child_by_field_name("function") or node).endswith((".todo", ".skip"))
    return skipped or any(item.type in _FUNCTION_LIKE or item.type == "identifier" for item in given[1:])


def body_of(call: Node) -> Node | None:
    """The block of the function that a registered test runs."""
    for item in arguments(call)[1:]:
        if item.type in _FUNCTION_LIKE:
            body = item.child_by_field_name("body")
            return body if body is not None and body.type == "statement_block" else None
    return None


def _asserting(root: Node) -> frozenset[str]:
    names = {"assert", "expect"}
    for child in root.children:
        if child.type == "import_statement" and any(bare(name) in ASSERT_MODULES for name, _ in modules(child)):
            names |= declared(child)
        for item in declarators(child):
            value = item.child_by_field_name("value")
            if value is not None and any(bare(name) in ASSERT_MODULES for name, _ in modules(value)):
                names |= pattern_names(item.child_by_field_name("name"))
    helpers = {}
    for child in root.children:
        if child.type in {"function_declaration", "generator_function_declaration"}:
            helpers[trees.text(child.child_by_field_name("name") or child)] = child
        for item in declarators(child):
            value = item.child_by_field_name("value")
            if value is not None and value.type in _FUNCTION_LIKE:
                helpers[trees.text(item.child_by_field_name("name") or item)] = value
    grown = True
    while grown:
        new = {name for name, node in helpers.items() if name not in names and _checks(node, frozenset(names))}
        grown = bool(new)
        names |= new
    return frozenset(names)


def _checks(node: Node, asserting: frozenset[str]) -> bool:
    """Whether a node asserts somewhere inside: an asserting call, or a `throw`."""
    for place in trees.walk(node):
        if place.type == "throw_statement":
            return True
        if place.type == "call_expression" and _is_assertion(place, asserting):
            return True
    return False


def _is_assertion(call: Node, asserting: frozenset[str]) -> bool:
    return base(call) in asserting or trees.text(call.child_by_field_name("function") or call) == "console.assert"


def _cases(root: Node, asserting: frozenset[str]) -> Iterator[Found]:
    for child in root.children:
        sites = [node for node in trees.walk(child) if registers(node)]
        if child.type in {"function_declaration", "class_declaration"}:
            continue
        if sites:
            for node in sites:
                title = arguments(node)[0]
                name = string(title) or _short(title)
                yield Found(kind="test", node=node, name=name)
        elif is_case(child, asserting):
            yield Found(kind="statement", node=child, name=_short(child))


def is_case(node: Node, asserting: frozenset[str]) -> bool:
    """Whether a top-level statement is a case by itself."""
    if node.type in _COMPOUND:
        return _checks(node, asserting)
    if node.type != "expression_statement" or not node.named_children:
        return False
    inner = node.named_children[0]
    if inner.type == "await_expression" and inner.named_children:
        inner = inner.named_children[0]
    if inner.type != "call_expression":
        return False
    called = inner.child_by_field_name("function")
    immediate = called is not None and called.type == "parenthesized_expression"
    helped = any(
        item.type == "call_expression" and _is_assertion(item, asserting)
        for item in trees.walk(inner)
        if not registers(item, GROUPS | HOOKS)
    )
    hook = base(inner) in HOOKS | GROUPS
    return not hook and (_is_assertion(inner, asserting) or ((immediate or "forEach" in trees.text(inner)) and helped))


def _asked(root: Node) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a file asks of the program under test, and those of them that it calls."""
    bound = bound_names(root)
    known = GLOBALS | HARNESS
    asked: set[str] = set()
    called: set[str] = set()
    whole: set[str] = set()
    for child in root.children:
        if child.type == "import_statement" and any(is_solution(name) for name, _ in modules(child)):
            asked |= _imported(child)
            whole |= declared(child) - asked
        for item in declarators(child):
            value = item.child_by_field_name("value")
            name = item.child_by_field_name("name")
            module = required(value) if value is not None else None
            if module is None or name is None or not is_solution(module):
                continue
            if name.type == "identifier":
                whole.add(trees.text(name))
            else:
                asked |= _keys(name)
    for node in trees.walk(root):
        if node.type in {"call_expression", "new_expression"}:
            target = node.child_by_field_name("function") or node.child_by_field_name("constructor")
            called |= {trees.text(target)} if target is not None and target.type == "identifier" else set()
        if node.type == "member_expression":
            owner = node.child_by_field_name("object")
            is_whole = owner is not None and (trees.text(owner) in whole or is_solution(required(owner) or "."))
            field = node.child_by_field_name("property")
            if owner is not None and is_whole and (owner.type == "identifier" or required(owner)) and field is not None:
                asked.add(trees.text(field))
                called.add(trees.text(field))
        elif node.type in {"identifier", "shorthand_property_identifier"} and trees.text(node) not in bound | known:
            asked.add(trees.text(node))
    asked |= whole & called
    asked.discard("default")
    return frozenset(asked), frozenset(asked & called) or frozenset(asked)


def _imported(node: Node) -> set[str]:
    """The names of the exporting side that an import statement names."""
    specifiers = [item for item in trees.walk(node) if item.type == "import_specifier"]
    return {trees.text(item.child_by_field_name("name") or item) for item in specifiers}


def _keys(pattern: Node) -> set[str]:
    """The properties that an object pattern takes."""
    found = set()
    for child in pattern.named_children:
        key = child.child_by_field_name("key") or child.child_by_field_name("left") or child
        found.add(trees.text(key))
    return found


def _short(node: Node) -> str:
    whole = " ".join(trees.text(node).split()).rstrip(";")
    return whole if len(whole) <= NAME_WIDTH else whole[: NAME_WIDTH - 3] + "..."

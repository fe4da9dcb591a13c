"""Test files and candidates of JavaScript and TypeScript as the worker runs them (see workers/javascript_inside.js).

A test file becomes one asynchronous function whose statements report to the driver `__t`: each case is begun, guarded
and ended; what prepares is guarded too, so that a set-up that breaks fails the next case and no more. Declarations at
the top become `var`, which a guard does not hide. A candidate loses its `export` and `import` words to spaces: its
lines and columns stay. Everything is done by places in the tree; strings and comments are never touched.
"""

from __future__ import annotations

import json
import re

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import ecmascript_tests as tests
from agentic_diffusion.domains.code.languages import trees
from agentic_diffusion.domains.code.languages.ecmascript import declarators, declared
from agentic_diffusion.domains.code.languages.ecmascript_tests import TestFile

ARGUMENTS = [
    "__t",
    "require",
    "assert",
    "describe",
    "expect",
    "before",
    "beforeAll",
    "after",
    "afterAll",
    "beforeEach",
    "afterEach",
]
"""The arguments of the function that a test file becomes; the names under test follow."""
_BROKE = " } catch (__e) { __t.broke(__e) }"
_FAIL = " } catch (__e) { __t.fail(__e) } __t.end();"
_GROUP_NAMES = {"xdescribe": "describe.skip", "fdescribe": "describe", "suite": "describe", "context": "describe"}
_VALUES = 6
"""How many values of a failed `if (...) throw` are told."""
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
KEYWORDS = frozenset(
    [
        "await",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "debugger",
        "default",
        "delete",
        "do",
        "else",
        "enum",
        "export",
        "extends",
        "false",
        "finally",
        "for",
        "function",
        "if",
        "implements",
        "import",
        "in",
        "instanceof",
        "interface",
        "let",
        "new",
        "null",
        "package",
        "private",
        "protected",
        "public",
        "return",
        "static",
        "super",
        "switch",
        "this",
        "throw",
        "true",
        "try",
        "typeof",
        "var",
        "void",
        "while",
        "with",
        "yield",
    ]
)
"""Words that cannot be the name of a variable."""
_MODULAR = re.compile(r"\b(?:import|export)\b")


def suite_program(file: TestFile) -> str:
    """The text that the worker is sent for a test file: JSON of the names under test and of the rewritten text."""
    edits = trees.Edits(file.source)
    numbers = {(case.kind, case.node.start_byte): index for index, case in enumerate(file.cases)}
    for child in file.root.children:
        number = numbers.get(("statement", child.start_byte))
        if number is not None:
            _case(edits, child, number, file)
        else:
            _setup(edits, child)
    for node in trees.walk(file.root):
        _call(edits, node, numbers)
    top = {name for child in file.root.children for name in declared(child)}
    asked = sorted(name for name in file.under_test if _NAME.fullmatch(name) and name not in KEYWORDS)
    names = [name for name in asked if name not in top and name not in ARGUMENTS]
    head = ", ".join([*ARGUMENTS, *names])
    text = f"({{names: {json.dumps(names)}, run: async function ({head}) {{\n{edits.result()}\n}}}});"
    return json.dumps({"names": asked, "text": text})


def candidate(source: str, root: Node) -> str:
    """A candidate as a plain script: exports become assignments after its end, imports calls of `require`."""
    if not _MODULAR.search(source) or root.has_error:
        return source
    edits = trees.Edits(source)
    after: list[str] = []
    for child in root.children:
        if child.type == "export_statement":
            after += _unexport(edits, child)
        elif child.type == "import_statement":
            statement = " ".join(_import(child, under_test=False))
            lines = trees.text(child).count("\n")
            edits.replace(child, statement + "\n" * lines)
    return edits.result() + ("\n;" + " ".join(after) + "\n" if after else "")


def _case(edits: trees.Edits, node: Node, number: int, file: TestFile) -> None:
    """Begin, guard and end a statement that is a case."""
    edits.insert(node.start_byte, f"if (__t.begin({number})) await __t.pause(); try {{ ")
    if node.type == "expression_statement":
        inner = node.named_children[0]
        edits.insert(inner.start_byte, "await (")
        edits.insert(inner.end_byte, ")")
    elif node.type == "if_statement":
        _told_values(edits, node, file)
    edits.insert(node.end_byte, _FAIL)


def _told_values(edits: trees.Edits, node: Node, file: TestFile) -> None:
    """For `if (condition) throw ...`: say the values that the condition saw, instead of what is thrown."""
    condition = node.child_by_field_name("condition")
    then = node.child_by_field_name("consequence")
    inner = then.named_children if then is not None and then.type == "statement_block" else [then]
    inner = [item for item in inner if item is not None and item.type != "comment"]
    throws = len(inner) == 1 and inner[0] is not None and inner[0].type == "throw_statement"
    if condition is None or then is None or not throws or node.child_by_field_name("alternative") is not None:
        return
    initial = initializers(file.root)
    shown: dict[str, str] = {}
    for place in trees.walk(condition):
        name = trees.text(place)
        owner = place.parent
        callee = (
            owner is not None and owner.type == "call_expression" and owner.child_by_field_name("function") == place
        )
        if place.type == "identifier" and not callee and name not in tests.GLOBALS and len(shown) < _VALUES:
            first = initial.get(name)
            called = first is not None and first.type == "call_expression"
            shown[trees.text(first) if called and first is not None else name] = name
    pairs = ", ".join(f"{json.dumps(' '.join(text.split()))}: {name}" for text, name in shown.items())
    said = " ".join(trees.text(condition)[1:-1].split()) + " holds"
    edits.replace(then, f"{{ __t.values({json.dumps(said)}, {{{pairs}}}) }}")


def initializers(root: Node) -> dict[str, Node]:
    """The values that plain declarations at the top begin with, by name."""
    found = {}
    for child in root.children:
        for item in declarators(child):
            name, value = item.child_by_field_name("name"), item.child_by_field_name("value")
            if name is not None and value is not None and name.type == "identifier":
                found[trees.text(name)] = value
    return found


def _setup(edits: trees.Edits, node: Node) -> None:
    """Guard a statement that prepares, and keep its declarations in sight."""
    if node.type in {"lexical_declaration", "variable_declaration"}:
        kind = node.children[0]
        edits.replace(kind, "try { var")
        edits.insert(node.end_byte, _BROKE)
    elif node.type == "class_declaration":
        edits.insert(node.start_byte, f"try {{ var {trees.text(node.child_by_field_name('name') or node)} = ")
        edits.insert(node.end_byte, _BROKE)
    elif node.type == "import_statement":
        edits.replace(node, "try { " + " ".join(_import(node, under_test=True)) + _BROKE)
    elif node.type == "export_statement":
        declaration = node.child_by_field_name("declaration")
        if declaration is None:
            edits.blank(node)
        else:
            edits.changes.append((node.start_byte, declaration.start_byte, ""))
            _setup(edits, declaration)
    elif (node.type == "expression_statement" and not _is_namespace(node)) or (
        node.type.endswith("_statement") and node.type not in {"empty_statement", "hash_bang_line"}
    ):
        edits.insert(node.start_byte, "try { ")
        edits.insert(node.end_byte, _BROKE)


def _is_namespace(node: Node) -> bool:
    first = node.named_children[0] if node.named_children else None
    return first is None or first.type in {"internal_module", "string"}


def _call(edits: trees.Edits, node: Node, numbers: dict[tuple[str, int], int]) -> None:
    """Give registered tests their number, and ask `__t` for the program under test."""
    if node.type != "call_expression":
        return
    module = tests.required(node)
    if module is not None and tests.is_solution(module):
        owner = node.parent
        name = owner.child_by_field_name("name") if owner is not None and owner.type == "variable_declarator" else None
        asked = json.dumps(trees.text(name)) if name is not None and name.type == "identifier" else "null"
        edits.replace(node, f"__t.solution({asked})")
    elif tests.registers(node):
        first = tests.base_node(node)
        skip = ".skip" if trees.text(first).startswith("x") else ""
        edits.replace(first, f"__t.site({numbers[('test', node.start_byte)]}){skip}")
    elif tests.registers(node, tests.GROUPS) and tests.base(node) in _GROUP_NAMES:
        edits.replace(tests.base_node(node), _GROUP_NAMES[tests.base(node)])


def _import(node: Node, *, under_test: bool) -> list[str]:
    """An import statement as `var` statements; nothing for types."""
    words = trees.text(node)
    module = next((name for name, _ in tests.modules(node)), "")
    if re.match(r"import\s+type\b", words) or not module:
        return []
    solution = under_test and tests.is_solution(module)
    whole = "__t.solution(null)" if solution else f"require({json.dumps(module)})"
    found: list[str] = []
    for item in trees.walk(node):
        if item.type == "import_specifier" and not trees.text(item).startswith("type "):
            name = trees.text(item.child_by_field_name("name") or item)
            local = trees.text(item.child_by_field_name("alias") or item.child_by_field_name("name") or item)
            value = f"__t.member({json.dumps(name)})" if solution else f"{whole}.{name}"
            if name == "default":
                value = f"__t.byDefault({json.dumps(local)})" if solution else whole
            found.append(f"var {local} = {value};")
        elif item.type == "identifier" and item.parent is not None:
            local = trees.text(item)
            if item.parent.type == "import_clause" and solution:
                found.append(f"var {local} = __t.byDefault({json.dumps(local)});")
            elif item.parent.type in {"import_clause", "namespace_import", "import_require_clause"}:
                found.append(f"var {local} = {whole};")
    return found


def _unexport(edits: trees.Edits, node: Node) -> list[str]:
    """Take the word `export` away; returns the assignments that it stood for."""
    declaration = node.child_by_field_name("declaration")
    value = node.child_by_field_name("value")
    default = any(child.type == "default" for child in node.children)
    if declaration is not None:
        _spaces(edits, node, declaration)
        names = declared(declaration) if declaration.type not in tests.TYPES - {"enum_declaration"} else set()
        if default:
            return [f"module.exports.default = {name};" for name in names]
        return [f"module.exports.{name} = {name};" for name in sorted(names)]
    if value is not None:
        start = next(child for child in node.children if child.type == "default").end_byte
        edits.changes.append((node.start_byte, start, "module.exports.default ="))
        return []
    after = []
    for item in trees.walk(node):
        if item.type == "export_specifier" and not trees.text(node).startswith("export type"):
            name = trees.text(item.child_by_field_name("name") or item)
            shown = trees.text(item.child_by_field_name("alias") or item.child_by_field_name("name") or item)
            after.append(f"module.exports.{shown} = {name};")
    edits.blank(node)
    return after


def _spaces(edits: trees.Edits, node: Node, declaration: Node) -> None:
    """Spaces from the start of an `export` to what it exports."""
    width = declaration.start_byte - node.start_byte
    before = (node.text or b"")[:width].decode("utf-8", "replace")
    edits.changes.append(
        (node.start_byte, declaration.start_byte, "".join("\n" if letter == "\n" else " " for letter in before))
    )

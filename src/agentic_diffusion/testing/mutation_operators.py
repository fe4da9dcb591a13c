"""Mutants of programs in five languages: one small change each, read from the syntax tree.

    operator     + - * / % and their like exchanged           condition   if c -> if not c
    boundary     < <= > >= moved by one                        boolean     True and False exchanged
    comparison   == != < > in is turned round                  number      n -> n + 1
    logic        and or exchanged, not left out                text        "a" -> "agd", "" -> "agd"
    assignment   += -= exchanged, ++ -- exchanged              result      return x -> return nothing (dynamic)
    jump         break and continue exchanged                  statement   a call or a raise is left out

Offsets count bytes in UTF-8 from 0, lines from 1. A mutant never moves lines: what it makes shorter is filled up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff

from tree_sitter import Node

from agentic_diffusion.domains.code.languages.trees import text
from agentic_diffusion.domains.code.syntax import Syntax, syntax

DYNAMIC = frozenset({"python", "javascript", "typescript"})
_ARITHMETIC = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "*",
    "%": "*",
    "**": "*",
    "&": "|",
    "|": "&",
    "<<": ">>",
    ">>": "<<",
    "^": "&",
}
_BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_TURNED = {
    "<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==", "===": "!==", "!==": "===", "in": "not in",
    "not in": "in", "is": "is not", "is not": "is",
}  # fmt: skip
_LOGIC = {"and": "or", "or": "and", "&&": "||", "||": "&&", "??": "||"}
_ASSIGN = {
    "+=": "-=",
    "-=": "+=",
    "*=": "/=",
    "/=": "*=",
    "//=": "*=",
    "%=": "*=",
    "&=": "|=",
    "|=": "&=",
    "++": "--",
    "--": "++",
}
_BINARY = frozenset({"binary_operator", "binary_expression", "comparison_operator", "boolean_operator"})
_NUMBERS = frozenset(
    {
        "integer",
        "float",
        "number",
        "decimal_integer_literal",
        "decimal_floating_point_literal",
        "int_literal",
        "float_literal",
    }
)
_TEXTS = frozenset({"string", "string_literal", "interpreted_string_literal"})
_ASSIGNMENTS = frozenset(
    {
        "augmented_assignment",
        "augmented_assignment_expression",
        "assignment_expression",
        "assignment_statement",
        "update_expression",
        "inc_statement",
        "dec_statement",
    }
)
_CONDITIONAL = frozenset(
    {"if_statement", "elif_clause", "while_statement", "conditional_expression", "ternary_expression"}
)
_CALLS = frozenset({"call", "call_expression", "method_invocation", "await", "await_expression"})
_CLOSED = frozenset(
    {
        "type",
        "type_annotation",
        "import_statement",
        "import_from_statement",
        "import_declaration",
        "future_import_statement",
        "package_clause",
        "package_declaration",
        "decorator",
        "annotation",
        "marker_annotation",
        "type_arguments",
        "import_spec",
    }
)
"""What is no part of what a program does, or is not looked into."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change of one program."""

    path: str
    """The file, relative to the project."""
    language: str
    """Its language."""
    function: str
    """The function that it lies in, with those around it: "Parser.read"; empty at the top of the file."""
    operator: str
    """One of the operators above."""
    line: int
    """Where it is."""
    last_line: int
    """Where the changed text ends."""
    start: int
    """First byte that is replaced."""
    end: int
    """First byte after it."""
    new: str
    """What stands there instead."""

    @property
    def id(self) -> str:
        """A name that is the same wherever the same change is made to the same text."""
        return f"{self.path}:{self.start}:{self.end}:{hashlib.sha256(self.new.encode()).hexdigest()[:8]}"

    def apply(self, source: bytes) -> bytes:
        """The program with the change."""
        return source[: self.start] + self.new.encode() + source[self.end :]

    def diff(self, source: str) -> str:
        """The change as a unified diff."""
        new = self.apply(source.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        lines = unified_diff(
            source.splitlines(), new.splitlines(), self.path, f"{self.path} (mutant)", n=1, lineterm=""
        )
        return "\n".join(lines) + "\n"


def mutants(path: str, source: str, language: str, *, function: str | None = None) -> list[Mutant]:
    """Every mutant of a program, in the order of the text; with `function`, those inside it.

    UsageError for a language without a table.
    """
    table = syntax(language)
    root = table.parse(source)
    found = []
    for node, name in _named(root, table, ""):
        if function is None or name == function or name.startswith(f"{function}."):
            found += [_mutant(path, language, name, change) for change in _changes(node, table)]
    unique = {mutant.id: mutant for mutant in found}
    return sorted(unique.values(), key=lambda mutant: (mutant.start, mutant.end, mutant.new))


def function_names(source: str, language: str) -> list[str]:
    """The names of all functions of a program, as `mutants` takes them."""
    table = syntax(language)
    return list(dict.fromkeys(name for _, name in _named(table.parse(source), table, "") if name))


def function_lines(source: str, language: str) -> dict[str, tuple[int, int]]:
    """First and last line of every function."""
    table = syntax(language)
    found: dict[str, tuple[int, int]] = {}
    for node, name in _named(table.parse(source), table, ""):
        if node.type in table.functions and name:
            found.setdefault(name, (node.start_point[0] + 1, node.end_point[0] + 1))
    return found


def _named(node: Node, table: Syntax, name: str) -> Iterator[tuple[Node, str]]:
    """Every node with the name of the function around it."""
    waiting = [(node, name)]
    while waiting:
        place, name = waiting.pop()
        if place.type in _CLOSED:
            continue
        if place.type in table.functions or place.type in ("class_definition", "class_declaration"):
            own = _name_of(place)
            name = f"{name}.{own}" if name and own else own or name
        yield place, name
        waiting += [(child, name) for child in reversed(place.children)]


def _name_of(node: Node) -> str:
    named = node.child_by_field_name("name")
    if named is not None:
        return text(named)
    parent = node.parent
    if parent is not None and parent.type == "variable_declarator":
        named = parent.child_by_field_name("name")
    return text(named) if named is not None else ""


def _mutant(path: str, language: str, function: str, change: tuple[str, Node, str]) -> Mutant:
    operator, node, new = change
    missing = text(node).count("\n") - new.count("\n")
    return Mutant(
        path=path, language=language, function=function, operator=operator, line=node.start_point[0] + 1,
        last_line=node.end_point[0] + 1, start=node.start_byte, end=node.end_byte, new=new + "\n" * max(missing, 0),
    )  # fmt: skip


def _changes(node: Node, table: Syntax) -> Iterator[tuple[str, Node, str]]:
    """Operator, replaced node and new text of every change of one node."""
    if node.type in _BINARY:
        yield from _binary(node)
    elif node.type in _ASSIGNMENTS:
        for child in node.children:
            if not child.is_named and text(child) in _ASSIGN:
                yield "assignment", child, _ASSIGN[text(child)]
    elif node.type == "not_operator" or (node.type == "unary_expression" and text(node.children[0]) == "!"):
        yield "logic", node, f"({text(node.children[-1])})"
    elif node.type in _NUMBERS:
        yield from _number(node)
    elif node.type in _TEXTS:
        yield from _text(node)
    elif node.type in ("true", "false") and node.is_named:
        turned = {"true": "false", "false": "true", "True": "False", "False": "True"}
        yield "boolean", node, turned[text(node)]
    else:
        yield from _statement(node, table)
    if node.type in _CONDITIONAL:
        yield from _condition(node, table)


def _statement(node: Node, table: Syntax) -> Iterator[tuple[str, Node, str]]:
    """Changes of whole statements."""
    python = table.language == "python"
    if node.type in ("break_statement", "continue_statement") and len(node.named_children) == 0:
        other = "continue" if node.type == "break_statement" else "break"
        yield "jump", node, text(node).replace(node.type.split("_")[0], other)
    elif node.type == "return_statement" and table.language in DYNAMIC and len(node.named_children) == 1:
        value = node.named_children[0]
        if text(value) not in ("None", "undefined", "null"):
            yield "result", value, "None" if python else "undefined"
    elif node.type == "expression_statement" and node.named_children and node.named_children[0].type in _CALLS:
        yield "statement", node, "pass" if python else ";" if table.language != "go" else "{}"
    elif node.type in ("raise_statement", "throw_statement"):
        yield from (("statement", node, "pass" if python else ";"),) if table.language in DYNAMIC else ()


def _binary(node: Node) -> Iterator[tuple[str, Node, str]]:
    for child in node.children:
        if child.is_named and child.type not in ("not in", "is not"):
            continue
        sign = " ".join(text(child).split())
        tables: tuple[tuple[str, Mapping[str, str]], ...] = (
            ("operator", _ARITHMETIC), ("boundary", _BOUNDARY), ("comparison", _TURNED), ("logic", _LOGIC),
        )  # fmt: skip
        for operator, changes in tables:
            if sign in changes and not (operator == "operator" and _joins_texts(node)):
                yield operator, child, changes[sign]


def _joins_texts(node: Node) -> bool:
    """Whether an operand is a literal text, for which minus has no meaning in any language."""
    return any(child.type in _TEXTS or child.type == "template_string" for child in node.named_children)


def _number(node: Node) -> Iterator[tuple[str, Node, str]]:
    written = text(node)
    try:
        value = float(written) if "." in written or "e" in written.lower() else int(written, 10)
    except ValueError:
        return
    yield "number", node, repr(value + 1)


def _text(node: Node) -> Iterator[tuple[str, Node, str]]:
    parent = node.parent
    is_key = parent is not None and parent.type == "pair" and parent.child_by_field_name("key") == node
    if parent is None or is_key or parent.type in ("expression_statement", "concatenated_string", "literal_type"):
        return
    if any(child.type == "interpolation" for child in node.children) or "\n" in text(node):
        return
    written = text(node)
    quote = written[-1]
    prefix = written[: written.index(quote)]
    yield "text", node, f"{prefix}{quote}agd{quote}" if written != f"{prefix}{quote}agd{quote}" else f"{quote}{quote}"


def _condition(node: Node, table: Syntax) -> Iterator[tuple[str, Node, str]]:
    if node.type == "conditional_expression" and table.language == "python":
        condition: Node | None = node.named_children[1] if len(node.named_children) == 3 else None
    else:
        condition = node.child_by_field_name("condition")
    if (
        condition is None
        or "__name__" in text(condition)
        or condition.type in ("not_operator", *_BINARY - {"boolean_operator"})
    ):
        return
    inner = condition.named_children[0] if condition.type == "parenthesized_expression" else condition
    if inner.type in _BINARY and inner.type != "boolean_operator":
        return
    yield "condition", inner, f"not ({text(inner)})" if table.language == "python" else f"!({text(inner)})"


def statement_around(source: str, mutant: Mutant) -> tuple[int, int, int]:
    """First byte, first byte after and first line of the statement at the top of a Python file that holds a mutant."""
    root = syntax("python").parse(source)
    for node in root.children:
        if (
            node.start_byte <= mutant.start < node.end_byte
            or node.start_byte <= mutant.start <= mutant.end <= node.end_byte
        ):
            return node.start_byte, node.end_byte, node.start_point[0] + 1
    return 0, len(source.encode("utf-8", "surrogatepass")), 1

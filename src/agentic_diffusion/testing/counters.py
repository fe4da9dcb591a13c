"""Programs that count their own lines: a call before every statement, put there by places in the syntax tree.

One way serves all five languages: the workers already run a candidate case by case, so a counter that the worker reads
at the end of a case gives coverage per test in the run that judges anyway, with the same statements as units in every
language and no tool beside the toolchain. (A tracer for Python, the profile of V8, JaCoCo and `go test -cover` would be
four formats of ranges to map back, and a process a test in Go.) The counter also stops a program that goes on and on,
so that the cases behind an endless one are seen as well.
Lines count from 1. The rewritten text keeps no line numbers; each counter says the line of the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tree_sitter import Node

from agentic_diffusion.domains.code import syntax
from agentic_diffusion.domains.code.languages import trees

CALLS = {
    "python": "__agd_hit__({line})",
    "javascript": "__agd_hit({line})",
    "typescript": "__agd_hit({line})",
    "java": "agd.Lines.hit({line})",
    "go": "agdlines.Hit({line})",
}
"""The call that notes a line, for the languages that can be counted."""
_NONE = frozenset({
    "comment", "line_comment", "block_comment", "function_definition", "decorated_definition", "class_definition",
    "import_statement", "import_from_statement", "future_import_statement", "global_statement", "nonlocal_statement",
    "function_declaration", "generator_function_declaration", "class_declaration", "abstract_class_declaration",
    "interface_declaration", "type_alias_declaration", "enum_declaration", "ambient_declaration", "export_statement",
    "internal_module", "function_signature", "empty_statement", "hash_bang_line", "explicit_constructor_invocation",
    "switch_label", "record_declaration", "package_clause", "import_declaration", "method_declaration",
    "type_declaration", "statement_list", "package_declaration", "annotation_type_declaration",
})  # fmt: skip
"""What stands in a block and is no statement that runs there."""
_BODIES = frozenset({
    "if_statement", "else_clause", "for_statement", "for_in_statement", "enhanced_for_statement", "while_statement",
    "do_statement",
})  # fmt: skip
"""Statements whose body may be a single statement without braces."""
_BLOCKS = frozenset({"block", "statement_block"})
_TOP = frozenset({"module", "program", "source_file"})


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What can be suspected: a statement, or the head of one that holds others."""

    line: int
    """Its first line."""
    end: int
    """Its last line; of a statement that holds others, the last one of its head."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A program that counts its lines."""

    program: str
    """The rewritten text."""
    units: tuple[Unit, ...]
    """What is counted, by lines; of several that begin on a line, the longest."""
    idle: tuple[Unit, ...]
    """Values that are set outside any statement that runs, such as fields and constants: counted nowhere."""


def counted(source: str, language: str) -> Counted | None:
    """The program with a counter before every statement; None where there is none for it or it does not parse."""
    if language not in CALLS:
        return None
    table = syntax.syntax(language)
    root = trees.parse(source, table.grammar)
    if root.has_error:
        return None
    edits = trees.Edits(source)
    units: dict[int, Unit] = {}
    for node, write in _places(root, language, edits):
        line = trees.line(node)
        write(CALLS[language].format(line=line))
        unit = Unit(line=line, end=_end(node, table))
        if line not in units or units[line].end < unit.end:
            units[line] = unit
    _declare(root, language, edits)
    idle = tuple(_idle(root, units))
    return Counted(program=edits.result(), units=tuple(units[line] for line in sorted(units)), idle=idle)


def _places(root: Node, language: str, edits: trees.Edits) -> Iterator[tuple[Node, Callable[[str], None]]]:
    """Every unit with what puts a counter before it."""
    blocks = syntax.syntax(language).blocks
    data = edits.source.encode("utf-8", "surrogatepass")
    for node in trees.walk(root):
        if node.type in blocks and not (node.type in _TOP and language in {"java", "go"}):
            for child in _statements(node):
                yield child, _before(child, language, edits, data)
        if node.type == "elif_clause" and (condition := node.child_by_field_name("condition")) is not None:
            yield condition, _or(condition, edits)
        if language != "python" and node.type in _BODIES:
            for body in _bare_bodies(node):
                yield body, _wrapped(body, edits)
        if language in {"javascript", "typescript"} and node.type == "arrow_function":
            value = node.child_by_field_name("body")
            if value is not None and value.type not in _BLOCKS:
                yield value, _comma(value, edits)


def _statements(block: Node) -> Iterator[Node]:
    """The statements of a block that run where they stand."""
    inner = block.children_by_field_name("body") if block.type in {"switch_case", "switch_default"} else None
    for place, child in enumerate(block.named_children if inner is None else inner):
        directive = child.type == "expression_statement" and child.named_children[:1] and place == 0
        if directive and child.named_children[0].type == "string":
            continue  # "use strict", a docstring
        if child.is_named and child.type not in _NONE:
            yield child


def _bare_bodies(node: Node) -> Iterator[Node]:
    fields = ("consequence", "alternative", "body")
    children = node.named_children if node.type == "else_clause" else [
        child for field in fields for child in node.children_by_field_name(field)
    ]  # fmt: skip
    for child in children:
        if child.type not in _BLOCKS | _NONE | {"else_clause"}:
            yield child


def _before(node: Node, language: str, edits: trees.Edits, data: bytes) -> Callable[[str], None]:
    start = node.start_byte
    lead = data[data.rfind(b"\n", 0, start) + 1 : start].decode("utf-8", "replace")
    own_line = language == "python" and not lead.strip()
    return lambda call: edits.insert(start, f"{call}\n{lead}" if own_line else f"{call}; ")


def _or(node: Node, edits: trees.Edits) -> Callable[[str], None]:
    def write(call: str) -> None:
        edits.insert(node.start_byte, f"{call} or (")
        edits.insert(node.end_byte, ")")

    return write


def _wrapped(node: Node, edits: trees.Edits) -> Callable[[str], None]:
    def write(call: str) -> None:
        edits.insert(node.start_byte, f"{{ {call}; ")
        edits.insert(node.end_byte, " }")

    return write


def _comma(node: Node, edits: trees.Edits) -> Callable[[str], None]:
    def write(call: str) -> None:
        edits.insert(node.start_byte, f"({call}, ")
        edits.insert(node.end_byte, ")")

    return write


def _declare(root: Node, language: str, edits: trees.Edits) -> None:
    """Make the counter known where the language asks for that."""
    if language == "typescript":
        edits.insert(root.end_byte, "\ndeclare function __agd_hit(line: number): void;\n")
    if language == "go":
        clause = next((node for node in root.children if node.type == "package_clause"), None)
        edits.insert(0 if clause is None else clause.end_byte, '\nimport agdlines "agd"\n')
        edits.insert(root.end_byte, "\nvar _ = agdlines.Hit\n")  # for programs without a statement


def _end(node: Node, table: syntax.Syntax) -> int:
    """The last line of a statement without the blocks that it holds."""
    if node.type == "labeled_statement" and node.named_children:
        node = node.named_children[-1]
    if "switch" in node.type or node.type == "select_statement":
        return trees.line(node)
    held = [child for child in trees.walk(node) if child.type in table.blocks and child != node]
    if node.type in _BODIES or table.language == "python":
        held += [child for field in ("consequence", "body") for child in node.children_by_field_name(field)]
    first = min(held, key=lambda child: child.start_byte, default=None)
    if first is None:
        return int(node.end_point[0]) + 1
    braced = trees.text(first).startswith("{")
    return max(trees.line(node), int(first.start_point[0]) + braced)


def _idle(root: Node, units: dict[int, Unit]) -> Iterator[Unit]:
    """Fields and constants with a value, which run before any statement."""
    kinds = {"field_declaration", "field_definition", "public_field_definition", "var_declaration", "const_declaration"}
    for node in trees.walk(root):
        at_top = node.type not in {"var_declaration", "const_declaration"} or (
            node.parent is not None and node.parent.type in _TOP
        )
        if node.type in kinds and at_top and any(part.child_by_field_name("value") for part in trees.walk(node)):
            line = trees.line(node)
            if line not in units:
                yield Unit(line=line, end=int(node.end_point[0]) + 1)

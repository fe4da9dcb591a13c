"""Read what the languages' runners measured, each in its own form, into lines of program files.

Lines count from 1. V8's offsets count UTF-16 units of the source text; its ranges nest, and the innermost one tells how
often a place was run. Go tells blocks of statements by line and column. Java tells the numbers of our own counters.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from tree_sitter import Node

from agentic_diffusion.domains.code.languages.trees import walk
from agentic_diffusion.domains.code.syntax import syntax
from agentic_diffusion.testing.project import Project
from agentic_diffusion.testing.project_outcomes import FileRun

if TYPE_CHECKING:
    from agentic_diffusion.testing.coverage import Measured

_GO_BLOCK = re.compile(r"^(\S+\.go):(\d+)\.(\d+),(\d+)\.(\d+) (\d+) (\d+)$", re.MULTILINE)
_NO_STATEMENTS = frozenset(
    [
        "import_statement",
        "import_declaration",
        "package_declaration",
        "package_clause",
        "function_declaration",
        "class_declaration",
        "interface_declaration",
        "type_alias_declaration",
        "type_declaration",
        "method_declaration",
        "empty_statement",
        "generator_function_declaration",
        "enum_declaration",
        "record_declaration",
        "constructor_declaration",
        "field_declaration",
        "comment",
        "line_comment",
        "block_comment",
        "ambient_declaration",
        "labeled_statement",
        "annotation_type_declaration",
    ]
)
"""What stands among statements and is run at no time of its own."""


def documents(text: str) -> Iterator[Any]:
    """The JSON document of a text, or nothing."""
    try:
        yield json.loads(text)
    except ValueError:
        return


def read(project: Project, one: FileRun, measured: dict[str, Measured]) -> None:
    """Add what one run of a test file measured."""
    for name, text in one.coverage.items():
        if name == "coverage.json":
            _python(text, measured)
        elif name == "cover.out":
            _go(project, one, text, measured)
        elif name == "lines.txt":
            _java(one, text, measured)
        elif name.startswith("v8/"):
            _v8(one, text, measured)


def _python(text: str, measured: dict[str, Measured]) -> None:
    for document in documents(text):
        for path, seen in document["files"].items():
            if path in measured:
                for case, lines in seen["contexts"].items():
                    measured[path].add(case, lines)
                measured[path].arcs |= {(start, end) for start, end in seen["arcs"]}


def _go(project: Project, one: FileRun, text: str, measured: dict[str, Measured]) -> None:
    """Paths begin with the name of the module, of which the folder is not told: the longest known ending is meant."""
    for path, *numbers in _GO_BLOCK.findall(text):
        first, left, last, right, _, count = map(int, numbers)
        parts = path.split("/")
        known = next((name for at in range(len(parts)) if (name := "/".join(parts[at:])) in measured), None)
        known = known or next((name for name in measured if name.endswith(f"/{parts[-1]}") and parts[-2] in name), None)
        if known is not None and count:
            begun = go_statements(project.root / known)
            measured[known].add(
                one.found.unit, (row for row, column in begun if (first, left) <= (row, column) < (last, right))
            )


def go_statements(path: Path) -> list[tuple[int, int]]:
    """Line and column (in bytes, from 1) of every statement of a Go file."""
    return [(node.start_point[0] + 1, node.start_point[1] + 1) for node in _statements(path, "go")]


def _java(one: FileRun, text: str, measured: dict[str, Measured]) -> None:
    for line in text.splitlines():
        path, _, number = line.rpartition(":")
        if path in measured and number.isdigit():
            measured[path].add(one.found.path, [int(number)])


def _v8(one: FileRun, text: str, measured: dict[str, Measured]) -> None:
    for document in documents(text):
        for script in document["result"]:
            place = unquote(urlparse(script["url"]).path) if script["url"].startswith("file:") else ""
            # the worker's copy of the project lies elsewhere than the project: the longest known ending is meant
            parts = place.split("/")
            known = next((name for at in range(1, len(parts)) if (name := "/".join(parts[at:])) in measured), None)
            if known is not None:
                measured[known].pending.append((one.found.path, _ranges(script)))


def _ranges(script: dict[str, Any]) -> list[tuple[int, int, int]]:
    """(start, end, count) of every range, the outer before the inner."""
    found = [
        (part["startOffset"], part["endOffset"], part["count"])
        for function in script["functions"]
        for part in function["ranges"]
    ]
    return sorted(found, key=lambda part: (part[0], -part[1]))


def lines_of_v8(path: Path, language: str, ranges: list[tuple[int, int, int]]) -> set[int]:
    """The lines whose statements V8 counted at least once."""
    source = path.read_text(encoding="utf-8", errors="replace")
    units = _units(source)
    found = set()
    for node in _statements(path, language):
        offset = units(node.start_byte)
        inner = [part for part in ranges if part[0] <= offset < part[1]]
        if inner and min(inner, key=lambda part: part[1] - part[0])[2]:
            found.add(node.start_point[0] + 1)
    return found


def _units(source: str) -> Any:
    """A function from offsets in UTF-8 to offsets in UTF-16."""
    if source.isascii():
        return lambda offset: offset
    bytes_at, units_at, at, unit = [0], [0], 0, 0
    for letter in source:
        at, unit = at + len(letter.encode()), unit + (2 if ord(letter) > 0xFFFF else 1)
        bytes_at.append(at)
        units_at.append(unit)
    return lambda offset: units_at[bisect.bisect_right(bytes_at, offset) - 1]


def statements(path: Path, language: str) -> set[int]:
    """The lines on which statements begin."""
    return {node.start_point[0] + 1 for node in _statements(path, language)}


def _statements(path: Path, language: str) -> list[Node]:
    source = path.read_text(encoding="utf-8", errors="replace")
    return statement_nodes(source, language)


def statement_nodes(source: str, language: str) -> list[Node]:
    """The statements of a program, nested ones as well, in the order of the text."""
    table = syntax(language)
    found = []
    for block in walk(table.parse(source)):
        if block.type in table.blocks or (language == "go" and block.type == "expression_case"):
            found += [node for node in block.named_children if _is_statement(node, table.blocks)]
        elif block.type in ("if_statement", "else_clause", "for_statement", "while_statement"):
            # a single statement without a block around it
            fields = ("consequence", "body", "alternative")
            inner = [block.child_by_field_name(name) for name in fields]
            found += [node for node in inner if node is not None and _is_statement(node, table.blocks)]
    unique = {node.id: node for node in found}
    return sorted(unique.values(), key=lambda node: node.start_byte)


def _is_statement(node: Node, blocks: frozenset[str]) -> bool:
    if node.type in _NO_STATEMENTS or node.type in blocks or node.type == "else_clause":
        return False
    inner = node.named_children[-1:] if node.type == "export_statement" else [node]
    return node.type.endswith(("statement", "declaration")) and all(one.type not in _NO_STATEMENTS for one in inner)

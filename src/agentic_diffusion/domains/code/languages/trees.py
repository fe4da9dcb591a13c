"""Syntax trees by tree-sitter: parsing, walking, the first error, and edits of a text by places in its tree.

Offsets count bytes of the text in UTF-8 from 0, as tree-sitter does; lines and columns count from 1, columns in
characters. tree-sitter tolerates errors: a tree always comes back, with ERROR and MISSING nodes where a text is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from tree_sitter import Language, Node, Parser

from agentic_diffusion.domains.code.languages.language import ParseProblem

SIZE_LIMIT = 1_000_000
"""Characters of a program that is still looked at."""


def parse(source: str, grammar: Language) -> Node:
    """The root of the tree of a text; a NUL, which tree-sitter takes for the end, is read as another control letter."""
    data = source.encode("utf-8", "surrogatepass").replace(b"\0", b"\1")
    return Parser(grammar).parse(data).root_node


def text(node: Node) -> str:
    """The text of a node."""
    return (node.text or b"").decode("utf-8", "replace")


def head(node: Node, body: Node | None) -> str:
    """The text of a definition before its body, on one line."""
    whole = node.text or b""
    before = whole if body is None else whole[: body.start_byte - node.start_byte]
    return " ".join(before.decode("utf-8", "replace").split())


def line(node: Node) -> int:
    """The line on which a node begins, from 1."""
    return int(node.start_point[0]) + 1


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, in the order of the text."""
    waiting = [node]
    while waiting:
        place = waiting.pop()
        yield place
        waiting += reversed(place.children)


def walk_outside(node: Node, closed: frozenset[str]) -> Iterator[Node]:
    """As `walk`, without entering nodes of the types `closed` (these themselves are given)."""
    waiting = [node]
    while waiting:
        place = waiting.pop()
        yield place
        if place.type not in closed or place is node:
            waiting += reversed(place.children)


def problem(root: Node, source: str, words: Mapping[str, str] | None = None) -> ParseProblem | None:
    """The first error of a tree, as a sentence; `words` say what a missing piece is called. None when all is well."""
    if not root.has_error:
        return None
    found = next((node for node in walk(root) if node.is_missing or _is_error(node)), None)
    if found is None:
        return ParseProblem(line=1, column=1, message="the program is not valid")
    if found.is_missing:
        what = (words or {}).get(found.type, f"{found.type!r}")
        return _at(found.start_byte, source, f"{what} is missing")
    shown = text(found).split("\n")[0].strip()[:40]
    at_end = found.end_byte >= len(source.rstrip().encode("utf-8", "surrogatepass"))
    message = f"{shown!r} is not expected here" if shown else "the program is not complete"
    return _at(found.start_byte, source, message + (", or the program is not complete" if at_end and shown else ""))


def _is_error(node: Node) -> bool:
    """An ERROR node without a smaller one inside it."""
    return bool(node.is_error) and not any(child.is_error or child.is_missing for child in walk(node) if child != node)


def _at(offset: int, source: str, message: str) -> ParseProblem:
    before = source.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "replace")
    number = before.count("\n") + 1
    return ParseProblem(line=number, column=len(before) - before.rfind("\n"), message=message)


class TreeLanguage:
    """What languages that are read with tree-sitter share behind the protocol `Language`."""

    pointer: ClassVar[staticmethod[[], object]]
    """Gives the grammar, as its wheel has it."""
    words: ClassVar[Mapping[str, str]]
    """What a missing piece is called, by its type."""

    @cached_property
    def grammar(self) -> Language:
        """The grammar of tree-sitter."""
        return Language(self.pointer())

    def tree(self, source: str) -> Node:
        """The root of the tree of a program."""
        return parse(source, self.grammar)

    def parse_error(self, source: str) -> ParseProblem | None:
        """The first reason why `source` is no valid program, by its tree (never by running it)."""
        if len(source) > SIZE_LIMIT:
            return ParseProblem(line=1, column=1, message=f"the program is longer than {SIZE_LIMIT} characters")
        return problem(self.tree(source), source, self.words)


@dataclass
class Edits:
    """Changes of a text by byte offsets, made all at once; they may not overlap."""

    source: str
    """The text as it is."""
    changes: list[tuple[int, int, str]] = field(default_factory=list)
    """Start, end and what takes the place."""

    def replace(self, node: Node, by: str) -> None:
        """Put a text in the place of a node."""
        self.changes.append((node.start_byte, node.end_byte, by))

    def insert(self, offset: int, what: str) -> None:
        """Put a text before the byte `offset`; several at one place stay in the order in which they were given."""
        self.changes.append((offset, offset, what))

    def blank(self, node: Node) -> None:
        """Put spaces in the place of a node, so that lines and columns stay."""
        self.replace(node, "".join("\n" if letter == "\n" else " " for letter in text(node)))

    def remove(self, node: Node) -> None:
        """Take a node away; with its whole line where nothing else stands on it."""
        data = self.source.encode("utf-8", "surrogatepass")
        start, end = node.start_byte, node.end_byte
        before = data[:start].rpartition(b"\n")[2]
        behind = data[end:].partition(b"\n")[0]
        if not before.strip() and not behind.strip():
            start, end = start - len(before), min(len(data), end + len(behind) + 1)
        self.changes.append((start, end, ""))

    def result(self) -> str:
        """The changed text."""
        data = self.source.encode("utf-8", "surrogatepass")
        pieces, place = [], 0
        for start, end, by in sorted(self.changes, key=lambda change: (change[0], change[1])):
            pieces += [data[place:start], by.encode("utf-8", "surrogatepass")]
            place = end
        return b"".join([*pieces, data[place:]]).decode("utf-8", "surrogatepass")

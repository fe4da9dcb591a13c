"""Holes around a suspect: its expressions, its line, then wider: two lines, the block, a line more before or after.

Breadth comes first: every suspect gets the holes of a stage before any gets those of the next one. A hole leaves the
colon or brace that opens a block where it is, and the indentation. Lines count from 1, offsets bytes of the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.domains.code import syntax
from agentic_diffusion.domains.code.languages import trees

if TYPE_CHECKING:
    from tree_sitter import Node

    from agentic_diffusion.testing.localisation import Suspect

STAGES = ("line", "expressions", "inserted", "two lines", "block")
"""In the order in which they are tried."""
MOST_EXPRESSIONS = 4
"""Expressions of one suspect that become holes."""
LONGEST_BLOCK = 8
"""Lines of a block that is written anew."""
_FIELDS = ("condition", "right", "value", "arguments", "argument", "update", "result")


@dataclass(frozen=True, kw_only=True)
class RepairHole:
    """A hole and where it comes from."""

    hole: Hole
    """What is filled."""
    line: int
    """Its first line."""
    stage: str
    """One of `STAGES`."""
    old: str
    """The text that was taken out."""
    lines: int
    """Lines that a filling may have."""


def holes(program: str, suspect: Suspect, stage: str, language: str, note: str) -> Iterator[RepairHole]:
    """The holes of one stage around one suspect; `note` is the evidence, to which the old text is added."""
    text = _Text(program, program.split("\n"), language, note)
    first, last = suspect.line, min(suspect.end, len(text.lines))
    if first > len(text.lines):
        return
    if stage == "line":
        yield from text.of_lines(first, last, stage)
    elif stage == "inserted":
        head = text.lines[last - 1].rstrip().endswith((":", "{")) and last < len(text.lines)
        yield from text.inserted(first, like=first)
        yield from text.inserted(last + 1, like=last + 1 if head else first)
    elif stage == "two lines":
        for start, end in ((first, last + 1), (first - 1, last)):
            if start >= 1 and end <= len(text.lines) and text.lines[start - 1].strip() and text.lines[end - 1].strip():
                yield from text.of_lines(start, end, stage)
    elif stage == "expressions":
        yield from text.expressions(first, last)
    else:
        yield from text.block(first)


@dataclass(frozen=True)
class _Text:
    """A program in which holes are made."""

    program: str
    lines: list[str]
    language: str
    note: str

    def of_lines(self, first: int, last: int, stage: str) -> Iterator[RepairHole]:
        """The content of some lines."""
        text = "\n".join(self.lines[first - 1 : last])
        indent = _indent(text)
        content = text[len(indent) :].rstrip()
        opener = content[-1:] if content[-1:] in {":", "{"} else ""
        body = content[: len(content) - len(opener)].rstrip()
        if not body.strip() or body.startswith(("#", "//", "*", "/*", '"""')):
            return
        before = "\n".join([*self.lines[: first - 1], indent])
        after = "\n".join(["", *self.lines[last:]])
        yield self._hole((before, text[len(indent) + len(body) :] + after), body, first, stage)

    def inserted(self, line: int, *, like: int) -> Iterator[RepairHole]:
        """A new line before `line`, indented as the line `like`."""
        before = "\n".join([*self.lines[: line - 1], _indent(self.lines[like - 1])])
        after = "\n".join(["", *self.lines[line - 1 :]])
        yield self._hole((before, after), "", line, "inserted")

    def expressions(self, first: int, last: int) -> Iterator[RepairHole]:
        """Conditions, right sides, arguments and the like that lie within the lines; the outer ones first."""
        if self.language not in syntax.SYNTAXES:
            return
        table = syntax.syntax(self.language)
        data = self.program.encode("utf-8", "surrogatepass")
        found: dict[tuple[int, int], None] = {}
        for node in trees.walk(trees.parse(self.program, table.grammar)):
            for part in _parts(node):
                inside = first <= trees.line(part) and int(part.end_point[0]) + 1 <= last
                if inside and part.type not in table.blocks and part.end_byte > part.start_byte:
                    found[_inner(part)] = None
        for start, end in list(found)[:MOST_EXPRESSIONS]:
            old = data[start:end].decode("utf-8", "surrogatepass")
            if old.strip():
                sides = (data[:start].decode("utf-8", "surrogatepass"), data[end:].decode("utf-8", "surrogatepass"))
                yield self._hole(sides, old, data.count(b"\n", 0, start) + 1, "expressions")

    def block(self, line: int) -> Iterator[RepairHole]:
        """The lines of the innermost block around a line, where it has several and not too many."""
        if self.language not in syntax.SYNTAXES:
            return
        table = syntax.syntax(self.language)
        best: tuple[int, int] | None = None
        for node in trees.walk(trees.parse(self.program, table.grammar)):
            inner = [child for child in node.named_children if child.type not in table.comments]
            if node.type not in table.blocks or not inner or node.parent is None:
                continue
            first, last = trees.line(inner[0]), int(inner[-1].end_point[0]) + 1
            if first <= line <= last and 1 < last - first + 1 <= LONGEST_BLOCK:
                best = (first, last)  # blocks within come later
        if best is not None:
            yield from self.of_lines(*best, "block")

    def _hole(self, sides: tuple[str, str], old: str, line: int, stage: str) -> RepairHole:
        said = f"{self.note}\nIt was: {old}" if old.strip() and self.note else self.note
        hole = Hole(prefix=sides[0], suffix=sides[1], language=self.language, note=said)
        more = 1 if stage == "block" else 0
        return RepairHole(hole=hole, line=line, stage=stage, old=old, lines=old.count("\n") + 1 + more)


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip(" \t"))]


def _parts(node: Node) -> Iterator[Node]:
    for name in _FIELDS:
        yield from node.children_by_field_name(name)
    if node.type in {"return_statement", "yield"} and node.named_children:
        yield node.named_children[0]


def _inner(node: Node) -> tuple[int, int]:
    """The offsets of a node without the parentheses around it."""
    text = trees.text(node)
    bare = text.startswith("(") and text.endswith(")")
    return node.start_byte + bare, node.end_byte - bare

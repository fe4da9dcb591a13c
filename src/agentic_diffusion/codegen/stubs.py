"""Functions that are still to be written: their bodies raise "not implemented", pass, or say TODO.

Lines count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentic_diffusion.domains.code import syntax
from agentic_diffusion.domains.code.languages import trees

if TYPE_CHECKING:
    from tree_sitter import Node

_EMPTY = re.compile(
    r"(?:pass|\.\.\.|;|return(?:\s+(?:None|null|nil|undefined))?;?"
    r"|raise\s+NotImplementedError\b.*|(?:throw|panic)\b.*"
    r"|return\s+NotImplemented)?\s*",
    re.DOTALL,
)
_TODO = re.compile(r"\b(?:TODO|FIXME|[Nn]ot\s+(?:yet\s+)?implemented|[Ii]mplement (?:this|me)|Remove this)", re.DOTALL)
_MOST_TODO = 3
"""Statements of a body that a TODO makes a stub."""


@dataclass(frozen=True, kw_only=True)
class Stub:
    """A function without a body of its own."""

    line: int
    """The line of its head."""
    begin: int
    """First byte of what stands for its body."""
    end: int
    """First byte behind it."""


def stubs(program: str, language: str) -> Iterator[Stub]:
    """The stubs of a program in the order of the text; none in languages without a table."""
    if language not in syntax.SYNTAXES:
        return
    table = syntax.syntax(language)
    root = trees.parse(program, table.grammar)
    for node in trees.walk(root):
        body = node.child_by_field_name("body") if node.type in table.functions else None
        if body is None or body.type not in table.blocks:
            continue
        inner = _statements(body, table)
        words = " ".join(trees.text(statement) for statement in inner)
        todo = _TODO.search(trees.text(body)) and len(inner) <= _MOST_TODO
        if _EMPTY.fullmatch(words) or todo:
            first, last = _span(body, inner)
            yield Stub(line=trees.line(node), begin=first, end=last)


def _statements(body: Node, table: syntax.Syntax) -> list[Node]:
    """The statements of a body without comments and a docstring."""
    inner = list(body.named_children)
    if len(inner) == 1 and inner[0].type == "statement_list":
        inner = list(inner[0].named_children)
    inner = [child for child in inner if child.type not in table.comments]
    if inner and inner[0].type == "expression_statement" and inner[0].named_children:
        inner = inner[1:] if inner[0].named_children[0].type == "string" else inner
    return inner


def _span(body: Node, inner: list[Node]) -> tuple[int, int]:
    """What is to be replaced: the statements, or all between the braces."""
    if inner:
        return inner[0].start_byte, inner[-1].end_byte
    if trees.text(body).startswith("{"):
        return body.start_byte + 1, body.end_byte - 1
    return body.end_byte, body.end_byte

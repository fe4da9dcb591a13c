"""Go, read with tree-sitter: programs with or without `package` and imports, and the heads of its functions.

A program may also be a list of statements, since tests are given so; what is judged as a program is compiled anyway.
Lines count from 1.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

import tree_sitter_go
from tree_sitter import Language as Grammar
from tree_sitter import Node

from agentic_diffusion.domains.code.languages import braces, trees
from agentic_diffusion.domains.code.languages.go_harness import GoHarness
from agentic_diffusion.domains.code.languages.go_imports import missing
from agentic_diffusion.domains.code.languages.language import ParseProblem

_OPENS = re.compile(r"(?:package \w|import\b|func\b|type \w|var\b|const\b|//|/\*)")
_SPOKEN = re.compile(
    r"\b(?:function|func|method)\s+(?:called\s+|named\s+)?[`'\"]?([A-Za-z_]\w*)[`'\"]?\s*(\([^()\n]*\))"
)
_WORDS = {"}": "a closing '}'", ")": "a closing ')'", "]": "a closing ']'", "identifier": "a name"}
_DEFINITIONS = frozenset({"function_declaration", "method_declaration", "type_declaration"})


class Go:
    """The language Go."""

    name = "go"
    title = "Go"
    endings = (".go",)
    fences = ("go", "golang")
    candidate_file = "solution.go"
    command = ("go", "run")
    tools: tuple[str, ...] = ("go",)
    body_ends: Literal["dedent", "brace"] = "brace"

    @cached_property
    def grammar(self) -> Grammar:
        """The grammar of tree-sitter."""
        return Grammar(tree_sitter_go.language())

    @cached_property
    def harness(self) -> GoHarness:
        """Its tests."""
        return GoHarness(self)

    def tree(self, source: str) -> Node:
        """The root of the tree of a program."""
        return trees.parse(source, self.grammar)

    def parse_error(self, source: str) -> ParseProblem | None:
        """The first reason why `source` is no valid program, by its tree (never by running it)."""
        if len(source) > trees.SIZE_LIMIT:
            return ParseProblem(line=1, column=1, message=f"the program is longer than {trees.SIZE_LIMIT} characters")
        return trees.problem(self.tree(source), source, _WORDS)

    def extract(self, text: str) -> str:
        """The program inside a model's answer; see `Language.extract`."""
        return braces.extract(
            self, text, _OPENS, lambda program: any(node.type in _DEFINITIONS for node in self.tree(program).children)
        )

    def with_imports(self, source: str) -> str:
        """Add imports of the standard packages that are used as `name.` and lacking; see `Language`."""
        if self.parse_error(source) is not None:
            return source
        root = self.tree(source)
        lines = [f'import "{path}"' for path in missing(root)]
        if not lines:
            return source
        clause = next((node for node in root.children if node.type == "package_clause"), None)
        if clause is None:
            return "\n".join(lines) + "\n\n" + source
        data = source.encode("utf-8", "surrogatepass")
        head, rest = data[: clause.end_byte].decode(), data[clause.end_byte :].decode("utf-8", "surrogatepass")
        return f"{head}\n\n" + "\n".join(lines) + rest

    def signature(self, text: str) -> str | None:
        """`func name(arguments) result` out of a program, or out of words such as "a function name(arguments)"."""
        for node in self.tree(text).children:
            body = node.child_by_field_name("body")
            if node.type == "function_declaration" and not (node.has_error and body is None):
                whole = node.text or b""
                head = whole if body is None else whole[: body.start_byte - node.start_byte]
                return " ".join(head.decode("utf-8", "replace").split())
        written = re.search(r"^[ \t]*(func\s+[A-Za-z_]\w*\s*\([^\n]*?)\s*\{?[ \t]*$", text, re.MULTILINE)
        if written:
            return " ".join(written[1].split())
        spoken = _SPOKEN.search(text)
        return f"func {spoken[1]}{spoken[2]}" if spoken else None

    def opening(self, name: str) -> str:
        """`package main`, and `func name(`."""
        return f"package main\n\nfunc {name}("


GO = Go()
"""The one object that the entry point names."""

"""Go, read with tree-sitter: programs with or without `package` and imports, and the heads of its functions.

A program may also be a list of statements, since tests are given so; what is judged as a program is compiled anyway.
Lines count from 1.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

import tree_sitter_go

from agentic_diffusion.domains.code.languages import braces, trees
from agentic_diffusion.domains.code.languages.go_harness import GoHarness
from agentic_diffusion.domains.code.languages.go_imports import missing, unused

_OPENS = re.compile(r"(?:package \w|import\b|func\b|type \w|var\b|const\b|//|/\*)")
_SPOKEN = re.compile(
    r"\b(?:function|func|method)\s+(?:called\s+|named\s+)?[`'\"]?([A-Za-z_]\w*)[`'\"]?\s*(\([^()\n]*\))"
)
_WORDS = {"}": "a closing '}'", ")": "a closing ')'", "]": "a closing ']'", "identifier": "a name"}
_DEFINITIONS = frozenset({"function_declaration", "method_declaration", "type_declaration"})


class Go(trees.TreeLanguage):
    """The language Go."""

    name = "go"
    title = "Go"
    endings = (".go",)
    fences = ("go", "golang")
    candidate_file = "solution.go"
    command = ("go", "run")
    tools: tuple[str, ...] = ("go",)
    pointer = staticmethod(tree_sitter_go.language)
    words = _WORDS
    body_ends: Literal["dedent", "brace"] = "brace"

    @cached_property
    def harness(self) -> GoHarness:
        """Its tests."""
        return GoHarness(self)

    def extract(self, text: str) -> str:
        """The program inside a model's answer; see `Language.extract`."""
        return braces.extract(
            self, text, _OPENS, lambda program: any(node.type in _DEFINITIONS for node in self.tree(program).children)
        )

    def with_imports(self, source: str) -> str:
        """Add imports of the standard packages that are used as `name.` and lacking, drop unused ones; see `Language`.

        Nothing else changes: an import that stands on lines of its own leaves none of them behind.
        """
        if self.parse_error(source) is not None:
            return source
        idle = unused(self.tree(source))
        if idle:
            edits = trees.Edits(source)
            for spec in idle:
                alone = spec.parent if spec.parent is not None and spec.parent.type == "import_declaration" else spec
                edits.remove(alone)
            source = re.sub(r"^import[ \t]*\(\s*\)[ \t]*\n?", "", edits.result(), flags=re.MULTILINE)
        root = self.tree(source)
        lines = [f'import "{path}"' for path in missing(root)]
        clause = next((node for node in root.children if node.type == "package_clause"), None)
        return braces.with_lines_behind(source, clause, lines)

    def signature(self, text: str) -> str | None:
        """`func name(arguments) result` out of a program, or out of words such as "a function name(arguments)"."""
        for node in self.tree(text).children:
            body = node.child_by_field_name("body")
            if node.type == "function_declaration" and not (node.has_error and body is None):
                return trees.head(node, body)
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

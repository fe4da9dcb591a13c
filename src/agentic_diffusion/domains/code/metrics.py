"""Numbers about programs: size, complexity, findings, documentation, duplication; the same in every language.

Complexity is McCabe's cyclomatic number, counted by lizard. Duplication is the share of lexemes that lie in passages
which occur twice, found by winnowing (Schleimer, Wilkerson and Aiken 2003): names and literals are blanked, every k
lexemes are hashed, and of each window of w hashes the least is kept, so that any copy of at least w + k - 1 lexemes is
seen. Lines count from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from zlib import crc32

import lizard  # type: ignore[import-untyped]
from tree_sitter import Node

from agentic_diffusion.domains.code.findings import Issue, issues
from agentic_diffusion.domains.code.languages.trees import text, walk
from agentic_diffusion.domains.code.syntax import Syntax, functions, leaves, syntax

GRAM = 20
"""k: lexemes that are hashed together."""
WINDOW = 11
"""w: of so many hashes one is kept; copies of 30 lexemes and more are all seen."""
_ENDINGS = {"python": ".py", "javascript": ".js", "typescript": ".ts", "java": ".java", "go": ".go"}
_NAMES = frozenset({"identifier", "property_identifier", "field_identifier", "type_identifier", "package_identifier"})
_NUMBERS = ("integer", "float", "number", "int_literal", "float_literal", "decimal_integer_literal")


@dataclass(frozen=True, kw_only=True)
class FunctionMetrics:
    """One function."""

    name: str
    """Its name; a method's has its class before it where the counter knows it."""
    line: int
    """Its first line."""
    lines: int
    """Lines with code."""
    complexity: int
    """Cyclomatic number: 1 and one more for every decision."""
    lexemes: int
    """Its length in lexemes."""
    parameters: int
    """How many it takes."""


@dataclass(frozen=True, kw_only=True)
class ProgramMetrics:
    """One program."""

    language: str
    """Name of its language."""
    lines: int
    """Lines with code, comments and blank lines left out."""
    lexemes: int
    """Its length in lexemes."""
    functions: tuple[FunctionMetrics, ...]
    """Its functions, in the order of the text."""
    issues: tuple[Issue, ...]
    """What the rules of `findings` say."""
    documented: float | None
    """Share of the named functions with a docstring or a comment right above them; None without functions."""

    @property
    def complexity(self) -> int:
        """The highest cyclomatic number of its functions; 0 without functions."""
        return max((function.complexity for function in self.functions), default=0)

    def as_json(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self) | {"complexity": self.complexity}


def measure(source: str, language: str) -> ProgramMetrics:
    """The numbers of one program; UsageError for a language without a table (see `syntax`)."""

    table = syntax(language)
    root = table.parse(source)
    counted = lizard.analyze_file.analyze_source_code(f"program{_ENDINGS[language]}", source)
    return ProgramMetrics(
        language=language,
        lines=counted.nloc,
        lexemes=len(leaves(root, table)),
        functions=tuple(
            FunctionMetrics(
                name=function.name.replace("::", "."),
                line=function.start_line,
                lines=function.nloc,
                complexity=function.cyclomatic_complexity,
                lexemes=function.token_count,
                parameters=function.parameter_count,
            )
            for function in sorted(counted.function_list, key=lambda function: function.start_line)
        ),
        issues=tuple(issues(source, language)),
        documented=documented(root, table),
    )


def documented(root: Node, table: Syntax) -> float | None:
    """Share of named functions with a docstring (Python) or a comment that ends on the line above them."""
    named = [node for node in functions(root, table) if node.child_by_field_name("name") is not None]
    return sum(is_documented(node, table) for node in named) / len(named) if named else None


def is_documented(function: Node, table: Syntax) -> bool:
    """Whether a function has a docstring, or a comment that ends on the line above it."""
    if table.language == "python":
        body = function.child_by_field_name("body")
        first = body.named_children[0] if body is not None and body.named_children else None
        if first is not None and first.type == "expression_statement":
            first = first.named_children[0] if first.named_children else None
        return first is not None and first.type == "string"
    statement = function
    if statement.parent is not None and statement.parent.type == "export_statement":
        statement = statement.parent
    above = statement.prev_named_sibling
    return above is not None and above.type in table.comments and above.end_point[0] + 1 >= statement.start_point[0]


def duplication(programs: Sequence[tuple[str, str]]) -> float:
    """Share of the lexemes of programs (source, language) that lie in passages that occur twice; 0 for none at all."""
    texts = [_blanked(source, syntax(language)) for source, language in programs]
    places: dict[int, list[tuple[int, int]]] = {}
    for number, lexemes in enumerate(texts):
        for start, value in fingerprints(lexemes):
            places.setdefault(value, []).append((number, start))
    copied: set[tuple[int, int]] = set()
    for found in places.values():
        if any(other[0] != found[0][0] or other[1] >= found[0][1] + GRAM for other in found[1:]):
            copied |= {(number, place) for number, start in found for place in range(start, start + GRAM)}
    total = sum(map(len, texts))
    return len(copied) / total if total else 0.0


def fingerprints(lexemes: Sequence[str]) -> list[tuple[int, int]]:
    """Place and hash of the k-grams that winnowing keeps: the rightmost least one of every window."""
    hashes = [crc32("\0".join(lexemes[start : start + GRAM]).encode()) for start in range(len(lexemes) - GRAM + 1)]
    kept: dict[int, int] = {}
    for begin in range(max(1, len(hashes) - WINDOW + 1) if hashes else 0):
        window = range(begin, min(begin + WINDOW, len(hashes)))
        place = min(window, key=lambda at: (hashes[at], -at))
        kept[place] = hashes[place]
    return sorted(kept.items())


def _blanked(source: str, table: Syntax) -> list[str]:
    """The lexemes of a program, names and literals replaced by their kinds."""
    return [_kind(node, table) for node in leaves(table.parse(source), table)]


def _kind(node: Node, table: Syntax) -> str:
    if node.type in _NAMES:
        return "name"
    if node.type in table.strings or node.type in _NUMBERS:
        return "literal"
    return text(node)


def comment_share(source: str, language: str) -> float:
    """Share of a program's characters, blanks left out, that are comments."""
    table = syntax(language)
    inside = sum(len("".join(text(node).split())) for node in walk(table.parse(source)) if node.type in table.comments)
    total = len("".join(source.split()))
    return inside / total if total else 0.0

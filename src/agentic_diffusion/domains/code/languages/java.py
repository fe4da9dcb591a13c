"""Java, read with tree-sitter: whole classes, or methods without a class, which are put into one named Solution.

A program may also be a list of statements, since tests are given so; what is judged as a program is compiled anyway.
Lines count from 1.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

import tree_sitter_java

from agentic_diffusion.domains.code.languages import braces, trees
from agentic_diffusion.domains.code.languages.java_harness import JavaHarness

_OPENS = re.compile(
    r"(?:package |import |public\b|private\b|protected\b|static\b|final\b|abstract\b|class |interface |enum |record "
    r"|@\w|//|/\*|[A-Za-z_][\w.<>\[\], ?]*\s[A-Za-z_]\w*\s*\([^()]*\)\s*(?:throws [\w., ]+)?\{)"
)
_SPOKEN = re.compile(r"\b(?:function|method)\s+(?:called\s+|named\s+)?[`'\"]?([A-Za-z_]\w*)[`'\"]?\s*(\([^()\n]*\))")
_WORDS = {"}": "a closing '}'", ")": "a closing ')'", "]": "a closing ']'", ";": "';'", "identifier": "a name"}
TYPES = frozenset(
    {"class_declaration", "interface_declaration", "enum_declaration", "record_declaration",
     "annotation_type_declaration"}
)  # fmt: skip
_DEFINITIONS = TYPES | {"method_declaration"}
_HOMES = {
    **dict.fromkeys(
        ("ArrayDeque", "ArrayList", "Arrays", "BitSet", "Collection", "Collections", "Comparator", "Deque", "EnumMap",
         "HashMap", "HashSet", "Iterator", "LinkedHashMap", "LinkedHashSet", "LinkedList", "List", "ListIterator",
         "Map", "NoSuchElementException", "Objects", "Optional", "OptionalInt", "PriorityQueue", "Queue", "Random",
         "Scanner", "Set", "SortedMap", "Stack", "StringJoiner", "TreeMap", "TreeSet", "Vector"),
        "java.util",
    ),
    **dict.fromkeys(
        ("BiConsumer", "BiFunction", "BinaryOperator", "Consumer", "Function", "IntFunction", "IntPredicate",
         "IntUnaryOperator", "Predicate", "Supplier", "UnaryOperator"),
        "java.util.function",
    ),
    **dict.fromkeys(("Collectors", "DoubleStream", "IntStream", "LongStream", "Stream"), "java.util.stream"),
    **dict.fromkeys(("BigDecimal", "BigInteger", "RoundingMode"), "java.math"),
    **dict.fromkeys(("Matcher", "Pattern"), "java.util.regex"),
    **dict.fromkeys(("LocalDate", "LocalDateTime", "LocalTime", "Duration"), "java.time"),
    **dict.fromkeys(("DecimalFormat", "SimpleDateFormat"), "java.text"),
}  # fmt: skip
"""Classes that programs use as if they were there, and the packages they come from."""


class Java(trees.TreeLanguage):
    """The language Java."""

    name = "java"
    title = "Java"
    endings = (".java",)
    fences = ("java",)
    candidate_file = "Solution.java"
    command = ("java",)
    tools: tuple[str, ...] = ("jdk",)
    pointer = staticmethod(tree_sitter_java.language)
    words = _WORDS
    body_ends: Literal["dedent", "brace"] = "brace"

    @cached_property
    def harness(self) -> JavaHarness:
        """Its tests."""
        return JavaHarness(self)

    def extract(self, text: str) -> str:
        """The program inside a model's answer; see `Language.extract`."""
        return braces.extract(
            self, text, _OPENS, lambda program: any(node.type in _DEFINITIONS for node in self.tree(program).children)
        )

    def with_imports(self, source: str) -> str:
        """Add imports of the standard classes that are used and lacking; see `Language`."""
        if self.parse_error(source) is not None:
            return source
        root = self.tree(source)
        there = [trees.text(node) for node in root.children if node.type == "import_declaration"]
        wild = {package for package in _HOMES.values() if any(f" {package}.*" in line for line in there)}
        bound = {line.rstrip("; ").rpartition(".")[2] for line in there}
        bound |= {
            trees.text(name)
            for node in trees.walk(root)
            if node.type in TYPES and (name := node.child_by_field_name("name")) is not None
        }
        used = braces.names_in(root, frozenset({"type_identifier", "identifier"}))
        lines = [
            f"import {_HOMES[name]}.{name};"
            for name in sorted((used & _HOMES.keys()) - bound, key=lambda name: (_HOMES[name], name))
            if _HOMES[name] not in wild
        ]
        clause = next((node for node in root.children if node.type == "package_declaration"), None)
        return braces.with_lines_behind(source, clause, lines)

    def signature(self, text: str) -> str | None:
        """The head of the first method of a program, or the `name(arguments)` that words speak of."""
        for node in trees.walk(self.tree(text)):
            body = node.child_by_field_name("body")
            if node.type == "method_declaration" and body is not None:
                return trees.head(node, body)
        modified = r"(?:(?:public|private|protected|static|final)\s+)+[\w<>\[\], ?]+?\s+[A-Za-z_]\w*\s*\([^\n{;]*\)"
        written = re.search(rf"^[ \t]*({modified})\s*\{{?[ \t]*$", text, re.MULTILINE)
        if written:
            return " ".join(written[1].split())
        spoken = _SPOKEN.search(text)
        return f"{spoken[1]}{spoken[2]}" if spoken else None

    def opening(self, _name: str) -> str:
        """A class and the beginning of a static method; the model writes its type, then its name."""
        return "class Solution {\n    public static "


JAVA = Java()
"""The one object that the entry point names."""

"""What the trees of each language are made of: the node types that metrics and style look for.

One `Syntax` a language, a table of tree-sitter's node types and fields. `variables` walks a tree once and tells every
occurrence of a variable: where it is bound and where it is read. Offsets count bytes, lines count from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_python
import tree_sitter_typescript
from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from agentic_diffusion.domains.code.languages.trees import text, walk
from agentic_diffusion.foundation.errors import UsageError


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PATTERNS = _set(
    "pattern_list tuple_pattern list_pattern list_splat_pattern expression_list array_pattern object_pattern"
    " rest_pattern pair_pattern assignment_pattern object_assignment_pattern identifier"
    " shorthand_property_identifier_pattern as_pattern_target typed_parameter list_splat dictionary_splat_pattern"
)
"""Nodes through which a binding reaches the names that it binds."""


@dataclass(frozen=True, kw_only=True)
class Syntax:
    """Node types of one language."""

    language: str
    """Its name."""
    pointer: Callable[[], object]
    """Gives the grammar, as its wheel has it."""
    functions: frozenset[str]
    """Definitions of functions and methods."""
    comments: frozenset[str]
    """Comments."""
    strings: frozenset[str]
    """Literal strings."""
    bindings: Mapping[str, tuple[str, str | None]]
    """Node types that bind names: the field of the names, and that of what they are computed from."""
    parameters: Mapping[str, str | None]
    """Node types of parameters, and the field of the name; None where every identifier directly below is one."""
    blocks: frozenset[str]
    """Sequences of statements."""
    jumps: frozenset[str]
    """Statements after which their block does not go on."""
    hoisted: frozenset[str] = frozenset()
    """Statements that count wherever they stand in their block."""
    catches: frozenset[str] = frozenset()
    """Clauses that catch exceptions."""

    @cached_property
    def grammar(self) -> Grammar:
        """The grammar."""
        return Grammar(self.pointer())

    @cached_property
    def keywords(self) -> frozenset[str]:
        """All words that the grammar knows by their spelling."""
        kinds = range(self.grammar.node_kind_count)
        named = (self.grammar.node_kind_for_id(kind) for kind in kinds if not self.grammar.node_kind_is_named(kind))
        return frozenset(name for name in named if name and name.isalpha())

    def parse(self, source: str) -> Node:
        """The root of the tree of a program."""
        return Parser(self.grammar).parse(source.encode("utf-8", "surrogatepass")).root_node


@dataclass(frozen=True)
class Occurrence:
    """A variable at one place."""

    name: str
    """Its name."""
    node: Node
    """Where it stands."""
    binds: bool
    """Whether the place gives it a value."""
    parameter: bool = False
    """Whether it is bound as a parameter."""
    sources: tuple[str, ...] = ()
    """The names that the value is computed from."""


_ECMA = {
    "functions": _set(
        "function_declaration function_expression arrow_function method_definition generator_function_declaration"
        " generator_function"
    ),
    "comments": _set("comment"),
    "strings": _set("string template_string"),
    "bindings": {
        "variable_declarator": ("name", "value"),
        "assignment_expression": ("left", "right"),
        "augmented_assignment_expression": ("left", "right"),
        "for_in_statement": ("left", "right"),
    },
    "parameters": {
        "formal_parameters": None,
        "arrow_function": "parameter",
        "catch_clause": "parameter",
        "required_parameter": "pattern",
        "optional_parameter": "pattern",
    },
    "blocks": _set("program statement_block switch_case switch_default"),
    "jumps": _set("return_statement throw_statement break_statement continue_statement"),
    "hoisted": _set("function_declaration generator_function_declaration"),
    "catches": _set("catch_clause"),
}
SYNTAXES: Mapping[str, Syntax] = {
    "python": Syntax(
        language="python",
        pointer=tree_sitter_python.language,
        functions=_set("function_definition"),
        comments=_set("comment"),
        strings=_set("string"),
        bindings={
            "assignment": ("left", "right"),
            "augmented_assignment": ("left", "right"),
            "for_statement": ("left", "right"),
            "for_in_clause": ("left", "right"),
            "named_expression": ("name", "value"),
            "as_pattern": ("alias", None),
        },
        parameters={
            "parameters": None,
            "lambda_parameters": None,
            "default_parameter": "name",
            "typed_default_parameter": "name",
        },
        blocks=_set("module block"),
        jumps=_set("return_statement raise_statement break_statement continue_statement"),
        catches=_set("except_clause"),
    ),
    "javascript": Syntax(language="javascript", pointer=tree_sitter_javascript.language, **_ECMA),  # type: ignore[arg-type]
    "typescript": Syntax(language="typescript", pointer=tree_sitter_typescript.language_typescript, **_ECMA),  # type: ignore[arg-type]
    "java": Syntax(
        language="java",
        pointer=tree_sitter_java.language,
        functions=_set("method_declaration constructor_declaration lambda_expression"),
        comments=_set("line_comment block_comment"),
        strings=_set("string_literal character_literal"),
        bindings={
            "variable_declarator": ("name", "value"),
            "assignment_expression": ("left", "right"),
            "enhanced_for_statement": ("name", "value"),
            "resource": ("name", "value"),
        },
        parameters={
            "formal_parameter": "name",
            "inferred_parameters": None,
            "lambda_expression": "parameters",
            "catch_formal_parameter": "name",
        },
        blocks=_set("block constructor_body switch_block_statement_group"),
        jumps=_set("return_statement throw_statement break_statement continue_statement"),
        catches=_set("catch_clause"),
    ),
    "go": Syntax(
        language="go",
        pointer=tree_sitter_go.language,
        functions=_set("function_declaration method_declaration func_literal"),
        comments=_set("comment"),
        strings=_set("interpreted_string_literal raw_string_literal rune_literal"),
        bindings={
            "short_var_declaration": ("left", "right"),
            "assignment_statement": ("left", "right"),
            "var_spec": ("name", "value"),
            "const_spec": ("name", "value"),
            "range_clause": ("left", "right"),
        },
        parameters={"parameter_declaration": "name", "variadic_parameter_declaration": "name"},
        blocks=_set("block statement_list"),
        jumps=_set("return_statement break_statement continue_statement goto_statement"),
    ),
}
"""The tables by the names of the languages."""


def syntax(language: str) -> Syntax:
    """The table of a language; UsageError where there is none."""
    if language not in SYNTAXES:
        raise UsageError(
            f"Programs in {language} cannot be measured.", hint=f"those in {', '.join(sorted(SYNTAXES))} can be."
        )
    return SYNTAXES[language]


def leaves(root: Node, table: Syntax) -> list[Node]:
    """The lexemes of a program in the order of the text, comments left out, strings whole."""
    found, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if node.type in table.comments:
            continue
        if node.type in table.strings or not node.children:
            if node.end_byte > node.start_byte and text(node).strip():
                found.append(node)
        else:
            waiting += reversed(node.children)
    return found


def functions(root: Node, table: Syntax) -> list[Node]:
    """All definitions of functions."""
    return [node for node in walk(root) if node.type in table.functions]


def variables(root: Node, table: Syntax) -> list[Occurrence]:
    """Every occurrence of the variables that a program binds, in the order of the text."""
    bound = dict(_bound(root, table))
    names = {text(node) for node in walk(root) if node.id in bound}
    found = []
    for node in walk(root):
        if node.id in bound:
            found.append(bound[node.id])
        elif _is_name(node) and text(node) in names and not _is_label(node):
            found.append(Occurrence(text(node), node, binds=False))
    return found


def _bound(root: Node, table: Syntax) -> Iterator[tuple[int, Occurrence]]:
    for node in walk(root):
        if node.type in table.bindings:
            target, source = table.bindings[node.type]
            values = node.children_by_field_name(source) if source else []
            sources = tuple(text(part) for value in values for part in walk(value) if _is_name(part))
            for child in node.children_by_field_name(target):
                for name in _names(child):
                    rest = node.parent is not None and node.parent.type == "spread_parameter"
                    yield name.id, Occurrence(text(name), name, binds=True, parameter=rest, sources=sources)
        if node.type in table.parameters:
            field = table.parameters[node.type]
            below = node.named_children if field is None else node.children_by_field_name(field)
            for child in below:
                for name in _names(child):
                    yield name.id, Occurrence(text(name), name, binds=True, parameter=True)


def _names(target: Node) -> Iterator[Node]:
    """The names that a target binds; those in `a[i]` or `a.b` are read and not bound."""
    if target.type in ("identifier", "shorthand_property_identifier_pattern"):
        yield target
    elif target.type in _PATTERNS:
        left = target.child_by_field_name("left") or target.child_by_field_name("value")
        for child in [left] if left is not None else target.named_children[: 1 if "typed" in target.type else None]:
            yield from _names(child)


def _is_name(node: Node) -> bool:
    return node.type in ("identifier", "shorthand_property_identifier")


def _is_label(node: Node) -> bool:
    """Whether an identifier names a member, a keyword argument or a function, which is no variable."""
    parent = node.parent
    if parent is None:
        return False
    fields = {
        "attribute": "attribute",
        "keyword_argument": "name",
        "field_access": "field",
        "method_invocation": "name",
        "function_definition": "name",
        "function_declaration": "name",
        "method_declaration": "name",
        "class_definition": "name",
        "class_declaration": "name",
        "keyed_element": "key",
    }
    if parent.type not in fields:
        return False
    named = parent.child_by_field_name(fields[parent.type])
    return named is not None and named.id == node.id

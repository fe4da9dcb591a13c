"""What JavaScript and TypeScript share as languages: finding the program in an answer, heads of functions, imports.

`extract` never repairs code: it only leaves out what is not code, so a broken function stays broken and can be told so.
Lines count from 1.
"""

from __future__ import annotations

import re
from typing import Literal

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import answers, trees

_CODE_START = re.compile(
    r"(?:/\*|//|['\"]use strict|(?:export|import|const|let|var|class|abstract|enum|interface|async|function|declare|@\w"
    r"|module\.exports|exports\.)\b|type \w+\s*[=<])"
)
_STATEMENT = re.compile(
    r"(?:if|else|for|while|do|switch|try|catch|finally|return|throw|[\w$.]+\s*(?:[=({\[.;]|\+\+|--)|[}\])])"
)
_SPOKEN = re.compile(
    r"\b(?:function|method)\s+(?:called\s+|named\s+)?[`'\"]?([A-Za-z_$][\w$]*)[`'\"]?\s*(\([^()\n]*\))"
)
_HOMES = {"assert": "assert", "util": "util"}
"""Names of modules that programs use as if they were there, and may have."""
_WORDS = {"}": "a closing '}'", ")": "a closing ')'", "]": "a closing ']'", ";": "';'", "identifier": "a name"}
FUNCTIONS = frozenset({"function_declaration", "generator_function_declaration"})
DEFINITIONS = FUNCTIONS | {
    "class_declaration",
    "abstract_class_declaration",
    "enum_declaration",
    "interface_declaration",
    "type_alias_declaration",
    "function_signature",
    "internal_module",
}
FUNCTION_VALUES = frozenset({"arrow_function", "function_expression", "generator_function", "class"})


class EcmaScript(trees.TreeLanguage):
    """What JavaScript and TypeScript have in common behind the protocol `Language`."""

    name: str
    title: str
    fences: tuple[str, ...]
    words = _WORDS
    body_ends: Literal["dedent", "brace", "fence"] = "brace"

    def extract(self, text: str) -> str:
        """The program inside a model's answer; see `Language.extract`."""
        return answers.extract(
            self,
            text,
            opens=_CODE_START.match,
            is_code=lambda line: _CODE_START.match(line) or _STATEMENT.match(line),
            defines=lambda program: any(is_definition(node) for node in self.tree(program).children),
            trimmed=self._without_examples,
        )

    def with_imports(self, source: str) -> str:
        """Add a `require` for the few modules that are there and are used unbound; see `Language`."""
        if not any(f"{name}." in source for name in _HOMES) or self.parse_error(source) is not None:
            return source
        root = self.tree(source)
        bound = bound_names(root)
        used = {
            trees.text(place)
            for node in trees.walk(root)
            if node.type == "member_expression"
            and (place := node.child_by_field_name("object")) is not None
            and place.type == "identifier"
        }
        lines = [f"const {name} = require('{_HOMES[name]}');" for name in sorted((used & _HOMES.keys()) - bound)]
        return "\n".join(lines) + "\n\n" + source if lines else source

    def signature(self, text: str) -> str | None:
        """`function name(arguments)` or `const name = (arguments) =>` out of a program or out of words."""
        root = self.tree(text)
        for node in root.children:
            inner = unexported(node)
            head = _head(inner)
            if head:
                return head
        written = re.search(r"^[ \t]*(?:export\s+)?((?:async\s+)?function\*?\s+[\w$]+\s*(?:<[^\n(]*>)?\([^\n]*?\)(?:\s*:\s*[^{\n]+)?)\s*\{?[ \t]*$", text, re.MULTILINE)  # fmt: skip  # noqa: E501
        if written:
            return " ".join(written[1].split())
        spoken = _SPOKEN.search(text)
        return f"function {spoken[1]}{spoken[2]}" if spoken else None

    def opening(self, name: str) -> str:
        """`function name(`."""
        return f"function {name}("

    def _without_examples(self, source: str) -> str:
        """Leave out what follows the last definition, but for exports and values that a definition reads."""
        children = [node for node in self.tree(source).children if node.type != "comment"]
        last = max((index for index, node in enumerate(children) if is_definition(node)), default=None)
        if last is None:
            return source
        read = {
            trees.text(node)
            for child in children[: last + 1]
            for node in trees.walk(child)
            if node.type in {"identifier", "shorthand_property_identifier"}
        }
        data = source.encode()
        end = children[last + 1].start_byte if last + 1 < len(children) and children[last + 1].type == ";" else -1
        kept = [data[: max(end + 1, children[last].end_byte)]]
        for node in children[last + 1 :]:
            if node.type in {"import_statement", "export_statement"} or exports(node) or declared(node) & read:
                kept.append(data[node.start_byte : node.end_byte])
        return b"\n\n".join([kept[0], b"\n".join(kept[1:])]).decode() if len(kept) > 1 else kept[0].decode()


def unexported(node: Node) -> Node:
    """The declaration inside an `export`, or the node itself."""
    if node.type != "export_statement":
        return node
    return node.child_by_field_name("declaration") or node.child_by_field_name("value") or node


def declarators(node: Node) -> list[Node]:
    """The declarators of a `const`, `let` or `var` statement."""
    if node.type not in {"lexical_declaration", "variable_declaration"}:
        return []
    return [child for child in node.children if child.type == "variable_declarator"]


def is_definition(node: Node) -> bool:
    """Whether a top-level statement defines a function, a class or a type."""
    inner = unexported(node)
    if inner.type in DEFINITIONS or inner.type in FUNCTION_VALUES:
        return True
    values = [item.child_by_field_name("value") for item in declarators(inner)]
    if inner.type == "expression_statement" and inner.named_children[:1]:
        first = inner.named_children[0]
        if first.type == "internal_module":
            return True
        values = [first.child_by_field_name("right")] if first.type == "assignment_expression" else []
    return any(value is not None and value.type in FUNCTION_VALUES for value in values)


def exports(node: Node) -> bool:
    """Whether a statement assigns to `module.exports` or `exports.name`."""
    if node.type != "expression_statement" or not node.named_children:
        return False
    first = node.named_children[0]
    left = first.child_by_field_name("left") if first.type == "assignment_expression" else None
    return left is not None and trees.text(left).startswith(("module.exports", "exports."))


def pattern_names(node: Node | None) -> set[str]:
    """The names that a pattern (of a declaration, a parameter) binds."""
    if node is None:
        return set()
    if node.type in {"identifier", "shorthand_property_identifier_pattern"}:
        return {trees.text(node)}
    if node.type in {"pair_pattern", "object_assignment_pattern", "assignment_pattern"}:
        return pattern_names(node.child_by_field_name("value" if node.type == "pair_pattern" else "left"))
    return {name for child in node.named_children for name in pattern_names(child)}


def declared(node: Node) -> set[str]:
    """The names that a top-level statement declares."""
    inner = unexported(node)
    if inner.type in DEFINITIONS:
        name = inner.child_by_field_name("name")
        return {trees.text(name)} if name is not None else set()
    if inner.type == "import_statement":
        return {
            trees.text(item.child_by_field_name("alias") or item.child_by_field_name("name") or item.named_children[0])
            if item.type == "import_specifier"
            else trees.text(item)
            for item in trees.walk(inner)
            if item.type == "import_specifier"
            or (item.type == "identifier" and item.parent is not None and item.parent.type in _IMPORTING)
        }
    return {name for item in declarators(inner) for name in pattern_names(item.child_by_field_name("name"))}


_IMPORTING = frozenset({"import_clause", "namespace_import", "import_require_clause"})


def bound_names(root: Node) -> set[str]:
    """All names that a program binds anywhere: declarations, parameters, imports."""
    found: set[str] = set()
    for node in trees.walk(root):
        found |= declared(node)
        if node.type in {"formal_parameters", "catch_clause"}:
            for child in node.named_children:
                pattern = child.child_by_field_name("pattern") or child
                found |= pattern_names(pattern) if child.type != "statement_block" else set()
        elif node.type == "arrow_function":
            found |= pattern_names(node.child_by_field_name("parameter"))
        elif node.type == "for_in_statement":
            found |= pattern_names(node.child_by_field_name("left"))
    return found


def _head(node: Node) -> str | None:
    """The head of the function that a statement defines."""
    if node.type in FUNCTIONS or node.type == "function_signature":
        body = node.child_by_field_name("body")
        return trees.head(node, body).rstrip("; ")
    for item in declarators(node):
        value = item.child_by_field_name("value")
        if value is not None and value.type in FUNCTION_VALUES - {"class"}:
            return trees.head(node, value.child_by_field_name("body"))
    return None

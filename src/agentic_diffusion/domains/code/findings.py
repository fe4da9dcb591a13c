"""What is wrong with a program that one can see without running it, by the same rules in every language.

    unused-variable   a local variable that is given a value and read nowhere in its function
    empty-catch       an exception that is caught and forgotten without a word; in Go an empty `if err != nil`
    unreachable       a statement behind a return, throw, raise, break or continue of the same block

The rules look at names and at the order of statements alone, so they keep silent where they could be wrong: a name that
occurs anywhere else in the function counts as used. Lines count from 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from tree_sitter import Node

from agentic_diffusion.domains.code.languages.trees import text, walk
from agentic_diffusion.domains.code.syntax import Syntax, functions, syntax, variables

_EMPTY = frozenset({"pass_statement", "...", "ellipsis"})
_OUTER = frozenset({"global_statement", "nonlocal_statement"})


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One thing that a rule found."""

    rule: str
    """Name of the rule."""
    line: int
    """Where it stands."""
    message: str
    """What it is, in a sentence."""


def issues(source: str, language: str) -> list[Issue]:
    """Everything that the rules find in a program, by line; UsageError for a language without a table."""
    table = syntax(language)
    root = table.parse(source)
    found = [*_unused(root, table), *_empty_catches(root, table), *_unreachable(root, table)]
    return sorted(found, key=lambda issue: (issue.line, issue.rule, issue.message))


def _unused(root: Node, table: Syntax) -> list[Issue]:
    """Variables of the outermost functions; a nested function may read those of the one around it."""
    found = []
    for function in functions(root, table):
        if any(outer.type in table.functions for outer in _above(function)):
            continue
        occurrences = variables(function, table)
        read = {occurrence.name for occurrence in occurrences if not occurrence.binds or _updates(occurrence.node)}
        read |= {text(part) for node in walk(function) if node.type in _OUTER for part in node.named_children}
        told: set[str] = {occurrence.name for occurrence in occurrences if occurrence.parameter}
        for occurrence in occurrences:
            name = occurrence.name
            if name not in read | told and not name.startswith("_") and not _names_function(occurrence.node, function):
                told.add(name)
                line = occurrence.node.start_point[0] + 1
                found.append(
                    Issue(rule="unused-variable", line=line, message=f"{name} is given a value and never read")
                )
    return found


def _updates(node: Node) -> bool:
    """Whether a binding is `x += 1`, which reads x, too."""
    parent = node.parent
    while parent is not None and parent.type in ("expression_list", "pattern_list"):
        parent = parent.parent
    if parent is None or not parent.type.startswith(("augmented_assignment", "assignment")):
        return False
    operators = {child.type for child in parent.children if not child.is_named}
    return any(operator.endswith("=") and operator != "=" for operator in operators)


def _names_function(node: Node, function: Node) -> bool:
    """Whether a binding lies outside of the function's own body, as the name that an arrow function is given."""
    return node.start_byte < function.start_byte


def _above(node: Node) -> list[Node]:
    found, parent = [], node.parent
    while parent is not None:
        found.append(parent)
        parent = parent.parent
    return found


def _empty_catches(root: Node, table: Syntax) -> list[Issue]:
    found = []
    for node in walk(root):
        line = node.start_point[0] + 1
        if node.type in table.catches and _is_empty(_body(node, table), table):
            found.append(Issue(rule="empty-catch", line=line, message="an exception is caught and forgotten"))
        elif table.language == "go" and node.type == "if_statement":
            condition, body = node.child_by_field_name("condition"), node.child_by_field_name("consequence")
            if condition is not None and "err" in text(condition).split() and _is_empty(body, table):
                found.append(Issue(rule="empty-catch", line=line, message="an error is looked at and forgotten"))
    return found


def _body(node: Node, table: Syntax) -> Node | None:
    return next((child for child in node.named_children if child.type in table.blocks), None)


def _is_empty(body: Node | None, table: Syntax) -> bool:
    """Whether a block says nothing: no statement but `pass` or `...`, and no comment that tells why."""
    if body is None:
        return False
    if any(node.type in table.comments for node in (*walk(body), *(body.parent.children if body.parent else ()))):
        return False
    return all(child.type in _EMPTY or text(child) == "..." for child in body.named_children)


def _unreachable(root: Node, table: Syntax) -> list[Issue]:
    found = []
    for block in (node for node in walk(root) if node.type in table.blocks):
        jumped = False
        for statement in block.named_children:
            if statement.type in table.comments or statement.type in table.hoisted:
                continue
            if jumped and statement.type not in ("labeled_statement", "empty_statement", *table.blocks):
                line = statement.start_point[0] + 1
                found.append(Issue(rule="unreachable", line=line, message="nothing leads to this statement"))
                break
            jumped = jumped or statement.type in table.jumps
    return found

"""Names that a program says and nothing declares, found without running it: in Python and JavaScript.

    undefined-name   a name that is read and bound nowhere in the program, nor by the language

The check keeps silent where it could be wrong: a name that is bound in any scope of a JavaScript program counts as
bound everywhere, and nothing is said of a program that makes names while it runs (`from x import *`, `exec`, `eval`,
`globals`, `with`). What compiled languages say of their names, their compilers say. Lines count from 1.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import warnings
from collections.abc import Callable, Mapping

from tree_sitter import Node

from agentic_diffusion.domains.code.findings import Issue
from agentic_diffusion.domains.code.languages.trees import line, text, walk
from agentic_diffusion.domains.code.syntax import syntax

_MODULE = frozenset({"__name__", "__file__", "__doc__", "__builtins__", "__spec__", "__loader__", "__package__"})
_MAKERS = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr", "__import__"})
_CLASS = frozenset({"__class__", "__qualname__", "__module__"})
_JAVASCRIPT = frozenset(
    {"AbortController", "AbortSignal", "AggregateError", "Array", "ArrayBuffer", "Atomics", "BigInt", "BigInt64Array",
     "BigUint64Array", "Blob", "Boolean", "Buffer", "DataView", "Date", "Error", "EvalError", "Event", "EventTarget",
     "FinalizationRegistry", "Float32Array", "Float64Array", "Function", "Infinity", "Int16Array", "Int32Array",
     "Int8Array", "Intl", "Iterator", "JSON", "Map", "Math", "MessageChannel", "NaN", "Number", "Object", "Promise",
     "Proxy", "RangeError", "ReferenceError", "Reflect", "RegExp", "Set", "SharedArrayBuffer", "String", "Symbol",
     "SyntaxError", "TextDecoder", "TextEncoder", "TypeError", "URIError", "URL", "URLSearchParams", "Uint16Array",
     "Uint32Array", "Uint8Array", "Uint8ClampedArray", "WeakMap", "WeakRef", "WeakSet", "WebAssembly", "__dirname",
     "__filename", "arguments", "assert", "atob", "btoa", "clearImmediate", "clearInterval", "clearTimeout", "console",
     "crypto", "decodeURI", "decodeURIComponent", "document", "encodeURI", "encodeURIComponent", "escape", "exports",
     "fetch", "global", "globalThis", "isFinite", "isNaN", "module", "navigator", "parseFloat", "parseInt",
     "performance", "process", "queueMicrotask", "require", "self", "setImmediate", "setInterval", "setTimeout",
     "structuredClone", "undefined", "unescape", "window"}
)  # fmt: skip
_BINDERS: Mapping[str, tuple[str, ...]] = {
    "variable_declarator": ("name",),
    "function_declaration": ("name",),
    "generator_function_declaration": ("name",),
    "function_expression": ("name",),
    "generator_function": ("name",),
    "class_declaration": ("name",),
    "class": ("name",),
    "arrow_function": ("parameter",),
    "catch_clause": ("parameter",),
    "assignment_expression": ("left",),
    "augmented_assignment_expression": ("left",),
    "for_in_statement": ("left",),
    "import_specifier": ("name", "alias"),
    "pair_pattern": ("value",),
    "assignment_pattern": ("left",),
    "object_assignment_pattern": ("left",),
}
"""Fields of nodes whose name is bound there."""
_ALL_BIND = frozenset({"formal_parameters", "array_pattern", "rest_pattern", "namespace_import", "import_clause"})


def undefined_names(source: str, language: str) -> list[Issue]:
    """What is read and never bound, each name once at its first place; [] for programs that do not parse.

    Only Python and JavaScript are looked at; other languages give [].
    """
    finder = _FINDERS.get(language)
    return finder(source) if finder is not None else []


def _python(source: str) -> list[Issue]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree, table = ast.parse(source), symtable.symtable(source, "program", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    stars = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    if any(alias.name == "*" for node in stars for alias in node.names):
        return []
    bound = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    read: dict[str, int] = {}
    waiting = [table]
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        for symbol in scope.get_symbols():
            outer = symbol.is_global() or scope is table
            if outer and (symbol.is_assigned() or symbol.is_imported()):
                bound.add(symbol.get_name())
            if outer and symbol.is_referenced():
                name = symbol.get_name()
                read[name] = min(scope.get_lineno(), read.get(name, scope.get_lineno()))
    if read.keys() & _MAKERS:
        return []
    unknown = read.keys() - bound - set(dir(builtins)) - _MODULE - _CLASS
    places: dict[str, int] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load) or node.id not in unknown:
            continue
        if node.lineno >= read[node.id]:
            places[node.id] = min(node.lineno, places.get(node.id, node.lineno))
    return _issues(places)


def _javascript(source: str) -> list[Issue]:
    root = syntax("javascript").parse(source)
    if root.has_error:
        return []
    bound, places = set(_JAVASCRIPT), dict[str, int]()
    for node in walk(root):
        if node.type == "with_statement" or (node.type == "identifier" and text(node) == "eval"):
            return []
        if node.type == "shorthand_property_identifier_pattern" or _binds(node):
            bound.add(text(node))
        elif node.type in ("identifier", "shorthand_property_identifier"):
            parent = node.parent
            if parent is not None and parent.type == "unary_expression" and text(parent).startswith("typeof"):
                bound.add(text(node))
            places.setdefault(text(node), line(node))
    return _issues({name: place for name, place in places.items() if name not in bound})


def _binds(node: Node) -> bool:
    """Whether an identifier stands where it is bound."""
    parent = node.parent
    if node.type != "identifier" or parent is None:
        return False
    fields = (parent.child_by_field_name(name) for name in _BINDERS.get(parent.type, ()))
    return parent.type in _ALL_BIND or any(child is not None and child == node for child in fields)


def _issues(places: Mapping[str, int]) -> list[Issue]:
    return [
        Issue(rule="undefined-name", line=place, message=f"{name} is not defined")
        for name, place in sorted(places.items(), key=lambda item: (item[1], item[0]))
    ]


_FINDERS: Mapping[str, Callable[[str], list[Issue]]] = {"python": _python, "javascript": _javascript}

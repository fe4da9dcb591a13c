"""Go's predeclared names that a candidate declares anew at its top, where the tests beside it would see them.

A test that says `panic("no")` or `len(f(1)) == 2` means the language's own. What a candidate declares under such a name
is therefore renamed throughout the candidate. `min`, `max` and `clear` came late, and programs and their tests declare
and call functions of these names, so they are left as they are.
"""

from __future__ import annotations

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import trees

PREDECLARED = frozenset(
    {"append", "cap", "close", "complex", "copy", "delete", "imag", "len", "make", "new", "panic", "print", "println",
     "real", "recover", "true", "false", "nil", "iota", "any", "bool", "byte", "comparable", "complex64", "complex128",
     "error", "float32", "float64", "int", "int8", "int16", "int32", "int64", "rune", "string", "uint", "uint8",
     "uint16", "uint32", "uint64", "uintptr"}
)  # fmt: skip
"""The names of Go's universe block but `min`, `max` and `clear`."""
_SPECS = frozenset({"var_spec", "const_spec", "type_spec", "type_alias"})
_LISTS = frozenset({"var_declaration", "const_declaration", "type_declaration", "var_spec_list"})
_WORDS = frozenset({"identifier", "type_identifier", "true", "false", "nil", "iota"})
MARK = "_own"


def shadowed(root: Node) -> frozenset[str]:
    """The predeclared names that a program declares at its top."""
    found: set[str] = set()
    waiting = list(root.named_children)
    while waiting:
        node = waiting.pop()
        if node.type in _LISTS:
            waiting += node.named_children
        elif node.type in _SPECS or node.type == "function_declaration":
            found |= {trees.text(name) for name in node.children_by_field_name("name")}
    return frozenset(found & PREDECLARED)


def rename(edits: trees.Edits, root: Node) -> None:
    """Rename what `shadowed` finds, wherever the candidate says it; fields and methods keep their names."""
    names = shadowed(root)
    if not names:
        return
    taken = {trees.text(node) for node in trees.walk(root) if node.type in _WORDS}
    for node in trees.walk(root):
        if node.type in _WORDS and trees.text(node) in names and not _is_key(node):
            new = trees.text(node) + MARK
            while new in taken:
                new += MARK
            edits.replace(node, new)


def _is_key(node: Node) -> bool:
    """Whether a name may be the field of a struct that is filled: `T{len: 1}`."""
    element = node.parent
    pair = element.parent if element is not None and element.type == "literal_element" else None
    return pair is not None and pair.type == "keyed_element" and pair.named_children[0] == element

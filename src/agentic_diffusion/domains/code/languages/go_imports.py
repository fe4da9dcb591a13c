"""Imports of Go programs: which are there, which packages are used, and which standard ones are lacking.

Only packages that programs under test may import are known here (see `installer.go_library`); of two that share a name
the usual one is meant.
"""

from __future__ import annotations

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import trees

PATHS = (
    "bufio", "bytes", "cmp", "container/heap", "container/list", "container/ring", "context", "crypto/md5",
    "crypto/sha1", "crypto/sha256", "encoding/base64", "encoding/binary", "encoding/hex", "encoding/json", "errors",
    "fmt", "io", "iter", "log", "maps", "math", "math/big", "math/bits", "math/rand", "os", "reflect", "regexp",
    "runtime", "slices", "sort", "strconv", "strings", "sync", "sync/atomic", "testing", "time", "unicode",
    "unicode/utf8",
)  # fmt: skip
HOMES = {path.rpartition("/")[2]: path for path in PATHS}
"""Names of packages as programs write them, and the paths they are imported by."""
_WORDS = frozenset({"identifier", "package_identifier", "type_identifier"})
_BINDING = frozenset({"parameter_declaration", "variadic_parameter_declaration", "var_spec", "const_spec"})


def imported(root: Node) -> dict[str, tuple[str, Node]]:
    """The imports of a program: the name that each is used by, its path, and its node."""
    found = {}
    for spec in trees.walk(root):
        if spec.type == "import_spec":
            path_node, name_node = spec.child_by_field_name("path"), spec.child_by_field_name("name")
            if path_node is not None:
                path = trees.text(path_node).strip('"`')
                name = trees.text(name_node) if name_node is not None else path.rpartition("/")[2]
                found[name if name not in {"_", "."} else f"{name}{path}"] = (path, spec)
    return found


def used(root: Node) -> frozenset[str]:
    """The names in front of a dot that nothing in the program declares: packages."""
    names, bound = set(), set()
    for node in trees.walk(root):
        if node.type == "selector_expression":
            operand = node.child_by_field_name("operand")
            if operand is not None and operand.type == "identifier":
                names.add(trees.text(operand))
        elif node.type == "qualified_type":
            package = node.child_by_field_name("package")
            names |= {trees.text(package)} if package is not None else set()
        elif node.type in _BINDING:
            bound |= {trees.text(name) for name in node.children_by_field_name("name")}
        elif node.type in {"short_var_declaration", "range_clause"}:
            left = node.child_by_field_name("left")
            bound |= {trees.text(name) for name in left.named_children} if left is not None else set()
    return frozenset(names - bound)


def missing(root: Node) -> list[str]:
    """The paths of standard packages that a program uses and does not import."""
    there = imported(root)
    return sorted(HOMES[name] for name in used(root) if name in HOMES and name not in there)


def unused(root: Node) -> list[Node]:
    """The imports of known packages whose name a program never says, which Go refuses; blank and dotted ones stay."""
    said = {trees.text(node) for node in trees.walk(root) if node.type in _WORDS and not _in_import(node)}
    return [
        spec
        for name, (path, spec) in imported(root).items()
        if name[:1] not in "_." and name not in said and path in PATHS
    ]


def _in_import(node: Node) -> bool:
    return node.parent is not None and node.parent.type == "import_spec"

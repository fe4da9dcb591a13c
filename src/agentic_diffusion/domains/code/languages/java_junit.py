"""Which parts of JUnit a test file in Java may use, and a plain sentence for those that are not here.

The worker runs methods with @Test of classes at the top as JUnit 5 does, with the hooks before and after them. Lines
count from 1.
"""

from __future__ import annotations

import re

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import trees
from agentic_diffusion.foundation.errors import UsageError

_KNOWN = ("java.", "javax.", "org.junit.jupiter.api.")
_OLD = re.compile(r"(?:org\.junit\.(?!jupiter\.)|junit\.framework\.)")
_OLD_WORDS = frozenset({"Before", "After", "BeforeClass", "AfterClass", "Ignore", "Rule", "ClassRule", "RunWith"})
_ABSENT = frozenset(
    {"Nested", "ParameterizedTest", "RepeatedTest", "TestFactory", "TestTemplate", "ExtendWith", "RegisterExtension",
     "TempDir", "Timeout", "EnabledIf", "DisabledIf"}
)  # fmt: skip
_MARKERS = frozenset({"annotation", "marker_annotation"})


def check(root: Node, origin: str) -> None:
    """UsageError for what JUnit 4 has, and for the kinds of tests of JUnit 5 that are not run here."""
    for node in trees.walk(root):
        if node.type == "import_declaration":
            _check_import(node, origin)
        elif node.type in _MARKERS:
            name = node.child_by_field_name("name")
            word = trees.text(name).rpartition(".")[2] if name is not None else ""
            expects = word == "Test" and node.child_by_field_name("arguments") is not None
            if word in _OLD_WORDS or expects:
                raise _junit_4(f"@{word}{'(...)' if expects else ''}", node, origin)
            if word in _ABSENT:
                raise UsageError(
                    f"The tests ({origin}) use @{word} in line {trees.line(node)}, which is not supported.",
                    hint="write each case as a method of its own with @Test, in a class at the top of the file",
                )


def _check_import(node: Node, origin: str) -> None:
    path = re.sub(r"^import\s+(?:static\s+)?", "", trees.text(node)).rstrip("; ")
    if _OLD.match(path):
        raise _junit_4(path, node, origin)
    if path.startswith("org.junit.jupiter.params."):
        raise UsageError(
            f"The tests ({origin}) import {path} in line {trees.line(node)}, and tests with parameters are not"
            " supported.",
            hint="write each case as a method of its own with @Test, in a class at the top of the file",
        )
    if not path.startswith(_KNOWN):
        raise UsageError(
            f"The tests ({origin}) import {path}, which is not here.",
            hint="use JUnit 5's assertions or plain `assert`; the program under test needs no import",
        )


def _junit_4(what: str, node: Node, origin: str) -> UsageError:
    return UsageError(
        f"The tests ({origin}) use {what} of JUnit 4 in line {trees.line(node)}, and JUnit 5 is what is here.",
        hint="import org.junit.jupiter.api.* and its Assertions; assertThrows takes the place of @Test(expected = ...)",
    )

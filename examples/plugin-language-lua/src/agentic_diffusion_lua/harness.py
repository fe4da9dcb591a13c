"""Tests in Lua: `assert(f(1) == 2)` at the top of a file, or functions whose names begin with `test`.

Both kinds are cases; every other statement at the top prepares for what follows it. The program under test is there as
`require("solution")` or by its bare names. Lines count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import lupa
import tree_sitter_lua
from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from agentic_diffusion.domains.code.languages.harness import CaseSource, Planted, Worker
from agentic_diffusion.domains.code.languages.language import ParseProblem
from agentic_diffusion.foundation.errors import UsageError

HERE = Path(__file__).parent
_GRAMMAR = Grammar(tree_sitter_lua.language())
_STANDARD = frozenset(
    (
        "assert", "collectgarbage", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print", "rawequal",
        "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "tonumber", "tostring", "type", "xpcall",
    )
)  # fmt: skip
_LONGEST = 60
"""Characters of a case's name."""
_EXAMPLE = 200
"""Characters of an assertion that is shown to the model."""


class LuaHarness:
    """Tests in Lua."""

    def __init__(self, parse_error: Callable[[str], ParseProblem | None]) -> None:
        """`parse_error` is that of the language."""
        self._parse_error = parse_error

    def cases(self, source: str, origin: str) -> tuple[CaseSource, ...]:
        """The cases of a test file; UsageError when it does not parse, holds none, or has two on a line."""
        problem = self._parse_error(source)
        if problem is not None:
            raise UsageError(
                f"The tests ({origin}) do not parse: line {problem.line}: {problem.message}.",
                hint="mend that line; tests are never guessed",
            )
        found: list[CaseSource] = []
        last = 0
        for node in _tree(source).named_children:
            line = node.start_point[0] + 1
            name = _case_name(node)
            if name is not None:
                if line == last:
                    raise UsageError(
                        f"Line {line} of the tests ({origin}) has more than one statement.",
                        hint="write every assertion on lines of its own",
                    )
                found.append(CaseSource(name=name, line=line, source=_text(node)))
            last = node.end_point[0] + 1
        if not found:
            raise UsageError(f"The tests ({origin}) hold no test.", hint='write a line such as "assert(f(1) == 2)"')
        return tuple(found)

    def inline(self, statements: Sequence[str]) -> str:
        """The statements, one after the other."""
        return "\n".join(statements) + "\n"

    def join(self, sources: Sequence[str]) -> str:
        """The files one after the other; UsageError for a name that two of them define at the top."""
        seen: set[str] = set()
        for source in sources:
            names = _defined(_tree(source))
            if clash := sorted(names & seen):
                raise UsageError(f"Two test files define {clash[0]!r}.", hint="rename it in one of them")
            seen |= names
        return "\n".join(source.rstrip("\n") for source in sources) + "\n"

    def tested_names(self, source: str) -> frozenset[str]:
        """Functions that the file calls, bare or of `solution`, and does not define."""
        tree = _tree(source)
        defined = {name for node in _walk(tree) for name in _names_bound(node)}
        called: set[str] = set()
        for node in _walk(tree):
            target = node.child_by_field_name("name") if node.type == "function_call" else None
            if target is None:
                continue
            if target.type == "identifier":
                called.add(_text(target))
            elif target.type == "dot_index_expression" and _text(target).startswith("solution."):
                called.add(_text(target).removeprefix("solution."))
        return frozenset(called - defined - _STANDARD)

    def example(self, source: str) -> str | None:
        """The first `assert(...)` that stands on one line."""
        shown = (_text(node) for node in _walk(_tree(source)) if _is_assertion(node))
        return next((text for text in shown if "\n" not in text and len(text) < _EXAMPLE), None)

    def planted(self, source: str, rng: Random) -> Planted:
        """The file with an assertion behind it whose expected number or string is another one, else `assert(false)`."""
        false = [text for node in _tree(source).named_children if (text := _falsified(node)) is not None]
        statement = rng.choice(false) if false else "assert(false)"
        return Planted(source=f"{source.rstrip()}\n{statement}\n", case=len(self.cases(source, "planted")))

    def stubs(self, source: str) -> tuple[str, ...]:
        """The tested names as functions that fail, and as functions that give an empty table."""
        names = sorted(self.tested_names(source))
        return (
            "".join(f'function {name}()\n  error("nothing is here")\nend\n' for name in names),
            "".join(f"function {name}()\n  return {{}}\nend\n" for name in names),
        )

    def worker(self) -> Worker:
        """A Python program that runs Lua with `lupa`, a process a candidate."""
        package = Path(lupa.__file__).parent
        return Worker(
            argv=("python", "-I", "-S", "worker_lua.py", str(package.parent)),
            files={"worker_lua.py": (HERE / "worker_lua.py").read_bytes()},
            read_only=(package,),
            memory_bytes=256 << 20,
        )


def _tree(source: str) -> Node:
    return Parser(_GRAMMAR).parse(source.encode()).root_node


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _walk(node: Node) -> list[Node]:
    """All named nodes, a parent before its children."""
    found, waiting = [], [node]
    while waiting:
        found.append(waiting.pop())
        waiting += reversed(found[-1].named_children)
    return found


def _is_assertion(node: Node) -> bool:
    name = node.child_by_field_name("name") if node.type == "function_call" else None
    return name is not None and _text(name) == "assert"


def _case_name(node: Node) -> str | None:
    """What a statement at the top is called as a case; None when it is none."""
    if _is_assertion(node):
        text = " ".join(_text(node).split())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    name = node.child_by_field_name("name") if node.type == "function_declaration" else None
    if name is None or name.type != "identifier" or _text(node).startswith("local"):
        return None
    return _text(name) if _text(name).startswith("test") else None


def _names_bound(node: Node) -> list[str]:
    """Names that a statement or a list of parameters binds."""
    if node.type == "function_declaration":
        name = node.child_by_field_name("name")
        return [_text(name)] if name is not None and name.type == "identifier" else []
    if node.type in ("parameters", "variable_list"):
        return [_text(child) for child in node.named_children if child.type == "identifier"]
    return []


def _defined(tree: Node) -> set[str]:
    """Names bound at the top of a file."""
    found: set[str] = set()
    for node in tree.named_children:
        below = [node, *node.named_children]
        below += [child for part in below for child in part.named_children if part.type == "assignment_statement"]
        found.update(name for part in below for name in _names_bound(part) if part.type != "parameters")
    return found


def _falsified(node: Node) -> str | None:
    """An assertion `assert(call == literal)` with another literal; None for any other statement."""
    arguments = node.child_by_field_name("arguments") if _is_assertion(node) else None
    compared = arguments.named_children[0] if arguments is not None and arguments.named_children else None
    if compared is None or compared.type != "binary_expression" or compared.children[1].type != "==":
        return None
    literal = compared.children[2]
    if literal.type == "number" and re.fullmatch(r"\d+", _text(literal)):
        other = str(int(_text(literal)) + 1)
    elif literal.type == "string":
        other = f"{_text(literal)} .. '?'"
    else:
        return None
    return f"assert({_text(compared.children[0])} == {other})"

"""The tests of JavaScript and TypeScript behind the protocol `Harness`: cases, joined files, stubs, planted cases.

A planted case is a copy of a true one, put right behind it, in which one equality expects another value: of the same
kind where the value is written out, else something that no honest program returns. Whoever passes it fakes results.
Lines count from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import ecmascript_rewrite, trees
from agentic_diffusion.domains.code.languages import ecmascript_tests as tests
from agentic_diffusion.domains.code.languages.ecmascript import EcmaScript, declared
from agentic_diffusion.domains.code.languages.ecmascript_tests import Found, TestFile
from agentic_diffusion.domains.code.languages.harness import CaseSource, Planted
from agentic_diffusion.foundation.errors import UsageError

EQUALITIES = frozenset(
    {"equal", "strictEqual", "deepEqual", "deepStrictEqual", "toBe", "toEqual", "toStrictEqual", "eq"}
)
COMPARING = frozenset({"equals", "equal", "isEqual", "eq"})
"""Methods of values that say whether these equal what they are given."""
FALSE = "assert.strictEqual(true, false);"
"""What is planted where no equality can be changed."""
EXAMPLE_WIDTH = 120
_LITERALS = frozenset({"number", "string", "true", "false"})
_BUILDERS = frozenset({"JSON.stringify", "String", "Object.freeze", "Set", "Map", "BigInt"})
_PLAIN = frozenset({"array", "object", "pair", "unary_expression", "parenthesized_expression"})


class EcmaTests:
    """What the harnesses of both languages share; a subclass names the worker."""

    def __init__(self, language: EcmaScript) -> None:
        """For tests in `language`."""
        self.language = language

    def read(self, source: str, origin: str = "inline") -> TestFile:
        """The test file; UsageError as for `cases`."""
        if not source.strip():
            raise UsageError(f"The tests ({origin}) are empty.", hint='write a line such as "assert.equal(f(1), 2)"')
        problem = self.language.parse_error(source)
        if problem is not None:
            raise UsageError(
                f"The tests ({origin}) do not parse as {self.language.title}: line {problem.line}: {problem.message}.",
                hint="mend that line; tests are never guessed",
            )
        return tests.read(source, self.language.tree(source), origin)

    def cases(self, source: str, origin: str) -> tuple[CaseSource, ...]:
        """The cases of a test file; see `Harness.cases`."""
        found = self.read(source, origin).cases
        return tuple(
            CaseSource(name=case.name, line=trees.line(case.node), source=trees.text(case.node)) for case in found
        )

    def suite_program(self, source: str) -> str:
        """The test file as the worker reads it."""
        return ecmascript_rewrite.suite_program(self.read(source))

    def candidate_program(self, source: str) -> str:
        """A candidate as the worker reads it; its lines stay."""
        return ecmascript_rewrite.candidate(source, self.language.tree(source))

    def inline(self, statements: Sequence[str]) -> str:
        """A test file of statements given one by one."""
        return "".join(f"{statement.rstrip()}\n" for statement in statements)

    def join(self, sources: Sequence[str]) -> str:
        """One test file of several: what two of them declare, but for imports, gets a number in the later one."""
        taken: set[str] = set()
        parts = []
        for number, source in enumerate(sources):
            root = self.language.tree(source)
            names = {
                name
                for child in root.children
                if child.type != "import_statement" and not any(True for _ in tests.modules(child))
                for name in declared(child)
            }
            parts.append(_renamed(source, root, {name: f"{name}_{number + 1}" for name in names & taken}))
            taken |= names
        return "\n".join(part.rstrip() + "\n" for part in parts)

    def tested_names(self, source: str) -> frozenset[str]:
        """The functions that a test file calls and does not define."""
        return self.read(source).called

    def example(self, source: str) -> str | None:
        """The first assertion that stands whole on a line."""
        file = self.read(source)
        for call, _ in _equalities(file, file.root):
            shown = trees.text(call)
            if "\n" not in shown and len(shown) <= EXAMPLE_WIDTH:
                return shown
        for case in file.cases:
            if case.kind == "statement" and "\n" not in trees.text(case.node):
                return trees.text(case.node).rstrip(";")
        return None

    def planted(self, source: str, rng: Random) -> Planted:
        """The file with one more case that must fail; see `Harness.planted`."""
        file = self.read(source)
        options = [(case, *option) for case in file.cases for option in _options(file, case)]
        if not options:
            whole = source.rstrip() + f"\n{FALSE}\n"
            return Planted(source=whole, case=len(file.cases))
        case, expected, false = rng.choice(options)
        statement = _statement(case.node)
        start, end = statement.start_byte, statement.end_byte
        data = source.encode("utf-8", "surrogatepass")
        copy = data[start : expected.start_byte] + _changed(false, rng).encode() + data[expected.end_byte : end]
        whole = (data[:end] + b";\n" + copy + b"\n" + data[end:]).decode("utf-8", "surrogatepass")
        place = next(index for index, found in enumerate(self.read(whole).cases) if found.node.start_byte >= end + 2)
        return Planted(source=whole, case=place)

    def stubs(self, source: str) -> tuple[str, ...]:
        """Two programs: every function fails, every function gives what equals nothing."""
        names = sorted(self.read(source).under_test)
        names = [name for name in names if name.isidentifier() and name not in ecmascript_rewrite.KEYWORDS]
        found = []
        for body in ("throw new Error('not written');", "return Symbol('stub');"):
            lines = [f"function {name}(...given) {{ {body} }}" for name in names]
            lines += [f"module.exports = {{ {', '.join([*names, f'default: {names[0]}'] if names else names)} }};"]
            found.append("\n".join(lines) + "\n")
        return tuple(found)


def _renamed(source: str, root: Node, names: dict[str, str]) -> str:
    """The text with names changed wherever they are variables."""
    if not names:
        return source
    edits = trees.Edits(source)
    for node in trees.walk(root):
        new = names.get(trees.text(node)) if not node.children else None
        if new is None:
            continue
        if node.type in {"identifier", "type_identifier"}:
            edits.replace(node, new)
        elif node.type in {"shorthand_property_identifier", "shorthand_property_identifier_pattern"}:
            edits.replace(node, f"{trees.text(node)}: {new}")
    return edits.result()


def _statement(node: Node) -> Node:
    """The whole statement that a case is."""
    while node.parent is not None and not node.type.endswith("_statement"):
        node = node.parent
    return node


def _options(file: TestFile, case: Found) -> Iterator[tuple[Node, Node]]:
    """In a case, what an equality that always runs expects: the node to replace, and the node whose value changes."""
    if case.kind == "test":
        body = tests.body_of(case.node)
        places = [] if body is None else [node for node in body.named_children if node.type == "expression_statement"]
    else:
        places = [case.node]
    initial = ecmascript_rewrite.initializers(file.root)
    for place in places:
        found = _condition(place, initial) if place.type == "if_statement" else None
        if found is not None:
            yield found
        if place.type == "expression_statement":
            direct = place.named_children[0]
            for call, expected in _equalities(file, direct):
                if call == direct or (direct.type == "await_expression" and call.parent == direct):
                    yield expected, _behind(expected, initial)


def _equalities(file: TestFile, root: Node) -> Iterator[tuple[Node, Node]]:
    """Calls that claim an equality, and what they expect."""
    for call in trees.walk(root):
        if call.type != "call_expression" or tests.base(call) not in file.asserting:
            continue
        target = call.child_by_field_name("function")
        given = tests.arguments(call)
        if target is None:
            continue
        member = target.child_by_field_name("property")
        verb = trees.text(member if member is not None else target)
        if verb in {"ok", "assert"} and given and (claimed := _equalled(given[0])) is not None:
            yield call, claimed
        if verb not in EQUALITIES:
            continue
        asked = target.child_by_field_name("object")
        if verb.startswith("to"):
            direct = asked is not None and asked.type == "call_expression" and tests.base(asked) == "expect"
            if direct and len(given) == 1:
                yield call, given[0]
        elif len(given) >= 2:
            yield call, given[1]


def _equalled(node: Node) -> Node | None:
    """What a condition such as `x.equals(v)` asks a value to equal."""
    target = node.child_by_field_name("function") if node.type == "call_expression" else None
    member = target.child_by_field_name("property") if target is not None else None
    given = tests.arguments(node) if member is not None and trees.text(member) in COMPARING else []
    return given[-1] if given else None


def _condition(node: Node, initial: dict[str, Node]) -> tuple[Node, Node] | None:
    """For `if (!same(x, v)) throw` and `if (x !== v) throw`: what is expected."""
    condition = node.child_by_field_name("condition")
    inner = condition.named_children[0] if condition is not None and condition.named_children else None
    sides: list[Node] = []
    if inner is not None and inner.type == "unary_expression":
        call = inner.child_by_field_name("argument")
        sides = tests.arguments(call) if call is not None and call.type == "call_expression" else []
    elif inner is not None and inner.type == "binary_expression":
        operator = inner.child_by_field_name("operator")
        if operator is not None and trees.text(operator) in {"!=", "!=="}:
            sides = inner.named_children
    for side in reversed(sides):
        value = _behind(side, initial)
        if not any(part.type in {"call_expression", "new_expression"} for part in trees.walk(value)):
            return side, value
    return None


def _behind(node: Node, initial: dict[str, Node]) -> Node:
    """The value that a name at the top begins with, or the node itself."""
    return initial.get(trees.text(node), node) if node.type == "identifier" else node


def _changed(node: Node, rng: Random) -> str:
    """Another value: one literal inside it is changed, or the whole is wrapped into what nothing equals."""
    leaves = [
        leaf
        for leaf in trees.walk_outside(node, frozenset({"string"}))
        if leaf.type in _LITERALS and _reaches(leaf, node)
    ]
    whole = trees.text(node)
    if not leaves:
        return f"[[{whole}], {rng.randrange(10**6)}]"
    leaf = rng.choice(leaves)
    said = trees.text(leaf)
    if leaf.type == "string":
        new = f"{said[:-1]}{rng.choice('?~^')}{said[-1]}"
    elif leaf.type == "number":
        new = f"({said} + {rng.randint(2, 9)})" if not said.endswith("n") else f"({said} + {rng.randint(2, 9)}n)"
    else:
        new = "false" if leaf.type == "true" else "true"
    start = leaf.start_byte - node.start_byte
    data = whole.encode()
    return (data[:start] + new.encode() + data[start + leaf.end_byte - leaf.start_byte :]).decode()


def _builds(node: Node, inside: Node) -> bool:
    """Whether a node belongs to a call that gives another value for another first argument, and `inside` is there."""
    if node.type == "arguments":
        return bool(node.named_children) and node.named_children[0] == inside
    target = node.child_by_field_name("function") or node.child_by_field_name("constructor")
    return node.type in {"call_expression", "new_expression"} and target is not None and trees.text(target) in _BUILDERS


def _reaches(leaf: Node, top: Node) -> bool:
    """Whether only lists, objects and signs lie between a literal and the value, so that changing it changes that."""
    node = leaf
    while node != top:
        parent = node.parent
        if parent is None or (parent.type not in _PLAIN and not _builds(parent, node)):
            return False
        if parent.type == "pair" and parent.child_by_field_name("key") == node:
            return False
        if parent.type == "unary_expression" and trees.text(parent)[0] not in "-+":
            return False
        node = parent
    return True

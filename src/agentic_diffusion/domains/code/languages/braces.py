"""What Java and Go share: finding the program in an answer, and the statements that a case of a test file needs.

A test file of plain statements, or a `main` of such, is cut into cases that stand alone: a case takes with it the
declarations that it reads, directly or through others, and the statements that touch what these declare.
Lines count from 1.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import trees
from agentic_diffusion.domains.code.languages.harness import CaseSource, Planted
from agentic_diffusion.domains.code.languages.language import Language
from agentic_diffusion.foundation.errors import UsageError

NAME_WIDTH = 80
EXAMPLE_WIDTH = 120
_FENCE = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement of a test file."""

    node: Node
    """Its place in the tree."""
    case: bool
    """Whether it can fail: an assertion, or what throws when something does not hold."""
    declares: frozenset[str] = frozenset()
    """The local names that it brings in."""
    uses: frozenset[str] = frozenset()
    """Every name in it."""


def needed(statements: Sequence[Statement], case: Statement) -> list[Statement]:
    """The statements before `case` that it needs, in their order."""
    wanted, found = set(case.uses), []
    local = {name for statement in statements for name in statement.declares}
    for statement in reversed(statements[: statements.index(case)]):
        if statement.case:
            continue
        touched = statement.uses & local
        if statement.declares & wanted or (not statement.declares and (not touched or touched & wanted)):
            found.append(statement)
            wanted |= statement.uses
    return found[::-1]


def title(node: Node) -> str:
    """The text of a statement in one short line."""
    words = " ".join(trees.text(node).split())
    return words if len(words) <= NAME_WIDTH else f"{words[: NAME_WIDTH - 3]}..."


def names_in(node: Node, types: frozenset[str]) -> frozenset[str]:
    """The texts of all nodes of these types."""
    return frozenset(trees.text(place) for place in trees.walk(node) if place.type in types)


def as_case(node: Node, name: str = "") -> CaseSource:
    """A node as a case."""
    return CaseSource(name=name or title(node), line=trees.line(node), source=trees.text(node))


def planted(
    source: str,
    cases: Sequence[Node],
    rng: Random,
    copies: Callable[[Node], list[Callable[[], str]]],
    false: Callable[[Node], str],
) -> Planted:
    """The file with one more case put before one of its own.

    `copies` gives the ways to write a case with another expected value; where no case has one, what `false` writes.
    """
    options = [(place, copy) for place, node in enumerate(cases) for copy in copies(node)]
    if options:
        place, copy = rng.choice(options)
        written = copy()
    else:
        place = rng.randrange(len(cases))
        written = false(cases[place])
    data = source.encode("utf-8", "surrogatepass")
    start = cases[place].start_byte
    whole = data[:start] + written.encode() + b"\n" + data[start:]
    return Planted(source=whole.decode("utf-8", "surrogatepass"), case=place)


def readable(source: str, origin: str, language: Language, example: str) -> None:
    """Raise UsageError for a test file that is empty or does not parse."""
    if not source.strip():
        raise UsageError(f"The tests ({origin}) are empty.", hint=f'write a line such as "{example}"')
    problem = language.parse_error(source)
    if problem is not None:
        raise UsageError(
            f"The tests ({origin}) do not parse as {language.title}: line {problem.line}: {problem.message}.",
            hint="mend that line; tests are never guessed",
        )


def no_case(origin: str, example: str) -> UsageError:
    """The error for a test file without a case."""
    return UsageError(f"The tests ({origin}) hold no test.", hint=f'write a line such as "{example}"')


def clash(names: set[str]) -> UsageError:
    """The error for files that define the same name differently."""
    return UsageError(
        f"Two test files define {', '.join(sorted(names))} and cannot be joined.", hint="rename it in one of them"
    )


def extract(language: Language, text: str, opens: re.Pattern[str], defines: Callable[[str], bool]) -> str:
    """The program inside a model's answer (`Language.extract`); `opens` matches a line that code begins with."""
    blocks = _FENCE.findall(text)
    named = [body for label, body in blocks if label.lower() in language.fences]
    others = [body for label, body in blocks if not label]
    for body in (*named, *others):
        program = _without_prose(language, textwrap.dedent(body), opens)
        if language.parse_error(program) is None and defines(program):
            return program
    body = (named or others or [text])[0]
    return _without_prose(language, textwrap.dedent(body), opens)


def _without_prose(language: Language, text: str, opens: re.Pattern[str]) -> str:
    """Cut prose before the first and behind the last line of code."""
    lines = text.splitlines()
    first = next((index for index, line in enumerate(lines) if opens.match(line)), None)
    if first is None:
        return _ended(text)
    if language.parse_error("\n".join(lines)) is not None:
        lines = lines[first:]
    while (problem := language.parse_error("\n".join(lines))) is not None:
        head = _head_of(lines, min(problem.line, len(lines)))
        if head == 0 or opens.match(lines[head]) or lines[head][:1] in "})]@":
            return _ended("\n".join(lines))  # broken code, not prose: left as it is
        lines = lines[:head]
    return _ended("\n".join(lines))


def _ended(text: str) -> str:
    """One newline at the end, no blank lines around; "" stays ""."""
    text = text.strip("\n").rstrip()
    return text + "\n" if text.strip() else ""


def _head_of(lines: list[str], number: int) -> int:
    """Index of the unindented line to which line `number` (from 1) belongs."""
    index = number - 1
    while index > 0 and (not lines[index].strip() or lines[index][0].isspace()):
        index -= 1
    return index

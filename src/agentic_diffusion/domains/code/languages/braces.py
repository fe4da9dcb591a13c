"""What Java and Go share: finding the program in an answer, and the statements that a case of a test file needs.

A test file of plain statements, or a `main` of such, is cut into cases that stand alone: a case takes with it the
declarations that it reads, directly or through others, and the statements that touch what these declare.
Lines count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tree_sitter import Node

from agentic_diffusion.domains.code.languages import answers, trees
from agentic_diffusion.domains.code.languages.harness import CaseSource, Planted
from agentic_diffusion.domains.code.languages.language import Language
from agentic_diffusion.foundation.errors import UsageError

NAME_WIDTH = 80
EXAMPLE_WIDTH = 120


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
    return answers.extract(
        language,
        text,
        opens=opens.match,
        is_code=lambda line: opens.match(line) or line[:1] in "})]@",
        defines=defines,
    )


def with_lines_behind(source: str, clause: Node | None, lines: Sequence[str]) -> str:
    """A program with further lines (imports) behind its package clause, or at its beginning where it has none."""
    if not lines:
        return source
    if clause is None:
        return "\n".join(lines) + "\n\n" + source
    data = source.encode("utf-8", "surrogatepass")
    head, rest = data[: clause.end_byte].decode(), data[clause.end_byte :].decode("utf-8", "surrogatepass")
    return f"{head}\n\n" + "\n".join(lines) + rest

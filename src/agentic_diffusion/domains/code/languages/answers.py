"""Finding the program inside a model's answer, for every language: code blocks, and prose around code cut away.

Nothing is repaired: only what is not code is left out, so a broken function stays broken and can be told so.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import Protocol

from agentic_diffusion.domains.code.languages.language import ParseProblem

_FENCE = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.DOTALL | re.MULTILINE
)


class Reader(Protocol):
    """What of a `Language` finding a program needs."""

    @property
    def fences(self) -> tuple[str, ...]:
        """As `Language.fences`."""

    def parse_error(self, source: str) -> ParseProblem | None:
        """As `Language.parse_error`."""


def extract(
    language: Reader,
    text: str,
    *,
    opens: Callable[[str], object],
    is_code: Callable[[str], object],
    defines: Callable[[str], bool],
    trimmed: Callable[[str], str] = str,
) -> str:
    """The program inside a model's answer; see `Language.extract`.

    `opens` says of a line that code begins with it, `is_code` of an unindented one that it is no prose, `defines` of a
    program that it defines something, and `trimmed` leaves out of one that parses what is not asked for.
    """

    def program_of(body: str) -> str:
        return _without_prose(language, textwrap.dedent(body), opens, is_code, trimmed)

    blocks = _FENCE.findall(text)
    named = [body for label, body in blocks if label.lower() in language.fences]
    others = [body for label, body in blocks if not label]
    for body in (*named, *others):
        program = program_of(body)
        if language.parse_error(program) is None and defines(program):
            return program
    return program_of((named or others or [text])[0])


def _without_prose(
    language: Reader,
    text: str,
    opens: Callable[[str], object],
    is_code: Callable[[str], object],
    trimmed: Callable[[str], str],
) -> str:
    """Cut prose before the first and behind the last line of code."""
    lines = text.splitlines()
    first = next((index for index, line in enumerate(lines) if opens(line)), None)
    if first is None:
        return _ended(text)
    if language.parse_error("\n".join(lines)) is not None:
        lines = lines[first:]
    while (problem := language.parse_error("\n".join(lines))) is not None:
        head = _head_of(lines, min(problem.line, len(lines)))
        if head == 0 or is_code(lines[head]):
            return _ended("\n".join(lines))  # broken code, not prose: left as it is
        lines = lines[:head]
    return _ended(trimmed("\n".join(lines)))


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

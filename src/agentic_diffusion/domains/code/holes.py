"""Holes in programs: a prefix, a middle and a suffix that give the program again when they are joined.

    line    one whole line, its line end included
    lines   two to six whole lines in a row
    span    from one character to another, at most 80 apart (Bavarian et al. 2022 found that models which are to fill
            holes that begin and end anywhere must have seen such holes)

A middle is never blank, holds no line that only opens or closes a bracket, and is no comment alone: such holes teach to
write nothing. The head of a program (its first line with code) stays whole in kinds `line` and `lines`.
Positions count characters.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal, get_args

from agentic_diffusion.foundation.errors import UsageError

Kind = Literal["line", "lines", "span"]
MOST_LINES = 6
"""Lines of a hole of the kind `lines`."""
LONGEST_SPAN = 80
"""Characters of a hole of the kind `span`."""
_EMPTY = re.compile(r"\s*(?:[][(){};,]*|#.*|//.*|/?\*.*|\"\"\".*|'''.*)\s*")
_TRIES = 12


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A program with a hole."""

    prefix: str
    """What stands before it."""
    middle: str
    """What belongs into it."""
    suffix: str
    """What stands behind it."""
    kind: Kind
    """How it was cut."""


def cut_hole(program: str, kind: Kind, draw: random.Random) -> Hole | None:
    """A hole at a random place of a program; None where the program is too short to have one.

    Raises UsageError for an unknown kind.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"There is no hole of kind {kind!r}.", hint=f"Use one of {', '.join(get_args(Kind))}.")
    lines = program.splitlines(keepends=True)
    worth = [not _EMPTY.fullmatch(line) for line in lines]
    if sum(worth) < 2:
        return None
    body = worth.index(True) + 1  # the head stays: without it nobody could say what is asked for
    for _ in range(_TRIES):
        first, last = _place(program, lines, body, kind, draw)
        middle = program[first:last]
        told = middle.splitlines() or [""]
        if middle.strip() and not all(_EMPTY.fullmatch(line) for line in told) and not _EMPTY.fullmatch(told[0]):
            return Hole(prefix=program[:first], middle=middle, suffix=program[last:], kind=kind)
    return None


def _place(program: str, lines: list[str], body: int, kind: Kind, draw: random.Random) -> tuple[int, int]:
    """Where a hole may begin and end; the caller says whether it is worth it."""
    if kind == "span":
        begin = len("".join(lines[: body - 1])) + 1
        first = draw.randrange(min(begin, len(program) - 1), len(program))
        return first, min(len(program), first + draw.randint(3, LONGEST_SPAN))
    start = draw.randrange(body, len(lines)) if body < len(lines) else len(lines) - 1
    count = 1 if kind == "line" else draw.randint(2, MOST_LINES)
    first = len("".join(lines[:start]))
    return first, first + len("".join(lines[start : start + count]))

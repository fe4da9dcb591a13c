"""Whether a program with a small change still parses, without parsing all of it where it is long.

Of a long program only the definition or statement at the top in which the change lies is parsed, where that parses by
itself; a change may not leave it, so what parses alone parses in its place. Offsets count characters from 0.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from agentic_diffusion.domains.code import syntax

if TYPE_CHECKING:
    from agentic_diffusion.codegen.reading import Edit
    from agentic_diffusion.domains.code.languages.language import Language

LONG = 20_000
"""Characters from which on a program is long."""


class LocalParse:
    """One program, and changes of it."""

    def __init__(self, program: str, language: Language) -> None:
        """Find the pieces of a long program."""
        self._program, self._language = program, language
        self._spans = _pieces(program, language) if len(program) >= LONG else []
        self._sound: dict[int, bool] = {}

    def parses(self, edit: Edit) -> bool:
        """Whether the program parses with the edit."""
        place = bisect_right(self._spans, (edit.start, len(self._program))) - 1
        if place >= 0:
            begin, end = self._spans[place]
            if begin <= edit.start and edit.end <= end and self._is_sound(place):
                piece = self._program[begin : edit.start] + edit.new + self._program[edit.end : end]
                return self._language.parse_error(piece) is None
        return self._language.parse_error(edit.applied(self._program)) is None

    def _is_sound(self, place: int) -> bool:
        """Whether a piece parses by itself."""
        if place not in self._sound:
            begin, end = self._spans[place]
            self._sound[place] = self._language.parse_error(self._program[begin:end]) is None
        return self._sound[place]


def _pieces(program: str, language: Language) -> list[tuple[int, int]]:
    """The lines of every node at the top, as offsets; nodes that share a line are left out."""
    if language.name not in syntax.SYNTAXES:
        return []
    lines = program.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found: list[tuple[int, int]] = []
    for node in syntax.syntax(language.name).parse(program).named_children:
        first, last = int(node.start_point[0]), min(int(node.end_point[0]), len(lines) - 1)
        span = (starts[first], starts[last + 1])
        if not found or found[-1][1] <= span[0]:
            found.append(span)
    return found

"""A file with holes: what is outside them never changes by a byte.

A document keeps the text as it was read, byte order mark and line ends included. The model sees it with "\\n" alone,
and what it writes gets the line ends of the place it comes to. Lines and columns count from 1, columns in characters;
a column one behind the last character is the line's end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MARKER = "<FILL>"
"""What stands for a hole in a file."""
SIZE_LIMIT = 4_000_000
"""Bytes of a file that is still read."""
_BOM = "\ufeff"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A line, or a place in one."""

    line: int
    """Line, from 1."""
    column: int | None = None
    """Column, from 1; None is the whole line."""

    def __str__(self) -> str:
        """As it is written on the command line."""
        return str(self.line) if self.column is None else f"{self.line}:{self.column}"


def parse_place(text: str) -> Place:
    """A place as it is written, such as "12" or "12:5"; UsageError for anything else."""
    found = re.fullmatch(r"([0-9]{1,9})(?::([0-9]{1,9}))?", text)
    if found is None or int(found[1]) < 1 or (found[2] is not None and int(found[2]) < 1):
        raise UsageError(
            f"{text!r} is no place in a file.", hint="write LINE or LINE:COLUMN, both counted from 1: 12 or 12:5."
        )
    return Place(line=int(found[1]), column=None if found[2] is None else int(found[2]))


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text and the spans of it that are holes."""

    text: str
    """The text as it was read, holes included; without the byte order mark."""
    bom: bool
    """Whether the file began with a byte order mark."""
    origin: str
    """Where it came from: a path, or "-"."""
    holes: tuple[tuple[int, int], ...] = ()
    """First character and the one behind the last of every hole, from left to right, none overlapping."""

    @classmethod
    def decode(cls, data: bytes, origin: str) -> Document:
        """A document out of bytes; UsageError when they are no UTF-8 text or too many."""
        if len(data) > SIZE_LIMIT:
            raise UsageError(f"The file {origin} is larger than {SIZE_LIMIT} bytes.", hint="give a smaller file.")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"The file {origin} is not UTF-8 text (byte {error.start}).", hint="save it as UTF-8."
            ) from error
        if "\0" in text:
            raise UsageError(f"The file {origin} holds a NUL character, so it is no text.", hint="give a text file.")
        return cls(text=text.removeprefix(_BOM), bom=text.startswith(_BOM), origin=origin)

    @classmethod
    def read(cls, path: Path) -> Document:
        """A document out of a file; UsageError when it cannot be read."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"The file {path} cannot be read: {error.strerror}.", hint="give a file.") from error
        return cls.decode(data, str(path))

    def encode(self) -> bytes:
        """The bytes of the text."""
        return ((_BOM if self.bom else "") + self.text).encode()

    def at_markers(self) -> Document:
        """With a hole at every marker; UsageError when there is none."""
        found = [(match.start(), match.end()) for match in re.finditer(re.escape(MARKER), self.text)]
        if not found:
            raise UsageError(
                f"There is no {MARKER} in {self.origin}, and no other place was named.",
                hint=f"write {MARKER} where the hole is, or use --at LINE[:COLUMN] or --between A B.",
            )
        return replace(self, holes=tuple(found))

    def at(self, place: Place) -> Document:
        """With a hole at one place.

        At a line that is blank (or one behind the last) the line is filled; at another, new lines come before it; at a
        column nothing is taken away. UsageError for a place that the text does not have.
        """
        begin, end = self._line(place.line)
        if place.column is not None:
            begin = end = self._column(place, begin, end)
        elif not self.text[begin:end].strip():
            begin = end
        else:
            end = begin
        return replace(self, holes=((begin, end),))

    def between(self, first: Place, last: Place) -> Document:
        """With a hole from `first` up to `last`.

        A line alone means its beginning behind the indentation in `first`, and its end in `last`; a column means the
        place before its character. UsageError for places that the text does not have or that are in the wrong order.
        """
        begin, end = self._line(first.line)
        line = self.text[begin:end]
        if first.column is None:
            begin += len(line) - len(line.lstrip()) if line.strip() else 0
        else:
            begin = self._column(first, begin, end)
        start, end = self._line(last.line)
        if last.column is not None:
            end = self._column(last, start, end)
        if (last.line, end) < (first.line, begin):
            raise UsageError(
                f"The hole ends at {last}, before it begins at {first}.", hint="give the earlier place first."
            )
        return replace(self, holes=((begin, end),))

    def hole(self, number: int, language: str, note: str = "") -> Hole:
        """A hole as the model sees it; markers of other holes are left out of what surrounds it."""
        begin, end = self.holes[number]
        before = self._between_holes(0, begin, self.holes[:number])
        after = self._between_holes(end, len(self.text), self.holes[number + 1 :])
        return Hole(prefix=_plain(before), suffix=_plain(after), language=language, note=note)

    def filled(self, texts: Sequence[str]) -> Document:
        """With `texts` in the first holes, from left to right; the others remain, moved to where they are now.

        Line breaks of a text become those of its place.
        """
        made, place, holes = "", 0, []
        for number, (begin, end) in enumerate(self.holes):
            made += self.text[place:begin]
            start = len(made)
            if number < len(texts):
                made += texts[number].replace("\n", self._line_break(begin, end))
            else:
                made += self.text[begin:end]
                holes.append((start, len(made)))
            place = end
        return replace(self, text=made + self.text[place:], holes=tuple(holes))

    def _line(self, number: int) -> tuple[int, int]:
        """First character and the one behind the last of a line, without its line break."""
        lines = self.text.split("\n")
        if number > len(lines):
            raise UsageError(
                f"{self.origin} has no line {number}: it has {len(lines) - (lines[-1] == '')} lines.",
                hint="count lines from 1.",
            )
        begin = sum(len(line) + 1 for line in lines[: number - 1])
        line = lines[number - 1]
        return begin, begin + len(line.removesuffix("\r") if number < len(lines) else line)

    def _column(self, place: Place, begin: int, end: int) -> int:
        assert place.column is not None
        if place.column > end - begin + 1:
            raise UsageError(
                f"Line {place.line} of {self.origin} has no column {place.column}: it has {end - begin} characters.",
                hint="count columns from 1; one behind the last is the line's end.",
            )
        return begin + place.column - 1

    def _line_break(self, begin: int, end: int) -> str:
        """The line break of the place: that of the line before it, else of the line that it ends, else "\\n"."""
        before = self.text.rfind("\n", 0, begin)
        place = before if before >= 0 else self.text.find("\n", end)
        return "\r\n" if place > 0 and self.text[place - 1] == "\r" else "\n"

    def _between_holes(self, begin: int, end: int, holes: Sequence[tuple[int, int]]) -> str:
        """A part of the text without the holes in it."""
        text = ""
        for first, last in holes:
            text += self.text[begin:first]
            begin = last
        return text + self.text[begin:end]


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")

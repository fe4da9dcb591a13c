"""A changed text put back into the file it came from: what did not change keeps its bytes.

The model sees a program with "\\n" alone; a file may have other line ends, even mixed ones.
"""

from __future__ import annotations

import difflib


def plain(text: str) -> str:
    """The text as programs are shown to the model: lines end in "\\n"."""
    return text.replace("\r\n", "\n")


def merged(original: str, changed: str) -> str:
    """`original` with the lines in which `changed` differs from `plain(original)`.

    Lines that are in both keep their line ends; new ones get that of the line before them, else of the first line.
    """
    old = _lines(original)
    shown = [plain(line) for line in old]
    new = _lines(changed)
    made: list[str] = []
    usual = "\r\n" if old and old[0].endswith("\r\n") else "\n"
    for kind, begin, end, first, last in difflib.SequenceMatcher(None, shown, new, autojunk=False).get_opcodes():
        if kind == "equal":
            made += old[begin:end]
            continue
        before = old[begin - 1] if begin else (old[begin] if begin < len(old) else usual)
        ending = "\r\n" if before.endswith("\r\n") else "\n"
        made += [line[:-1] + ending if line.endswith("\n") else line for line in new[first:last]]
    return "".join(made)


def _lines(text: str) -> list[str]:
    """Lines with their ends; "\\n" alone ends one."""
    pieces = text.split("\n")
    return [*(f"{piece}\n" for piece in pieces[:-1]), *([pieces[-1]] if pieces[-1] else [])]

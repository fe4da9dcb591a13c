"""Grammars of programming languages that a constraint can be built on; one data file a language, in `grammars/`.

The files are written in the Lark dialect of the llguidance engine (Earley parser over lexemes that are regular
expressions), with a few lines more that are written out here:

    @each m n ; t - ; b BREAK?     the lines up to @end once for every group of values; $m and $n become the values
    @columns                       the lines up to @end once for every column of an indentation (Python)
    @include FILE                  the lines of another grammar file
    @copy q ... @endcopy           the lines twice: as they stand, and with _q behind every name that such lines define;
                                   `@- ` and `@q ` begin a line of one of the two, and `!name` stays as it is
    $X, $Y                         inside a character class: control characters and line ends, without and with "\\n"

A value `-` stands for nothing and `~` in a value for a space. A grammar describes a subset of its language: what it
accepts must parse, and what programs seldom need may be left out.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from agentic_diffusion.foundation.errors import UsageError

FOLDER = Path(__file__).parent / "grammars"
"""Where the grammar files lie."""

_SPACE = re.compile(r"~")
_RULE = re.compile(r"(?:@[-a-z] )?([a-z][a-z0-9]*)(?:_[a-z0-9$]+)*:")
_MATCH = '| "match" exprs ":" ({})'
_VARIANTS = frozenset("abcdefghijklmnopqrstuvwxyz")
_QUOTED = re.compile(r'("(?:\\.|[^"\\])*")')
_WORD = re.compile(r"(?<![A-Za-z0-9_$@])!?[a-z][A-Za-z0-9]*(?:_[$a-z0-9]+)*")
_CONTROL = r"\x00-\x08\x0b-\x1f\x7f\u0085\u2028\u2029\ufeff"
_CLASSES = {"$X": _CONTROL + r"\n", "$Y": _CONTROL}
_WIDEST, _STEPS, _TABS, _TAB = 32, (1, 2, 3, 4, 5, 6, 7, 8), 6, "00"
"""Columns of an indentation: up to so many spaces, each deeper by one of these; or up to so many tabs."""


def names() -> tuple[str, ...]:
    """The languages that have a grammar, in alphabetical order."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.lark")))


@cache
def source(name: str) -> str:
    """The grammar of a language, written out; UsageError when there is none."""
    path = FOLDER / f"{name}.lark"
    if not path.is_file():
        raise UsageError(
            f"There is no grammar for {name!r}, so its programs cannot be constrained.",
            hint=f"use one of {', '.join(names())}, or --no-constraint.",
        )
    lines = _expand(_copied(_lines(path)))
    text = "\n".join(line for line in lines if line.strip() and not line.startswith("//"))
    for short, characters in _CLASSES.items():
        text = text.replace(short, characters)
    return text + "\n"


def _lines(path: Path) -> list[str]:
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("@include "):
            lines += _lines(FOLDER / line.split()[1])
        else:
            lines.append(line)
    return lines


def _copied(lines: list[str]) -> list[str]:
    """Write out every @copy."""
    made: list[str] = []
    defined = _defined(lines)
    index = 0
    while index < len(lines):
        if not lines[index].startswith("@copy "):
            made.append(lines[index])
            index += 1
            continue
        mark = lines[index].split()[1]
        end = lines.index("@endcopy", index)
        body = lines[index + 1 : end]
        for only, other in (("@- ", f"@{mark} "), (f"@{mark} ", "@- ")):
            kept = [line.removeprefix(only) for line in body if not line.startswith(other)]
            made += [_marked(line, defined if only != "@- " else frozenset(), f"_{mark}") for line in kept]
        index = end + 1
    return made


def _defined(lines: list[str]) -> frozenset[str]:
    """The first words of the rules that stand in copies."""
    inside, found = False, set()
    for line in lines:
        if line.startswith(("@copy ", "@endcopy")):
            inside = line.startswith("@copy ")
        rule = _RULE.match(line) if inside else None
        if rule is not None:
            found.add(rule[1])
    return frozenset(found)


def _marked(line: str, names: frozenset[str], mark: str) -> str:
    """The line with `mark` behind the first word of every name of `names`, outside of quotes."""
    if line.startswith("@each"):
        names -= _VARIANTS
    pieces = _QUOTED.split(line)
    for place in range(0, len(pieces), 2):
        pieces[place] = _WORD.sub(lambda word: _named(word, names, mark), pieces[place])
    return "".join(pieces)


def _named(word: re.Match[str], names: frozenset[str], mark: str) -> str:
    if word[0].startswith("!"):
        return word[0][1:]
    first, underscore, rest = word[0].partition("_")
    return f"{first}{mark}{underscore}{rest}" if first in names else word[0]


def _expand(lines: list[str]) -> list[str]:
    """Write out every @each and @columns, inner ones with the values of the outer ones."""
    made: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.startswith(("@each", "@columns")):
            end = _end_of(lines, index)
            body = lines[index + 1 : end]
            for values in _columns() if line.startswith("@columns") else _groups(line):
                made += _expand([_filled(inner, values) for inner in body])
            index = end
        else:
            made.append(line)
        index += 1
    return made


def _end_of(lines: list[str], begin: int) -> int:
    depth = 0
    for index in range(begin, len(lines)):
        depth += lines[index].startswith(("@each", "@columns"))
        depth -= lines[index].startswith("@end")
        if depth == 0:
            return index
    raise ValueError(f"no @end for {lines[begin]!r}")


def _groups(line: str) -> list[dict[str, str]]:
    first, *groups = line.removeprefix("@each").split(";")
    variables = first.split()
    return [
        dict(zip(variables, ("" if v == "-" else _SPACE.sub(" ", v) for v in group.split()), strict=True))
        for group in groups
    ]


def _columns() -> list[dict[str, str]]:
    """Every column's name `c`, indentation `i` as a regular expression, `deeper` and `matched`: what goes on inside."""
    spaces = {str(width): [str(width + s) for s in _STEPS if width + s <= _WIDEST] for width in range(_WIDEST + 1)}
    tabs = {f"{_TAB}{n}": [f"{_TAB}{n + 1}"] if n < _TABS else [] for n in range(1, _TABS + 1)}
    spaces["0"].append(f"{_TAB}1")
    return [
        {
            "c": name,
            "i": r"\t" * int(name.removeprefix(_TAB)) if name.startswith(_TAB) else " " * int(name),
            "deeper": "".join(f" | NL_{inner} block_{inner}_$f" for inner in deeper),
            "matched": _MATCH.format(" | ".join(f"NL_{inner} cases_{inner}_$f" for inner in deeper)) if deeper else "",
        }
        for name, deeper in (spaces | tabs).items()
    ]


def _filled(line: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        line = re.sub(rf"\${name}(?![A-Za-z])", lambda _, value=value: value, line)  # type: ignore[misc]
    return line

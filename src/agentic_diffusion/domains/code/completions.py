"""Pieces of text with which a program that broke off is brought to an end, for each language that has a grammar.

A constraint tries them in order: `ending` makes the program whole, `closing` closes one open string, comment or bracket
(with what must stand before the bracket). They are a way of looking for a completion, not a promise: whether a piece
fits is for the grammar to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

_OPERANDS = ("", "0", " 0", "x", " x", ": 0", " in x", "=0", " = 0", ":0")


@dataclass(frozen=True)
class Completions:
    """The pieces of one language."""

    ending: tuple[str, ...]
    """Pieces after which the program may be whole."""
    closing: tuple[str, ...]
    """Pieces that close a bracket, with what must stand before it."""
    quotes: tuple[str, ...]
    """Pieces that close a string, a comment, a template or a regular expression."""


@cache
def completions(language: str) -> Completions:
    """The pieces of a language, the shortest first; only those that brackets need where it is not known."""
    ending = {"python": _python, "javascript": _ecmascript, "typescript": _ecmascript, "java": _java, "go": _go}
    pieces = ending.get(language, lambda: ())()
    fillers = {"python": _PYTHON, "java": _JAVA, "go": _GO}.get(language, _ECMASCRIPT)
    closing = [f"{filler}{bracket}" for filler in ("", *fillers) for bracket in ")]}"]
    if language in ("java", "typescript"):  # last: elsewhere the bracket of a type argument compares
        closing += [">", "x>", "X>"]
    return Completions(tuple(pieces), tuple(closing), _QUOTES)


_QUOTES = ('"', "'", "`", "*/", "\n", '"""', "'''", "/", 'n"', "n'", 'n"""', "n'''", "n`", '""', "''", "]/", "x/", ")/")
_PYTHON = (*_OPERANDS[1:], " else 0", " x in x", "x: 0", " 0 else 0", "for x in x", ": pass")
_ECMASCRIPT = (
    *(
        ";",
        "\n",
        "0;",
        " 0;",
        "x;",
        " x;",
        *_OPERANDS[1:],
        "{}",
        " {}",
        "(){}",
        "(x){}",
        "() {}",
        " catch {}",
        ";;",
        "=>0",
    ),
    *(
        ": x",
        " => 0",
        " x=0;",
        " = 0;",
        "x=0;",
        "=0;",
        "x() {}",
        " of x",
        "x;;",
        "0;;",
        " x of x",
        " : 0",
        ": 0;",
        "0:0",
    ),
    *("? 0 : 0", " while (0);", "?x", " in x", "x : x", ":", "0:", "y", "y;", "=>x", "x}", "x: x", "\n0", "\n0;"),
)
_JAVA = (
    *(
        ";",
        "0;",
        " 0;",
        "x;",
        " x;",
        *_OPERANDS[1:],
        "{}",
        " {}",
        "(){}",
        "() {}",
        "();",
        "x();",
        " x();",
        " = 0;",
        "=0;",
    ),
    *(
        " x() {}",
        "x() {}",
        "finally {}",
        " finally {}",
        " x = 0;",
        " : 0",
        "? 0 : 0",
        " -> 0",
        "->0",
        "int x",
        ";;",
        ";x",
    ),
    *(
        ": x",
        ":",
        " while (true);",
        "x x;",
        "x x",
        " X x",
        "-> {}",
        " 0 -> {}",
        "-> 0;",
        "0: ",
        "X",
        " X",
        "[]",
        "()",
        "-> x",
    ),
    *("new X()", "X()", " X()", ".x;", "::x", ".x();", "y", "y;", "x = 0", "=x;", " + x", "x -> x", " (x) {}", "]=0;"),
)
_GO = (
    *(
        "\n",
        "0\n",
        " 0\n",
        "x\n",
        " x\n",
        *_OPERANDS[1:],
        "{}",
        " {}",
        ",",
        "\n\n",
        " int",
        "int",
        "int{}",
        "() {}",
        "() {}\n",
    ),
    *(
        " x {}",
        " := 0",
        "= 0",
        "0:",
        "0: ",
        ":",
        ": ",
        " x int",
        "x int",
        " = x",
        " {}\n",
        "0, 0",
        "x()",
        " x()",
        ".x",
        "{\n}",
    ),
    *(
        "x{}",
        "0,\n",
        "x,\n",
        ",\n",
        " range x {}",
        "0; 0; ",
        " true {}",
        "; x {}",
        ";; {}",
        "; ; {}",
        "y",
        "struct{}",
        " x: 0",
    ),
)


def _python() -> tuple[str, ...]:
    plain = ("pass", " pass", ": pass", "0", " 0", "x", " x", " 0: pass", "x: pass", " x: pass", " in x: pass")
    more = (
        " x in x: pass",
        " else 0",
        " else 0: pass",
        " import x",
        " x(): pass",
        "(): pass",
        " x import x",
        "=0",
        " = 0",
    )
    odd = (
        ": 0",
        " x: 0",
        "x(): pass",
        "):pass",
        '"',
        "'",
        '"""',
        "'''",
        '": pass',
        "': pass",
        "\n",
        " x in x",
        " in x",
    )
    lines = [
        f"\n{' ' * width}{text}" for text in ("except: pass", "pass", "def x(): pass") for width in range(0, 25, 2)
    ]
    spaces = [f"{' ' * width}pass" for width in range(2, 29)]
    tabs = [f"\n{chr(9) * count}{text}" for text in ("except: pass", "pass") for count in range(1, 6)]
    odd_lines = [f"\n{' ' * width}{text}" for text in ("except: pass", "pass") for width in range(1, 24, 2)]
    cases = [f"{colon}\n{' ' * width}case x: pass" for width in (2, 4, 6, 8, 12, 16, 20) for colon in (":", " x:", "")]
    return (*plain, *more, *odd, *lines, *spaces, *tabs, "\tpass", "\t\tpass", *odd_lines, *cases)


def _ecmascript() -> tuple[str, ...]:
    plain = (
        ";",
        "\n",
        "0",
        " 0",
        "x",
        " x",
        "{}",
        " {}",
        "0;",
        " 0;",
        "() {}",
        " x() {}",
        "(){}",
        " x {}",
        " = 0",
        "=0",
    )
    more = (
        " x = 0;",
        " => 0",
        "=>0",
        ": 0",
        " : 0",
        "x: 0",
        " catch {}",
        " finally {}",
        " while (0);",
        "(0);",
        " (0);",
    )
    odd = (
        " (0) {}",
        "(0) {}",
        "*/",
        '"',
        "'",
        "`",
        ";;",
        " of x",
        " x;",
        "x;",
        "(;;);",
        " (;;);",
        '";',
        "';",
        "`;",
        "?x:x",
    )
    types = (
        ": x;",
        " x = x;",
        " x {}",
        "= x;",
        ": x = 0;",
        "from 'x';",
        " from 'x';",
        "y",
        "y = 0;",
        "class x {}",
        "{} from 'x';",
        "'x';",
        "as x from 'x';",
        "/",
        "/;",
        "\n0;",
    )
    return (*plain, *more, *odd, *types)


def _java() -> tuple[str, ...]:
    return (
        ";",
        "{}",
        " {}",
        " x;",
        "x;",
        " X {}",
        " x {}",
        "\n",
        "*/",
        "() {}",
        ".x;",
        " x.x;",
        "x.x;",
        "*;",
        "class X {}",
        " class X {}",
    )


def _go() -> tuple[str, ...]:
    plain = (
        "\n",
        "0",
        " 0",
        "x",
        " x",
        "{}",
        " {}",
        "() {}",
        " x() {}",
        " int",
        " x int",
        '"',
        ' "x"',
        "`",
        "= 0",
        " = 0",
    )
    return (
        *plain,
        " x",
        "*/",
        "struct{}",
        " struct{}",
        "func x() {}",
        "x = 0",
        ' "x"\n',
        "x int",
        " x",
        "()",
        " x = 0",
        "y",
    )

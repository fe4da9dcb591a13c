"""Stubs and tests of the many-language benchmarks, taken apart: imports, head, words, and the plain calls of the tests.

A stub is a program up to where its body begins: imports, a comment with words and examples, the head of the function.
The tests of these benchmarks are made by machine, so their calls can be read off line by line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentic_diffusion.evaluation import python_rows
from agentic_diffusion.evaluation.tasks import Call

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK_COMMENT = re.compile(r"[ \t]*/\*\*?.*?\*/[ \t]*\n?", re.DOTALL)
_LINE_COMMENT = re.compile(r"^[ \t]*//[^\n]*\n", re.MULTILINE)
_EXAMPLE = re.compile(r"^\s*(?:>|Examples?:|For example)", re.IGNORECASE)
_MARKS = re.compile(r"^\s*(?:/\*\*?|\*/|//|\*(?:\s\*(?=\s))?)?\s?")
_EXAMPLES = {
    "python": "assert {name}({arguments}) == {expected}",
    "javascript": "assert.deepEqual({name}({arguments}), {expected});",
    "typescript": "assert.deepEqual({name}({arguments}), {expected});",
    "java": "assert Objects.equals({name}({arguments}), {expected});",
    "go": "{name}({arguments}) == {expected}",
}
_ANY_EXAMPLE = "{name}({arguments}) gives {expected}"


@dataclass(frozen=True, kw_only=True)
class Stub:
    """A stub, taken apart."""

    preamble: str
    """Imports and helpers before the function."""
    prefix: str
    """The program from its function (or the class around it) up to the body, comments left out."""
    signature: str
    """The line that is the head of the function."""
    text: str
    """The words of its comment, examples left out."""


def take_apart(stub: str, name: str, language: str) -> Stub | None:
    """The parts of a stub; None where the function is not found in it."""
    if language == "python":
        parts = python_rows.split_stub(stub, name)
        if parts is None:
            return None
        preamble, prefix, text = parts
        return Stub(preamble=preamble, prefix=prefix, signature=prefix.strip(), text=_words(text))
    comments = [*_BLOCK_COMMENT.findall(stub), *_LINE_COMMENT.findall(stub)]
    bare = _LINE_COMMENT.sub("", _BLOCK_COMMENT.sub("", stub))
    lines = bare.splitlines(keepends=True)
    at = next((i for i, line in enumerate(lines) if re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", line)), None)
    if at is None:
        return None
    begin = at
    while begin > 0 and re.match(r"\s*(?:(?:public|final|abstract)\s+)*class\s+\w+[^;]*\{\s*$", lines[begin - 1]):
        begin -= 1
    preamble = "".join(lines[:begin]).strip("\n")
    return Stub(
        preamble=preamble + "\n\n" if preamble else "",
        prefix="".join(lines[begin:]),
        signature="".join(lines[at:]).strip(),
        text=_words("".join(comments)),
    )


def calls_of(test: str, name: str, language: str) -> tuple[Call, ...]:
    """The plain calls of a machine-made test; () where it is of another make."""
    reader = _READERS.get(language)
    return tuple(reader(test, name)) if reader is not None else ()


def example(call: Call, name: str, language: str) -> str:
    """A call and its value as an assertion of the language, for the model to see."""
    form = _EXAMPLES.get(language, _ANY_EXAMPLE)
    return form.format(name=name, arguments=call.arguments, expected=call.expected)


def _words(text: str) -> str:
    """The prose of a comment, up to its first example."""
    lines = []
    for line in text.splitlines():
        bare = _MARKS.sub("", line).strip()
        if _EXAMPLE.match(bare):
            break
        if bare and not bare.startswith("Code should be written in"):
            lines.append(bare)
    return " ".join(lines)


def _python(test: str, name: str) -> list[Call]:
    return list(python_rows.calls_of(python_rows.check_statements(test, name), name))


def _javascript(test: str, name: str) -> list[Call]:
    """`var arg00 = A;` lines, `var x0 = name(arg00, ...);` and `var v0 = E;`."""
    values = dict(re.findall(r"^(?:var|let|const) (\w+) = (.*);$", test, re.MULTILINE))
    found = []
    for key, value in values.items():
        number = re.fullmatch(r"x(\d+)", key)
        called = re.fullmatch(rf"{re.escape(name)}\((.*)\)", value)
        if number and called and f"v{number[1]}" in values:
            names = [part.strip() for part in called[1].split(",") if part.strip()]
            if all(part in values for part in names):
                arguments = ", ".join(values[part] for part in names)
                found.append(Call(arguments=arguments, expected=values[f"v{number[1]}"]))
    return found


def _pairs(test: str, name: str, actual: str, expected: str) -> list[Call]:
    """Calls and values on lines of their own, matched by their number."""
    values = dict(re.findall(expected, test, re.MULTILINE))
    calls = re.findall(actual.replace("NAME", re.escape(name)), test, re.MULTILINE)
    return [Call(arguments=arguments, expected=values[n]) for n, arguments in calls if n in values]


def _typescript(test: str, name: str) -> list[Call]:
    return _pairs(test, name, r"^let actual_(\d+) = NAME\((.*)\);$", r"^let expected_(\d+) = (.*);$")


def _go(test: str, name: str) -> list[Call]:
    return _pairs(test, name, r"^\s*actual_(\d+) := NAME\((.*)\)$", r"^\s*expected_(\d+) := (.*)$")


def _java(test: str, name: str) -> list[Call]:
    return _pairs(test, name, r"^\s*[^=]*? x(\d+) = \w+\.NAME\((.*)\);$", r"^\s*[^=]*? v(\d+) = (.*);$")


_READERS: dict[str, Callable[[str, str], list[Call]]] = {
    "python": _python,
    "javascript": _javascript,
    "typescript": _typescript,
    "java": _java,
    "go": _go,
}

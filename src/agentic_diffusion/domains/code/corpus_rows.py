"""Rows of training data in many forms, read into one record.

    family              fields that it is known by
    examples            solution, license (our own form: `Example.as_json`)
    mbpp                text, code, test_list
    mbxp                prompt, test, description
    snippets            doc, code, example
    doc_functions       doc, code, name, language
    repairs             faulty, correct, language
    puzzles             sat, sol_header, sol_bodies
    programs            task_description, input_output_spec, code_sample
    lines               anno, code
    files               path, text

A row that is well formed but teaches nothing (no solution, no code) gives no example.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from agentic_diffusion.foundation.errors import UsageError

ENDINGS = {
    ".py": "python", ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".ts": "typescript",
    ".java": "java", ".go": "go",
}  # fmt: skip
"""Languages by the ending of a path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One piece of training data."""

    id: str
    """File, a colon, and the row's own name or its line number."""
    source: str
    """The file that it came from, as reports name it."""
    language: str
    """Name of its language."""
    licence: str
    """Its licence, as the row says it, then by its SPDX name."""
    solution: str
    """The program, or the part of one."""
    description: str = ""
    """What it does, in words; "" where nobody said it."""
    signature: str = ""
    """The head of the function; "" where there is none or more than one."""
    tests: str = ""
    """Tests that the solution should pass, one assertion a line or a whole test file; "" where there are none."""
    faulty: str = ""
    """A faulty program that `solution` is the repair of; ""."""

    @property
    def text(self) -> str:
        """All that is learned from it, for comparing examples: everything but the tests."""
        parts = (self.description, self.signature if self.signature not in self.solution else "", self.faulty)
        return "\n".join(part for part in (*parts, self.solution) if part)

    def as_json(self) -> dict[str, str]:
        """The example as a row of the family `examples`; empty fields are left out."""
        fields = {name: value for name, value in asdict(self).items() if value}
        return {"license" if name == "licence" else name: value for name, value in fields.items()}


Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One form of rows."""

    fields: tuple[str, ...]
    """The fields by which a row of it is known."""
    read: Callable[[Fields], dict[str, str] | None]
    """From a row to the parts of an example; None where it teaches nothing; UsageError for a wrong row."""


def family_of(fields: Fields) -> str:
    """The name of the family that a row belongs to; UsageError for none."""
    for name, family in FAMILIES.items():
        if fields.keys() >= set(family.fields):
            return name
    shown = ", ".join(sorted(map(str, fields))[:12]) or "none"
    raise UsageError(
        f"it is in no known form; its fields are: {shown}", hint=f"known forms are {', '.join(sorted(FAMILIES))}."
    )


def read_example(fields: Fields, *, source: str, line: int, licence: str = "") -> Example | None:
    """The example of a row, its licence not yet judged; `licence` stands in where the row names none.

    None for a row that teaches nothing. Raises UsageError for a row in no known form, or with a wrong field.
    """
    parts = FAMILIES[family_of(fields)].read(fields)
    if parts is None or not parts["solution"].strip():
        return None
    name = next((str(fields[key]) for key in ("id", "task_id") if fields.get(key) not in (None, "")), str(line))
    return Example(id=f"{source}:{name}", source=source, licence=text_of(fields, "license", default=licence), **parts)


def text_of(fields: Fields, name: str, *, default: str | None = None) -> str:
    """The text in a field, with plain line ends; UsageError where it is missing without `default`, or no text."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise UsageError(
            f"its field {name!r} is {'missing' if value is None else 'no text'}",
            hint="mend that line, or leave it out.",
        )
    return value.replace("\r\n", "\n").replace("\r", "\n")


def first_paragraph(text: str) -> str:
    """The words before the first empty line, on one line; marks of documentation comments are left out."""
    words = re.split(r"\n\s*\n|\n\s*(?=[@:]|Args:|Parameters\b|Returns?:|>>>)", text.strip(), maxsplit=1)[0]
    return " ".join(words.split())


def head_of(code: str, language: str) -> str:
    """The first line that opens a function, without what opens its body; "" where none is found."""
    found = _HEADS[language].search(code)
    return " ".join(found[0].split()).rstrip("{:= ").rstrip() if found else ""


_HEADS = {
    "python": re.compile(r"^[ \t]*(?:async )?def \w+\([^)]*\)[^:\n]*:", re.MULTILINE),
    "javascript": re.compile(
        r"^[^\n/*]*?(?:function\s*\*?\s*[\w$]*\s*\([^)]*\)|[\w$]+\s*=\s*(?:async\s*)?\([^)]*\)\s*=>|[\w$]+\([^)]*\)\s*\{)",
        re.MULTILINE,
    ),
    "typescript": re.compile(
        r"^[^\n/*]*?(?:function\s*[\w$]*\s*(?:<[^>]*>)?\s*\([^)]*\)[^{\n]*|[\w$]+\s*=\s*\([^)]*\)[^={]*=>"
        r"|[\w$]+\([^)]*\)[^{;\n]*\{)",
        re.MULTILINE,
    ),
    "java": re.compile(r"^[^\n/*]*?\b[\w<>\[\], ]+\s+\w+\s*\([^)]*\)[^{;\n]*\{", re.MULTILINE),
    "go": re.compile(r"^func [^{\n]*\{", re.MULTILINE),
}


def _language(fields: Fields, default: str | None = None) -> str:
    name = text_of(fields, "language", default=default).lower()
    if name not in _HEADS:
        raise UsageError(f"there is no language {name!r}", hint=f"known ones are {', '.join(_HEADS)}.")
    return name


def _examples(fields: Fields) -> dict[str, str] | None:
    names = ("description", "signature", "tests", "faulty")
    language = _language(fields, "python")
    solution = text_of(fields, "solution")
    parts = {name: text_of(fields, name, default="") for name in names}
    parts["signature"] = parts["signature"] or head_of(solution, language)
    return {"language": language, "solution": solution, **parts}


def _mbpp(fields: Fields) -> dict[str, str] | None:
    tests = fields["test_list"]
    if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise UsageError("its field 'test_list' is no list of texts", hint="mend that line, or leave it out.")
    code = text_of(fields, "code").strip() + "\n"
    return {
        "language": "python",
        "description": text_of(fields, "text").strip(),
        "signature": head_of(code, "python"),
        "solution": code,
        "tests": "\n".join(test.replace("\r\n", "\n") for test in tests),
    }


def _mbxp(fields: Fields) -> dict[str, str] | None:
    """A body is trusted where the row says that it passes, and in Python, where people wrote it."""
    language = _language(fields)
    body = fields.get("canonical_solution")
    if not isinstance(body, str) or fields.get("solution_passes", language == "python") is not True:
        return None
    prompt = _without_comment(text_of(fields, "prompt"), language)
    solution = (prompt.rstrip("\n") + "\n" + body.replace("\r\n", "\n").strip("\n")).strip() + "\n"
    return {
        "language": language,
        "description": text_of(fields, "description").strip(),
        "signature": head_of(prompt, language),
        "solution": solution,
        "tests": text_of(fields, "test"),
    }


def _without_comment(prompt: str, language: str) -> str:
    """A prompt without the comment that holds the description and the examples."""
    pattern = {"python": r'\s*("""|\'\'\').*?\1', "go": r"(?m)^//.*\n"}.get(language, r"[ \t]*/\*.*?\*/\n?")
    return re.sub(pattern, "", prompt, flags=re.DOTALL if language != "go" else re.NOFLAG)


def _snippets(fields: Fields) -> dict[str, str] | None:
    code = text_of(fields, "code")
    # The families of snippets name no language; Python's have a `def`, and JavaScript's never begin a line with one.
    language = _language(
        fields, "python" if re.search(r"^(?:def|class|from|import) ", code, re.MULTILINE) else "javascript"
    )
    return {
        "language": language,
        "description": first_paragraph(text_of(fields, "doc")),
        "signature": head_of(code, language),
        "solution": code,
    }


def _documented(fields: Fields) -> dict[str, str] | None:
    language = _language(fields)
    code = text_of(fields, "code")
    return {
        "language": language,
        "description": first_paragraph(text_of(fields, "doc")),
        "signature": head_of(code, language),
        "solution": code,
    }


def _repairs(fields: Fields) -> dict[str, str] | None:
    return {
        "language": _language(fields),
        "solution": text_of(fields, "correct"),
        "faulty": text_of(fields, "faulty"),
        "description": "",
    }


def _puzzles(fields: Fields) -> dict[str, str] | None:
    bodies = fields["sol_bodies"]
    if not isinstance(bodies, list):
        raise UsageError("its field 'sol_bodies' is no list", hint="mend that line, or leave it out.")
    if not bodies:
        return None
    check = text_of(fields, "sat")
    # The header may hold arguments with the values to solve for, so it is kept as it is.
    solution = f"{text_of(fields, 'sol_header')}\n{bodies[0]}\n"
    said = " ".join(text_of(fields, "sol_docstring", default="").replace('"""', " ").split())
    return {
        "language": "python",
        "description": f"{said}\nThe answer must satisfy:\n{check}",
        "signature": head_of(solution, "python"),
        "solution": solution,
        "tests": f"{check}\nassert sat(sol())",
    }


def _programs(fields: Fields) -> dict[str, str] | None:
    code = text_of(fields, "code_sample")
    return {
        "language": "python",
        "description": text_of(fields, "task_description").strip(),
        "solution": re.sub(
            r"^# (?:import necessary packages|all class and function.*|main function)\n", "", code, flags=re.M
        ),
    }


def _lines(fields: Fields) -> dict[str, str] | None:
    return {
        "language": "python",
        "description": " ".join(text_of(fields, "anno").split()),
        "solution": text_of(fields, "code").strip() + "\n",
    }


def _files(fields: Fields) -> dict[str, str] | None:
    ending = PurePosixPath(text_of(fields, "path")).suffix
    language = _language(fields, ENDINGS.get(ending, ending))
    return {"language": language, "solution": text_of(fields, "text"), "description": ""}


FAMILIES: dict[str, Family] = {
    "mbxp": Family(fields=("prompt", "test", "description", "language"), read=_mbxp),
    "mbpp": Family(fields=("text", "code", "test_list"), read=_mbpp),
    "snippets": Family(fields=("doc", "code", "example"), read=_snippets),
    "doc_functions": Family(fields=("doc", "code", "name", "language"), read=_documented),
    "repairs": Family(fields=("faulty", "correct", "language"), read=_repairs),
    "puzzles": Family(fields=("sat", "sol_header", "sol_bodies"), read=_puzzles),
    "programs": Family(fields=("task_description", "input_output_spec", "code_sample"), read=_programs),
    "lines": Family(fields=("anno", "code"), read=_lines),
    "files": Family(fields=("path", "text"), read=_files),
    "examples": Family(fields=("solution",), read=_examples),
}
"""All families, the more particular ones first."""

"""Several files of a project as one program, and back: so that one judge, one localisation and one repair serve all.

Files are put behind one another, each after a line that names it. What one file imports of another is there already,
so such imports become comments, each with a number; so do package clauses, and imports of Go and Java, which stand once
at the top. Taking a bundle apart gives every file its own text again, the commented lines as they were.
Python modules that import others as a whole (`import other`) cannot be bundled; UsageError says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentic_diffusion.foundation.errors import UsageError

_COMMENT = {"python": "#", "javascript": "//", "typescript": "//", "java": "//", "go": "//"}
_FROM = re.compile(r"^[ \t]*from\s+([\w.]+)\s+import\s+(?:\([^)]*\)|[^\n]*)", re.MULTILINE)
_WHOLE = re.compile(r"^[ \t]*import\s+([\w.]+)(?:\s+as\s+\w+)?[ \t]*$", re.MULTILINE)
_ECMA = re.compile(
    r"^[ \t]*(?:import\b[^;'\"]*?from\s*|(?:const|let|var)\b[^;=]*=\s*require\()['\"](\.[^'\"]*)['\"]\)?;?",
    re.MULTILINE,
)
_JAVA = re.compile(r"^[ \t]*(?:package\s+[\w.]+|import\s+(?:static\s+)?[\w.*]+)\s*;", re.MULTILINE)
_GO = re.compile(r"^(?:package\s+\w+|import\s+(?:\([^)]*\)|[^\n]+))", re.MULTILINE)
_GO_PATHS = re.compile(r'(?:[\w.]+[ \t]+)?"[^"\n]+"')


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Files as one program."""

    language: str
    """Their language."""
    program: str
    """The program; lines end in "\\n"."""
    paths: tuple[str, ...]
    """The files, in their order."""
    taken: tuple[str, ...]
    """The texts that became comments, by number."""
    head: str
    """What stands before the first file."""

    def files(self, program: str) -> dict[str, str] | None:
        """The files of a changed bundle; None where a line that names a file is gone."""
        if len(self.paths) == 1:
            return {self.paths[0]: program}
        mark = _COMMENT[self.language]
        pieces = re.split(rf"^{mark} agd file (\d+)\n", program, flags=re.MULTILINE)
        if pieces[1::2] != [str(number) for number in range(len(self.paths))] or pieces[0] != self.head:
            return None
        found = {}
        for path, text in zip(self.paths, pieces[2::2], strict=True):
            found[path] = re.sub(rf"{mark} agd taken (\d+)(?!\d)", self._back, text)
        return found

    def place(self, line: int) -> tuple[str, int]:
        """The file and the line in it (from 1) of a line of the program, lines of commented imports counted as one."""
        if len(self.paths) == 1:
            return self.paths[0], line
        mark, number, start = _COMMENT[self.language], 0, 0
        for place, text in enumerate(self.program.split("\n")[:line], 1):
            if found := re.fullmatch(rf"{mark} agd file (\d+)", text):
                number, start = int(found[1]), place
        before = self.program.split("\n")[start:line]
        more = sum(self._back(found).count("\n") for text in before for found in re.finditer(r"agd taken (\d+)", text))
        return self.paths[number], line - start + more

    def _back(self, found: re.Match[str]) -> str:
        number = int(found[1])
        return self.taken[number] if number < len(self.taken) else found[0]


def bundle(files: Mapping[str, str], language: str, modules: Sequence[str] = ()) -> Bundle:
    """Put files (path to text) together; `modules` are the names under which Python files import one another.

    One file is taken as it is. UsageError for files that cannot be put together.
    """
    paths = tuple(files)
    if not paths:
        raise UsageError("There is no file to work on.", hint="name tests that import a file of the project.")
    if len(paths) == 1:
        return Bundle(language=language, program=files[paths[0]], paths=paths, taken=(), head="")
    if language not in _COMMENT:
        raise UsageError(f"Several files in {language} cannot be worked on at once.", hint="give tests of one file.")
    taken: list[str] = []
    mark, parts = _COMMENT[language], []
    for number, (path, text) in enumerate(files.items()):
        body = _without_imports(text, path, language, modules, taken)
        parts.append(f"{mark} agd file {number}\n{body}" + ("" if body.endswith("\n") else "\n"))
    head = _head(taken, language)
    return Bundle(language=language, program=head + "".join(parts), paths=paths, taken=tuple(taken), head=head)


def _without_imports(text: str, path: str, language: str, modules: Sequence[str], taken: list[str]) -> str:
    """A file whose imports of the others, and what stands once at the top, are comments."""

    def take(found: re.Match[str]) -> str:
        taken.append(found[0])
        return f"{_COMMENT[language]} agd taken {len(taken) - 1}"

    if language == "python":
        for found in _WHOLE.finditer(text):
            if found[1] in modules:
                raise UsageError(
                    f"The file {path} imports the module {found[1]} as a whole, so they cannot be worked on at once.",
                    hint=f"write `from {found[1]} import ...`, or give tests of one file.",
                )
        return _FROM.sub(lambda m: take(m) if m[1].lstrip(".") in modules or m[1].startswith(".") else m[0], text)
    pattern = {"java": _JAVA, "go": _GO}.get(language, _ECMA)
    return pattern.sub(take, text)


def _head(taken: Sequence[str], language: str) -> str:
    """What stands once at the top: imports of Go and Java, the package clause of Go."""
    if language == "java":
        return "".join(f"{line}\n" for line in dict.fromkeys(" ".join(t.split()) for t in taken if "import" in t))
    if language == "go":
        paths = dict.fromkeys(spec for text in taken if text.startswith("import") for spec in _GO_PATHS.findall(text))
        return "package main\n" + "".join(f"import {spec}\n" for spec in paths)
    return ""

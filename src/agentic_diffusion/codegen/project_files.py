"""Which files of a project its tests are about: those that they import or name, and what those import in turn.

Paths are relative to the project, with "/". The tests are handed back as suites read them: what they import of the
project comes from `solution`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agentic_diffusion.codegen.document import Document
from agentic_diffusion.codegen.merging import plain
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.testing.suite import Suite, combine, make_suite

MOST_FILES = 12
"""Files that are worked on at once."""
_SKIPPED = frozenset({"node_modules", "__pycache__", "vendor", "build", "dist", "target"})
_PYTHON = re.compile(r"^[ \t]*(?:from\s+(\.*[\w.]*)\s+import\b|import\s+([\w.]+))", re.MULTILINE)
_ECMA = re.compile(r"(?:from\s*|require\(\s*|import\s*)(['\"])(\.{1,2}/[^'\"]+)\1")
_WORDS = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True)
class UnderTest:
    """Tests and the files that they are about."""

    suite: Suite
    """The tests."""
    files: dict[str, str]
    """Path and text ("\\n" alone) of every file, those that the tests name first."""
    modules: tuple[str, ...]
    """The names under which Python imports them."""


def under_test(root: Path, tests: Sequence[str]) -> UnderTest:
    """The files that test files of a project are about; UsageError where there is none, or too many."""
    texts = {path: plain(Document.read(root / path).text) for path in tests}
    if not texts:
        raise UsageError("There are no tests to work by.", hint="give --tests FILE, relative to the project.")
    names = {languages.for_file(Path(path)).name for path in texts}
    if len(names) > 1:
        raise UsageError("The tests are in several languages.", hint="give tests of one language.")
    language = names.pop()
    there = _programs(root, language, set(texts))
    found: dict[str, str] = {}
    modules: dict[str, None] = {}
    waiting = list(texts.items())
    suites = []
    while waiting:
        path, text = waiting.pop(0)
        wanted = _wanted(path, text, language, there)
        if path in texts:
            suites.append(make_suite(_rewritten(text, wanted, language), origin=path, language=language))
        modules |= dict.fromkeys(wanted)
        for target in wanted.values():
            if target not in found:
                found[target] = plain(Document.read(root / target).text)
                waiting.append((target, found[target]))
    if not found or len(found) > MOST_FILES:
        raise UsageError(
            f"The tests {', '.join(tests)} are about {len(found) or 'no'} files of the project.",
            hint="the tests have to import a file of the project"
            if not found
            else f"at most {MOST_FILES} are worked on.",
        )
    ordered = {path: found[path] for path in _dependencies_first(found, language, there)}
    return UnderTest(suite=combine(suites), files=ordered, modules=tuple(modules))


def _programs(root: Path, language: str, tests: set[str]) -> list[str]:
    """Files of the language, the tests and hidden folders left out."""
    endings, found = languages.get(language).endings, []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(names):
            path = Path(place, name).relative_to(root).as_posix()
            if name.endswith(endings) and path not in tests:
                found.append(path)
    return found


def _wanted(path: str, text: str, language: str, there: Sequence[str]) -> dict[str, str]:
    """What a file takes of the project: the name it uses, and the file."""
    if language == "python":
        names = [found[1] or found[2] for found in _PYTHON.finditer(text)]
        return {name: file for name in names if name and (file := _module(name, path, there))}
    if language in {"javascript", "typescript"}:
        ends = ("", *languages.get(language).endings)
        bases = {found[2]: _joined(path, found[2]) for found in _ECMA.finditer(text)}
        return {
            name: file
            for name, base in bases.items()
            for file in there
            if file in {base + end for end in ends} or file.rpartition(".")[0] == base.removesuffix(".js")
        }
    if language == "go":
        beside = PurePosixPath(path).parent
        return {f: f for f in there if PurePosixPath(f).parent == beside and not f.endswith("_test.go") and f != path}
    words = set(_WORDS.findall(text))
    return {f: f for f in there if PurePosixPath(f).stem in words and f != path and not f.endswith("Test.java")}


def _module(name: str, path: str, there: Sequence[str]) -> str | None:
    """The file of a Python module: beside the importing file, at the root, or in `src`."""
    tail = name.lstrip(".").replace(".", "/") + ".py"
    folder = PurePosixPath(path).parent
    places = [str(folder / tail), tail, f"src/{tail}"]
    return next((place for place in places if place in there and place != path), None)


def _joined(path: str, name: str) -> str:
    return os.path.normpath(PurePosixPath(path).parent / name).replace(os.sep, "/")


def _rewritten(text: str, wanted: dict[str, str], language: str) -> str:
    """A test file that takes from `solution` what it took from the project."""
    for name in sorted(wanted, key=len, reverse=True):
        if language == "python":
            said = re.escape(name)
            text = re.sub(rf"^([ \t]*)from\s+{said}\s+import\b", r"\1from solution import", text, flags=re.MULTILINE)
            text = re.sub(
                rf"^([ \t]*)import\s+{said}[ \t]*$",
                rf"\1import solution as {name.split('.')[-1]}",
                text,
                flags=re.MULTILINE,
            )
        elif language in {"javascript", "typescript"}:
            text = re.sub(rf"(['\"]){re.escape(name)}\1", r"\1./solution\1", text)
    return re.sub(r"^package [\w.]+;\n", "", text, flags=re.MULTILINE) if language == "java" else text


def _dependencies_first(files: dict[str, str], language: str, there: Sequence[str]) -> list[str]:
    """The files, each behind those that it takes from, as far as there is no circle."""
    ordered: list[str] = []
    entered: set[str] = set()

    def visit(path: str) -> None:
        if path in entered:
            return
        entered.add(path)
        for target in _wanted(path, files[path], language, there).values():
            if target in files and language != "go":
                visit(target)
        ordered.append(path)

    for path in files:
        visit(path)
    return ordered

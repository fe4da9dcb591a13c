"""Find the test files of a project, and tell unit, integration and system tests apart, each with the rule that told.

The language's own conventions decide which file holds tests (see `NAMES`); what kind they are is told by the first of
    folder    a folder on the way is called integration, e2e, system ...
    marker    the file says so: a pytest mark, a Go build tag, a JUnit tag
    name      the file's name says so: test_integration_x.py, x.e2e.test.ts, ParserIT.java
    default   nothing says otherwise, so these are unit tests
Paths are relative to the project's root and written with slashes.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.testing.project import Project

Kind = Literal["unit", "integration", "system"]
Framework = Literal["pytest", "unittest", "node", "vitest", "jest", "junit", "main", "go"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SKIPPED = frozenset(
    {"node_modules", "__pycache__", "vendor", "build", "dist", "target", "site-packages", "venv", "env"}
)
"""Folders that hold what others wrote, or what was built."""
SIZE_LIMIT = 4_000_000
"""Bytes of a file that is still looked into."""
NAMES: dict[str, tuple[str, ...]] = {
    "python": ("test_*.py", "*_test.py"),
    "javascript": tuple(
        f"{name}.{ending}"
        for ending in ("js", "mjs", "cjs")
        for name in ("*.test", "*.spec", "*-test", "*_test", "test-*")
    ),
    "typescript": tuple(
        f"{name}.{ending}"
        for ending in ("ts", "mts", "cts", "tsx")
        for name in ("*.test", "*.spec", "*-test", "*_test")
    ),
    "java": ("*Test.java", "*Tests.java", "Test*.java", "*IT.java"),
    "go": ("*_test.go",),
}
"""The names of test files, by language; a project's own `python_files` take the place of Python's."""
_FOLDERS: dict[str, Kind] = {
    **dict.fromkeys(("unit", "units"), "unit"),
    **dict.fromkeys(("integration", "integrations", "integration_tests", "integration-tests"), "integration"),
    **dict.fromkeys(("system", "e2e", "end2end", "end_to_end", "acceptance", "functional"), "system"),
}
_WORDS: dict[str, Kind] = {
    "unit": "unit",
    "integration": "integration",
    "system": "system",
    "e2e": "system",
    "acceptance": "system",
    "functional": "system",
}
_MARKS = {
    "python": re.compile(r"^pytestmark\s*=.*?\bmark\.(\w+)", re.MULTILINE),
    "java": re.compile(r"^@Tag\(\"([\w-]+)\"\)", re.MULTILINE),
    "go": re.compile(r"^//go:build\s+(\w+)\s*$", re.MULTILINE),
}
_JUNIT = re.compile(r"\bimport\s+(?:static\s+)?org\.junit\b")
_MAIN = re.compile(r"\bstatic\s+void\s+main\s*\(")
_EXPORTS = re.compile(
    r"\b(?:test|it|describe|suite)\s*\(|\brequire\(['\"](?:node:)?(?:test|assert)|from\s+['\"](?:node:)?(?:test|assert)"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """One test file."""

    path: str
    """Relative to the root of the project."""
    language: str
    """Its language."""
    framework: Framework
    """What runs it."""
    kind: Kind
    """Unit, integration or system tests."""
    rule: str
    """Why it is of that kind, in words: "folder integration"."""

    @property
    def unit(self) -> str:
        """What is run at once: the file itself; for Go the folder, which is a package."""
        return (os.path.dirname(self.path) or ".") if self.language == "go" else self.path  # noqa: PTH120 - no path of this machine


def find(project: Project, paths: Sequence[Path] = ()) -> list[Found]:
    """The test files at `paths` (files or folders inside the project; without any, the whole of it), sorted by path.

    A file that is named itself needs no name of a test. UsageError for a path that does not exist, lies outside of the
    project, or is of no language that tests can be run in.
    """
    found: dict[str, Found] = {}
    for path in paths or (project.root,):
        place = path if path.is_absolute() else Path.cwd() / path
        _check(project, path, place)
        files = [place] if place.is_file() else _walk(place)
        for file in files:
            language = _language(file, project, named=place.is_file())
            if language is None:
                continue
            seen = look_at(project, file, language)
            if seen is not None:
                found[seen.path] = seen
    return sorted(found.values(), key=lambda one: one.path)


def look_at(project: Project, file: Path, language: str) -> Found | None:
    """What kind of test file `file` is; None for a Java file with neither tests nor a main method."""
    relative = file.resolve().relative_to(project.root).as_posix()
    source = _text(file)
    framework = _framework(project, file, language, source)
    if framework is None:
        return None
    kind, rule = kind_of(relative, language, source)
    return Found(path=relative, language=language, framework=framework, kind=kind, rule=rule)


def kind_of(relative: str, language: str, source: str) -> tuple[Kind, str]:
    """The kind of a test file and the rule that told it."""
    *folders, name = relative.split("/")
    for folder in reversed(folders):
        if folder.lower() in _FOLDERS:
            return _FOLDERS[folder.lower()], f"folder {folder}"
    mark = _MARKS[language].search(source) if language in _MARKS else None
    if mark and mark[1].lower() in _WORDS:
        return _WORDS[mark[1].lower()], f"marker {mark[1]}"
    if name.endswith("IT.java"):
        return "integration", f"name {name}"
    for word in re.split(r"[_.\-]|(?<=[a-z])(?=[A-Z])", name.rpartition(".")[0]):
        if word.lower() in _WORDS:
            return _WORDS[word.lower()], f"name {name}"
    return "unit", "default: no folder, marker or name says otherwise"


def _check(project: Project, given: Path, place: Path) -> None:
    if not place.exists():
        raise UsageError(f"There is no file or folder {given}.", hint="give a test file, or a folder with tests.")
    if not place.resolve().is_relative_to(project.root):
        raise UsageError(
            f"{given} lies outside of the project at {project.root}.", hint="run the command once for each project."
        )


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in SKIPPED and not (Path(place, name, "pyvenv.cfg")).exists()
        )
        yield from (Path(place, name) for name in sorted(names))


def _language(file: Path, project: Project, *, named: bool) -> str | None:
    """The language of a test file; None for what is none. A file that was named itself is taken at its ending."""
    for language, patterns in NAMES.items():
        wanted = project.python_files or patterns if language == "python" else patterns
        if any(fnmatch.fnmatchcase(file.name, pattern) for pattern in wanted):
            return language
    ending = file.suffix
    by_ending = next((name for name, words in NAMES.items() if any(word.endswith(ending) for word in words)), None)
    if named and ending:
        if by_ending is None:
            known = ", ".join(sorted({f".{word.rpartition('.')[2]}" for words in NAMES.values() for word in words}))
            raise UsageError(f"No tests can be run in {file.name}.", hint=f"files of tests end in {known}.")
        return by_ending
    if by_ending in ("javascript", "typescript") and {"__tests__", "test"} & set(file.parts[-3:-1]):
        return by_ending if _EXPORTS.search(_text(file)) else None
    return None


def _framework(project: Project, file: Path, language: str, source: str) -> Framework | None:
    if language == "python":
        return "pytest" if project.has_pytest else "unittest"
    if language == "go":
        return "go"
    if language == "java":
        if _JUNIT.search(source):
            return "junit"
        return "main" if _MAIN.search(source) else None
    wanted = project.script_framework(file)
    if wanted == "node" or "node:test" in source:
        return "node"
    return wanted


def _text(file: Path) -> str:
    """The text of a file as far as it can be read; a file that cannot be is still run, and its runner tells why."""
    try:
        with file.open("rb") as stream:
            return stream.read(SIZE_LIMIT).decode(errors="replace")
    except OSError:
        return ""

"""What a project is to its tests: its root, its Python, its package manager's files, its jars, its test runners.

Nothing of the project is run for this: only files are read, but for the one question to its Python whether pytest and
coverage are installed.
"""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from agentic_diffusion.foundation.errors import SetupError, UsageError

MARKS = (
    ".git",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "package.json",
    "go.mod",
    "pom.xml",
    "build.gradle",
    "pytest.ini",
)
"""A folder with one of these is the root of a project."""
_ASK = """
import importlib.util, json, sys
names = ("pytest", "coverage", "hypothesis")
print(json.dumps({"prefix": sys.prefix, "base": sys.base_prefix, "version": list(sys.version_info[:2]),
    "has": [n for n in names if importlib.util.find_spec(n)], "path": [p for p in sys.path if p]}))
"""
_ASK_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class PythonFacts:
    """The Python that runs a project's tests."""

    program: Path
    """The interpreter."""
    version: tuple[int, int]
    """Major and minor."""
    packages: frozenset[str]
    """Which of pytest, coverage and hypothesis it can import."""
    read_only: tuple[Path, ...] = ()
    """Folders that a sandbox must show for it to run, and for its packages to be found."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """One folder with programs and their tests."""

    root: Path
    """Its top folder, absolute."""
    python_files: tuple[str, ...] = ()
    """The project's own names of Python test files; empty for the usual ones."""
    interpreter: Path | None = None
    """The Python to use; None looks for one."""
    jars: tuple[Path, ...] = field(default=())
    """Every jar inside the project."""

    @cached_property
    def python(self) -> PythonFacts:
        """The Python of this project: its own virtual environment, else the active one, else this program's."""
        return _facts(self.interpreter or _find_python(self.root))

    @property
    def has_pytest(self) -> bool:
        """Whether the project's Python has pytest."""
        return "pytest" in self.python.packages

    @property
    def junit_jar(self) -> Path | None:
        """JUnit's console launcher inside the project, the newest."""
        named = [jar for jar in self.jars if jar.name.startswith("junit-platform-console-standalone")]
        return max(named, key=lambda jar: jar.name, default=None)

    def script_framework(self, file: Path) -> Literal["node", "vitest", "jest"]:
        """The runner of a JavaScript or TypeScript test: what the nearest package.json that names one uses."""
        for folder in file.resolve().parents:
            manifest = read_json(folder / "package.json")
            named = {**_mapping(manifest, "dependencies"), **_mapping(manifest, "devDependencies")}
            if "vitest" in named:
                return "vitest"
            if "jest" in named or "jest" in manifest:
                return "jest"
            if folder == self.root:
                break
        return "node"


def open_project(path: Path, *, interpreter: Path | None = None) -> Project:
    """The project that `path` belongs to: the nearest folder above it with a mark of one, else the folder itself.

    UsageError when there is no such path.
    """
    place = path.resolve()
    if not place.exists():
        raise UsageError(f"There is no file or folder {path}.", hint="give a project, or a test file in it.")
    folder = place if place.is_dir() else place.parent
    marked = (one for one in (folder, *folder.parents) if any((one / mark).exists() for mark in MARKS))
    root = next(marked, folder)
    return Project(root=root, python_files=_python_files(root), interpreter=interpreter, jars=tuple(_jars(root)))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file; empty where there is none."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _mapping(manifest: dict[str, Any], key: str) -> dict[str, Any]:
    value = manifest.get(key)
    return value if isinstance(value, dict) else {}


def _jars(root: Path) -> list[Path]:
    folders = [root / name for name in ("lib", "libs", "jars", "target", "build")]
    return sorted(jar for folder in folders if folder.is_dir() for jar in folder.rglob("*.jar"))


def _python_files(root: Path) -> tuple[str, ...]:
    """`python_files` of the project's pytest settings."""
    toml = root / "pyproject.toml"
    if toml.is_file():
        try:
            options = tomllib.loads(toml.read_text(encoding="utf-8")).get("tool", {}).get("pytest", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            options = {}
        given = options.get("ini_options", {}).get("python_files", ())
        words = given.split() if isinstance(given, str) else list(given)
        if words:
            return tuple(map(str, words))
    for name, section in (("pytest.ini", "pytest"), ("setup.cfg", "tool:pytest"), ("tox.ini", "pytest")):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(root / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        if words := parser.get(section, "python_files", fallback="").split():
            return tuple(words)
    return ()


def _find_python(root: Path) -> Path:
    places = [root / name / "bin" / "python" for name in (".venv", "venv", "env")]
    if "VIRTUAL_ENV" in os.environ:
        places.append(Path(os.environ["VIRTUAL_ENV"]) / "bin" / "python")
    return next((place for place in places if place.exists()), Path(sys.executable))


def _facts(program: Path) -> PythonFacts:
    try:
        done = subprocess.run(
            [str(program), "-c", _ASK], capture_output=True, timeout=_ASK_SECONDS, check=True, stdin=subprocess.DEVNULL,
            cwd="/",
        )  # fmt: skip
        said = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SetupError(
            f"The Python of the project, {program}, does not run: {error}.",
            hint="make the project's virtual environment again, or name another Python with --python.",
        ) from error
    folders = {Path(said["prefix"]), Path(said["base"]).resolve(), program.resolve().parent.parent}
    folders |= {Path(entry) for entry in said["path"] if Path(entry).is_dir()}
    kept = [one for one in folders if not any(one != other and one.is_relative_to(other) for other in folders)]
    return PythonFacts(
        program=program,
        version=(said["version"][0], said["version"][1]),
        packages=frozenset(said["has"]),
        read_only=tuple(sorted(kept)),
    )

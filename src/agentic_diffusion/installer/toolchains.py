"""The toolchains of the languages on this machine: node, tsc, jdk and go, found or told how to be brought.

Looked for in the data folder first (`<home>/toolchains/<name>/<version>/`, put there whole by `bring`), then where the
system keeps programs (PATH; for Java JAVA_HOME, too). Only a program that runs and says its version is found. What was
found is remembered for this process alone.
Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.resources import home

NAMES = ("node", "tsc", "jdk", "go")
"""Every toolchain."""
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "python": (),
    "javascript": ("node",),
    "typescript": ("node", "tsc"),
    "java": ("jdk",),
    "go": ("go",),
}
"""The toolchains that a language of this package needs; one that a plug-in brings names its own."""
TITLES = {"node": "Node.js", "tsc": "The TypeScript compiler", "jdk": "A Java development kit", "go": "Go"}
FLOORS = {"node": (18,), "tsc": (7,), "jdk": (17,), "go": (1, 22)}
"""The oldest version of each that is used."""
_PROGRAMS = {"node": "bin/node", "tsc": "lib/tsc", "jdk": "bin/java", "go": "bin/go"}
_ON_PATH = {"node": "node", "tsc": "tsc", "jdk": "javac", "go": "go"}
_ASK = {"node": "--version", "tsc": "--version", "jdk": "--version", "go": "version"}
_VERSION = re.compile(r"(?:^v|Version |openjdk |java |go version go)(\d+(?:\.\d+)*)", re.MULTILINE)
_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Found:
    """A toolchain that runs here."""

    name: str
    """One of `NAMES`."""
    version: str
    """Its version, as it says itself: "24.19.0"."""
    root: Path
    """Its folder."""
    program: Path
    """The program that is run: node, tsc, java, go."""
    read_only: tuple[Path, ...] = ()
    """The folders that a sandbox must show for it to run."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The variables that it needs."""


_remembered: dict[tuple[str, str, str, str], Found] = {}


def folder_of(name: str) -> Path:
    """Where the versions of a toolchain of our own lie."""
    return home() / "toolchains" / name


def find(name: str) -> Found | None:
    """The toolchain of this name; None when none runs here. UsageError for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise UsageError(f"There is no toolchain {name!r}.", hint=f"known are {', '.join(NAMES)}")
    key = (name, str(home()), os.environ.get("PATH", ""), os.environ.get("JAVA_HOME", ""))
    known = _remembered.get(key)
    if known is not None and known.program.is_file():
        return known
    _remembered.pop(key, None)
    for root, program in (*_own(name), *_of_the_system(name)):
        version = version_of(name, program)
        if version and tuple(map(int, version.split("."))) >= FLOORS[name]:
            env = {"JAVA_HOME": str(root)} if name == "jdk" else {"GOROOT": str(root)} if name == "go" else {}
            found = Found(name=name, version=version, root=root, program=program, read_only=(root,), env=env)
            _remembered[key] = found
            return found
    return None


def require(name: str) -> Found:
    """The toolchain of this name; SetupError with the command that brings it when none runs here."""
    found = find(name)
    if found is None:
        floor = ".".join(map(str, FLOORS[name]))
        raise SetupError(
            f"{TITLES[name]} ({floor} or newer) is not installed.", hint=f"run `{setup_command(name)}` to bring it"
        )
    return found


def setup_command(name: str) -> str:
    """The command that brings a toolchain."""
    return f"agd setup --languages {next(language for language, tools in LANGUAGES.items() if name in tools)}"


def needed_for(languages: str) -> tuple[str, ...]:
    """The toolchains of languages named in one word: "java,go"; UsageError for one that this package does not have."""
    names = [word.strip().lower() for word in languages.split(",") if word.strip()]
    if not names:
        raise UsageError("No language was named.", hint=f"name some of {', '.join(LANGUAGES)}, with commas, or all")
    if names == ["all"]:
        names = list(LANGUAGES)
    for name in names:
        if name not in LANGUAGES:
            raise UsageError(
                f"There is no language {name!r} that set-up can prepare.", hint=f"known are {', '.join(LANGUAGES)}, all"
            )
    return tuple(dict.fromkeys(tool for name in names for tool in LANGUAGES[name]))


def version_of(name: str, program: Path) -> str:
    """The version that a program says it has; empty when it does not run, or is something else."""
    try:
        done = subprocess.run(
            [program, _ASK[name]], capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = _VERSION.search(done.stdout) if done.returncode == 0 else None
    return said[1] if said else ""


def _own(name: str) -> Iterator[tuple[Path, Path]]:
    """Folder and program of those that set-up brought, the newest first."""
    base = folder_of(name)
    versions = [place for place in base.iterdir() if not place.name.startswith(".")] if base.is_dir() else []
    for root in sorted(versions, key=_numbers, reverse=True):
        if (root / _PROGRAMS[name]).is_file():
            yield root, root / _PROGRAMS[name]


def _of_the_system(name: str) -> Iterator[tuple[Path, Path]]:
    """Folder and program of those that the system has."""
    places = [shutil.which(_ON_PATH[name])]
    if name == "jdk" and "JAVA_HOME" in os.environ:
        places.insert(0, shutil.which(str(Path(os.environ["JAVA_HOME"], "bin", "javac"))))
    for place in filter(None, places):
        real = Path(place).resolve()
        if name == "tsc":
            # what npm puts on PATH is a script for node; the compiler lies in a package beside it
            for parent in real.parents:
                for program in sorted(parent.glob("@typescript/typescript-*/lib/tsc")):
                    yield program.parents[1], program
        else:
            program = real.parent / "java" if name == "jdk" else real
            yield real.parent.parent, program


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", path.name)))

"""The packages of an environment, read from their metadata: licence, modules, size, whether the files are unharmed.

Nothing is imported and no Python is started: the `.dist-info` folders say it (PEP 376, PEP 427, PEP 639).
Standard library only.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from agentic_diffusion.packages.lockfile import normalised

_CODE = (".py", ".so", ".pyd", ".pyi")
_CLASSIFIER = "License :: OSI Approved :: "
_LONGEST_LICENCE = 60
_OWN = Path(".agd", "venv")
_PLACES = ("lib/python3.*/site-packages", "Lib/site-packages")


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One installed package."""

    name: str
    """Normalised name."""
    version: str
    """Version."""
    licence: str
    """What it says of its licence; empty when it says nothing."""
    modules: frozenset[str]
    """Top-level modules that it brings."""
    size: int
    """Bytes of its files, as its record has them."""
    folder: Path
    """Its `.dist-info`."""


def site_packages(project: Path, environment: Path | None = None) -> Path | None:
    """Where the packages of a project lie: its environment's site-packages; None when there is none.

    The environment is the one given, else UV_PROJECT_ENVIRONMENT, else `.venv`, else `.agd/venv` in the project.
    """
    named = [environment] if environment else [Path(os.environ.get("UV_PROJECT_ENVIRONMENT") or ".venv"), _OWN]
    bases = [project / place for place in named if place]
    found = [folder for base in bases for way in _PLACES for folder in base.glob(way)]
    return found[0] if found else None


def read(folder: Path) -> dict[str, Installed]:
    """The packages in a site-packages folder, by name."""
    found = {}
    for info in sorted(folder.glob("*.dist-info")):
        headers = _headers(info)
        if headers is None:
            continue
        name = normalised(str(headers["Name"] or ""))
        rows = list(_record(info))
        found[name] = Installed(
            name=name,
            version=str(headers["Version"] or ""),
            licence=_licence(headers),
            modules=frozenset(_modules(path for path, _, _ in rows)),
            size=sum(size for _, _, size in rows),
            folder=info,
        )
    return found


def changed_files(package: Installed) -> list[str]:
    """The files of a package that are missing or not what was installed, by their path in the record."""
    wrong = []
    for path, digest, _ in _record(package.folder):
        if not digest:
            continue  # compiled files and the record itself have none
        kind, _, wanted = digest.partition("=")
        file = package.folder.parent / path
        if kind not in hashlib.algorithms_guaranteed:
            continue
        if not file.is_file():
            wrong.append(path)
            continue
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, kind).digest()
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != wanted.rstrip("="):
            wrong.append(path)
    return wrong


def _headers(info: Path) -> Message | None:
    try:
        return HeaderParser().parsestr((info / "METADATA").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def _licence(headers: Message) -> str:
    """The expression (PEP 639), else a short licence field, else the classifiers."""
    if expression := str(headers["License-Expression"] or "").strip():
        return expression
    words = str(headers["License"] or "").strip()
    if words and "\n" not in words and len(words) <= _LONGEST_LICENCE and words.upper() != "UNKNOWN":
        return words
    classifiers = [str(value) for value in headers.get_all("Classifier") or ()]
    named = [value.removeprefix(_CLASSIFIER) for value in classifiers if value.startswith(_CLASSIFIER)]
    return " and ".join(named) or (words.splitlines()[0][:_LONGEST_LICENCE] if words else "")


def _record(info: Path) -> Iterator[tuple[str, str, int]]:
    """(path, digest, bytes) of every file of a package."""
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if len(row) >= 3:
                    yield row[0], row[1], int(row[2]) if row[2].isdigit() else 0
    except OSError:
        return


def _modules(paths: Iterable[str]) -> Iterator[str]:
    """The top-level modules among the files of a package."""
    for path in paths:
        first, slash, rest = path.partition("/")
        if first.startswith("..") or first.endswith((".dist-info", ".data", "__pycache__")):
            continue
        if slash and rest.endswith(_CODE) and first.isidentifier():
            yield first
        elif not slash and path.endswith(_CODE):
            yield path.split(".")[0]

"""Programs on disk: which files of a folder are programs, of which language, and their text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.syntax import SYNTAXES
from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.errors import UsageError

SIZE_LIMIT = 4_000_000
"""Bytes of a file that is still read."""
_SKIPPED = frozenset({"node_modules", "__pycache__", "vendor", "build", "dist", "target"})


def program_files(paths: Sequence[Path], *, language: str | None = None) -> list[tuple[Path, str]]:
    """The files at `paths` with their languages, folders searched without hidden ones and those of builds.

    Folders give the files of languages with a table (see `syntax`), or those of `language` alone. UsageError for a path
    that does not exist, a file of no installed language, and where nothing is found.
    """
    known = _endings(language)
    found: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            found |= {file: known[file.suffix] for file in _files(path) if file.suffix in known}
        elif path.is_file():
            found[path] = known.get(path.suffix) or languages.for_file(path).name
        else:
            raise UsageError(f"There is no file or folder {path}.", hint="give files, or a folder with programs.")
    if language is not None:
        found = {path: own for path, own in found.items() if own == language}
    if not found:
        kind = "program" if language is None else f"{languages.get(language).title} program"
        shown = ", ".join(map(str, paths))
        raise UsageError(f"There is no {kind} at {shown}.", hint=f"programs end in {', '.join(sorted(known))}.")
    return list(found.items())


def read_program(path: Path) -> str:
    """The text of a file; UsageError when it cannot be read, is too large, or is no UTF-8 text."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"The file {path} is larger than {SIZE_LIMIT} bytes.", hint="leave it out.")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.", hint="give a readable file.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The file {path} is not UTF-8 text.", hint="leave it out, or save it as UTF-8.") from error


def _endings(language: str | None) -> dict[str, str]:
    """Language by ending: those with a table that are installed, or `language` alone."""
    names = [language] if language is not None else [name for name in plugins.discover("languages") if name in SYNTAXES]
    return {ending: name for name in names for ending in languages.get(name).endings}


def _files(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        found += [Path(place, name) for name in sorted(names)]
    return found

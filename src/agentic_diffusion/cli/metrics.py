"""`agd metrics`: numbers about programs, in every language: size, complexity, findings, documentation, duplication."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agentic_diffusion.foundation.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.metrics import ProgramMetrics

app = App(name="metrics", help="Measure programs: size, complexity, findings, documentation, duplication, likeness.")

SIZE_LIMIT = 4_000_000
"""Bytes of a file that is still read."""
_SKIPPED = frozenset({"node_modules", "__pycache__", "vendor", "build", "dist", "target"})


@app.default
def metrics(
    *paths: Path,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    against: Path | None = None,
) -> int:
    """Measure the programs PATHS (files, or folders with all files of known languages in them).

    Parameters
    ----------
    paths
        Files and folders. Hidden folders and those of packages and builds are left out.
    as_json
        One JSON object on stdout: every file with its functions and findings, and the totals.
    against
        A reference: how alike it and the one program of PATHS are (CodeBLEU and its four parts).

    """
    from agentic_diffusion.domains.code.metrics import duplication, measure

    if not paths:
        raise UsageError("There is no path to measure.", hint="agd metrics src/")
    files = sources(paths)
    if against is not None:
        return _compare(files, against, as_json=as_json)
    read = [(path, *_read(path, language)) for path, language in files]
    measured = [(path, measure(source, language)) for path, source, language in read]
    copied = duplication([(source, language) for _, source, language in read])
    if as_json:
        record = {"files": [{"path": str(path)} | found.as_json() for path, found in measured], "duplication": copied}
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for path, found in measured for line in _lines(path, found)))
        sys.stdout.write(f"{len(measured)} file(s), {copied:.1%} of the lexemes in passages that occur twice\n")
    return int(ExitCode.DONE)


def sources(paths: tuple[Path, ...]) -> list[tuple[Path, str]]:
    """The files to measure with their languages; UsageError for a path that is not there or has none."""
    from agentic_diffusion.domains.code import languages
    from agentic_diffusion.domains.code.syntax import SYNTAXES

    known = {ending: name for name in SYNTAXES for ending in _endings(name)}
    found: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            inside = [file for file in _files(path) if file.suffix in known]
            found |= {file: known[file.suffix] for file in inside}
        elif path.is_file():
            found[path] = known.get(path.suffix) or languages.for_file(path).name
        else:
            raise UsageError(f"There is no file or folder {path}.", hint="give files, or a folder with programs.")
    if not found:
        raise UsageError("There is no program at these paths.", hint=f"programs end in {', '.join(sorted(known))}.")
    return list(found.items())


def _endings(language: str) -> tuple[str, ...]:
    from agentic_diffusion.domains.code import languages
    from agentic_diffusion.foundation import plugins

    return languages.get(language).endings if language in plugins.discover("languages") else ()


def _files(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        found += [Path(place, name) for name in sorted(names)]
    return found


def _read(path: Path, language: str) -> tuple[str, str]:
    """Text and language of a file."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"The file {path} is larger than {SIZE_LIMIT} bytes.", hint="leave it out.")
        return path.read_bytes().decode("utf-8-sig"), language
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.", hint="give a readable file.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The file {path} is not UTF-8 text.", hint="leave it out, or save it as UTF-8.") from error


def _compare(files: list[tuple[Path, str]], against: Path, *, as_json: bool) -> int:
    from agentic_diffusion.domains.code.similarity import similarity

    [(reference, language)] = sources((against,))[:1]
    if len(files) != 1 or against.is_dir():
        raise UsageError("Two programs can be compared, not more.", hint="agd metrics one.py --against other.py")
    path, own = files[0]
    if own != language:
        raise UsageError(f"{path} is {own} and {reference} is {language}.", hint="compare programs of one language.")
    found = similarity(_read(path, own)[0], _read(reference, language)[0], language)
    record = {"code_bleu": found.code_bleu} | asdict(found)
    if as_json:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"{name:14} {value:.3f}\n" for name, value in record.items()))
    return int(ExitCode.DONE)


def _lines(path: Path, found: ProgramMetrics) -> list[str]:
    shown = "no functions" if found.documented is None else f"{found.documented:.0%} of functions documented"
    counts = f"{found.lines} lines, {found.lexemes} lexemes, complexity {found.complexity}"
    head = f"{path}: {found.language}, {counts}, {shown}"
    return [head, *(f"  line {issue.line}: {issue.rule}: {issue.message}" for issue in found.issues)]

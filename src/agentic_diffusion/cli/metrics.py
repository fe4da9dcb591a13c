"""`agd metrics`: numbers about programs, in every language: size, complexity, findings, documentation, duplication."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agentic_diffusion.foundation.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.metrics import ProgramMetrics

app = App(name="metrics", help="Measure programs: size, complexity, findings, documentation, duplication, likeness.")


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
    from agentic_diffusion.domains.code.files import program_files, read_program
    from agentic_diffusion.domains.code.metrics import duplication, measure

    if not paths:
        raise UsageError("There is no path to measure.", hint="agd metrics src/")
    files = program_files(paths)
    if against is not None:
        return _compare(files, against, as_json=as_json)
    read = [(path, read_program(path), language) for path, language in files]
    measured = [(path, measure(source, language)) for path, source, language in read]
    copied = duplication([(source, language) for _, source, language in read])
    if as_json:
        record = {"files": [{"path": str(path)} | found.as_json() for path, found in measured], "duplication": copied}
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for path, found in measured for line in _lines(path, found)))
        sys.stdout.write(f"{len(measured)} file(s), {copied:.1%} of the lexemes in passages that occur twice\n")
    return int(ExitCode.DONE)


def _compare(files: list[tuple[Path, str]], against: Path, *, as_json: bool) -> int:
    from agentic_diffusion.domains.code.files import program_files, read_program
    from agentic_diffusion.domains.code.similarity import similarity

    (reference, language), *_ = program_files((against,))
    if len(files) != 1 or against.is_dir():
        raise UsageError("Two programs can be compared, not more.", hint="agd metrics one.py --against other.py")
    path, own = files[0]
    if own != language:
        raise UsageError(f"{path} is {own} and {reference} is {language}.", hint="compare programs of one language.")
    found = similarity(read_program(path), read_program(reference), language)
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

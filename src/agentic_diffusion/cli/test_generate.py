"""`agd test generate`: a test file for a program that has too few tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.cli.test_coverage import sandbox_for
from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from agentic_diffusion.testing.generation import Target
    from agentic_diffusion.testing.project import Project


def generate(
    target: str,
    *,
    strategy: Annotated[list[str] | None, Parameter(negative="")] = None,
    seconds: float = 5.0,
    seed: int = 0,
    oracle: str | None = None,
    out: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    python: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Write tests for the Python program TARGET: a file, or FILE::FUNCTION.

    Each test passed five times, and covers something or notices a small change that no other one does. Exit code 1
    when no test was worth keeping.

    Parameters
    ----------
    target
        FILE, or FILE::FUNCTION.
    strategy
        How tests are found: search, properties, or that of a plug-in; may be given several times.
    seconds
        Processor time of the search for one function.
    seed
        Seed of the search.
    oracle
        A second implementation, as module:function, that the strategy properties compares with.
    out
        The test file; without it, test_NAME_generated.py in the folder tests, if there is one.
    dry_run
        Print the file and write nothing.
    python
        The Python of the project.
    as_json
        One JSON object on stdout.

    """
    from agentic_diffusion.testing import generation

    wanted = _target(target, python)
    file = (out or _beside(wanted.project, wanted.path)).resolve()
    if not file.is_relative_to(wanted.project.root):
        raise UsageError(f"{file} lies outside of the project at {wanted.project.root}.", hint="name a file inside it.")
    settings = generation.GenerationSettings(seconds=seconds, seed=seed, oracle=oracle)
    relative = file.relative_to(wanted.project.root).as_posix()
    if not dry_run and file.exists() and not file.read_text(encoding="utf-8").startswith(generation.MARK):
        raise UsageError(f"{file} was not generated, so it is not overwritten.", hint="name another file with --out.")
    found = generation.generate(
        wanted, strategy or ["search"], sandbox_for(trusted=False), settings, file=relative, told=events.say
    )
    if found.kept and not dry_run:
        generation.deliver(file, found.source)
    if as_json:
        print_json({
            "file": relative, "source": found.source,
            "tests": [{"name": one.name, "pins": one.pins} for one in found.kept],
            "dropped": [{"name": name, "why": why} for name, why in found.dropped],
        })  # fmt: skip
    else:
        sys.stdout.write(found.source if dry_run else "".join(f"{relative}::{one.name}\n" for one in found.kept))
        events.say(f"{len(found.kept)} tests kept, {len(found.dropped)} dropped")
    return int(ExitCode.DONE if found.kept else ExitCode.NEGATIVE)


def _target(given: str, python: Path | None) -> Target:
    from agentic_diffusion.testing.generation import Target
    from agentic_diffusion.testing.mutation import split_target
    from agentic_diffusion.testing.project import open_project

    path, function = split_target(given)
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", hint="agd test generate src/parser.py::read")
    if path.suffix != ".py":
        raise UsageError(f"Tests are generated for Python, and {path.name} is something else.", hint="give a .py file.")
    project = open_project(path, interpreter=python)
    relative = path.resolve().relative_to(project.root)
    parts = list(relative.with_suffix("").parts)
    if parts[0] == "src":
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    if not parts or not all(part.isidentifier() for part in parts):
        raise UsageError(f"{relative} has no name by which Python imports it.", hint="rename the file or its folders.")
    return Target(project=project, path=relative.as_posix(), module=".".join(parts), function=function)


def _beside(project: Project, path: str) -> Path:
    name = f"test_{Path(path).stem.strip('_')}_generated.py"
    tests = project.root / "tests"
    return tests / name if tests.is_dir() else (project.root / path).parent / name

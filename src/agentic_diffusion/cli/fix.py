"""`agd fix`: a file and the tests that it fails in, a unified diff out, after which they pass.

The diff goes to stdout and nothing else does; --apply writes the file itself; stderr tells what was done.
"""

from __future__ import annotations

import difflib
import os
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import ExitCode, SetupError, UsageError
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.foundation.settings import ModelSettings, SandboxSettings

if TYPE_CHECKING:
    from agentic_diffusion.codegen.document import Document
    from agentic_diffusion.codegen.repair_result import RepairRequest, RepairResult
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.testing.suite import Suite
    from agentic_diffusion.testing.verdicts import Verdict

app = App(name="fix", help="Repair a file that fails its tests; a diff comes out.")


@app.default
def fix(
    file: Path,
    *,
    tests: Annotated[list[Path] | None, Parameter(negative="")] = None,
    test: Annotated[list[str] | None, Parameter(negative="")] = None,
    lang: str | None = None,
    at: Annotated[list[int] | None, Parameter(negative="")] = None,
    apply: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    budget: str | None = None,
    candidates: Annotated[int, Parameter(name=["-n", "--candidates"])] = 4,
    seed: int = 0,
    explain: Annotated[bool, Parameter(negative="")] = False,
    unsafe_no_sandbox: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Repair FILE until its tests pass, and print the change as a unified diff.

    Exit code 0: all tests pass now, or did already; 3: they do not (a change after which more pass, and none fewer, is
    still printed, and called PARTIAL). Tests are never changed.

    Parameters
    ----------
    file
        The program; its ending tells the language.
    tests
        Test files; they import from `solution` or use bare names.
    test
        One test as a statement of the language, such as "assert f(1) == 2"; may be given several times.
    lang
        The language, where the ending does not tell it.
    at
        A line where the fault is, when you know it; may be given several times. Without it the lines are ranked.
    apply
        Write the file itself, its other bytes unchanged; stdout still has the diff.
    as_json
        One JSON object on stdout: state, diff, suspects, counts.
    budget
        Time for the search, such as 60s or 2m; loading the model comes on top.
    candidates
        Fillings that are asked for in one place.
    seed
        Seed of all random streams.
    explain
        Tell on stderr which lines were suspected and why.
    unsafe_no_sandbox
        Run the tests without a sandbox where none works. The program can then do whatever you can.

    """
    from agentic_diffusion.cli.judging import sandbox_for, suite_of
    from agentic_diffusion.codegen.choice import find
    from agentic_diffusion.codegen.document import Document
    from agentic_diffusion.domains.code import languages

    settings = config.load({"generate.budget": budget})
    output = _Output(file=file, apply=apply, as_json=as_json, explain=explain)
    document = Document.read(file)
    output.check()
    language = find(lang) if lang is not None else languages.for_file(file)
    suite = suite_of(tests or [], test or [], language.name)
    if suite is None:
        raise UsageError("There are no tests to repair by.", hint='give --tests FILE, or --test "assert f(1) == 2".')
    if suite.language != language.name:
        raise UsageError(
            f"The tests ({suite.origin}) are in {suite.language}, and the file {file} is {language.title}.",
            hint="give tests in the language of the file, or name it with --lang.",
        )
    request = _request(document, suite, settings, candidates=candidates, seed=seed, lines=tuple(at or ()))
    sandbox = sandbox_for(suite, settings.section(SandboxSettings), unsafe=unsafe_no_sandbox)
    assert sandbox is not None
    return int(_answer(request, document, sandbox, settings, output))


@dataclass(frozen=True, kw_only=True)
class _Output:
    """What is told, and where."""

    file: Path
    apply: bool
    as_json: bool
    explain: bool

    def check(self) -> None:
        """Refuse a file that shall be written and cannot be, before any work is done."""
        if not self.apply:
            return
        # The superuser may write what is marked read-only; the mark is a wish all the same.
        if not (self.file.stat().st_mode & stat.S_IWUSR and os.access(self.file, os.W_OK)):
            raise UsageError(
                f"The file {self.file} is read-only.", hint="leave --apply out, or make it writable: chmod u+w."
            )

    def deliver(self, result: RepairResult, document: Document) -> None:
        """The diff or the JSON object to stdout; with --apply the file."""
        from agentic_diffusion.codegen.merging import merged

        after = replace(document, text=merged(document.text, result.program), holes=())
        changed = after.text != document.text
        if self.apply and changed:
            atomic_write(self.file, after.encode(), mode=stat.S_IMODE(self.file.stat().st_mode))
        made = _diff(document.text, after.text, self.file.as_posix()) if changed else ""
        if self.as_json:
            print_json({"file": str(self.file), **result.as_json(), "diff": made, "applied": self.apply and changed})
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(made.encode())
        sys.stdout.flush()


def _request(
    document: Document,
    suite: Suite,
    settings: config.Settings,
    *,
    candidates: int,
    seed: int,
    lines: tuple[int, ...],
) -> RepairRequest:
    """The request that the flags and settings describe."""
    from agentic_diffusion.cli.judging import search_limits
    from agentic_diffusion.codegen.merging import plain
    from agentic_diffusion.codegen.repair_result import RepairRequest

    return RepairRequest(
        program=plain(document.text),
        suite=suite,
        candidates=candidates,
        lines=lines,
        **search_limits(settings, seed=seed),
    )


def _answer(
    request: RepairRequest, document: Document, sandbox: Sandbox, settings: config.Settings, output: _Output
) -> ExitCode:
    """Look whether there is anything to repair; load the model, search, deliver."""
    from agentic_diffusion.foundation.sandbox import Limits
    from agentic_diffusion.testing.execution import judge
    from agentic_diffusion.testing.missing import missing_module

    limits = Limits(seconds=request.case_seconds, memory_bytes=request.memory_bytes)
    first = judge(request.suite, [request.program], sandbox, limits)[0]
    if first.ok:
        result = _passing(request, first)
    else:
        missing = missing_module(first, request.suite.language)
        if missing is not None:
            raise SetupError(
                f"The tests fail since {missing} is not here, and no repair of {output.file} changes that:"
                f" {first.message}.",
                hint=f"programs in the sandbox have the standard library only; do without {missing}.",
            )
        result = _search(request, sandbox, settings, first)
    output.deliver(result, document)
    _tell(result, output)
    return ExitCode.DONE if result.state in {"passing", "repaired"} else ExitCode.NOT_VERIFIED


def _passing(request: RepairRequest, first: Verdict) -> RepairResult:
    from agentic_diffusion.codegen.repair_result import RepairResult

    return RepairResult(
        state="passing", before=request.program, program=request.program, first=first, verdict=first, suspects=()
    )


def _search(request: RepairRequest, sandbox: Sandbox, settings: config.Settings, first: Verdict) -> RepairResult:
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.repair import repair

    coder = Coder.for_mode(settings.section(ModelSettings), request.decode.mode)
    return repair(request, coder, sandbox, first=first)


def _tell(result: RepairResult, output: _Output) -> None:
    """What was done, on stderr."""
    if output.explain:
        for suspect in result.suspects[:10]:
            events.say(f"line {suspect.line}: {suspect.score:.2f}: {'; '.join(suspect.reasons)}")
    written = ""
    if output.apply:
        written = f" {output.file} was written." if result.program != result.before else " Nothing was written."
    events.say(result.explain() + written)


def _diff(before: str, after: str, name: str) -> str:
    """A unified diff that `patch` and `git apply` read; line ends are kept."""
    sides = [[f"{line}\n" for line in text.split("\n")] for text in (before, after)]
    for side in sides:
        side[-1] = side[-1][:-1]
    lines = [[line for line in side if line] for side in sides]
    made = difflib.unified_diff(lines[0], lines[1], f"a/{name.lstrip('/')}", f"b/{name.lstrip('/')}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in made)

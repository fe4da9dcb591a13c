"""`agd infill`: a file with a hole in, the file with the hole filled out.

The whole file goes to stdout, byte by byte as it was outside the hole, so that `agd infill a.py > b.py` works; --diff
prints a unified diff instead, --apply writes the file itself. stderr tells what was done.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agentic_diffusion.cli.judging import sandbox_for, search_limits, suite_of
from agentic_diffusion.cli.output import print_json
from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.foundation.settings import GenerateSettings, Mode, ModelSettings, SandboxSettings

if TYPE_CHECKING:
    from agentic_diffusion.codegen.document import Document
    from agentic_diffusion.codegen.infill_search import InfillRequest, InfillResult
    from agentic_diffusion.domains.code.languages.language import Language
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.testing.suite import Suite

app = App(name="infill", help="Fill a hole in a file; the length is the model's choice, tests decide.")


@app.default
def infill(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    *,
    at: str | None = None,
    between: tuple[str, str] | None = None,
    note: str = "",
    tests: Annotated[list[Path] | None, Parameter(negative="")] = None,
    test: Annotated[list[str] | None, Parameter(negative="")] = None,
    lang: str | None = None,
    apply: Annotated[bool, Parameter(negative="")] = False,
    diff: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    seconds: Annotated[str | None, Parameter(name=["--seconds", "--budget"])] = None,
    candidates: Annotated[int | None, Parameter(name=["-n", "--candidates"])] = None,
    lines: int | None = None,
    seed: int = 0,
    mode: Mode | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    threshold: float | None = None,
    block: int | None = None,
    no_constraint: Annotated[bool, Parameter(negative="")] = False,
    unsafe_no_sandbox: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Fill the holes of FILE: at every <FILL> in it, at --at, or --between; with tests, only what passes is verified.

    Exit code 0: filled, and verified where tests were given; 3: no filling passed, or with none does the program parse;
    the best one is printed and --apply changes nothing.

    Parameters
    ----------
    file
        The file; "-" reads standard input and needs --lang.
    at
        LINE or LINE:COLUMN, both from 1. A blank line is filled, before another line new ones are inserted; a column
        is a place inside the line.
    between
        Two places, LINE or LINE:COLUMN: what stands between them is written anew. A line alone means all of it but for
        the indentation of the first one.
    note
        What shall stand there, in words.
    tests
        Test files; they import from `solution` or use bare names.
    test
        One test as a statement of the language, such as "assert f(1) == 2"; may be given several times.
    lang
        The language; left out, the file's ending tells it.
    apply
        Write the filled file; nothing is written that is not verified, or without tests does not parse.
    diff
        Print a unified diff instead of the whole file.
    as_json
        One JSON object on stdout: program, fillings with their confidence, verdicts.
    seconds
        Time for the search, such as 60s or 2m; loading the model comes on top.
    candidates
        Answers drawn for a hole; each may offer several fillings. Without it 8, and with tests as many as there is time
        for.
    lines
        Lines of a filling at most.
    seed
        Seed of all random streams.
    mode
        denoise: blocks committed by confidence; verify: blocks as drafts that the causal pass checks; ar: one by one.
    temperature
        Of all answers after the first, greedy one.
    top_p
        Tokens are drawn from the smallest set that holds this probability.
    threshold
        Confidence from which a token is committed together with others.
    block
        Length of a block in tokens.
    no_constraint
        Let the model write what no program begins with, too.
    unsafe_no_sandbox
        Run the tests without a sandbox where none works. The generated code can then do whatever you can.

    """
    settings = config.load(
        {
            "generate.mode": mode,
            "generate.budget": seconds,
            "generate.temperature": temperature,
            "generate.top_p": top_p,
            "generate.threshold": threshold,
            "generate.block": block,
            "generate.constraint": "off" if no_constraint else None,
        }
    )
    # "-" has to be let through as a file, and a mistyped flag comes with it.
    if re.fullmatch(r"--?[A-Za-z][\w-]*(=.*)?", file):
        raise UsageError(f"There is no flag {file}.", hint="`agd infill --help` shows what is allowed.")
    if at is not None and between is not None:
        raise UsageError("--at and --between both name the hole.", hint="give one of them.")
    output = _Output(file=file, apply=apply, diff=diff, as_json=as_json)
    output.check()
    language = _language(lang, file)
    document = _with_holes(_document(file), at, between)
    suite = _suite(tests or [], test or [], language)
    request = _request(document, suite, settings, language=language.name, candidates=candidates, seed=seed)
    request = replace(request, note=note, longest_lines=request.longest_lines if lines is None else lines)
    sandbox = sandbox_for(suite, settings.section(SandboxSettings), unsafe=unsafe_no_sandbox)
    return int(_answer(request, sandbox, settings, output))


@dataclass(frozen=True, kw_only=True)
class _Output:
    """What is told, and where."""

    file: str
    apply: bool
    diff: bool
    as_json: bool

    def check(self) -> None:
        """Refuse flags that contradict each other and a file that cannot be written, before any work is done."""
        if self.diff and self.as_json:
            raise UsageError("--diff and --json both want stdout.", hint="give one of them.")
        if not self.apply:
            return
        if self.file == "-":
            raise UsageError("Standard input cannot be written to.", hint="leave --apply out, or name a file.")
        path = Path(self.file)
        # The superuser may write what is marked read-only; the mark is a wish all the same.
        if path.is_file() and not (path.stat().st_mode & stat.S_IWUSR and os.access(path, os.W_OK)):
            raise UsageError(
                f"The file {path} is read-only.", hint="leave --apply out, or make it writable: chmod u+w."
            )

    def deliver(self, result: InfillResult, before: Document, *, good: bool) -> None:
        """The filled file, a diff or a JSON object to stdout; with --apply the file itself, where it is good."""
        best = result.best
        if self.apply and good and best is not None:
            atomic_write(Path(self.file), best.document.encode())
        if self.as_json:
            print_json(result.as_json())
        elif best is not None and self.diff:
            sys.stdout.write(_diff(before, best.document))
        elif best is not None and not (self.apply and good):
            sys.stdout.flush()
            sys.stdout.buffer.write(best.document.encode())
        sys.stdout.flush()


def _language(asked: str | None, file: str) -> Language:
    from agentic_diffusion.codegen.choice import find
    from agentic_diffusion.domains.code import languages

    if asked is not None:
        return find(asked)
    if file == "-":
        raise UsageError("Standard input has no ending that tells its language.", hint="name it with --lang.")
    return languages.for_file(Path(file))


def _document(file: str) -> Document:
    from agentic_diffusion.codegen.document import SIZE_LIMIT, Document

    if file != "-":
        found = Document.read(Path(file))
    elif sys.stdin is None or sys.stdin.isatty():
        raise UsageError("There is nothing on standard input.", hint="name a file, or pipe one in.")
    else:
        found = Document.decode(sys.stdin.buffer.read(SIZE_LIMIT + 1), "-")
    if not found.text.strip():
        raise UsageError(
            f"The file {file} is empty: there is nothing around the hole.",
            hint='`agd generate "..."` writes a program from words.',
        )
    return found


def _with_holes(document: Document, at: str | None, between: tuple[str, str] | None) -> Document:
    from agentic_diffusion.codegen.document import MARKER, parse_place

    if at is None and between is None:
        return document.at_markers()
    if MARKER in document.text:
        raise UsageError(
            f"{document.origin} holds {MARKER}, and {'--at' if at is not None else '--between'} names another hole.",
            hint=f"take {MARKER} out of the file, or leave the flag out.",
        )
    if at is not None:
        return document.at(parse_place(at))
    assert between is not None
    return document.between(parse_place(between[0]), parse_place(between[1]))


def _suite(files: list[Path], statements: list[str], language: Language) -> Suite | None:
    suite = suite_of(files, statements, language.name)
    if suite is not None and suite.language != language.name:
        raise UsageError(
            f"The tests ({suite.origin}) are in {suite.language}, and the file is {language.title}.",
            hint="give tests in the language of the file, or name it with --lang.",
        )
    return suite


def _request(
    document: Document,
    suite: Suite | None,
    settings: config.Settings,
    *,
    language: str,
    candidates: int | None,
    seed: int,
) -> InfillRequest:
    """The request that the flags and settings describe."""
    from agentic_diffusion.codegen.infill_search import InfillRequest

    chosen = settings.section(GenerateSettings)
    return InfillRequest(
        document=document,
        language=language,
        suite=suite,
        candidates=candidates,
        constraint=chosen.constraint == "on",
        **search_limits(settings, seed=seed),
    )


def _answer(request: InfillRequest, sandbox: Sandbox | None, settings: config.Settings, output: _Output) -> ExitCode:
    """Load the model, search, deliver."""
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.infill_search import infill as search

    coder = Coder.for_mode(settings.section(ModelSettings), request.decode.mode)
    result = search(request, coder, sandbox)
    best = result.best
    good = result.verified if result.tested else best is not None and best.parses
    output.deliver(result, request.document, good=good)
    _tell(result, request, output, good=good)
    return ExitCode.DONE if good else ExitCode.NOT_VERIFIED


def _tell(result: InfillResult, request: InfillRequest, output: _Output, *, good: bool) -> None:
    """What was done, on stderr."""
    best = result.best
    if best is None:
        state = "nothing: the model had no filling, or no time for one"
    elif not best.parses:
        problem = _problem(best.document.text, request.language)
        state = f"UNVERIFIED: with no filling does the program parse (best one: {problem})"
    elif not result.tested:
        state = "unverified (no tests were given)"
    elif result.verified and request.suite is not None:
        state = f"verified: {len(request.suite.cases)} of {len(request.suite.cases)} tests passed"
    else:
        passed = best.verdict.passed if best.verdict is not None else 0
        total = best.verdict.total if best.verdict is not None else 0
        state = f"UNVERIFIED: the best filling passed {passed} of {total} tests"
    shown = "" if best is None else f", confidence {min(f.confidence for f in best.fillings):.2f}"
    written = "; nothing was written" if output.apply and not good else ""
    events.say(f"{state}{shown}; {len(result.attempts)} distinct program(s), {result.seconds:.1f} s{written}")


def _problem(text: str, language: str) -> str:
    from agentic_diffusion.domains.code import languages

    found = languages.get(language).parse_error(text)
    return "it parses" if found is None else f"line {found.line}: {found.message}"


def _diff(before: Document, after: Document) -> str:
    """A unified diff that `patch` and `git apply` read; line ends are kept."""
    name = before.origin if before.origin != "-" else "stdin"
    old, new = (side.encode().decode().split("\n") for side in (before, after))
    lines = [[*(f"{line}\n" for line in side[:-1]), *([side[-1]] if side[-1] else [])] for side in (old, new)]
    made = difflib.unified_diff(lines[0], lines[1], f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in made)

"""`agd generate`: a prompt and its tests in, a verified program out.

The program goes to stdout (or to --out) and nothing else does; stderr tells what was done.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from agentic_diffusion.cli import generated_imports
from agentic_diffusion.cli.judging import sandbox_for, search_limits, suite_of
from agentic_diffusion.cli.recording import Record
from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.foundation.settings import GenerateSettings, Mode, ModelSettings, SandboxSettings, StoreSettings

if TYPE_CHECKING:
    from agentic_diffusion.codegen.request import GenerationRequest
    from agentic_diffusion.codegen.result import GenerationResult
    from agentic_diffusion.domains.code.languages.language import Language
    from agentic_diffusion.domains.code.style import StyleProfile
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.testing.suite import Suite

app = App(name="generate", help="Generate code for a prompt, verified by its tests.")

PROMPT_LIMIT = 1_000_000
"""Characters of standard input that are read as a prompt."""


@app.default
def generate(
    prompt: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    *,
    tests: Annotated[list[Path] | None, Parameter(negative="")] = None,
    test: Annotated[list[str] | None, Parameter(negative="")] = None,
    lang: str | None = None,
    style: Annotated[list[Path] | None, Parameter(negative="")] = None,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    budget: str | None = None,
    candidates: Annotated[int | None, Parameter(name=["-n", "--candidates"])] = None,
    seed: int = 0,
    explain: Annotated[bool, Parameter(negative="")] = False,
    show: Annotated[bool, Parameter(negative="")] = False,
    mode: Mode | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    threshold: float | None = None,
    block: int | None = None,
    max_new_tokens: int | None = None,
    no_constraint: Annotated[bool, Parameter(negative="")] = False,
    unsafe_no_sandbox: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write a program for PROMPT in any installed language; with tests, only what passes them is called verified.

    Exit code 0: verified, or made without tests; 3: no candidate passed, the best one is printed and called unverified.

    Parameters
    ----------
    prompt
        What to write, in words; read from standard input when it is left out or "-".
    tests
        Test files; they import from `solution` or use bare names.
    test
        One test as a statement of the language, such as "assert f(1) == 2"; may be given several times.
    lang
        The language: python, javascript, typescript, java, go or that of a plug-in. Left out, the ending of the test
        files tells it, then the prompt ("in Go", "a Java method"), then the setting generate.language.
    style
        A folder or file with programs whose habits (indentation, quotes, names ...) are asked for and preferred.
    out
        Write the program to this file; stdout then has nothing, or the JSON object.
    as_json
        One JSON object on stdout: program, verdicts, counts, every candidate.
    budget
        Time for the search, denoising and judging together, such as 60s or 2m; loading the model comes on top.
    candidates
        Most candidates to try; without it as many as the budget allows.
    seed
        Seed of all random streams.
    explain
        Tell on stderr why this candidate won.
    show
        Draw the denoising while it happens (a terminal on stderr is needed).
    mode
        denoise: blocks committed by confidence; verify: blocks as drafts that the causal pass checks; ar: one by one.
    temperature
        Of all candidates after the first, greedy one; 0 tries that one alone.
    top_p
        Tokens are drawn from the smallest set that holds this probability.
    threshold
        Confidence from which a token is committed together with others.
    block
        Length of a block in tokens.
    max_new_tokens
        Longest answer in tokens.
    no_constraint
        Let the model write what does not parse, too.
    unsafe_no_sandbox
        Run the tests without a sandbox where none works. The generated code can then do whatever you can.

    """
    flags = {
        "generate.mode": mode,
        "generate.budget": budget,
        "generate.temperature": temperature,
        "generate.top_p": top_p,
        "generate.threshold": threshold,
        "generate.block": block,
        "generate.max_new_tokens": max_new_tokens,
        "generate.constraint": "off" if no_constraint else None,
    }
    settings = config.load(flags)
    output = _Output(out=out, as_json=as_json, explain=explain, show=show)
    text = _prompt(prompt)
    language = _language(lang, tests or [], text, settings.section(GenerateSettings).language)
    suite = suite_of(tests or [], test or [], language.name)
    request = _request(text, suite, settings, language=language.name, candidates=candidates, seed=seed)
    request = replace(request, style=_style(style, language.name))
    output.check()
    sandbox = sandbox_for(suite, settings.section(SandboxSettings), unsafe=unsafe_no_sandbox)
    return int(_answer(request, sandbox, settings, output))


@dataclass(frozen=True, kw_only=True)
class _Output:
    """What is told, and where."""

    out: Path | None
    as_json: bool
    explain: bool
    show: bool

    def check(self) -> None:
        """Refuse a target that cannot be written, and drawing where nothing can be drawn, before any work is done."""
        if self.show and not sys.stderr.isatty():
            raise UsageError(
                "--show draws in a terminal, and stderr is none.", hint="leave --show out, or run in a terminal."
            )
        if self.out is None:
            return
        folder, kind = self.out.absolute().parent, None
        if self.out.is_dir():
            kind = "is a folder"
        elif not folder.is_dir():
            kind = "lies in a folder that does not exist"
        elif not os.access(folder, os.W_OK):
            kind = "lies in a folder that cannot be written"
        if kind is not None:
            raise UsageError(f"The output file {self.out} {kind}.", hint="name a file in a folder that you can write.")

    def deliver(self, result: GenerationResult) -> None:
        """The program to stdout or to the file; with --json the whole result to stdout."""
        if self.out is not None:
            atomic_write(self.out, result.program)
        if self.as_json:
            sys.stdout.write(json.dumps(result.as_json(), indent=1) + "\n")
        elif self.out is None:
            sys.stdout.write(result.program)
        sys.stdout.flush()


def _prompt(given: str | None) -> str:
    """The prompt, from the argument or from standard input."""
    # "-" has to be let through as a prompt, and a mistyped flag comes with it.
    if given is not None and re.fullmatch(r"--?[A-Za-z][\w-]*(=.*)?", given):
        raise UsageError(f"There is no flag {given}.", hint="`agd generate --help` shows what is allowed.")
    if given is not None and given != "-":
        return given
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("There is no prompt.", hint='agd generate "Write a function ..." or pipe the prompt in.')
    try:
        text = sys.stdin.read(PROMPT_LIMIT + 1)
    except UnicodeDecodeError as problem:
        raise UsageError("The prompt on standard input is not UTF-8 text.", hint="pipe in a text file.") from problem
    if len(text) > PROMPT_LIMIT:
        raise UsageError(f"The prompt is longer than {PROMPT_LIMIT} characters.", hint="shorten it to what matters.")
    return text


def _language(asked: str | None, tests: list[Path], prompt: str, default: str) -> Language:
    """The language of the program."""
    from agentic_diffusion.codegen.choice import choose_language

    return choose_language(asked, tests, prompt, default=default)


def _style(paths: list[Path] | None, language: str) -> StyleProfile | None:
    """The style to keep to, or None."""
    if not paths:
        return None
    from agentic_diffusion.domains.code.style import profile

    return profile(paths, language)


def _request(
    text: str, suite: Suite | None, settings: config.Settings, *, language: str, candidates: int | None, seed: int
) -> GenerationRequest:
    """The request that the flags and settings describe."""
    from agentic_diffusion.codegen.request import GenerationRequest

    chosen = settings.section(GenerateSettings)
    return GenerationRequest(
        prompt=text,
        suite=suite,
        language=language,
        batch=chosen.samples,
        candidates=candidates,
        constraint=chosen.constraint == "on",
        **search_limits(settings, seed=seed),
    )


def _answer(
    request: GenerationRequest, sandbox: Sandbox | None, settings: config.Settings, output: _Output
) -> ExitCode:
    """Load the model, search, deliver, and keep the run in the store."""
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.generator import generate as search

    coder = Coder.for_mode(settings.section(ModelSettings), request.decode.mode)
    record = Record.begin(settings.section(StoreSettings).url, request)
    try:
        with _view(coder.tokenizer, show=output.show) as view:
            result = search(request, coder, sandbox, observe=view and view.step, report=view and view.candidate)
        output.deliver(result)
    except BaseException as stop:
        record.finish("interrupted" if isinstance(stop, KeyboardInterrupt) else "failed", {})
        raise
    _tell(result, explain=output.explain)
    generated_imports.tell(result.program, request.language, settings)
    record.keep(result, request)
    done = result.verified or (result.suite is None and bool(result.program))
    return ExitCode.DONE if done else ExitCode.NOT_VERIFIED


def _view(tokenizer: Any, *, show: bool) -> Any:
    if not show:
        return nullcontext(None)
    from agentic_diffusion.cli.show import LiveView

    return LiveView(tokenizer)


def _tell(result: GenerationResult, *, explain: bool) -> None:
    """What was done, on stderr."""
    if not result.program:
        state = "nothing: no candidate held any code"
    elif result.suite is None:
        state = "unverified (no tests were given)"
    elif result.verified:
        state = f"verified: {len(result.suite.cases)} of {len(result.suite.cases)} tests passed"
    else:
        passed = result.best.verdict.passed if result.best and result.best.verdict else 0
        state = f"UNVERIFIED: the best candidate passed {passed} of {len(result.suite.cases)} tests"
    events.say(
        f"{state}; {result.drawn} candidate(s), {result.forwards} forwards, {result.new_tokens} new tokens "
        f"({result.tokens_per_second:.1f} a second, {result.tokens_per_forward:.2f} a forward), "
        f"{result.seconds:.1f} s, mode {result.mode}, sandbox {result.tier}"
    )
    if explain:
        events.say(result.explain())

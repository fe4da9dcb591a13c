"""`agd generate`: a prompt and its tests in, a verified program out.

The program goes to stdout (or to --out) and nothing else does; stderr tells what was done.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import ExitCode, StoreError, UsageError
from agentic_diffusion.foundation.resources import atomic_write, peak_memory
from agentic_diffusion.foundation.settings import GenerateSettings, Mode, ModelSettings, SandboxSettings, StoreSettings

if TYPE_CHECKING:
    from agentic_diffusion.codegen.request import GenerationRequest
    from agentic_diffusion.codegen.result import GenerationResult
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
    unsafe_no_sandbox: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write a Python function for PROMPT; with tests, only what passes them is called verified.

    Exit code 0: verified, or made without tests; 3: no candidate passed, the best one is printed and called unverified.

    Parameters
    ----------
    prompt
        What to write, in words; read from standard input when it is left out or "-".
    tests
        Test files; they import from `solution` or use bare names.
    test
        One test as a statement, such as "assert f(1) == 2"; may be given several times.
    out
        Write the program to this file instead of stdout.
    as_json
        One JSON object on stdout: program, verdicts, counts, every candidate.
    budget
        Time for everything, such as 60s or 2m.
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
        Of all candidates after the first, greedy one.
    top_p
        Tokens are drawn from the smallest set that holds this probability.
    threshold
        Confidence from which a token is committed together with others.
    block
        Length of a block in tokens.
    max_new_tokens
        Longest answer in tokens.
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
    }
    settings = config.load(flags)
    text = _prompt(prompt)
    suite = _suite(tests or [], test or [])
    request = _request(text, suite, settings, candidates, seed)
    _check_target(out)
    _check_terminal(show=show)
    sandbox = _sandbox(settings.section(SandboxSettings), suite, unsafe=unsafe_no_sandbox)
    result = _run(request, sandbox, settings, show=show)
    _deliver(result, out, as_json=as_json)
    _tell(result, explain=explain)
    done = result.verified or (suite is None and bool(result.program))
    return int(ExitCode.DONE if done else ExitCode.NOT_VERIFIED)


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


def _suite(files: list[Path], statements: list[str]) -> Suite | None:
    """All tests as one suite, or None."""
    if not files and not statements:
        return None
    from agentic_diffusion.testing.suite import combine, inline_suite, load_suite

    suites = [load_suite(path) for path in files]
    if statements:
        suites.append(inline_suite(statements))
    return suites[0] if len(suites) == 1 else combine(suites)


def _request(
    text: str, suite: Suite | None, settings: config.Settings, candidates: int | None, seed: int
) -> GenerationRequest:
    """The request that the flags and settings describe."""
    from agentic_diffusion.codegen.request import GenerationRequest
    from agentic_diffusion.diffusion.block_decoder import DecodeSettings

    chosen, limits = settings.section(GenerateSettings), settings.section(SandboxSettings)
    return GenerationRequest(
        prompt=text,
        suite=suite,
        batch=chosen.samples,
        candidates=candidates,
        seconds=chosen.budget_seconds,
        decode=DecodeSettings(
            mode=chosen.mode,
            block=1 if chosen.mode == "ar" else chosen.block,
            threshold=chosen.threshold,
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            max_new_tokens=chosen.max_new_tokens,
            seed=seed,
        ),
        case_seconds=limits.seconds,
        memory_bytes=limits.memory_bytes,
    )


def _check_target(out: Path | None) -> None:
    """Refuse a target that cannot be written before any work is done."""
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        kind = "is a folder" if out.is_dir() else "lies in a folder that does not exist"
        raise UsageError(f"The output file {out} {kind}.", hint="name a file in a folder that exists.")


def _check_terminal(*, show: bool) -> None:
    """Refuse to draw where nothing can be drawn."""
    if show and not sys.stderr.isatty():
        raise UsageError(
            "--show draws in a terminal, and stderr is none.", hint="leave --show out, or run in a terminal."
        )


def _sandbox(settings: SandboxSettings, suite: Suite | None, *, unsafe: bool) -> Sandbox | None:
    """The sandbox that will judge, after a look at whether the tests can fail at all."""
    if suite is None:
        return None
    from agentic_diffusion.foundation.sandbox import choose
    from agentic_diffusion.testing.execution import suite_is_vacuous

    sandbox = choose(unsafe=unsafe, only=None if settings.tier == "auto" else settings.tier)
    if suite_is_vacuous(suite, sandbox):
        raise UsageError(
            "The tests pass for functions that do nothing, so passing them would prove nothing.",
            hint="assert the results that you expect.",
        )
    return sandbox


def _run(
    request: GenerationRequest, sandbox: Sandbox | None, settings: config.Settings, *, show: bool
) -> GenerationResult:
    """Load the model, search, and keep the run in the store."""
    from agentic_diffusion.codegen.coder import ADAPTER, Coder
    from agentic_diffusion.codegen.generator import generate as search

    adapter = None if request.decode.mode == "ar" else ADAPTER  # the parent alone writes in mode `ar`
    coder = Coder.load(settings.section(ModelSettings), adapter=adapter)
    record = _Record.begin(settings.section(StoreSettings).url, request)
    try:
        with _view(coder.tokenizer, show=show) as view:
            result = search(request, coder, sandbox, observe=view and view.step, report=view and view.candidate)
    except BaseException as stop:
        record.finish("interrupted" if isinstance(stop, KeyboardInterrupt) else "failed", {})
        raise
    record.keep(result, request)
    return result


def _view(tokenizer: Any, *, show: bool) -> Any:
    if not show:
        return nullcontext(None)
    from agentic_diffusion.cli.show import LiveView

    return LiveView(tokenizer)


def _deliver(result: GenerationResult, out: Path | None, *, as_json: bool) -> None:
    """The program to stdout or a file; with --json the whole result."""
    data = json.dumps(result.as_json(), indent=1) + "\n" if as_json else result.program
    if out is None:
        sys.stdout.write(data)
        sys.stdout.flush()
    else:
        atomic_write(out, data)


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


class _Record:
    """The run in the store; a store that cannot be used is told once and costs nothing else."""

    def __init__(self, store: Any, run: str) -> None:
        self._store, self._run = store, run

    @classmethod
    def begin(cls, url: str | None, request: GenerationRequest) -> _Record:
        from agentic_diffusion.foundation.store import Store

        shown = {"prompt": request.prompt, "seconds": request.seconds, "batch": request.batch} | asdict(request.decode)
        try:
            store = Store.open(url)
            return cls(store, store.start_run("generate", shown, run_id=events.run_id() or None))
        except StoreError as problem:
            events.get_logger(__name__).warning("the run is not recorded: %s (%s)", problem.message, problem.hint)
            return cls(None, "")

    def finish(self, status: Any, summary: dict[str, Any]) -> None:
        if self._store is None:
            return
        try:
            self._store.finish_run(self._run, status, summary)
            self._store.close()
        except StoreError as problem:
            events.get_logger(__name__).warning("the run is not recorded: %s (%s)", problem.message, problem.hint)

    def keep(self, result: GenerationResult, request: GenerationRequest) -> None:
        """Metrics, and the verified program as a sample of the trajectory buffer."""
        if self._store is None:
            return
        from agentic_diffusion.foundation.store import NewSample

        metrics = {
            "seconds": result.seconds,
            "denoise_seconds": result.denoise_seconds,
            "judge_seconds": result.judge_seconds,
            "forwards": result.forwards,
            "row_forwards": result.row_forwards,
            "new_tokens": result.new_tokens,
            "candidates": result.drawn,
            "peak_memory_bytes": peak_memory(),
        }
        try:
            self._store.record_metrics(self._run, {name: float(value) for name, value in metrics.items()})
            if result.verified and result.best is not None:
                sample = NewSample(
                    run=self._run,
                    domain="code",
                    task=request.prompt.strip(),
                    content=result.program,
                    reward=1.0,
                    reward_parts={"share_passed": 1.0},
                    weights=result.weights,
                    provenance={"origin": result.best.origin, "mode": result.mode, "sandbox": result.tier},
                )
                self._store.add_sample(sample)
            self.finish("done", {"verified": result.verified, "tier": result.tier, **metrics})
        except StoreError as problem:
            events.get_logger(__name__).warning("the run is not recorded: %s (%s)", problem.message, problem.hint)

"""The command line `agd`: its commands by name, the flags that all of them take, and how errors become exit codes.

Commands are import strings: a command's module is loaded when the command is called, `agd --help` loads none of them.
A command is a function that returns an exit code (or None for 0); it writes data to stdout and talk to stderr. What
goes wrong is raised as an AgdError and shown here: a sentence and a hint, or one JSON object with --json or
--log-style json.
"""

from __future__ import annotations

import difflib
import errno
import itertools
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter, UnknownCommandError, UnusedCliTokensError

import agentic_diffusion
from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import AgdError, ExitCode, ResourceError, SetupError, UsageError
from agentic_diffusion.foundation.settings import LogLevel, LogSettings, LogStyle

_COMMANDS = {
    "bench": ("agentic_diffusion.cli.bench:app", "Measure the model on benchmark files: score, interval, cost."),
    "config": ("agentic_diffusion.cli.config:app", "The settings: their values and where each came from."),
    "data": ("agentic_diffusion.cli.data:app", "Training data: generate small tasks in five languages, and run them."),
    "deps": (
        "agentic_diffusion.cli.deps:app",
        "Packages: what needs what, is all as locked; upgrade, bundle.",
    ),
    "doctor": ("agentic_diffusion.cli.doctor:app", "Check this machine: what works, and what to do about the rest."),
    "fix": ("agentic_diffusion.cli.fix:app", "Repair a file that fails its tests; a diff comes out."),
    "generate": ("agentic_diffusion.cli.generate:app", "Generate code for a prompt, verified by its tests."),
    "infill": ("agentic_diffusion.cli.infill:app", "Fill a hole in a file; the length is the model's choice."),
    "metrics": ("agentic_diffusion.cli.metrics:app", "Measure programs: size, complexity, findings, duplication."),
    "models": (
        "agentic_diffusion.cli.models:app",
        "The models: which there are, where they lie, whether they are whole.",
    ),
    "plan": ("agentic_diffusion.cli.plan:app", "Plan a way through a maze by denoising, and draw it."),
    "runs": ("agentic_diffusion.cli.runs:app", "The records of earlier runs: settings, results, metrics."),
    "serve": (
        "agentic_diffusion.serve.command:app",
        "Serve the model: OpenAI's API, a page of the denoising, tools over MCP.",
    ),
    "setup": ("agentic_diffusion.cli.setup:app", "Make everything ready: packages, torch, sandbox, model."),
    "shell": ("agentic_diffusion.cli.shell:app", "Print what activates agd in a shell: PATH and completions."),
    "solve": ("agentic_diffusion.cli.solve:app", "Work on a project until its tests pass, on a branch of its own."),
    "test": ("agentic_diffusion.cli.test:app", "Find, run, cover, generate, judge and suggest tests."),
    "train": ("agentic_diffusion.cli.train:app", "Train the block denoiser on your own data."),
    "uninstall": ("agentic_diffusion.cli.setup:uninstall_app", "Remove what set-up made."),
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_HELP = "Diffusion models that write, fill in and repair code under test, and learn from the tests."


def _version() -> str:
    return agentic_diffusion.__version__


# Plain help: the same in a terminal, a pipe and the docs, and half the start-up time of the drawn one.
app = App(
    name="agd",
    help=_HELP,
    version=_version,
    help_formatter="plain",
    help_format="plaintext",
    # A flag that is off needs no --no-flag to turn it off, and its help no word that it is off.
    default_parameter=Parameter(negative="", show_default=lambda value: None if value is False else value),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for _name, (_target, _help) in _COMMANDS.items():
    app.command(_target, name=_name, help=_help)
app.meta.suppress_keyboard_interrupt = False
_COMMON = Group("Flags of every command")


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    log_style: Annotated[LogStyle | None, Parameter(group=_COMMON)] = None,
    log_level: Annotated[LogLevel | None, Parameter(group=_COMMON)] = None,
    quiet: Annotated[bool, Parameter(group=_COMMON)] = False,
) -> Any:
    """Take the flags of every command, set up logging, and hand the rest to the command.

    Parameters
    ----------
    log_style
        How stderr is written: for people, or as JSON lines.
    log_level
        The least severe log line that is shown.
    quiet
        Only warnings and errors on stderr.

    """
    log = config.load({"log.style": log_style, "log.level": log_level}).section(LogSettings)
    events.configure(style=log.style, level=log.level, run_id=events.new_run_id(), quiet=quiet)
    return app(tokens, print_error=False, exit_on_error=False, result_action="return_value")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code; see `foundation.errors`.

    A reader that closes the pipe early ends the command quietly with code 4: its output was not taken.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = _wants_json(words)
    try:
        return _flushed(_run(words), as_json=as_json)
    except AgdError as error:
        code = _show(error, as_json=as_json)
    except KeyboardInterrupt:
        code = _show_interrupt(as_json=as_json)
    except BrokenPipeError:
        _abandon_stdout()
        return ExitCode.ENVIRONMENT
    except OSError as error:
        code = _show_full_disk(error, as_json=as_json) if error.errno in _FULL else _show_defect(error)
    except Exception as error:  # noqa: BLE001 - the outermost line: Python's own exit code 1 would mean "the answer is no"
        code = _show_defect(error)
    return _flushed(_codes_of(words).get(code, code), as_json=as_json)


def _codes_of(words: list[str]) -> dict[int, int]:
    """What our exit codes of failures are called by a command that speaks another tongue: `test run` that of pytest."""
    command = [word for word in words if not word.startswith("-")][:2]
    return {2: 4, 4: 3, 130: 2} if command == ["test", "run"] else {}


def _run(words: list[str]) -> int:
    """Parse and run; what the parser and the importer have to say becomes an AgdError."""
    try:
        result = app.meta(words, print_error=False, exit_on_error=False, result_action="return_value")
    except CycloptsError as error:
        raise _usage_error(error) from error
    except ImportError as error:
        missing = error if error.name else error.__cause__
        name = getattr(missing, "name", None) or ""
        if not isinstance(missing, ModuleNotFoundError) or name.split(".")[0] == "agentic_diffusion":
            raise
        raise SetupError(
            f"The package {name.split('.')[0]} is needed for this and is not installed.", hint="Run `agd setup`."
        ) from error
    except SystemExit as stop:
        # The help printer ends the process with 1 when its reader is gone.
        if isinstance(stop.__context__, BrokenPipeError):
            raise stop.__context__ from None
        raise
    return result if isinstance(result, int) else ExitCode.DONE


def _usage_error(error: CycloptsError) -> UsageError:
    """One sentence and a hint for a command line that does not parse."""
    path = " ".join(["agd", *(error.command_chain or ())])
    help_hint = f"`{path} --help` shows what is allowed."
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        # The parser's own sentence would import every command to name them.
        given = error.unused_tokens[0]
        known = [name for name in (error.app or app) if not name.startswith("-")]
        close = difflib.get_close_matches(given, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Commands are: {', '.join(known)}."
        return UsageError(f"There is no command {given!r} in `{path}`.", hint=hint)
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return UsageError(f"{error.unused_tokens[0]!r} is one argument too many for `{path}`.", hint=help_hint)
    sentence, suggestion, rest = " ".join(str(error).split()).partition("Did you mean ")
    return UsageError(sentence.strip(), hint=f"{suggestion}{rest}" if suggestion else help_hint)


def _wants_json(words: list[str]) -> bool:
    """Whether errors are to be JSON; known before the line is parsed, since parsing may be what fails."""
    flags = words[: words.index("--")] if "--" in words else words
    style = any(pair == ("--log-style", "json") for pair in itertools.pairwise(flags))
    return "--json" in flags or "--log-style=json" in flags or style


def _show(error: AgdError, *, as_json: bool) -> int:
    """Tell an error on stderr; returns its exit code."""
    sys.stderr.write(f"{json.dumps(error.as_json())}\n" if as_json else f"error: {error}\n")
    return error.exit_code


def _show_interrupt(*, as_json: bool) -> int:
    code = ExitCode.INTERRUPTED
    record = {"error": "Interrupted", "message": "Interrupted.", "hint": "Run it again.", "exit_code": int(code)}
    sys.stderr.write(f"{json.dumps(record)}\n" if as_json else "\ninterrupted\n")
    return code


def _show_defect(error: Exception) -> int:
    """An error that is nobody's input: the trace, and what to do with it."""
    traceback.print_exception(error)
    sys.stderr.write("error: This is a defect of agd, not of your input.\nhint: Report it with the lines above.\n")
    return ExitCode.ENVIRONMENT


def _show_full_disk(error: OSError, *, as_json: bool) -> int:
    return _show(ResourceError(f"A disk is full: {error}.", hint="Free some space and try again."), as_json=as_json)


def _flushed(code: int, *, as_json: bool) -> int:
    """`code`, unless the last of the output could not be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _abandon_stdout()
        if error.errno in _FULL:
            _show_full_disk(error, as_json=as_json)
        return ExitCode.ENVIRONMENT
    return code


def _abandon_stdout() -> None:
    """Send what is still buffered to nowhere, so that the interpreter does not complain about it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)

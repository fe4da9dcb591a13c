"""`agd shell`: the lines that put `agd` on a shell's PATH, with completions, and take it off again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cyclopts import App

from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.installer import activation, layout

app = App(name="shell", help="Print what activates agd in a shell: PATH and completions.")


@app.default
def shell(name: str | None = None, /) -> int:
    """Print the lines that a shell evaluates: eval "$(agd shell bash)". In that shell agd_deactivate undoes it.

    Parameters
    ----------
    name
        bash, zsh, fish or powershell; without it the one that SHELL names.

    """
    chosen = name or Path(os.environ.get("SHELL", "")).name
    if not chosen:
        raise UsageError("It is not known which shell this is.", hint="Name it: agd shell bash.")
    place = layout.current()
    folder = str(place.root) if place.root else str(Path(sys.prefix) / "bin")
    sys.stdout.write(activation.script(chosen, folder, completions()))
    if sys.stdout.isatty():
        sys.stderr.write(f"to use it: {activation.HOW[chosen]}\n")
    return int(ExitCode.DONE)


def completions() -> dict[str, list[str]]:
    """The words that may come after each command, read from the command line itself."""
    from agentic_diffusion.cli.app import app as whole

    found: dict[str, list[str]] = {}
    _collect(whole, "agd", found)
    return found


def _collect(command: App, path: str, found: dict[str, list[str]]) -> None:
    names = [name for name in command if not name.startswith("-")]
    flags = []
    if command.default_command is not None:
        arguments = command.assemble_argument_collection(parse_docstring=False)
        flags = sorted(
            {
                name
                for argument in arguments
                for name in argument.names
                if name.startswith("--") and not name.startswith("--no-")
            }
        )
    found[path] = [*names, *flags, "--help"]
    for name in names:
        _collect(command[name], f"{path} {name}", found)

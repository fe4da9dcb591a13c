"""`agd config`: what is set, and where each value came from."""

from __future__ import annotations

import os
import sys
from typing import Annotated

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import print_json, print_table, without_password
from agentic_diffusion.foundation import config

app = App(name="config", help="The settings: their values and where each came from.")


@app.command
def show(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """Show every setting, its value and where the value came from.

    Parameters
    ----------
    as_json
        One JSON object on stdout: setting, then value and origin.

    """
    settings = config.load()
    shown = [
        (key, without_password(value) if isinstance(value, str) else value, origin)
        for key, value, origin in settings.items()
    ]
    if as_json:
        print_json({key: {"value": value, "origin": origin} for key, value, origin in shown})
    else:
        rows = [(key, "none" if value is None else str(value), origin) for key, value, origin in shown]
        print_table(("setting", "value", "origin"), rows)


@app.command
def path(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """Show the files that are read, the strongest last.

    Parameters
    ----------
    as_json
        A JSON list on stdout, each with path and exists.

    """
    files = [file.absolute() for file in config.default_files(os.environ)]
    if as_json:
        print_json([{"path": str(file), "exists": file.exists()} for file in files])
    else:
        sys.stdout.write("".join(f"{file}{'' if file.exists() else '  (not there)'}\n" for file in files))

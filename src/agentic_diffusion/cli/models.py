"""`agd models`: the models that can be set up, where they are, whether they are whole."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from cyclopts import App, Parameter

from agentic_diffusion.foundation.errors import ExitCode
from agentic_diffusion.foundation.resources import format_size
from agentic_diffusion.installer import manifest, models

app = App(name="models", help="The models: which there are, where they lie, whether they are whole.")


@app.command(name="list")
def list_models(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """List the models that can be set up.

    Parameters
    ----------
    as_json
        A JSON list on stdout.

    """
    rows = []
    for entry in manifest.load().models.values():
        folder = models.folder_of(entry)
        rows.append(
            {
                "name": entry.name,
                "title": entry.title,
                "licence": entry.licence,
                "default": entry.default,
                "bytes": entry.disk,
                "folder": str(folder),
                "ready": not models.damage(entry, folder),
            }
        )
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return int(ExitCode.DONE)
    for row in rows:
        state = "ready" if row["ready"] else "not set up"
        default = ", the default" if row["default"] else ""
        size = format_size(int(str(row["bytes"])))
        sys.stdout.write(f"{row['name']}: {row['title']} ({size}, {row['licence']}{default}): {state}\n")
    return int(ExitCode.DONE)


@app.command
def verify(name: str = "default") -> int:
    """Check every byte of a model against its checksums; exit code 1 when something is wrong.

    Parameters
    ----------
    name
        The model.

    """
    entry = manifest.load().model(name)
    folder = models.folder_of(entry)
    problems = models.damage(entry, folder, every_byte=True)
    for problem in problems:
        sys.stderr.write(f"{entry.name}: {problem}\n")
    if problems:
        sys.stderr.write("hint: agd setup sets it up anew\n")
        return int(ExitCode.NEGATIVE)
    sys.stderr.write(f"{entry.name} at {folder}: every checksum is right\n")
    return int(ExitCode.DONE)


@app.command
def where(name: str = "default") -> int:
    """Print the folder of a model.

    Parameters
    ----------
    name
        The model.

    """
    sys.stdout.write(f"{models.folder_of(manifest.load().model(name))}\n")
    return int(ExitCode.DONE)

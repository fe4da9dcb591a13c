"""What the commands of `agd deps` share: their flags, uv, the project they work on."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.installer import layout as layouts
from agentic_diffusion.installer.stamp import offline_asked
from agentic_diffusion.packages import pip_settings, tested_upgrade, uv
from agentic_diffusion.packages.project import Project

Json = Annotated[bool, Parameter(name="--json", negative="")]
ProjectFolder = Annotated[Path, Parameter(name="--project")]
Offline = Annotated[bool, Parameter(negative="")]


def found_uv(*, offline: bool = False) -> uv.Uv:
    """The uv of set-up, else the one on PATH; SetupError when there is none that is new enough.

    It reaches packages as pip does (certificates, proxy), but its index stays its own: a lock that names pip's would
    be of use on this machine alone.
    """
    settings = replace(pip_settings.read(sys.executable), index_url="")
    found = uv.find(
        [str(layouts.current().tools / "uv" / "bin" / "uv"), shutil.which("uv")],
        offline=offline or offline_asked(), environment=settings.transport(os.environ),
    )  # fmt: skip
    if found is None:
        floor = ".".join(map(str, uv.FLOOR))
        raise SetupError(
            f"There is no uv {floor} or newer here.", hint="Install uv (pip install uv), or run `agd setup`."
        )
    return found


def opened(folder: Path, *, offline: bool = False) -> Project:
    """The project in a folder; an upgrade of it that was killed is ended first, and that is said."""
    project = Project.open(folder, found_uv(offline=offline))
    said = tested_upgrade.recover(project.folder)
    if said:
        events.say(said)
    return project

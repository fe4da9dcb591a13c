"""Where the third-party imports of a generated program come from, told on stderr; see `packages.generated`."""

from __future__ import annotations

from pathlib import Path

from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import AgdError
from agentic_diffusion.foundation.settings import PackagesSettings
from agentic_diffusion.packages import generated, imports, installed, lockfile
from agentic_diffusion.packages.generated import Resolution


def resolved(program: str, settings: config.Settings, project: Path) -> list[Resolution]:
    """The imports of a Python program by the environment, lock and modules of `project` and by packages.allow."""
    allowed = generated.allow_list(settings.section(PackagesSettings).allow)
    place = installed.site_packages(project)
    try:
        lock = lockfile.load(project)
    except AgdError:
        lock = None  # a folder without a lock, or with one that is none: nothing is locked
    return generated.resolve(
        program, installed=installed.read(place) if place else {}, lock=lock, allowed=allowed,
        own=imports.own_modules(project),
    )  # fmt: skip


def tell(program: str, language: str, settings: config.Settings) -> None:
    """Say which packages a program needs and which of its imports nothing vouches for; nothing for other languages."""
    if language != "python" or not program:
        return
    try:
        found = resolved(program, settings, Path())
    except (SyntaxError, ValueError):
        return  # the program does not parse, which was said already
    wanted = sorted({one.requirement for one in found if one.requirement})
    if wanted:
        events.say(f"needs {', '.join(wanted)}")
    for one in generated.refused(found):
        events.say(f"import of {one.module}: {one.note} (the setting packages.allow approves a package)")

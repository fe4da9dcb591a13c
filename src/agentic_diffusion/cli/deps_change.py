"""The commands of `agd deps` that change a project or ask the index: outdated, lock, sync, add, remove, upgrade."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

from cyclopts import Parameter

from agentic_diffusion.cli.deps_common import Json, Offline, ProjectFolder, found_uv, opened
from agentic_diffusion.cli.output import print_json, print_table
from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.foundation.resources import format_size
from agentic_diffusion.installer import bundle as bundles
from agentic_diffusion.installer import layout as layouts
from agentic_diffusion.installer import manifest, probe
from agentic_diffusion.installer.programs import run
from agentic_diffusion.installer.stamp import offline_asked
from agentic_diffusion.packages import pip_settings, platforms, tested_upgrade
from agentic_diffusion.packages.lock_diff import Change


def outdated(
    *, project: ProjectFolder = Path(), audit: bool = False, offline: Offline = False, as_json: Json = False
) -> int:
    """Show which locked packages have a newer version, those that the project asks for first.

    Parameters
    ----------
    project
        The folder with pyproject.toml and uv.lock.
    audit
        Ask for known vulnerabilities, too, where uv can.
    offline
        Never touch the network: only what uv has in its cache is known.
    as_json
        One JSON object on stdout: outdated, vulnerabilities, and whether these were checked.

    """
    here = opened(project, offline=offline)
    rows = here.outdated()
    word, findings = here.vulnerabilities() if audit else ("not checked: --audit asks for it", [])
    if as_json:
        print_json({"outdated": [row.as_dict() for row in rows], "audit": word, "vulnerabilities": findings})
        return int(ExitCode.NEGATIVE if findings else ExitCode.DONE)
    cells = [(row.name, row.version, row.latest, row.leap, "yes" if row.direct else "no") for row in rows]
    print_table(("package", "locked", "newest", "leap", "direct"), cells)
    if audit:
        events.say(f"known vulnerabilities: {len(findings) if word == 'checked' else word}")
    return int(ExitCode.NEGATIVE if findings else ExitCode.DONE)


def lock(*, project: ProjectFolder = Path(), offline: Offline = False, as_json: Json = False) -> int:
    """Bring the lock up to date with pyproject.toml and say what changed.

    Parameters
    ----------
    project
        The folder with pyproject.toml.
    offline
        Never touch the network.
    as_json
        A JSON list of the changes on stdout.

    """
    return _told(opened(project, offline=offline).lock(), as_json=as_json)


def sync(
    *, project: ProjectFolder = Path(), exact: bool = False, dry_run: bool = False, offline: Offline = False,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Install what the lock names into the project's environment.

    Parameters
    ----------
    project
        The folder with pyproject.toml and uv.lock.
    exact
        Remove packages that the lock does not know.
    dry_run
        Only say what would change.
    offline
        Never touch the network.
    as_json
        A JSON list of the changes on stdout: name, version, action.

    """
    changes = opened(project, offline=offline).sync(exact=exact, dry_run=dry_run)
    if as_json:
        print_json(changes)
    else:
        lines = [f"{change['name']} {change['version']}: {change['action']}\n" for change in changes]
        sys.stdout.write("".join(lines) or "nothing to change\n")
    return int(ExitCode.DONE)


def add(
    *requirements: str, project: ProjectFolder = Path(), group: str = "", extra: str = "", offline: Offline = False,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Add requirements to the project, lock and install them; when that fails, all is as it was.

    Parameters
    ----------
    requirements
        Such as httpx or "httpx>=0.27".
    project
        The folder with pyproject.toml.
    group
        Into this dependency group.
    extra
        Into this extra.
    offline
        Never touch the network.
    as_json
        A JSON list of the changes on stdout.

    """
    here = opened(project, offline=offline)
    return _told(here.add(requirements, group=group, extra=extra), as_json=as_json)


def remove(
    *names: str, project: ProjectFolder = Path(), group: str = "", extra: str = "", offline: Offline = False,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Take requirements out of the project, and out of the environment what nothing else needs.

    Parameters
    ----------
    names
        The packages.
    project
        The folder with pyproject.toml.
    group
        From this dependency group.
    extra
        From this extra.
    offline
        Never touch the network.
    as_json
        A JSON list of the changes on stdout.

    """
    here = opened(project, offline=offline)
    return _told(here.remove(names, group=group, extra=extra), as_json=as_json)


def upgrade(
    *names: str, project: ProjectFolder = Path(), tested: str = "",
    group: Annotated[list[str] | None, Parameter()] = None, offline: Offline = False, as_json: Json = False,
) -> int:  # fmt: skip
    """Lock the newest versions that pyproject.toml allows; with --tested keep them only when the tests pass.

    With --tested the new packages go into a throw-away environment and the command runs there. When it fails, or this
    command is interrupted or killed, pyproject.toml and uv.lock get back every byte, at the latest by the next
    `agd deps` on this project. Exit code 1 when the tests failed.

    Parameters
    ----------
    names
        Only these packages; all without one.
    project
        The folder with pyproject.toml and uv.lock.
    tested
        The test command, such as "pytest -q".
    group
        Dependency groups that the tests need, beside the default ones.
    offline
        Never touch the network.
    as_json
        One JSON object on stdout: kept, exit_code (of the tests), changes.

    """
    here = opened(project, offline=offline)
    if not tested:
        return _told(here.upgrade(names), as_json=as_json)
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        ended = tested_upgrade.upgrade(here, tested, names, groups=group or ())
    finally:
        signal.signal(signal.SIGTERM, before)
    if as_json:
        changes = [change.as_dict() for change in ended.changes]
        print_json({"kept": ended.kept, "exit_code": ended.exit_code, "changes": changes})
    elif not ended.changes:
        sys.stdout.write("nothing to upgrade\n")
    else:
        word = "kept: the tests pass" if ended.kept else f"put back: the tests ended with {ended.exit_code}"
        sys.stdout.write(f"{len(ended.changes)} changes {word}\n")
    return int(ExitCode.DONE if ended.kept else ExitCode.NEGATIVE)


def bundle(
    *, platform: str = "", python: str = "", out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("agd.tar"),
    without_torch: bool = False, without_model: bool = False, as_json: Json = False,
) -> int:  # fmt: skip
    """Pack wheels, uv, torch and the default model of this project into one file, for `./agd --bundle FILE` offline.

    Parameters
    ----------
    platform
        The system it is for, such as linux-x86_64; this one without it.
    python
        The version of Python there, such as 3.11; the one that runs without it.
    out
        The file.
    without_torch
        Leave torch out.
    without_model
        Leave the model out.
    as_json
        One JSON object on stdout: file, bytes, platform, python, files.

    """
    here = layouts.current()
    if here.root is None:
        raise UsageError("A bundle is made from a checkout of the project.", hint="Clone it and run ./agd deps bundle.")
    machine = probe.this_machine()
    order = bundles.Order(
        root=here.root, platform=platform or platforms.name_of(machine),
        python=platforms.python_of(python) if python else machine.python, torch=not without_torch,
        model=not without_model, find_links=pip_settings.read(probe.base_python()).folders(),
        cpu_index_answers=not without_torch and probe.cpu_index_answers(),
    )  # fmt: skip
    facts = bundles.make(order, out, manifest.load(here.manifest), _pip_download)
    size = out.stat().st_size
    if as_json:
        print_json(
            {"file": str(out), "bytes": size, "platform": facts.platform, "python": facts.python,
             "files": sorted(facts.files)}
        )  # fmt: skip
    else:
        sys.stdout.write(f"{out}: {len(facts.files)} files, {format_size(size)}, for {facts.platform}\n")
    return int(ExitCode.DONE)


def _pip_download(arguments: Sequence[str], purpose: str) -> None:
    """By the pip of the Python behind this environment; where it has none, by a pip that uv fetches."""
    python = probe.base_python()
    own = "pip" in probe.modules_of(python)
    tool = None if own else found_uv()
    command = [tool.path, "tool", "run", "pip"] if tool else [python, "-m", "pip"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    run(
        [*command, "download", *quiet, *arguments], purpose=purpose, tool="pip", offline=offline_asked(),
        env=tool.variables() if tool else None,
    )  # fmt: skip


def _told(changes: Sequence[Change], *, as_json: bool) -> int:
    if as_json:
        print_json([change.as_dict() for change in changes])
    else:
        sys.stdout.write("".join(f"{change.words}\n" for change in changes) or "the lock has no change\n")
    return int(ExitCode.DONE)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

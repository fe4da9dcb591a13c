"""`agd doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

import agentic_diffusion
from agentic_diffusion.cli import checks
from agentic_diffusion.foundation import resources
from agentic_diffusion.foundation.errors import ExitCode
from agentic_diffusion.installer import health, layout, setup
from agentic_diffusion.installer.stamp import offline_asked

app = App(name="doctor", help="Check this machine: what works, and what to do about the rest.")

_PARTS = {"torch": "torch", "model": "model", "sandbox": "sandbox"}
"""The checks whose remedy set-up is, and the part that it sets up."""
_MARKS = {"ok": "ok   ", "warn": "warn ", "fail": "FAIL ", "skip": "skip ", "crash": "CRASH"}


@app.default
def doctor(
    *names: str,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    list_checks: Annotated[bool, Parameter(negative="")] = False,
    offline: Annotated[bool, Parameter(negative="")] = False,
    fix: Annotated[bool, Parameter(negative="")] = False,
    report: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run the checks (all of them, or those that are named) at the same time and show what they found.

    Each check has 10 seconds. Exit code 0 when nothing failed, 1 otherwise, 2 for a name that is no check.

    Parameters
    ----------
    names
        The checks to run; all without a name.
    as_json
        One JSON object on stdout: checks, each with name, status, message and fix.
    list_checks
        Show the names of the checks and stop.
    offline
        Leave out what needs the network.
    fix
        Set up what is missing and set-up can bring (torch, model, sandbox), then look again.
    report
        A block for a bug report, without names, folders and addresses of yours.

    """
    known = checks.all_checks(offline=offline or offline_asked())
    chosen = health.chosen(known, names)
    if list_checks:
        sys.stdout.write("".join(f"{name}\n" for name in chosen))
        return int(ExitCode.DONE)
    results = health.run(chosen)
    if fix:
        results = _fixed(results, chosen, offline=offline or offline_asked())
    if report:
        sys.stdout.write(health.report(results, _facts(), _private()))
    elif as_json:
        sys.stdout.write(json.dumps({"checks": [result.as_dict() for result in results]}, indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for result in results for line in _lines(result)))
    return int(ExitCode.DONE if health.healthy(results) else ExitCode.NEGATIVE)


def _fixed(results: list[health.Result], chosen: dict[str, health.Check], *, offline: bool) -> list[health.Result]:
    """Set up what failed checks are about, and run these checks again; the others keep their results."""
    broken = [one.name for one in results if one.status in ("fail", "warn", "crash") and one.name in _PARTS]
    if not broken:
        sys.stderr.write("there is nothing that set-up could mend\n")
        return results
    wanted = frozenset({"core", *(_PARTS[name] for name in broken)})
    setup.set_up(layout.current(), setup.Request(wanted=wanted, offline=offline))
    again = {one.name: one for one in health.run({name: chosen[name] for name in broken})}
    return [again.get(one.name, one) for one in results]


def _facts() -> dict[str, str]:
    return {
        "agentic-diffusion": agentic_diffusion.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _private() -> dict[str, str]:
    """What is not to be in a report, and what stands for it."""
    known = {os.environ[name]: "~" for name in ("HOME", "AGD_HOME") if os.environ.get(name)}
    known |= {os.environ[name]: "USER" for name in ("USER", "LOGNAME") if os.environ.get(name)}
    known |= {str(Path.cwd()): "HERE", sys.prefix: "ENVIRONMENT", str(resources.home()): "DATA"}
    known[socket.gethostname()] = "HOST"
    return {key: value for key, value in known.items() if key not in ("/", "", "root")}


def _lines(result: health.Result) -> list[str]:
    lines = [f"{_MARKS[result.status]} {result.name}: {result.message}"]
    return lines + [f"      -> {result.fix}"] * bool(result.fix)

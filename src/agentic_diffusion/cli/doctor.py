"""`agd doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from cyclopts import App, Parameter

from agentic_diffusion.cli import checks
from agentic_diffusion.foundation.errors import ExitCode
from agentic_diffusion.installer import health
from agentic_diffusion.installer.stamp import offline_asked

app = App(name="doctor", help="Check this machine: what works, and what to do about the rest.")

_MARKS = {"ok": "ok   ", "warn": "warn ", "fail": "FAIL ", "skip": "skip ", "crash": "CRASH"}


@app.default
def doctor(
    *names: str,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    list_checks: Annotated[bool, Parameter(negative="")] = False,
    offline: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run the checks (all of them, or those that are named) at the same time and show what they found.

    Exit code 0 when nothing failed, 1 otherwise.

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

    """
    known = checks.all_checks(offline=offline or offline_asked())
    chosen = health.chosen(known, names)
    if list_checks:
        sys.stdout.write("".join(f"{name}\n" for name in chosen))
        return int(ExitCode.DONE)
    results = health.run(chosen)
    if as_json:
        sys.stdout.write(json.dumps({"checks": [result.as_dict() for result in results]}, indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for result in results for line in _lines(result)))
    return int(ExitCode.DONE if health.healthy(results) else ExitCode.NEGATIVE)


def _lines(result: health.Result) -> list[str]:
    lines = [f"{_MARKS[result.status]} {result.name}: {result.message}"]
    return lines + [f"      -> {result.fix}"] * bool(result.fix)

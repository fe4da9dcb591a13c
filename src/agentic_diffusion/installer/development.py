"""`./agd dev test`: the project's tests with their set-up and coverage, the one test command for people and for CI.

Results lie in `.agd/test/`. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.resources import usable_cpus
from agentic_diffusion.installer import bring, probe, setup, toolchains
from agentic_diffusion.installer import manifest as manifests
from agentic_diffusion.installer import plan as plans
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.stamp import child_environment, offline_asked


def command(place: Layout, arguments: list[str]) -> int:
    """Run `dev` with its arguments; raises UsageError for anything but `test`."""
    if arguments[:1] != ["test"]:
        raise UsageError(
            f"There is no development command {' '.join(arguments[:1]) or '(none)'!r}: test is the one.",
            hint="Run `./agd dev test`; arguments after it go to pytest.",
        )
    return test(place, arguments[1:])


def test(place: Layout, arguments: list[str]) -> int:
    """Set up everything with the development tools, run pytest under coverage, print both; pytest's exit code.

    Without arguments the whole suite runs and the coverage floor of pyproject.toml holds, too.
    """
    if place.root is None:
        raise SetupError("Only a checkout has tests.", hint="Clone the project and run ./agd dev test there.")
    offline = offline_asked()
    wanted = plans.DEVELOPMENT | _toolchains(place, offline=offline)
    stamp = setup.set_up(place, setup.Request(wanted=wanted, offline=offline))
    folder = place.state / "test"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = child_environment()
    environment["COVERAGE_FILE"] = str(folder / "coverage")
    if stamp.bubblewrap:
        environment.setdefault("AGD_BWRAP", stamp.bubblewrap)
    environment["PATH"] = f"{environment.get('PATH', os.defpath)}:{place.tools / 'uv' / 'bin'}"
    counted = folder / "junit.xml"

    def coverage(*words: str) -> int:
        run = [str(place.python), "-m", "coverage", *words]
        return subprocess.run(run, cwd=place.root, env=environment, check=False).returncode

    # The whole suite runs beside itself, a file at a time; a chosen test alone, so that its output and a debugger work.
    spread = () if arguments else ("-n", str(usable_cpus()), "--dist", "loadfile")
    tested = coverage("run", "-m", "pytest", f"--junitxml={counted}", *spread, *arguments)
    coverage("combine", "--quiet")
    covered = coverage("report", *(["--fail-under=0"] if arguments else []))
    sys.stdout.write(f"{closing_line(counted)}\n")
    sys.stdout.flush()
    return tested or covered


def _toolchains(place: Layout, *, offline: bool) -> frozenset[str]:
    """Those that are here or can be brought; the tests of the others are skipped, and it is said."""
    entries, chosen = manifests.load(place.manifest).toolchains, set()
    for name in toolchains.NAMES:
        obstacle = "" if toolchains.find(name) else "offline, it cannot be fetched" * offline
        if not obstacle and not toolchains.find(name):
            try:
                bring.check_possible(entries[name], apt=probe.apt_is_here())
            except SetupError as problem:
                obstacle = str(problem)
        if obstacle:
            events.say(f"tests that need {name} are skipped: {obstacle}")
        else:
            chosen.add(name)
    return frozenset(chosen)


def closing_line(counted: Path) -> str:
    """ "12 passed, 0 failed, 1 skipped" from pytest's XML; said to be unknown when pytest wrote none."""
    try:
        suites = list(ET.parse(counted).getroot().iter("testsuite"))  # noqa: S314 - written by our own pytest just now
    except (OSError, ET.ParseError):
        return "no test was run"
    total, failures, errors, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return f"{total - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")

"""The launcher's commands when something is to be done: setup, uninstall, dev, and the way to all others.

`agd setup` and `agd uninstall` of an installed package are the same functions with another layout.
Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from agentic_diffusion.foundation.errors import AgdError, ExitCode, SetupError, UsageError
from agentic_diffusion.installer import development, layout, setup, toolchains
from agentic_diffusion.installer import plan as plans
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.stamp import offline_asked


class _Parser(argparse.ArgumentParser):
    """argparse with our error."""

    def error(self, message: str) -> NoReturn:
        """A wrong flag."""
        raise UsageError(f"{message[:1].upper()}{message[1:].rstrip('.')}.", hint=f"See {self.prog} --help.")


def main(
    root: str, command: str, arguments: list[str], *, needs: Callable[[list[str]], frozenset[str]],
    hand_over: Callable[[str, list[str]], None],
) -> int:  # fmt: skip
    """Run a command of the launcher's own, or set up what another one needs and hand over to it."""
    # Ended by a signal, the programs that we started are to be ended, too: the way of Ctrl-C does that.
    signal.signal(signal.SIGTERM, _as_interrupt)
    place = layout.checkout(Path(root))
    as_json = "--json" in arguments
    try:
        own = {"setup": setup_command, "uninstall": uninstall_command, "dev": development.command}.get(command)
        if own:
            arguments.remove(command)
            return own(place, arguments)
        stamp = setup.set_up(
            place, setup.Request(wanted=needs(arguments), offline=offline_asked(), bundle=bundle_asked())
        )
    except AgdError as error:
        return show(error, as_json=as_json)
    except OSError as problem:
        # A set-up touches many files; what no step foresaw is still said in a sentence.
        what = f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem)
        stopped = SetupError(f"The set-up stopped: {what}.", hint="Mend that and run the same command again.")
        return show(stopped, as_json=as_json)
    hand_over(stamp.bubblewrap, arguments)
    return int(ExitCode.DONE)


def show(error: AgdError, *, as_json: bool) -> int:
    """Tell an error on stderr as the real command does; returns its exit code."""
    sys.stderr.write(f"{json.dumps(error.as_json())}\n" if as_json else f"error: {error}\n")
    return int(error.exit_code)


def setup_command(place: Layout, arguments: list[str]) -> int:
    """`agd setup`: everything that `agd generate` needs; with --dry-run only the plan."""
    parser = _Parser(prog="agd setup", description="Make everything ready: packages, torch, sandbox, model.")
    parser.add_argument("--dry-run", action="store_true", help="show the steps and their sizes; change nothing")
    parser.add_argument("--json", action="store_true", help="the plan as JSON on stdout")
    parser.add_argument("--offline", action="store_true", help="never touch the network")
    parser.add_argument("--dev", action="store_true", help="the development tools, too")
    parser.add_argument(
        "--languages", default="", metavar="NAMES", help="the toolchains of these languages, too: java,go or all"
    )
    parser.add_argument(
        "--profile", default="default", choices=list(plans.PROFILES),
        help="minimal: packages alone; default: all that generating Python needs; full: every language, too",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    return run_setup(
        place, dry_run=options.dry_run, as_json=options.json, offline=options.offline, development=options.dev,
        languages=options.languages, profile=options.profile,
    )  # fmt: skip


def run_setup(
    place: Layout, *, dry_run: bool = False, as_json: bool = False, offline: bool = False, development: bool = False,
    languages: str = "", profile: str = "default",
) -> int:  # fmt: skip
    """Show the plan (`dry_run`) or carry it out; the plan goes to stdout as JSON when `as_json`.

    `profile` is one of `plan.PROFILES`; `languages` names those whose toolchains are wanted, too ("java,go").
    """
    tools = toolchains.needed_for(languages) if languages else ()
    request = setup.Request(
        wanted=plans.PROFILES[profile] | (plans.DEVELOPMENT if development else plans.CORE) | frozenset(tools),
        offline=offline or offline_asked(),
        bundle=bundle_asked(),
    )
    if dry_run or as_json:
        plan, _ = setup.plan_for(place, request)
        text = plan.as_json() if as_json else "\n".join(plan.lines())
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    if not dry_run:
        setup.set_up(place, request)
        sys.stderr.write("everything is ready\n")
    return int(ExitCode.DONE)


def uninstall_command(place: Layout, arguments: list[str]) -> int:
    """`agd uninstall`: remove what set-up made."""
    parser = _Parser(prog="agd uninstall", description="Remove what set-up made in this folder.")
    parser.add_argument("--models", action="store_true", help="the models and toolchains in the data folder, too")
    return run_uninstall(place, with_models=parser.parse_args(arguments).models)


def run_uninstall(place: Layout, *, with_models: bool) -> int:
    """Remove what set-up made and say what that was."""
    removed = setup.uninstall(place, with_models=with_models)
    for line in removed or ["there was nothing to remove"]:
        sys.stderr.write(f"{line}\n")
    return int(ExitCode.DONE)


def bundle_asked() -> str:
    """The bundle that `--bundle` named; empty for none."""
    return os.environ.get("AGD_BUNDLE", "")


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

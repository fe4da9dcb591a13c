"""Checks of the machine: independent, at the same time, each with a time limit; a check that crashes is a result, too.

    ok     as it should be
    warn   works, but something is slower or weaker than it could be
    fail   something that is needed does not work
    skip   not looked at, and why
    crash  the check itself broke

Standard library only; what a check looks at may be more.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from agentic_diffusion.foundation.errors import AgdError, UsageError

Status = Literal["ok", "warn", "fail", "skip", "crash"]
SECONDS = 10.0
"""Time limit of one check."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found."""

    status: Status
    """See above."""
    message: str
    """One sentence or less."""
    fix: str = ""
    """A command or a deed that mends it; empty where nothing is to be mended."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finding with the name of its check."""

    name: str
    """The check."""
    status: Status
    """See above."""
    message: str
    """What was found."""
    fix: str
    """What mends it."""

    def as_dict(self) -> dict[str, str]:
        """JSON-ready: name, status, message, fix."""
        return asdict(self)


Check = Callable[[], Finding]


def chosen(checks: Mapping[str, Check], names: Sequence[str]) -> dict[str, Check]:
    """The checks of these names, or all; raises UsageError for an unknown name."""
    unknown = [name for name in names if name not in checks]
    if unknown:
        raise UsageError(f"There is no check {unknown[0]!r}.", hint=f"Known are: {', '.join(checks)}.")
    return {name: check for name, check in checks.items() if not names or name in names}


def run(checks: Mapping[str, Check], *, seconds: float = SECONDS) -> list[Result]:
    """Run all checks at once and return their results in the order of `checks`."""
    found: dict[str, Finding] = {}

    def one(name: str, check: Check) -> None:
        try:
            found[name] = check()
        except AgdError as error:
            found[name] = Finding(status="fail", message=error.message, fix=error.hint)
        except Exception as error:  # noqa: BLE001 - a crashing check is a result, not the end of the others
            found[name] = Finding(status="crash", message=f"{type(error).__name__}: {error}", fix="report this")

    threads = [threading.Thread(target=one, args=item, daemon=True) for item in checks.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = Finding(status="crash", message=f"no answer within {seconds:g} s", fix="run this check alone")
    return [Result(name=name, **asdict(found.get(name, late))) for name in checks]


def scrubbed(text: str, private: Mapping[str, str]) -> str:
    """A text without what tells who and where somebody is: each key of `private` becomes its value, the longest first.

    Passwords in addresses go, too; private ones and host names are the caller's to name.
    """
    text = re.sub(r"(?<=://)[^\s/@]+@", "", text)
    for known in sorted((name for name in private if len(name) > 1), key=len, reverse=True):
        # a name of letters is replaced as a word, so that "al" does not tear "also"
        bounds = (r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])") if known.isalnum() else ("", "")
        text = re.sub(bounds[0] + re.escape(known) + bounds[1], lambda _: private[known], text)  # noqa: B023
    return text


def report(results: Sequence[Result], facts: Mapping[str, str], private: Mapping[str, str]) -> str:
    """A block for a bug report: facts and findings in Markdown, without personal data (see `scrubbed`)."""
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines += [f"- {result.name}: {result.status}: {result.message}" for result in results]
    return scrubbed("\n".join(["```", *lines, "```"]) + "\n", private)


def healthy(results: Sequence[Result]) -> bool:
    """Whether nothing failed or crashed."""
    return not any(result.status in ("fail", "crash") for result in results)

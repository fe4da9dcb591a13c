"""uv, the tool that installs packages here: found, checked for its version, run with what it needs to know.

Every call goes through `Uv.run`: no Python is downloaded, uv's own output is kept off stdout, and a failure becomes a
SetupError with uv's own last words. Standard library only.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentic_diffusion.foundation.errors import ResourceError, SetupError

FLOOR = (0, 7, 0)
"""The oldest uv that reads our lock file and knows every option that we use."""
_VERSION = re.compile(r"uv (\d+)\.(\d+)\.(\d+)")
_VERSION_SECONDS = 20
_NOT_HANDED_OVER = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT")
_HINT = re.compile(r"^\s*(?:hint|help|note):", re.IGNORECASE)
_ERROR = re.compile(r"^(?:error:|\s*×)", re.IGNORECASE)
_BROKEN = re.compile(r"^ {7}(?!caused by:)\S", re.IGNORECASE)
_WORDS = re.compile(r"^[\s×╰├│─▶▷>-]*(?:error:|warning:|caused by:|help:|hint:)?\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Uv:
    """A uv that runs here."""

    path: str
    """The program."""
    version: tuple[int, int, int]
    """Its version."""
    offline: bool = False
    """Whether the network is forbidden."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables (see `pip_settings`)."""

    @property
    def version_text(self) -> str:
        """For people: "0.9.1"."""
        return ".".join(map(str, self.version))

    def variables(self) -> dict[str, str]:
        """The environment of every call."""
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_OVER}
        own = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
        if self.offline:
            own["UV_OFFLINE"] = "1"
        return {**kept, **self.environment, **own}

    def run(self, arguments: Sequence[str], *, purpose: str, extra: Mapping[str, str] | None = None) -> str:
        """Run uv and return its stdout; raises SetupError ("... failed while it should PURPOSE") when uv fails."""
        try:
            done = subprocess.run(
                [self.path, *arguments], env={**self.variables(), **(extra or {})},
                capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        except OSError as error:
            raise SetupError(
                f"uv at {self.path} does not start: {error.strerror or error}.", hint="Install uv again."
            ) from error
        if done.returncode != 0:
            raise failure(purpose, done.stderr, offline=self.offline)
        return done.stdout


def failure(purpose: str, stderr: str, *, offline: bool, tool: str = "uv") -> SetupError:
    """The error for a call of uv (or another tool) that ended badly: its last words, and what to do about them."""
    words = last_words(stderr)
    low = stderr.lower()
    if "no space left" in low or "os error 28" in low or "quota exceeded" in low:
        return ResourceError(
            f"The disk is full: {tool} could not {purpose} ({words}).",
            hint="Free some space and run the same command again; UV_CACHE_DIR moves uv's cache to another disk.",
        )
    lacking = any(sign in low for sign in ("network", "download", "fetch", "not found in the cache", "no solution"))
    if (offline and lacking) or "network connectivity is disabled" in low:
        return SetupError(
            f"Offline, {tool} could not {purpose}: {words}.",
            hint="Run the same command once with network (without --offline and AGD_OFFLINE); later runs need none.",
        )
    if any(
        sign in low
        for sign in (
            "dns error",
            "error sending request",
            "connect error",
            "timed out",
            "tls",
            "name resolution",
            "connection refused",
            "newconnectionerror",
        )
    ):
        return SetupError(
            f"{tool} could not {purpose}, the package index was not reached: {words}.",
            hint="Check network and proxy (HTTPS_PROXY), or pip's index configuration; then run the command again.",
        )
    return SetupError(f"{tool} could not {purpose}: {words}.", hint="Mend that and run the same command again.")


def last_words(stderr: str) -> str:
    """What went wrong, on one line: the first error of uv's, else its last line.

    Where COLUMNS is set uv breaks an error into several lines, indented under the first.
    """
    lines: list[str] = []
    for line in stderr.splitlines():
        if not _WORDS.sub("", line).strip() or _HINT.match(line):
            continue
        if lines and _ERROR.match(lines[-1]) and _BROKEN.match(line):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    errors = [line for line in lines if _ERROR.match(line)]
    chosen = (errors[:1] or lines[-1:] or ["it gave no reason"])[0]
    return _WORDS.sub("", chosen).strip().rstrip(".")


def find(
    places: Sequence[str | None], *, offline: bool = False, environment: Mapping[str, str] | None = None
) -> Uv | None:
    """The first of `places` that is a running uv of at least FLOOR; None if there is none."""
    for place in places:
        version = version_of(place) if place else None
        if place and version and version >= FLOOR:
            return Uv(path=str(Path(place)), version=version, offline=offline, environment=dict(environment or {}))
    return None


def version_of(path: str) -> tuple[int, int, int] | None:
    """The version that the program at `path` reports; None if it does not run or is no uv."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.match(said)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None

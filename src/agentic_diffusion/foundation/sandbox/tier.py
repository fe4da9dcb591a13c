"""What the tiers share: a program is checked, launched as the tier confines it, and run to its end or kept alive.

Standard library only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentic_diffusion.foundation.sandbox.base import Completed, Limits, check_files
from agentic_diffusion.foundation.sandbox.process import Launch, Running


class Tier(ABC):
    """A sandbox but for how it confines a program, which `_launch` says."""

    def run(
        self,
        argv: Sequence[str],
        *,
        files: Mapping[str, bytes] | None = None,
        stdin: bytes = b"",
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        read_only: Sequence[Path] = (),
    ) -> Completed:
        """Run a program to its end; see `Sandbox.run`."""
        launch = self._checked(argv, files or {}, limits or Limits(), env, read_only)
        return Running(launch, protocol=False, stdin=stdin).wait()

    def start(
        self,
        argv: Sequence[str],
        *,
        files: Mapping[str, bytes] | None = None,
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        read_only: Sequence[Path] = (),
    ) -> Running:
        """Start a long-lived program; see `Sandbox.start`."""
        return Running(self._checked(argv, files or {}, limits or Limits(), env, read_only), protocol=True)

    def _checked(
        self,
        argv: Sequence[str],
        files: Mapping[str, bytes],
        limits: Limits,
        env: Mapping[str, str] | None,
        read_only: Sequence[Path],
    ) -> Launch:
        check_files(files)
        return self._launch(argv, files, limits, env, read_only)

    @abstractmethod
    def _launch(
        self,
        argv: Sequence[str],
        files: Mapping[str, bytes],
        limits: Limits,
        env: Mapping[str, str] | None,
        read_only: Sequence[Path],
    ) -> Launch:
        """How the program is started, and with which walls around it; `files` were checked."""

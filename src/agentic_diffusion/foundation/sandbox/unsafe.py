"""Tier "none": no sandbox at all, only rlimits, and the end of every process that was started.

For people who trust the programs, by `--unsafe-no-sandbox`. A program can read and write what its user can, and use the
network. Run as root, it stays root.
Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agentic_diffusion.foundation.sandbox import inside
from agentic_diffusion.foundation.sandbox.base import Limits
from agentic_diffusion.foundation.sandbox.process import Launch
from agentic_diffusion.foundation.sandbox.tier import Tier


class Unsafe(Tier):
    """Runs programs with limits, and without any wall around them."""

    tier = "none"

    @property
    def covers(self) -> Mapping[str, str]:
        """What this tier covers: accidents, not attacks."""
        return {
            "network": "not covered",
            "writes outside": "not covered",
            "reads outside": "not covered",
            "processes": "the number is polled; RLIMIT_NPROC does not count root's",
            "memory of one process": "RLIMIT_AS",
            "memory in sum": "resident memory polled every 20 ms; a short burst can go beyond",
            "disk": "RLIMIT_FSIZE for one file; the scratch folder is polled, other places are not covered",
            "output": "cut by the reader, which then ends the program",
            "survivors": "the warden adopts every orphan and kills until nobody is left",
            "other processes": "not covered",
            "kernel surface": "not covered",
        }

    @property
    def sweeps(self) -> bool:
        """Whether "kill everybody" inside reaches nobody outside."""
        return False

    @property
    def private_memory(self) -> bool:
        """Whether /dev/shm inside belongs to the sandbox alone, so that it may be emptied there."""
        return False

    def _launch(
        self,
        argv: Sequence[str],
        files: Mapping[str, bytes],
        limits: Limits,
        env: Mapping[str, str] | None,
        read_only: Sequence[Path],
    ) -> Launch:
        del read_only  # everything can be read here
        program = inside.resolve(argv)
        scratch = inside.new_scratch(files, None)
        return Launch(argv=program, environment=inside.environment(env, str(scratch)), limits=limits, scratch=scratch)

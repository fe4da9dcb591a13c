"""What every sandbox tier promises: limits, the result of a run, and the protocols of a sandbox and of its processes.

Conventions: times are seconds, sizes are bytes. `status` is the exit code, or 128 + N when signal N ended the program.
A program starts in a fresh, empty scratch folder that holds only the `files` handed in; HOME and TMPDIR point at it.
The program of `start` reads requests from file descriptor 3 and writes replies to file descriptor 4.
Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

from agentic_diffusion.foundation.errors import ConfigError

MIB = 1024 * 1024
REQUEST_FD = 3
"""The descriptor from which a long-lived program reads its requests."""
REPLY_FD = 4
"""The descriptor to which a long-lived program writes its replies."""

COVER_KEYS = (
    "network",
    "writes outside",
    "reads outside",
    "processes",
    "memory of one process",
    "memory in sum",
    "disk",
    "output",
    "survivors",
    "other processes",
    "kernel surface",
)
"""The rows of every tier's table `covers`."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a sandboxed program may use; whatever goes beyond is stopped, and the result says which limit it was."""

    seconds: float = 10.0
    """Wall-clock time of the whole program."""
    cpu_seconds: int = 10
    """Processor time of one process."""
    memory_bytes: int = 512 * MIB
    """Address space of one process, and resident memory of all processes together."""
    reserved_bytes: int = 0
    """Address space of one process on top, which virtual machines reserve without using it."""
    processes: int = 32
    """Processes and threads alive at once."""
    file_bytes: int = 16 * MIB
    """Size of one written file."""
    scratch_bytes: int = 64 * MIB
    """Size of the scratch folder as a whole."""
    output_bytes: int = MIB
    """How much is kept of standard output and of standard error each; more than that ends the program."""

    def __post_init__(self) -> None:
        """Refuse limits that no program could start under."""
        floors = {
            "seconds": 0.01,
            "cpu_seconds": 1,
            "memory_bytes": 16 * MIB,
            "reserved_bytes": 0,
            "processes": 1,
            "file_bytes": 0,
            "scratch_bytes": 4096,
            "output_bytes": 0,
        }
        for name, floor in floors.items():
            given = getattr(self, name)
            if given < floor:
                raise ConfigError(
                    f"The sandbox limit {name} is {given}, and it must be at least {floor}.",
                    hint=f"raise {name}, or leave it at its default",
                )

    def having(self, **changes: float) -> Limits:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a sandboxed program ended."""

    status: int
    """Exit code, or 128 + N when signal N ended the program."""
    stdout: bytes
    """At most `Limits.output_bytes` of it."""
    stderr: bytes
    """At most `Limits.output_bytes` of it."""
    timed_out: bool
    """True when the wall-clock limit ended the program."""
    killed_by: str | None
    """The limit that ended it: "time", "memory", "output", "scratch" or "processes"; None when it ended by itself."""
    truncated: bool
    """True when output was cut."""
    seconds: float
    """Wall-clock time from start to end."""
    peak_memory: int
    """Largest resident memory seen, in bytes."""


class SandboxProcess(Protocol):
    """A long-lived program inside a sandbox, spoken to by lines."""

    def send(self, line: bytes) -> None:
        """Write one line (the newline is added); SandboxError when the program has gone."""

    def receive(self, timeout: float) -> bytes | None:
        """The next line without its newline; None after `timeout` seconds or when the program has gone."""

    def alive(self) -> bool:
        """Whether the program still runs."""

    def close(self) -> Completed:
        """Stop the program and everything it started, and say how it ended; a second call returns the same."""

    def __enter__(self) -> SandboxProcess:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class Sandbox(Protocol):
    """One way of running untrusted programs."""

    @property
    def tier(self) -> str:
        """Its name: "bubblewrap", "landlock" or "none"."""

    @property
    def covers(self) -> Mapping[str, str]:
        """For every key of `COVER_KEYS`, how it is covered; a text that begins with "not covered" says so."""

    @property
    def sweeps(self) -> bool:
        """Whether a program inside may signal "everybody" (kill -1) and reach nobody outside."""

    @property
    def private_memory(self) -> bool:
        """Whether /dev/shm inside belongs to the sandbox alone, so that it may be emptied there."""

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
        """Run a program to its end.

        `files` maps plain names to contents placed into the scratch folder, `env` is the whole environment beside HOME,
        TMPDIR and PATH, `read_only` names further folders that it may read. SandboxError when it cannot be started.
        """

    def start(
        self,
        argv: Sequence[str],
        *,
        files: Mapping[str, bytes] | None = None,
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        read_only: Sequence[Path] = (),
    ) -> SandboxProcess:
        """Start a long-lived program that answers lines (see `SandboxProcess`); arguments as in `run`."""


def check_files(files: Mapping[str, bytes]) -> None:
    """Refuse file names that are not plain names inside the scratch folder."""
    for name in files:
        if not name or name in {".", ".."} or "/" in name or "\0" in name:
            raise ConfigError(
                f"The sandbox file name {name!r} is not a plain file name.",
                hint="hand over names without folders; the program can make folders itself",
            )

"""Tier "landlock": no namespaces needed; Landlock, our system-call filter, no_new_privs, rlimits, a user of its own.

For machines on which bubblewrap cannot work (containers, restricted user namespaces). Landlock decides what may be
opened, the filter refuses sockets and what Landlock does not see, the warden polls memory, processes and disk in sum.
Run as root, each program becomes a user of its own, so that RLIMIT_NPROC counts it alone.
Standard library only.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentic_diffusion.foundation.errors import SandboxError
from agentic_diffusion.foundation.sandbox import inside, kernel, seccomp
from agentic_diffusion.foundation.sandbox.base import Limits
from agentic_diffusion.foundation.sandbox.process import Launch
from agentic_diffusion.foundation.sandbox.tier import Tier

USERS = range(64000, 65000)
"""User numbers that sandboxed programs take when we are root; no distribution gives these to people."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
ABI_NETWORK, ABI_SCOPE = 4, 6


class Landlock(Tier):
    """Runs programs under Landlock."""

    tier = "landlock"

    def __init__(self) -> None:
        """SandboxError when this kernel has no Landlock."""
        self.abi = kernel.landlock_abi()
        if self.abi < 1:
            raise SandboxError(
                "This kernel has no Landlock, or it is switched off.",
                hint="use a kernel from 5.13 on with landlock in its list of security modules",
            )

    @property
    def covers(self) -> Mapping[str, str]:
        """What this tier covers, and by what."""
        root = os.getuid() == 0
        own_user = "a user of its own"
        outside = "Landlock (signals stay inside)" if self.abi >= ABI_SCOPE else None
        return {
            "network": "the filter refuses every socket but pairs"
            + (", Landlock refuses TCP" if self.abi >= ABI_NETWORK else ""),
            "writes outside": "Landlock; " + (own_user if root else "the filter refuses changes of metadata"),
            "reads outside": "Landlock: system folders and Python only; names and sizes elsewhere stay visible to stat",
            "processes": f"RLIMIT_NPROC for {own_user}"
            if root
            else "RLIMIT_NPROC, counted with the user's other tasks",
            "memory of one process": "RLIMIT_AS",
            "memory in sum": "resident memory polled every 20 ms; a short burst can go beyond",
            "disk": "RLIMIT_FSIZE for one file; the sum is polled, a short burst can go beyond",
            "output": "cut by the reader, which then ends the program",
            "survivors": "the warden adopts every orphan and kills until nobody is left",
            "other processes": outside
            or (own_user if root else "not covered: signals to the same user's processes need Landlock ABI 6"),
            "kernel surface": "filter: namespaces, mounts, bpf, keys, perf, userfaultfd, io_uring, ptrace answer EPERM",
        }

    @property
    def sweeps(self) -> bool:
        """Whether "kill everybody" inside reaches nobody outside."""
        return os.getuid() == 0 or self.abi >= ABI_SCOPE

    @property
    def private_memory(self) -> bool:
        """Whether /dev/shm inside belongs to the sandbox alone, so that it may be emptied there."""
        return False  # it is everybody's, and Landlock lets nothing inside list it or write to it

    def _launch(
        self,
        argv: Sequence[str],
        files: Mapping[str, bytes],
        limits: Limits,
        env: Mapping[str, str] | None,
        read_only: Sequence[Path],
    ) -> Launch:
        program = inside.resolve(argv)
        user = free_user() if os.getuid() == 0 else None
        scratch = inside.new_scratch(files, user)
        folders = [*inside.python_folders(), *read_only]
        readable = [*inside.SYSTEM_FOLDERS, *inside.SYSTEM_FILES, *map(str, folders)]
        return Launch(
            argv=program,
            environment=inside.environment(env, str(scratch)),
            limits=limits,
            user=user,
            may_search=user is not None and not all(_open_to_all(path) for path in (*folders, scratch.parent)),
            landlock={
                "readable": readable,
                "devices": list(DEVICES),
                "writable": [str(scratch)],
                "filter": seccomp.assemble(private=False, owns_files=user is None).hex(),
            },
            scratch=scratch,
        )


def free_user() -> int:
    """A user number of `USERS` that no process has at this moment."""
    taken = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                taken.add(entry.stat().st_uid)
            except OSError:
                continue
    free = [user for user in USERS if user not in taken]
    if not free:
        raise SandboxError(
            f"All {len(USERS)} users for sandboxed programs are in use.",
            hint="wait for other runs to end",
        )
    return random.SystemRandom().choice(free)


def _open_to_all(path: Path) -> bool:
    """Whether every user may enter `path`: each folder on the way has the right to search for others."""
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))

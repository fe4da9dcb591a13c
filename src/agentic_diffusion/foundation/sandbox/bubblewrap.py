"""Tier "bubblewrap": namespaces by bubblewrap, our system-call filter, rlimits, and a control group where one works.

The program sees a file system made of read-only system folders and a private scratch folder of limited size in memory,
its own process table, no network but a loopback of its own, and no home. See SECURITY.md for what that covers.
Traps minded here: bubblewrap's /dev, /dev/shm and root folder are writable without limit unless made otherwise, and so
are some kernel settings in /proc when root starts it;
its missing parent folders are closed to others; run as root, its "unprivileged" user is still root outside, whose
processes RLIMIT_NPROC does not count (then a control group counts them, or a real user is taken).
Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agentic_diffusion.foundation import resources
from agentic_diffusion.foundation.errors import SandboxError
from agentic_diffusion.foundation.sandbox import cgroup, inside, process, seccomp
from agentic_diffusion.foundation.sandbox.base import Limits
from agentic_diffusion.foundation.sandbox.landlock import free_user
from agentic_diffusion.foundation.sandbox.process import Launch
from agentic_diffusion.foundation.sandbox.tier import Tier

SCRATCH = "/scratch"
SHARED_MEMORY = 16 * 1024 * 1024


class Bubblewrap(Tier):
    """Runs programs by bubblewrap."""

    tier = "bubblewrap"

    def __init__(self, program: Path | None = None, *, control_group: bool = True) -> None:
        """`program` is the bubblewrap to use, by default the one found; without `control_group` none is made."""
        found = program or find()
        if found is None:
            raise SandboxError(
                "bubblewrap is not installed.",
                hint="install it (Debian, Ubuntu: apt install bubblewrap), or name its path in AGD_BWRAP",
            )
        self.program = found
        self.grouped = control_group and groups_work()
        # root's processes are not counted by RLIMIT_NPROC
        self.drop = os.getuid() == 0 and not self.grouped

    @property
    def covers(self) -> Mapping[str, str]:
        """What this tier covers, and by what."""
        counted = "control group" if self.grouped else None
        return {
            "network": "own network namespace; the filter allows unix sockets only",
            "writes outside": "own mount namespace, everything else read-only",
            "reads outside": "own mount namespace: system folders and Python only; no home, no /tmp",
            "processes": f"{counted or 'RLIMIT_NPROC in an own user namespace'}",
            "memory of one process": "RLIMIT_AS",
            "memory in sum": counted or "resident memory polled every 20 ms; a short burst can go beyond",
            "disk": "scratch in memory with a fixed size, RLIMIT_FSIZE for one file",
            "output": "cut by the reader, which then ends the program",
            "survivors": "own process namespace: all die with it",
            "other processes": "own process namespace",
            "kernel surface": "filter: namespaces, mounts, bpf, keys, perf, userfaultfd, io_uring, ptrace answer EPERM",
        }

    @property
    def sweeps(self) -> bool:
        """Whether "kill everybody" inside reaches nobody outside."""
        return True

    @property
    def private_memory(self) -> bool:
        """Whether /dev/shm inside belongs to the sandbox alone, so that it may be emptied there."""
        return True

    def _launch(
        self,
        argv: Sequence[str],
        files: Mapping[str, bytes],
        limits: Limits,
        env: Mapping[str, str] | None,
        read_only: Sequence[Path],
    ) -> Launch:
        program = inside.resolve(argv)
        filtered = in_memory(seccomp.assemble(private=True))
        descriptors = [filtered]
        copies: list[str] = []
        for name, content in files.items():
            descriptors.append(in_memory(content))
            copies += ["--perms", "0644", "--file", str(descriptors[-1]), f"{SCRATCH}/{name}"]
        mounts = _mounts((*inside.python_folders(), *read_only))
        words = [
            *(str(self.program), "--die-with-parent", "--new-session", "--unshare-user", "--unshare-ipc"),
            *("--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"),
            *("--uid", "65534", "--gid", "65534", "--hostname", "sandbox"),
            *mounts,
            *("--proc", "/proc", "--dev", "/dev", "--size", str(SHARED_MEMORY), "--tmpfs", "/dev/shm"),  # noqa: S108
            *("--perms", "0755", "--size", str(limits.scratch_bytes), "--tmpfs", SCRATCH),
            *copies,
            *([] if "/tmp" in mounts else ["--symlink", SCRATCH, "/tmp"]),  # noqa: S108
            *("--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro", "/"),
            *("--chdir", SCRATCH, "--seccomp", str(filtered)),
            *("--json-status-fd", "{events}", "--block-fd", "{gate}", "--", *program),
        ]
        return Launch(
            argv=words,
            environment=inside.environment(env, SCRATCH),
            limits=limits,
            bubblewrap=True,
            control_group=self.grouped,
            user=free_user() if self.drop else None,
            descriptors=descriptors,
        )


def find() -> Path | None:
    """The bubblewrap to use: AGD_BWRAP, else the one on PATH, else the one in our own tools folder."""
    named = os.environ.get("AGD_BWRAP")
    if named:
        return Path(named) if os.access(named, os.X_OK) else None
    on_path = shutil.which("bwrap")
    if on_path:
        return Path(on_path)
    own = resources.home() / "tools" / "bin" / "bwrap"
    return own if os.access(own, os.X_OK) else None


def groups_work() -> bool:
    """Whether a control group with both limits can really be made here; makes one and removes it."""
    group = cgroup.create(f"agd-probe-{os.getpid()}", processes=8, memory_bytes=64 * 1024 * 1024)
    return group is not None and group.remove()


def in_memory(content: bytes) -> int:
    """A descriptor of an unnamed file in memory that holds `content`, above the numbers that programs use."""
    low = os.memfd_create("agd")
    with os.fdopen(low, "wb", closefd=False) as stream:
        stream.write(content)
    os.lseek(low, 0, os.SEEK_SET)
    high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, process.HIGH)
    os.close(low)
    return high


def _mounts(folders: Iterable[Path]) -> list[str]:
    """bubblewrap's words for the read-only view: system folders as they are here, then `folders` with their parents."""
    words: list[str] = []
    for name in inside.SYSTEM_FOLDERS:
        if Path(name).is_symlink():
            words += ["--symlink", str(Path(name).readlink()), name]
        elif Path(name).exists():
            words += ["--ro-bind", name, name]
    made = {"/"}
    for path in inside.SYSTEM_FILES:
        if Path(path).exists():
            words += [*_parents(Path(path), made), "--ro-bind", path, path]
    for folder in folders:
        if any(folder.is_relative_to(name) for name in inside.SYSTEM_FOLDERS):
            continue
        words += [*_parents(folder, made), "--ro-bind", str(folder), str(folder)]
    return words


def _parents(path: Path, made: set[str]) -> list[str]:
    """Words that make the parents of `path` enterable; bubblewrap's own would be closed to others."""
    words: list[str] = []
    for parent in reversed(path.parents):
        if str(parent) not in made:
            made.add(str(parent))
            words += ["--perms", "0755", "--dir", str(parent)]
    return words

"""A fresh control group for one sandbox: processes and memory counted together, version 1 and version 2.

The group is a child of the caller's own group, so that what the caller is accounted for stays accounted for. A group is
used once and removed: exiting tasks still count for a moment, so a group used again could refuse the next program.
`create` returns None wherever that is not possible (no rights, no controllers): the limits then rest on rlimits and on
polling. Sources: the kernel's admin-guide/cgroup-v1 and cgroup-v2.
Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


class ControlGroup:
    """The folders of one group: one folder in version 2, one for each controller in version 1."""

    def __init__(self, folders: dict[str, Path]) -> None:
        """`folders` maps "pids" and "memory" to the folder that counts them."""
        self.folders = folders

    def add(self, process: int) -> None:
        """Move a process (and so everything it starts from now on) into the group."""
        for folder in set(self.folders.values()):
            (folder / "cgroup.procs").write_text(str(process))

    def out_of_memory(self) -> bool:
        """Whether the kernel killed a process of the group for memory."""
        for name in ("memory.events", "memory.oom_control"):
            for line in _read(self.folders["memory"] / name).splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill" and value.strip() not in {"", "0"}:
                    return True
        return False

    def peak(self) -> int:
        """Largest memory use seen by the kernel, in bytes; 0 where it does not say."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            text = _read(self.folders["memory"] / name).strip()
            if text.isdigit():
                return int(text)
        return 0

    def kill(self) -> None:
        """Kill every process of the group at once, where the kernel can (version 2)."""
        for folder in set(self.folders.values()):
            if (folder / "cgroup.kill").exists():
                with contextlib.suppress(OSError):
                    (folder / "cgroup.kill").write_text("1")

    def remove(self, patience: float = 2.0) -> bool:
        """Remove the folders once they are empty, waiting at most `patience` seconds; whether all are gone."""
        end = time.monotonic() + patience
        left = set(self.folders.values())
        while left:
            for folder in sorted(left):
                with contextlib.suppress(OSError):
                    folder.rmdir()
                if not folder.exists():
                    left.discard(folder)
            if not left or time.monotonic() > end:
                break
            time.sleep(0.005)
        return not left


def create(
    name: str, *, processes: int, memory_bytes: int, mount: Path = MOUNT, own: str | None = None
) -> ControlGroup | None:
    """A new group called `name` under the caller's own, limited to `processes` tasks and `memory_bytes` without swap.

    `own` is the text of /proc/self/cgroup. None when the groups here cannot be written or do not hold the limit.
    """
    own = _read(Path("/proc/self/cgroup")) if own is None else own
    parents = _parents(own, mount)
    if not {"pids", "memory"} <= parents.keys():
        return None
    folders: dict[str, Path] = {}
    group = ControlGroup(folders)
    try:
        for controller in ("pids", "memory"):
            folder = parents[controller] / name
            if not folder.exists():
                folder.mkdir()
            folders[controller] = folder
        _limit(folders["pids"], "pids.max", processes)
        unified = (folders["memory"] / "memory.max").exists()
        _limit(folders["memory"], "memory.max" if unified else "memory.limit_in_bytes", memory_bytes)
    except OSError:
        group.remove(0.0)
        return None
    swap = "memory.swap.max" if unified else "memory.memsw.limit_in_bytes"
    with contextlib.suppress(OSError):  # absent without swap accounting, and then there is nothing to limit
        (folders["memory"] / swap).write_text("0" if unified else str(memory_bytes))
    return group


def _limit(folder: Path, name: str, value: int) -> None:
    """Write a limit and read it back: a file that swallows the number is not a limit."""
    (folder / name).write_text(str(value))
    held = _read(folder / name).strip()
    page = os.sysconf("SC_PAGE_SIZE")
    if not held.isdigit() or abs(int(held) - value) >= page:
        raise OSError(f"{folder / name} holds {held} instead of {value}")


def _parents(own: str, mount: Path) -> dict[str, Path]:
    """For "pids" and "memory", the folder of the caller's own group where children can be made."""
    found: dict[str, Path] = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in ("pids", "memory"):
            if controller in controllers.split(","):
                found[controller] = mount / controller / path.lstrip("/")
    for line in own.splitlines():
        if line.startswith("0::"):
            folder = mount / line[3:].lstrip("/")
            offered = _read(folder / "cgroup.subtree_control").split()
            for controller in ("pids", "memory"):
                if controller in offered:
                    found.setdefault(controller, folder)
    return {controller: folder for controller, folder in found.items() if os.access(folder, os.W_OK)}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

"""Time, processors, memory, disk and folders: what this machine has left, asked before the work.

Units: seconds and bytes. A cgroup limit counts as the machine's own, since a container sees no more than that.
Functions ending in `_at` read given files, so that they can be checked against any machine's; the plain names read
ours.
Standard library only.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import resource
import shutil
import stat
import sys
import time
import uuid
from pathlib import Path
from typing import NoReturn

from agentic_diffusion.foundation.errors import AgdError, ResourceError, SetupError, UsageError

_DURATION_UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZE_UNITS = {"": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate(("", "k", "m", "g", "t"))
    for suffix, base in (("b", 1000), ("ib", 1024), *((("", 1000),) if prefix else ()))
    if prefix or suffix == "b"
}
_QUANTITY = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>[A-Za-z]*)\s*")
_CGROUP_MOUNT = Path("/sys/fs/cgroup")


class Budget:
    """A time budget that starts when it is made; the clock is monotonic.

    `seconds` None means without end: `remaining()` is infinite and it is never exhausted.
    """

    def __init__(self, seconds: float | None) -> None:
        """Start the clock; raises UsageError for a negative or not-a-number budget."""
        if seconds is not None and not seconds >= 0:
            raise UsageError(
                f"A time budget of {seconds} seconds is not possible: it must be 0 or more.",
                hint="Give a budget such as 60s, 2m or 1h.",
            )
        self.seconds = seconds
        self._start = time.monotonic()

    def spent(self) -> float:
        """Seconds since the budget was made."""
        return time.monotonic() - self._start

    def remaining(self) -> float:
        """Seconds left, never below 0; infinity without a limit."""
        return math.inf if self.seconds is None else max(0.0, self.seconds - self.spent())

    def exhausted(self) -> bool:
        """Whether no time is left."""
        return self.remaining() <= 0.0


def parse_duration(text: str) -> float:
    """Seconds in "60s", "2m", "1h", "250ms" or "90" (seconds); raises UsageError for anything else."""
    match = _QUANTITY.fullmatch(text)
    if match is None or match["unit"].lower() not in _DURATION_UNITS:
        raise UsageError(
            f"{text!r} is not a duration: a number with ms, s, m or h is allowed.",
            hint="Write for example 60s, 2m, 1h, or 90 for seconds.",
        )
    return float(match["number"]) * _DURATION_UNITS[match["unit"].lower()]


def parse_size(text: str) -> int:
    """Bytes in "512MB" (powers of 1000), "512MiB" (powers of 1024), "2G" or "4096"; raises UsageError otherwise."""
    match = _QUANTITY.fullmatch(text)
    if match is None or match["unit"].lower() not in _SIZE_UNITS:
        raise UsageError(
            f"{text!r} is not a size: a number with kB, MB, GB, KiB, MiB or GiB is allowed.",
            hint="Write for example 512MB, 2GiB, or 4096 for bytes.",
        )
    return int(float(match["number"]) * _SIZE_UNITS[match["unit"].lower()])


def format_size(size: int) -> str:
    """A size for people, in powers of 1000: 98362432 is "98.4 MB"."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def usable_cpus() -> int:
    """How many processors this process may use: the affinity mask, lowered to the cgroup's quota; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = cpu_quota_at(_own_cgroups("cpu"))
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def memory_available() -> int:
    """Bytes that can be allocated without swapping: MemAvailable, lowered to what the cgroup has left."""
    limits = [_system_memory()]
    left = cgroup_memory_left_at(_own_cgroups("memory"))
    if left is not None:
        limits.append(left)
    return min(limits)


def cpu_quota_at(folders: list[Path]) -> float | None:
    """The tightest processor quota (in processors) over a chain of cgroup folders; None without a quota."""
    quotas = []
    for folder in folders:
        fields = _read(folder / "cpu.max").split()  # version 2: "200000 100000" or "max 100000"
        if not fields:  # version 1: two files, -1 for no quota
            fields = [_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()]
        if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]) > 0:
            quotas.append(int(fields[0]) / int(fields[1]))
    return min(quotas, default=None)


def cgroup_memory_left_at(folders: list[Path]) -> int | None:
    """Bytes left under the tightest memory limit over a chain of cgroup folders; None without a limit.

    File cache that the kernel would drop (`inactive_file`) counts as free.
    """
    left = []
    for folder in folders:
        limit, used = _read(folder / "memory.max").strip(), _read(folder / "memory.current").strip()
        if not limit:
            limit = _read(folder / "memory.limit_in_bytes").strip()
            used = _read(folder / "memory.usage_in_bytes").strip()
        if limit.isdigit() and used.isdigit():
            droppable = re.search(r"^(?:total_)?inactive_file (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
            left.append(max(0, int(limit) - int(used) + (int(droppable[1]) if droppable else 0)))
    return min(left, default=None)


def disk_free(path: Path) -> int:
    """Bytes that this user may still write where `path` is, or will be (its nearest existing parent counts)."""
    folder = Path(path).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_disk(path: Path, needed: int, purpose: str) -> None:
    """Raise ResourceError unless `needed` bytes are free at `path`."""
    free = disk_free(path)
    if free < needed:
        raise ResourceError(
            f"There is not enough disk space to {purpose}: {format_size(needed)} are needed at {path},"
            f" {format_size(free)} are free.",
            hint="Free some space, or set AGD_HOME to a folder on a larger disk.",
        )


def require_memory(needed: int, purpose: str) -> None:
    """Raise ResourceError unless `needed` bytes of memory are available."""
    free = memory_available()
    if free < needed:
        raise ResourceError(
            f"There is not enough memory to {purpose}: {format_size(needed)} are needed,"
            f" {format_size(free)} are available.",
            hint="Close other programs, ask for fewer samples, or use a machine with more memory.",
        )


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    # ru_maxrss survives exec, so a small child of a large parent would report the parent's peak; VmHWM does not.
    match = re.search(r"^VmHWM:\s+(\d+) kB$", _read(Path("/proc/self/status")), re.MULTILINE)
    if match:
        return int(match[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_features() -> frozenset[str]:
    """The processor's instruction sets as Linux names them ("avx2", "avx512_bf16", "asimd"); empty where unknown."""
    return cpu_features_at(Path("/proc/cpuinfo"))


def cpu_features_at(cpuinfo: Path) -> frozenset[str]:
    """The instruction sets that every processor in a `/proc/cpuinfo` file has."""
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", _read(cpuinfo), re.MULTILINE)
    return frozenset.intersection(*(frozenset(line.split()) for line in lines)) if lines else frozenset()


def home() -> Path:
    """The data folder: AGD_HOME, else $XDG_DATA_HOME/agentic-diffusion, else ~/.local/share/agentic-diffusion.

    It may not exist yet. Raises SetupError when there is no home folder to fall back to.
    """
    if own := os.environ.get("AGD_HOME"):
        return Path(own).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    return (Path(data) if Path(data).is_absolute() else _user_folder(".local/share")) / "agentic-diffusion"


def writable_home() -> Path:
    """`home()`, created if need be (mode 0700); raises SetupError when nothing can be written there."""
    folder = home()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".write-{uuid.uuid4().hex}"
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise SetupError(
            f"The data folder {folder} cannot be written: {error.strerror or error}.",
            hint="Set AGD_HOME to a folder that you may write to.",
        ) from error
    return folder


def atomic_write(path: Path, data: bytes | str, *, mode: int = 0o666) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old bytes or the new ones, never a part.

    Text is written as UTF-8. `mode` is lowered by the umask; an existing file keeps its own mode. A link is followed.
    Devices and pipes (/dev/stdout) cannot be replaced and are written directly. Raises UsageError for a folder,
    ResourceError when the disk is full, SetupError when the place cannot be written.
    """
    target = Path(os.path.realpath(path))
    content = data.encode() if isinstance(data, str) else data
    try:
        if target.exists() and not target.is_file():
            if target.is_dir():
                raise UsageError(f"{path} is a folder, a file is needed.", hint="Give the name of a file.")
            target.write_bytes(content)
            return
        _replace(target, content, mode)
    except OSError as error:
        _raise_write_error(path, error)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read in pieces; raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_folder(made: Path, target: Path) -> None:
    """Put the finished folder `made` in the place of `target`, which lies on the same disk and may not exist yet.

    All of `made` is on the disk before it gets its name. A crash between the two renames leaves the old folder aside,
    where the next call, or `recover_folder`, finds it. One caller at a time for a target; raises OSError.
    """
    for folder, _, names in os.walk(made):
        for path in (*(Path(folder, name) for name in names), Path(folder)):
            _sync(path)
    recover_folder(target)
    aside = _aside(target)
    if os.path.lexists(target):
        target.rename(aside)
    try:
        made.rename(target)
    except OSError:
        recover_folder(target)
        raise
    _sync(target.parent)
    _remove(aside)


def recover_folder(target: Path) -> None:
    """End a `replace_folder` that was cut off: where the new folder is not in place, the old one comes back."""
    aside = _aside(target)
    if not os.path.lexists(aside):
        return
    if os.path.lexists(target):
        _remove(aside)
    else:
        aside.rename(target)


def _aside(target: Path) -> Path:
    """Where the old folder waits until the new one is in place."""
    return target.with_name(f".{target.name}.old")


def _remove(path: Path) -> None:
    """Remove a folder, a file or a link, whichever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """See that a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(target: Path, content: bytes, mode: int) -> None:
    """Temporary file in the same folder, fsync, rename over the target, fsync of the folder."""
    temporary = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            if target.exists():
                os.fchmod(handle, stat.S_IMODE(target.stat().st_mode))
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # already renamed, unless something above was interrupted
    _sync(target.parent)


def _raise_write_error(path: Path, error: OSError) -> NoReturn:
    """Turn an operating system error of a write into one of ours."""
    kind: type[AgdError] = SetupError
    hint = "Choose a file in a folder that exists and that you may write to."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        kind, hint = ResourceError, "Free some space or choose a place on another disk."
    raise kind(f"{path} cannot be written: {error.strerror or error}.", hint=hint) from error


def _user_folder(below: str) -> Path:
    """A folder below the user's home; SetupError where the system knows no home."""
    try:
        return Path.home() / below
    except RuntimeError as error:
        raise SetupError(
            "There is no home folder: HOME is not set and the user is unknown to the system.",
            hint="Set AGD_HOME to a folder that you may write to.",
        ) from error


def _own_cgroups(controller: str) -> list[Path]:
    """The cgroup folders of this process from its own up to the root, for version 2 and version 1."""
    folders: list[Path] = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            mount = _CGROUP_MOUNT
        elif controller in controllers.split(","):
            mount = _CGROUP_MOUNT / controller
        else:
            continue
        below = Path(path.lstrip("/"))
        folders += [mount / part for part in (below, *below.parents)]
    return folders


def _system_memory() -> int:
    """MemAvailable of Linux; elsewhere the physical memory."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", _read(Path("/proc/meminfo")), re.MULTILINE)
    return int(match[1]) * 1024 if match else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read(path: Path) -> str:
    """The text of a small system file; empty where the system has no such file or does not show it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

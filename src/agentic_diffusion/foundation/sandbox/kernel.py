"""The few kernel calls that the standard library lacks: prctl, Landlock, capabilities, loading a system-call filter.

They act on the calling process and cannot be taken back: they are for the short-lived process between fork and exec.
Every function raises OSError with the kernel's errno. Sources: prctl(2), landlock(7), capabilities(7), seccomp(2).
Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 22, 36, 38, 47
SECCOMP_MODE_FILTER, PR_CAP_AMBIENT_RAISE = 2, 2
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
CAP_DAC_READ_SEARCH = 2

# Landlock's access rights on files, bit by bit (linux/landlock.h)
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READ_RIGHTS = EXECUTE | READ_FILE | READ_DIR
# how many file rights each version of the interface knows
RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
SCOPE_ABSTRACT_UNIX, SCOPE_SIGNAL = 1, 2
O_PATH = 0o10000000


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(*arguments: object) -> int:
    result = int(_libc().syscall(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def prctl(option: int, *arguments: int) -> None:
    """prctl(2) with unsigned long arguments."""
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc().prctl(option, *padded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def load_filter(program: bytes) -> None:
    """Load an array of `struct sock_filter` as this thread's system-call filter (needs no_new_privs)."""
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions))
    block = ctypes.create_string_buffer(header, len(header))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(block))


def landlock_abi() -> int:
    """The version of Landlock that this kernel offers; 0 when it has none."""
    try:
        return _call(ctypes.c_long(LANDLOCK_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def landlock(readable: Sequence[str], devices: Sequence[str], writable: Sequence[str]) -> None:
    """Restrict this thread to reading `readable`, using the files `devices`, and all rights below `writable`.

    Paths that do not exist are left out. TCP and signals to processes outside are refused where the kernel knows how to
    (ABI 4 and ABI 6). Needs no_new_privs.
    """
    abi = landlock_abi()
    if abi < 1:
        raise OSError(38, "this kernel has no Landlock")
    rights = (1 << RIGHTS_OF_ABI.get(abi, 16)) - 1
    attribute = struct.pack("QQQ", rights, 3 if abi >= 4 else 0, SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    block = ctypes.create_string_buffer(attribute, len(attribute))
    ruleset = _call(ctypes.c_long(LANDLOCK_CREATE), block, ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in readable:
            _allow(ruleset, path, READ_RIGHTS & rights)
        for path in devices:
            _allow(ruleset, path, (READ_FILE | WRITE_FILE) & rights)
        for path in writable:
            _allow(ruleset, path, rights)
        _call(ctypes.c_long(LANDLOCK_RESTRICT), ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Add one rule "beneath this path"."""
    try:
        folder = os.open(path, O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return
    try:
        if not _is_folder(folder):
            rights &= FILE_RIGHTS
        rule = struct.pack("=Qi", rights, folder)
        block = ctypes.create_string_buffer(rule, len(rule))
        _call(ctypes.c_long(LANDLOCK_ADD), ctypes.c_int(ruleset), ctypes.c_int(1), block, ctypes.c_uint32(0))
    finally:
        os.close(folder)


def _is_folder(descriptor: int) -> bool:
    return (os.fstat(descriptor).st_mode & 0o170000) == 0o040000


def become(user: int, *, may_search: bool) -> None:
    """Turn root for good into the unprivileged `user`, with no groups and no capabilities.

    `may_search` keeps CAP_DAC_READ_SEARCH, for an interpreter in a folder that only root may enter: Landlock then
    decides alone what can be opened, and the filter refuses open_by_handle_at.
    """
    prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    kept = 1 << CAP_DAC_READ_SEARCH if may_search else 0
    _set_capabilities(kept)
    if may_search:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH)


def _set_capabilities(kept: int) -> None:
    """capset(2) version 3: effective, permitted and inheritable become `kept`."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0), 8)
    data = ctypes.create_string_buffer(struct.pack("=IIIIII", kept, kept, kept, 0, 0, 0), 24)
    number = SYS_CAPSET[os.uname().machine]
    _call(ctypes.c_long(number), header, data)

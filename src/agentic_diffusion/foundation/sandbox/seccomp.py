"""A system-call filter assembled here, as classic BPF, for x86_64 and aarch64.

The filter is a deny list: programs of any language run, and calls that reach outside the sandbox or widen the attack
surface of the kernel answer EPERM. A program of another architecture (or x86_64's x32 numbering) is killed.
Each rule is "compare, skip or return", so no jump is longer than the instruction's 8 bits.
Layout of `struct seccomp_data`: nr at 0, arch at 4, six 64-bit arguments from 16 on (little endian on both machines).
Sources: seccomp(2), linux/filter.h, linux/audit.h, and the kernel's own system-call tables.
Standard library only.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable

from agentic_diffusion.foundation.errors import SandboxError

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000

CLONE_NEW = 0x7E020080
"""Every CLONE_NEW* flag (namespaces: time, mount, cgroup, uts, ipc, user, pid, net); clone(2)."""
AF_UNIX, SOCK_STREAM, SOCK_SEQPACKET = 1, 1, 5
TIOCSTI, TIOCLINUX = 0x5412, 0x541C

# name: (x86_64, aarch64); None where a machine does not have the call
CALLS: dict[str, tuple[int | None, int | None]] = {
    # debugging and reading other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "perf_event_open": (298, 241), "process_madvise": (440, 440),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "move_mount": (429, 429), "open_tree": (428, 428), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    # doors into the kernel
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "memfd_secret": (447, 447), "fanotify_init": (300, 262), "lookup_dcookie": (212, 18),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "personality": (135, 92),
    "modify_ldt": (154, None), "uselib": (134, None), "nfsservctl": (180, 42), "vhangup": (153, 58),
    # administration of the machine
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None),
    "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "migrate_pages": (256, 238), "move_pages": (279, 239),
}  # fmt: skip

# Without an IPC namespace these leave traces or memory behind that no limit counts.
SHARED_CALLS: dict[str, tuple[int | None, int | None]] = {
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "memfd_create": (319, 279),
}  # fmt: skip

# Landlock does not restrict changes of a file's metadata, so its owner must not have these calls.
METADATA_CALLS: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469),
}  # fmt: skip

# Calls whose first argument names a process; only 0 (the caller itself) is let through.
SELF_ONLY_CALLS: dict[str, tuple[int | None, int | None]] = {
    "prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}  # fmt: skip

SPECIAL_CALLS: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220), "clone3": (435, 435), "socket": (41, 198), "socketpair": (53, 199), "ioctl": (16, 29),
}  # fmt: skip


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One `struct sock_filter`: code, two jump distances, a 32-bit constant."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _argument(index: int, *, high: bool = False) -> int:
    """Offset of one half of an argument inside `struct seccomp_data`."""
    return 16 + 8 * index + (4 if high else 0)


def _only_when(number: int, body: list[bytes]) -> list[bytes]:
    """Run `body` for one call; it must end in a return on every way. The call's number is loaded before."""
    return [_instruction(JUMP_EQUAL, number, 0, len(body)), *body]


def _refuse(number: int, errno: int = EPERM) -> list[bytes]:
    return _only_when(number, [_instruction(RETURN, ERRNO | errno)])


def _clone(number: int) -> list[bytes]:
    """clone: no namespaces."""
    return _only_when(
        number,
        [
            _instruction(LOAD, _argument(0)),
            _instruction(JUMP_ANY_BIT, CLONE_NEW, 0, 1),
            _instruction(RETURN, ERRNO | EPERM),
            _instruction(RETURN, ALLOW),
        ],
    )


def _unix_only(number: int, *, streams: bool) -> list[bytes]:
    """socket and socketpair: the unix family only, and with `streams` no datagrams (they can go to any address)."""
    body = [_instruction(LOAD, _argument(0)), _instruction(JUMP_EQUAL, AF_UNIX, 1, 0)]
    body.append(_instruction(RETURN, ERRNO | EPERM))
    if streams:
        body += [
            _instruction(LOAD, _argument(1)),
            _instruction(AND, 0xF),
            _instruction(JUMP_EQUAL, SOCK_STREAM, 2, 0),
            _instruction(JUMP_EQUAL, SOCK_SEQPACKET, 1, 0),
            _instruction(RETURN, ERRNO | EPERM),
        ]
    return _only_when(number, [*body, _instruction(RETURN, ALLOW)])


def _self_only(number: int) -> list[bytes]:
    """Calls that may name only the caller (process id 0)."""
    return _only_when(
        number,
        [
            _instruction(LOAD, _argument(0)),
            _instruction(JUMP_EQUAL, 0, 1, 0),
            _instruction(RETURN, ERRNO | EPERM),
            _instruction(RETURN, ALLOW),
        ],
    )


def _no_typing(number: int) -> list[bytes]:
    """ioctl: nothing that types into a terminal."""
    return _only_when(
        number,
        [
            _instruction(LOAD, _argument(1)),
            _instruction(JUMP_EQUAL, TIOCSTI, 1, 0),
            _instruction(JUMP_EQUAL, TIOCLINUX, 0, 1),
            _instruction(RETURN, ERRNO | EPERM),
            _instruction(RETURN, ALLOW),
        ],
    )


def _numbers(table: dict[str, tuple[int | None, int | None]], machine: str) -> Iterable[int]:
    column = 0 if machine == "x86_64" else 1
    return [number for row in table.values() if (number := row[column]) is not None]


def assemble(*, private: bool, owns_files: bool = False, machine: str | None = None) -> bytes:
    """The filter as an array of `struct sock_filter`.

    `private`: the program has namespaces of its own for network, mounts and IPC, so unix sockets and shared memory
    cannot reach anybody; without them both are refused. `owns_files`: the program runs as the user who owns the files
    of this machine, so changes of metadata are refused as well. `machine` as in `platform.machine()`.
    SandboxError for a machine whose system-call numbers are not known here.
    """
    machine = machine or platform.machine()
    if machine not in AUDIT_ARCH:
        raise SandboxError(
            f"The system-call filter knows x86_64 and aarch64, and this machine is {machine}.",
            hint="run on one of those, or pass --unsafe-no-sandbox if you trust the programs",
        )
    special = {
        name: number
        for name, row in SPECIAL_CALLS.items()
        if (number := row[0 if machine == "x86_64" else 1]) is not None
    }
    program = [
        _instruction(LOAD, 4),
        _instruction(JUMP_EQUAL, AUDIT_ARCH[machine], 1, 0),
        _instruction(RETURN, KILL_PROCESS),
        _instruction(LOAD, 0),
    ]
    if machine == "x86_64":
        program += [_instruction(JUMP_AT_LEAST, X32_BIT, 0, 1), _instruction(RETURN, KILL_PROCESS)]
    # glibc and the runtimes of other languages fall back to clone, whose flags can be read, only on ENOSYS
    program += _refuse(special["clone3"], ENOSYS)
    tables = [CALLS] + ([] if private else [SHARED_CALLS]) + ([METADATA_CALLS] if owns_files else [])
    for table in tables:
        for number in _numbers(table, machine):
            program += _refuse(number)
    program += _clone(special["clone"])
    program += _unix_only(special["socket"], streams=False) if private else _refuse(special["socket"])
    program += _unix_only(special["socketpair"], streams=not private)
    program += _no_typing(special["ioctl"])
    for number in _numbers(SELF_ONLY_CALLS, machine):
        program += _self_only(number)
    program.append(_instruction(RETURN, ALLOW))
    return b"".join(program)

"""The filter program, run by a small interpreter of classic BPF, on both machines."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import SandboxError
from agentic_diffusion.foundation.sandbox import seccomp

MACHINES = ("x86_64", "aarch64")
EPERM, ENOSYS = 0x00050001, 0x00050026
ALLOW, KILL = 0x7FFF0000, 0x80000000
TABLES = (
    seccomp.CALLS,
    seccomp.SHARED_CALLS,
    seccomp.METADATA_CALLS,
    seccomp.SELF_ONLY_CALLS,
    seccomp.SPECIAL_CALLS,
)


def answer(program: bytes, machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the filter returns for one call."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, seccomp.AUDIT_ARCH[machine] if arch is None else arch, 0, *padded)
    accumulator, place = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, 8 * place)
        place += 1
        if code == seccomp.RETURN:
            return int(value)
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.AND:
            accumulator &= value
        else:
            holds = {
                seccomp.JUMP_EQUAL: accumulator == value,
                seccomp.JUMP_AT_LEAST: accumulator >= value,
                seccomp.JUMP_ANY_BIT: bool(accumulator & value),
            }[code]
            place += if_true if holds else if_false


def number_of(name: str, machine: str) -> int | None:
    for table in TABLES:
        if name in table:
            return table[name][MACHINES.index(machine)]
    raise KeyError(name)


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("private", [True, False])
def test_every_listed_call_is_refused(machine: str, private: bool) -> None:
    program = seccomp.assemble(private=private, owns_files=True, machine=machine)
    tables = [seccomp.CALLS, seccomp.METADATA_CALLS, *([] if private else [seccomp.SHARED_CALLS])]
    for table in tables:
        for name in table:
            number = number_of(name, machine)
            if number is not None:
                assert answer(program, machine, number) == EPERM, name


def test_calls_that_are_not_listed_pass(machine: str) -> None:
    program = seccomp.assemble(private=True, machine=machine)
    listed = {number_of(name, machine) for table in TABLES for name in table if table is not seccomp.SHARED_CALLS}
    listed -= {number_of(name, machine) for name in seccomp.METADATA_CALLS}
    for number in set(range(470)) - listed:
        assert answer(program, machine, number) == ALLOW, number


def test_clone(machine: str) -> None:
    program = seccomp.assemble(private=True, machine=machine)
    clone, clone3 = number_of("clone", machine), number_of("clone3", machine)
    assert clone is not None
    assert clone3 is not None
    thread = 0x3D0F00
    assert answer(program, machine, clone, thread) == ALLOW
    assert answer(program, machine, clone, 17) == ALLOW
    for flag in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(program, machine, clone, thread | flag) == EPERM, hex(flag)
    assert answer(program, machine, clone3) == ENOSYS


def test_sockets(machine: str) -> None:
    socket, pair = number_of("socket", machine), number_of("socketpair", machine)
    assert socket is not None
    assert pair is not None
    private = seccomp.assemble(private=True, machine=machine)
    shared = seccomp.assemble(private=False, machine=machine)
    stream, datagram, close_on_exec = 1, 2, 0o2000000
    for family in range(46):
        allowed = ALLOW if family == 1 else EPERM
        assert answer(private, machine, socket, family, stream) == allowed
        assert answer(private, machine, pair, family, datagram) == allowed
        assert answer(shared, machine, socket, family, stream) == EPERM
        assert answer(shared, machine, pair, family, stream | close_on_exec) == allowed
        assert answer(shared, machine, pair, family, datagram | close_on_exec) == EPERM


def test_calls_on_other_processes(machine: str) -> None:
    program = seccomp.assemble(private=True, machine=machine)
    for name in seccomp.SELF_ONLY_CALLS:
        number = number_of(name, machine)
        assert number is not None
        assert answer(program, machine, number, 0) == ALLOW
        assert answer(program, machine, number, 1234) == EPERM


def test_terminal(machine: str) -> None:
    program = seccomp.assemble(private=True, machine=machine)
    ioctl = number_of("ioctl", machine)
    assert ioctl is not None
    assert answer(program, machine, ioctl, 0, 0x5412) == EPERM
    assert answer(program, machine, ioctl, 0, 0x541C) == EPERM
    assert answer(program, machine, ioctl, 0, 0x5401) == ALLOW


def test_other_architectures_are_killed(machine: str) -> None:
    program = seccomp.assemble(private=True, machine=machine)
    assert answer(program, machine, 0, arch=0x40000003) == KILL
    other = MACHINES[1 - MACHINES.index(machine)]
    assert answer(program, other, 0) == KILL


def test_x32_is_killed() -> None:
    program = seccomp.assemble(private=True, machine="x86_64")
    assert answer(program, "x86_64", 0x40000000 | 101) == KILL


def test_unknown_machine() -> None:
    with pytest.raises(SandboxError, match="knows x86_64 and aarch64, and this machine is riscv64"):
        seccomp.assemble(private=True, machine="riscv64")


@pytest.mark.parametrize(
    ("machine", "header", "pattern"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+)\s+(\d+)"),
        ("aarch64", "/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+)\s+(\d+)"),
    ],
)
def test_numbers_agree_with_the_kernel_headers(machine: str, header: str, pattern: str) -> None:
    if not Path(header).exists():
        pytest.skip("the kernel's headers are not installed")
    told = {name: int(number) for name, number in re.findall(pattern, Path(header).read_text())}
    ours = {name: number_of(name, machine) for table in TABLES for name in table}
    # older headers lack the newest calls
    assert {name: number for name, number in ours.items() if name in told} == {
        name: told[name] for name in ours if name in told
    }
    assert sum(name in told for name in ours) > 60

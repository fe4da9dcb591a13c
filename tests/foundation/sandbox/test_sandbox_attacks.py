"""What each tier refuses, tried for real: every attack runs inside the tier under test and nowhere else.

The negative control (`test_control_...`) runs harmless code without a sandbox, against a folder and a listener of its
own, to show that the same tries succeed where nothing refuses them.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic_diffusion.foundation.sandbox import inside, seccomp
from agentic_diffusion.foundation.sandbox.base import MIB, Completed, Limits, Sandbox
from agentic_diffusion.foundation.sandbox.probe import SELF_TEST, _on_the_way, self_test
from agentic_diffusion.foundation.sandbox.unsafe import Unsafe

ATTACKS = Path(__file__).with_name("attacks.py")
LIMITS = Limits(seconds=20.0, memory_bytes=192 * MIB, processes=16)
EPERM, ENOSYS = 1, 38


def run(sandbox: Sandbox, name: str, *arguments: Any, limits: Limits = LIMITS) -> Completed:
    return sandbox.run(
        ["python", "-I", "-S", "attacks.py", name, json.dumps(arguments)],
        files={"attacks.py": ATTACKS.read_bytes()},
        limits=limits,
        env={"AGD_INSIDE_A_SANDBOX": "yes"},
    )


def attack(sandbox: Sandbox, name: str, *arguments: Any, limits: Limits = LIMITS) -> Any:
    done = run(sandbox, name, *arguments, limits=limits)
    assert done.status == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture
def canary() -> Iterator[Path]:
    # pytest's own folders are closed to other users, which would hide what the sandbox itself refuses
    with tempfile.TemporaryDirectory(prefix="agd-canary-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "readable").write_text("canary")
        (folder / "readable").chmod(0o666)
        yield folder


def commands_with(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and marker.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_some_tier_works_here(tiers: tuple[dict[str, Sandbox], dict[str, str]]) -> None:
    found, reasons = tiers
    print("tiers that do not work here:", reasons or "none")
    assert found, reasons


def test_the_self_test_holds(sandbox: Sandbox) -> None:
    assert self_test(sandbox) == []


def test_control_the_self_test_sees_an_open_door() -> None:
    leaks = " ".join(self_test(Unsafe(), forks=4))
    for what in ("TCP to the caller", "UDP", "a write outside", "a read outside", "a file appeared outside"):
        assert what in leaks
    assert SELF_TEST.exists()


def test_no_network(sandbox: Sandbox, canary: Path) -> None:
    name = f"\0agd-{secrets.token_hex(8)}"
    path = str(canary / "socket")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
    ):
        abstract.bind(name)
        abstract.listen()
        named.bind(path)
        Path(path).chmod(0o777)
        named.listen()
        found = attack(sandbox, "network", server.getsockname()[1], name, path)
    assert "done" not in found.values(), found
    assert len(found) == 8


def test_no_writes_outside(sandbox: Sandbox, canary: Path) -> None:
    before = (canary / "readable").stat()
    found = attack(sandbox, "write_outside", str(canary))
    assert "done" not in found.values(), found
    assert [entry.name for entry in canary.iterdir()] == ["readable"]
    after = (canary / "readable").stat()
    assert (before.st_mode, before.st_mtime_ns, before.st_nlink) == (after.st_mode, after.st_mtime_ns, after.st_nlink)
    assert (canary / "readable").read_text() == "canary"


def test_no_reading_of_home_or_of_us(sandbox: Sandbox, canary: Path) -> None:
    home = str(Path.home())
    found = attack(sandbox, "read_outside", str(canary), home, _on_the_way(home), os.getpid())
    assert found.pop("home") == []
    assert "done" not in found.values(), found


def test_the_environment_and_the_folder_are_fresh(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "of ours")
    found = attack(sandbox, "who")
    assert "A_SECRET" not in found["environment"]
    assert found["environment"]["HOME"] == found["folder"] == found["environment"]["TMPDIR"]
    assert found["files"] == ["attacks.py"]
    assert found["uid"] != 0


def test_fork_bomb(sandbox: Sandbox) -> None:
    assert attack(sandbox, "fork_bomb", 200) <= LIMITS.processes + 6


def test_endless_fork_bomb_ends_and_leaves_nobody(sandbox: Sandbox) -> None:
    marker = secrets.token_hex(8)
    limits = LIMITS.having(seconds=1.0)
    done = sandbox.run(
        ["python", "-I", "-S", "attacks.py", "endless_fork_bomb", "[]", marker],
        files={"attacks.py": ATTACKS.read_bytes()},
        limits=limits,
        env={"AGD_INSIDE_A_SANDBOX": "yes"},
    )
    assert done.killed_by in {"time", "processes", "memory"}  # whichever limit so many processes meet first
    assert commands_with(marker) == []


def test_memory_of_one_process(sandbox: Sandbox) -> None:
    assert attack(sandbox, "memory_of_one", 1500 * MIB) == "MemoryError"


def test_memory_in_sum(sandbox: Sandbox) -> None:
    # six times 60 MB against 192 MB: each process alone is within its limit
    done = run(sandbox, "memory_in_sum", 6, 60 * MIB, limits=LIMITS.having(seconds=10.0))
    assert done.stdout.count(b"full") < 6
    assert done.killed_by in {"memory", "time"}
    assert done.peak_memory > 64 * MIB


def test_disk_bomb(sandbox: Sandbox) -> None:
    limits = LIMITS.having(scratch_bytes=8 * MIB, file_bytes=4 * MIB)
    done = run(sandbox, "disk_bomb", 60, MIB, limits=limits)
    if done.killed_by == "scratch":
        return
    found = json.loads(done.stdout.splitlines()[0])
    assert found["error"] == "OSError"
    assert found["written"] <= 8 * MIB


def test_one_large_file(sandbox: Sandbox) -> None:
    limits = LIMITS.having(file_bytes=2 * MIB)
    assert attack(sandbox, "one_large_file", 8 * MIB, limits=limits) == "OSError"


def test_shared_memory_is_bounded(sandbox: Sandbox) -> None:
    found = attack(sandbox, "shared_memory", 6 * MIB, limits=LIMITS.having(file_bytes=8 * MIB))
    assert found.count("done") <= 2


def test_output_bomb(sandbox: Sandbox) -> None:
    done = run(sandbox, "output_bomb", limits=LIMITS.having(output_bytes=MIB))
    assert done.killed_by == "output"
    assert done.truncated
    assert len(done.stdout) == MIB


def test_time(sandbox: Sandbox) -> None:
    done = sandbox.run(["python", "-I", "-S", "-c", "import time; time.sleep(60)"], limits=Limits(seconds=0.5))
    assert (done.timed_out, done.killed_by, done.status) == (True, "time", 128 + signal.SIGKILL)


def test_processor_time(sandbox: Sandbox) -> None:
    done = sandbox.run(["python", "-I", "-S", "-c", "while True: pass"], limits=Limits(seconds=60, cpu_seconds=1))
    assert done.killed_by is None
    assert done.status in {128 + signal.SIGXCPU, 128 + signal.SIGKILL}


def test_no_survivors_of_a_program_that_ends(sandbox: Sandbox) -> None:
    marker = secrets.token_hex(8)
    assert attack(sandbox, "daemons", marker) == "left"
    assert commands_with(marker) == []


def test_other_processes_are_out_of_reach(sandbox: Sandbox) -> None:
    with subprocess.Popen(["sleep", "60"]) as victim:
        try:
            found = attack(sandbox, "other_process", victim.pid)
            assert "done" not in found.values(), found
            assert victim.poll() is None
        finally:
            victim.kill()


def test_refused_calls_answer_eperm(sandbox: Sandbox) -> None:
    column = 0 if platform.machine() == "x86_64" else 1
    numbers = {name: row[column] for name, row in seccomp.CALLS.items() if row[column] is not None}
    found = attack(sandbox, "calls", numbers)
    assert {name for name, errno in found.items() if errno != EPERM} == set()


def test_no_new_namespaces_and_no_mounts(sandbox: Sandbox) -> None:
    column = 0 if platform.machine() == "x86_64" else 1
    found = attack(
        sandbox, "namespaces", seccomp.SPECIAL_CALLS["clone"][column], seccomp.SPECIAL_CALLS["clone3"][column]
    )
    assert found.pop("clone3") == ENOSYS
    assert set(found.values()) == {EPERM}, found


def test_no_typing_into_a_terminal(sandbox: Sandbox) -> None:
    assert attack(sandbox, "typing_into_the_terminal") != "done"


def test_killing_us_kills_the_program_too(sandbox: Sandbox, canary: Path) -> None:
    marker = secrets.token_hex(8)
    kind = type(sandbox)
    code = (
        f"from {kind.__module__} import {kind.__name__} as Tier\n"
        "import time\n"
        f"process = Tier().start(['python', '-I', '-S', '-c',"
        f" 'import os, time; os.write(4, b\"up\\\\n\"); time.sleep(120)', '{marker}'])\n"
        "print(process.receive(30), flush=True)\n"
        "time.sleep(120)\n"
    )
    environment = {**os.environ, "TMPDIR": str(canary)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as caller:
        assert caller.stdout is not None
        assert b"up" in caller.stdout.readline()
        assert commands_with(marker) != []
        caller.kill()
        caller.wait()
    end = time.monotonic() + 20
    while (left := [*commands_with(marker), *canary.glob("agd-*")]) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


def test_attacks_refuse_to_run_outside() -> None:
    done = subprocess.run(
        [str(inside.interpreter()), "-I", "-S", str(ATTACKS), "who", "[]"], capture_output=True, env={}, check=False
    )
    assert done.returncode == 1
    assert b"only inside a sandbox" in done.stderr

"""Programs in a sandbox that behave: what goes in, what comes out, and the long-lived ones."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import ConfigError, SandboxError
from agentic_diffusion.foundation.sandbox import process, warden
from agentic_diffusion.foundation.sandbox.base import Limits, Sandbox
from agentic_diffusion.foundation.sandbox.bubblewrap import Bubblewrap
from agentic_diffusion.foundation.sandbox.unsafe import Unsafe

ECHO = "import os\nfor line in os.fdopen(3):\n    os.write(4, line.upper().encode())\n"


def python(code: str) -> list[str]:
    return ["python", "-I", "-S", "-c", code]


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_input_output_and_status(sandbox: Sandbox) -> None:
    data = os.urandom(300_000)
    code = (
        "import sys\nd = sys.stdin.buffer.read()\nsys.stdout.buffer.write(d[::-1])\n"
        "sys.stderr.write('said')\nsys.exit(7)"
    )
    done = sandbox.run(python(code), stdin=data)
    assert done.stdout == data[::-1]
    assert done.stderr == b"said"
    assert (done.status, done.killed_by, done.timed_out, done.truncated) == (7, None, False, False)
    assert done.seconds > 0


def test_a_program_that_does_not_read_its_input(sandbox: Sandbox) -> None:
    assert sandbox.run(python("print('done')"), stdin=b"x" * 1_000_000).stdout == b"done\n"


def test_files_and_environment(sandbox: Sandbox) -> None:
    code = "import os\nprint(open('data').read(), os.environ['WORD'])\nopen('data', 'w').write('mine')"
    done = sandbox.run(python(code), files={"data": b"content"}, env={"WORD": "given"})
    assert done.stdout == b"content given\n", done.stderr


def test_runs_do_not_see_one_another(sandbox: Sandbox) -> None:
    sandbox.run(python("open('left', 'w').write('x')"))
    assert (
        sandbox.run(python("import os\nprint(os.listdir('.'), os.listdir(os.environ['TMPDIR']))")).stdout == b"[] []\n"
    )


def test_a_folder_to_read(sandbox: Sandbox, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (tmp_path / "data").write_text("readable")
    code = f"print(open({str(tmp_path / 'data')!r}).read())\nopen({str(tmp_path / 'data')!r}, 'w')"
    done = sandbox.run(python(code), read_only=[tmp_path])
    assert done.stdout == b"readable\n", done.stderr
    assert done.status == 1
    assert (tmp_path / "data").read_text() == "readable"


def test_a_signal_is_told_as_shells_tell_it(sandbox: Sandbox) -> None:
    assert sandbox.run(python("import os\nos.kill(os.getpid(), 15)")).status == 128 + 15


def test_threads_and_children_work(sandbox: Sandbox) -> None:
    code = (
        "import threading, subprocess, sys\n"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "sys.stdout.flush()\n"
        "subprocess.run([sys.executable, '-I', '-S', '-c', 'print(\"child\")'], check=True)\n"
    )
    assert sandbox.run(python(code)).stdout == b"thread\nchild\n"


def test_a_long_lived_program(sandbox: Sandbox) -> None:
    before = descriptors()
    with sandbox.start(python(ECHO)) as process:
        for word in (b"one", b"two", b"x" * 200_000):
            process.send(word)
            assert process.receive(20) == word.upper()
        assert process.receive(0.05) is None
        assert process.alive()
    done = process.close()
    assert done is process.close()
    assert done.killed_by is None
    assert not process.alive()
    assert descriptors() == before


def test_a_long_lived_program_that_dies(sandbox: Sandbox) -> None:
    with sandbox.start(python("import sys\nsys.stderr.write('bad luck')\nsys.exit(3)")) as process:
        assert process.receive(20) is None
        with pytest.raises(SandboxError, match="ended before it took its next request"):
            process.send(b"hello")
        done = process.close()
    assert (done.status, done.stderr) == (3, b"bad luck")


def test_a_long_lived_program_has_limits(sandbox: Sandbox) -> None:
    with sandbox.start(python("import time\ntime.sleep(60)"), limits=Limits(seconds=0.4)) as process:
        assert process.receive(20) is None
        assert process.close().killed_by == "time"


def test_a_program_that_is_not_there(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="'agd-no-such-program' to be run in the sandbox is not installed"):
        sandbox.run(["agd-no-such-program"])
    with pytest.raises(SandboxError, match="could not start the program"):
        sandbox.run(["/agd/no/such/program"])
    process = sandbox.start(["/agd/no/such/program"])
    assert process.receive(20) is None
    for _ in range(2):
        with pytest.raises(SandboxError, match="could not start the program"):
            process.close()


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/x"])
def test_file_names_are_plain(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a plain file name"):
        sandbox.run(python("pass"), files={name: b""})


def test_no_scratch_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = Unsafe().run(python("import os\nos.mkdir('d')\nopen('d/f', 'w')\nprint(os.getcwd())"))
    assert done.stdout.decode().startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_bubblewrap_that_does_not_work(tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(SandboxError, match="bubblewrap ended before the program started: bwrap: No permissions"):
        Bubblewrap(program).run(python("pass"))


SLEEPERS = (
    "import os, time\n"
    "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.write(4, b'ready\\n')\n"
    "time.sleep(600)\n"
)
"""A program, its child and its grandchild, the last two in a session of their own."""


def test_a_helper_that_gets_no_processor_for_a_while_still_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.2)
    running = Unsafe().start(python(SLEEPERS))
    assert running.receive(60) == b"ready"
    family = warden.descendants(running.warden.pid)
    running.warden.send_signal(signal.SIGSTOP)
    threading.Timer(0.8, running.warden.send_signal, [signal.SIGCONT]).start()
    assert running.close().killed_by is None
    assert len(family) == 3 and not any(Path(f"/proc/{number}").exists() for number in family)


def test_nothing_survives_a_helper_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.05)
    monkeypatch.setattr(process, "PATIENCE", 0.1)
    running = Unsafe().start(python(SLEEPERS))
    assert running.receive(60) == b"ready"
    family = warden.descendants(running.warden.pid)
    running.warden.send_signal(signal.SIGSTOP)
    with pytest.raises(SandboxError, match="helper process ended without a report"):
        running.close()
    # what was killed while its parent stood still is taken away by the machine's first process
    assert len(family) == 3 and all(warden.is_dead(number) for number in family)

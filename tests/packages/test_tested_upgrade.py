"""An upgrade is kept when the tests pass; otherwise, and when killed at any moment, every byte comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.packages import installed, tested_upgrade
from agentic_diffusion.packages.project import Project

SRC = Path(__file__).parents[2] / "src"


def content(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.folder.iterdir() if path.is_file()}


def python(code: str) -> str:
    return f'python -c "{code}"'


def test_kept_when_the_tests_pass(project: Project, newer: Callable[[], None]) -> None:
    project.sync()
    newer()

    ended = tested_upgrade.upgrade(project, python("import apple; assert apple.version == '2.0'"))

    assert (ended.kept, ended.exit_code) == (True, 0)
    assert [change.words for change in ended.changes][1] == "apple goes up from 1.0 to 2.0 (major)"
    place = installed.site_packages(project.folder)
    assert place is not None
    assert installed.read(place)["apple"].version == "2.0", "the project's own environment follows"
    assert not (project.folder / tested_upgrade.FOLDER).exists()
    assert tested_upgrade.upgrade(project, "false").changes == (), "nothing to upgrade, so no test is run"


def test_put_back_when_the_tests_fail(project: Project, newer: Callable[[], None]) -> None:
    before = content(project)
    newer()

    ended = tested_upgrade.upgrade(project, python("import apple, sys; sys.exit(apple.version == '2.0')"))

    assert (ended.kept, ended.exit_code) == (False, 1)
    assert content(project) == before
    assert not (project.folder / tested_upgrade.FOLDER).exists()
    assert installed.site_packages(project.folder) is None, "the project's own environment was never touched"


def test_a_test_command_that_does_not_start(project: Project, newer: Callable[[], None]) -> None:
    before = content(project)
    newer()

    with pytest.raises(UsageError, match="'no-such-program' does not start"):
        tested_upgrade.upgrade(project, "no-such-program")
    with pytest.raises(UsageError, match="no test command"):
        tested_upgrade.upgrade(project, "  ")

    assert content(project) == before
    assert not (project.folder / tested_upgrade.FOLDER).exists()


# What the process was doing when it was killed: the n-th time that it touched the disk or started a program.
KILLED = textwrap.dedent("""
    import os, signal, subprocess, sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from agentic_diffusion.packages import tested_upgrade
    from agentic_diffusion.packages.project import Project
    from agentic_diffusion.packages.uv import Uv

    left = int(sys.argv[4])

    def counted(event, arguments):
        global left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in ("os.rename", "os.remove", "subprocess.Popen") or writes:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    project = Project.open(Path(sys.argv[2]), Uv(path=sys.argv[3], version=(0, 9, 0)))
    sys.addaudithook(counted)
    tested_upgrade.upgrade(project, sys.argv[5])
""")


def test_killed_at_any_moment_every_byte_comes_back_or_the_upgrade_stays(
    project: Project, newer: Callable[[], None], tmp_path: Path
) -> None:
    newer()
    old = content(project)
    kept = False
    moments = 0
    while not kept:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, SRC, project.folder, project.uv.path, str(moments), "true"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        tested_upgrade.recover(project.folder)
        after = content(project)
        kept = after != old
        assert after["pyproject.toml"] == old["pyproject.toml"]
        assert (b'"2.0"' in after["uv.lock"]) == kept
        assert set(after) == {"pyproject.toml", "uv.lock"}
        assert not (project.folder / tested_upgrade.FOLDER).exists()
        moments += 1 if moments < 4 else 3
    assert moments > 10, "it was killed at that many moments"


def test_an_interrupt_puts_everything_back_at_once(project: Project, newer: Callable[[], None]) -> None:
    before = content(project)
    newer()

    with pytest.raises(KeyboardInterrupt):
        tested_upgrade.upgrade(project, python(f"import os; os.kill({os.getpid()}, {int(signal.SIGINT)}); input()"))

    assert content(project) == before
    assert tested_upgrade.recover(project.folder) == ""

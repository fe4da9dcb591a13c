"""uv.lock is read; what is none is said to be none."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.packages import lockfile
from agentic_diffusion.packages.project import Project


def test_a_lock_of_uv(project: Project) -> None:
    lock = project.locked()

    assert [package.key for package in lock.packages] == [
        "apple==1.0",
        "mine==1.0",
        "pear==1.0",
        "plum==1.0",
        "seed==1.0",
    ]
    assert [root.key for root in lock.roots] == ["mine==1.0"]
    (mine,) = lock.by_name["mine"]
    assert [need.name for need in mine.needs] == ["apple", "pear"]
    assert mine.needs[1].marker == "sys_platform == 'linux'"
    assert mine.needs[1].extras == ("core",)
    assert [need.name for need in mine.groups["dev"]] == ["plum"]
    (apple,) = lock.require("Apple")
    assert [wheel.file for wheel in apple.wheels] == ["apple-1.0-py3-none-any.whl"]
    assert apple.wheels[0].hash.startswith("sha256:")
    assert lock.requires_python == ">=3.11"


def test_the_lock_of_this_project_is_read_whole() -> None:
    lock = lockfile.load(Path(__file__).parents[2])

    assert [root.name for root in lock.roots] == ["agentic-diffusion"]
    assert all(package.artifacts for package in lock.packages if not package.local)
    assert all(lock.resolve(need) for package in lock.packages for need in package.needs)


def test_names_that_are_not_there(project: Project) -> None:
    with pytest.raises(UsageError, match="no package 'appl'") as caught:
        project.locked().require("appl")
    assert caught.value.hint == "Did you mean apple?"


@pytest.mark.parametrize(
    ("text", "words"),
    [("[[package]", "not valid TOML"), ("version = 9", "no uv.lock of version 1"), ("", "no uv.lock of version 1"),
     ('version = 1\n[[package]]\nname = "x"', "an entry lacks 'source'")],
)  # fmt: skip
def test_files_that_are_no_lock(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "uv.lock").write_text(text)
    with pytest.raises(UsageError, match=words):
        lockfile.load(tmp_path)


def test_no_lock(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"There is no lock at .*uv\.lock") as caught:
        lockfile.load(tmp_path)
    assert "agd deps lock" in caught.value.hint

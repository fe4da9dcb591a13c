"""Where a lock can be installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.packages import lockfile, platforms

LOCK = """\
version = 1
[[package]]
name = "me"
version = "1"
source = { virtual = "." }
dependencies = [
  { name = "pure" }, { name = "fast" }, { name = "old" }, { name = "only", marker = "sys_platform == 'win32'" },
  { name = "torn" },
]
[[package]]
name = "pure"
version = "1"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://index.example/pure-1-py3-none-any.whl", hash = "sha256:0", size = 10 }]
[[package]]
name = "fast"
version = "1"
source = { registry = "https://index.example/simple" }
sdist = { url = "https://index.example/fast-1.tar.gz", hash = "sha256:0", size = 7 }
wheels = [
  { url = "https://index.example/fast-1-cp311-cp311-manylinux_2_17_x86_64.whl", hash = "sha256:0", size = 20 },
  { url = "https://index.example/fast-1-cp311-cp311-macosx_11_0_arm64.whl", hash = "sha256:0", size = 30 },
]
[[package]]
name = "old"
version = "1"
source = { registry = "https://index.example/simple" }
sdist = { url = "https://index.example/old-1.tar.gz", hash = "sha256:0", size = 5 }
[[package]]
name = "only"
version = "1"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://index.example/only-1-py3-none-win_amd64.whl", hash = "sha256:0", size = 1 }]
[[package]]
name = "torn"
version = "1"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://index.example/torn-1-cp312-cp312-manylinux_2_17_x86_64.whl", hash = "sha256:0", size = 9 }]
"""


def test_wheels_compiling_and_what_blocks() -> None:
    lock = lockfile.parse(LOCK)

    rows = {row["platform"]: row for row in (one.as_dict() for one in platforms.look(lock, pythons=((3, 11), (3, 12))))}

    assert rows["linux-x86_64 3.11"] == {
        "platform": "linux-x86_64 3.11", "packages": 4, "bytes": 35, "wheels": ["fast==1", "pure==1"],
        "compile": ["old==1"], "blocks": ["torn==1"],
    }  # fmt: skip
    assert rows["linux-x86_64 3.12"]["blocks"] == []
    assert rows["linux-x86_64 3.12"]["compile"] == ["fast==1", "old==1"]
    assert rows["macos-arm64 3.11"]["wheels"] == ["fast==1", "pure==1"]
    assert rows["windows-x86_64 3.11"]["wheels"] == ["only==1", "pure==1"]
    assert len(rows) == 2 * len(platforms.SYSTEMS)


def test_this_project_has_wheels_everywhere() -> None:
    lock = lockfile.load(Path(__file__).parents[2])

    for one in platforms.look(lock, pythons=((3, 11),)):
        assert one.of("blocks") == [], one.name
        assert one.of("compile") == [], one.name


def test_words_that_are_no_platform_and_no_python() -> None:
    with pytest.raises(UsageError, match="no platform 'amiga'") as caught:
        platforms.machine("amiga")
    assert "linux-x86_64" in caught.value.hint
    assert platforms.python_of("3.12") == (3, 12)
    for word in ("3", "three.one", "3."):
        with pytest.raises(UsageError, match="no version of Python"):
            platforms.python_of(word)
    assert all(platforms.name_of(platforms.machine(name)) == name for name in platforms.SYSTEMS)

"""A small index, a project on it, and a uv that knows no other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentic_diffusion.packages import uv
from agentic_diffusion.packages.project import Project
from small_index import SmallIndex, make_wheel

UV = uv.find([shutil.which("uv"), str(Path(__file__).parents[1] / ".agd" / "tools" / "uv" / "bin" / "uv")])

PYPROJECT = """\
[project]
name = "mine"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["apple<3", "pear[core]; sys_platform == 'linux'"]

[dependency-groups]
dev = ["plum"]
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SmallIndex]:
    """apple 1.0 needs seed, pear 1.0 with its extra needs apple, plum stands alone."""
    served = SmallIndex(tmp_path / "index")
    make_wheel(served.folder, "seed", "1.0", licence="BSD-3-Clause")
    make_wheel(served.folder, "apple", "1.0", needs=["seed>=1"])
    make_wheel(served.folder, "pear", "1.0", extras={"core": ["apple"]})
    make_wheel(served.folder, "plum", "1.0")
    yield served
    served.close()


@pytest.fixture
def project(index: SmallIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A locked project in an empty world: its own cache, and no index but the small one."""
    if UV is None:
        pytest.skip("there is no uv; `./agd dev test` has one")
    for name in [name for name in os.environ if name.startswith(("AGD_", "PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{Path(UV.path).parent}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    made = Project.open(folder, UV)
    made.lock()
    return made


@pytest.fixture
def newer(index: SmallIndex) -> Callable[[], None]:
    """Puts apple 2.0, which needs nothing, and apple 3.0 on the index."""

    def publish() -> None:
        make_wheel(index.folder, "apple", "2.0")
        make_wheel(index.folder, "apple", "3.0")

    return publish

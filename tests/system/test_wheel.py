"""The package as an ordinary wheel: what it carries, and that `uv tool install` gives a working `agd`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agentic_diffusion.packages import pip_settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "agentic_diffusion/"

pytestmark = pytest.mark.system


def _reaching() -> dict[str, str]:
    """uv reads no configuration of pip's: where packages can be had is handed over, as set-up does."""
    return os.environ | pip_settings.read(sys.executable).transport(os.environ)


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv")
    if found is None:
        pytest.skip("uv is not on PATH; ./agd dev test puts it there")
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [uv, "build", "--wheel", "--quiet", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, env=_reaching())
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_what_the_package_reads_at_run_time(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    weights = ("diffusion/weights/block-adapter.safetensors", "diffusion/weights/maze-planner.safetensors")
    for needed in ("py.typed", "installer/manifest.toml", *weights):
        assert PACKAGE + needed in names
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_the_wheel_is_smaller_than_what_one_release_may_ship(wheel: Path) -> None:
    assert wheel.stat().st_size < 20_000_000


def test_uv_tool_install_gives_a_working_command(uv: str, wheel: Path, tmp_path: Path) -> None:
    environment = _reaching() | {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    environment.pop("PYTHONPATH", None)
    subprocess.run([uv, "tool", "install", "--quiet", str(wheel)], check=True, env=environment, cwd=tmp_path)
    agd = tmp_path / "bin" / "agd"
    version = subprocess.run([agd, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert version.stdout.strip() == wheel.name.split("-")[1]
    without_torch = subprocess.run(
        [agd, "generate", "Write a function"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert without_torch.returncode == 4
    assert without_torch.stdout == ""
    assert "The package torch is needed for this and is not installed." in without_torch.stderr
    assert "agd setup" in without_torch.stderr

"""The Lua plug-in, installed as a user installs it, into a folder of its own, without the network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "examples" / "plugin-language-lua"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A process environment in which the plug-in is installed beside everything that is here."""
    uv = shutil.which("uv")
    if uv is None:
        if os.environ.get("CI") == "true":
            pytest.fail("uv is not on the PATH")
        pytest.skip("uv is not on the PATH")
    folder = tmp_path_factory.mktemp("lua")
    source = shutil.copytree(PLUGIN, folder / "source")
    command = ["pip", "install", "--offline", "--no-deps", "--python", sys.executable, "--target", str(folder / "site")]
    own = os.environ | {"UV_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run([uv, *command, str(source)], capture_output=True, text=True, check=False, env=own)
    assert done.returncode == 0, done.stderr
    return os.environ | {"PYTHONPATH": str(folder / "site"), "AGD_HOME": str(folder / "home")}


def test_the_plug_in_keeps_the_contract_where_it_is_installed(environment):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PLUGIN / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_the_command_line_takes_the_language(environment, tmp_path):
    def agd(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agentic_diffusion", "generate", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)

    unknown = agd("x", "--lang", "cobol")
    assert unknown.returncode == 2
    assert "lua" in unknown.stderr.split("installed are: ")[1]
    broken = agd("Write a Lua function f(x)", "--test", "assert(f(1) == )")
    assert broken.returncode == 2
    assert "The tests (inline) do not parse: line 1: " in broken.stderr
    (tmp_path / "f_test.lua").write_text("assert(f(1) == 2)\n")
    other = agd("x", "--lang", "python", "--tests", "f_test.lua")
    assert other.stderr.startswith("error: The tests in f_test.lua are Lua, and the program shall be Python.")

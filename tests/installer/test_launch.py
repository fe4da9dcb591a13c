"""The launcher when everything is ready: one look at a stamp, then the real command with all that the user gave."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agentic_diffusion.installer import launch, stamp
from agentic_diffusion.installer.stamp import Stamp

ROOT = Path(__file__).parents[2]
PYTHON = str(getattr(sys, "_base_executable", sys.executable))
COMMAND = """\
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "stdin": sys.stdin.read(),
                  "environment": dict(os.environ), "path": sys.path}))
sys.exit(3)
"""


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout (in a folder with a space) whose set-up is done and whose real command tells what it was given."""
    root = copy_checkout(tmp_path / "check out")
    folder = root / ".agd" / "venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(PYTHON)
    (folder / "agd").write_text(COMMAND)
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AGD_BWRAP", raising=False)  # the tests' own start may have set it
    model = tmp_path / "home" / "models" / "x"
    model.mkdir(parents=True)
    (model / "checksums.json").touch()
    made = Stamp(
        key=stamp.key_of(root), parts=frozenset(launch.needs(["generate"])), bubblewrap="/our/bwrap", model=str(model),
        home=stamp.environment_of_home(),
    )  # fmt: skip
    (root / ".agd" / "stamp.json").write_text(json.dumps(made.as_dict()))
    return root


def copy_checkout(root: Path) -> Path:
    """What the launcher needs of this checkout."""
    root.mkdir(parents=True)
    for name in ("agd", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, root / name)
    ignored = shutil.ignore_patterns("__pycache__", "weights")
    shutil.copytree(ROOT / "src", root / "src", ignore=ignored)
    return root


def run(program: Path, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher as a user does."""
    return subprocess.run(
        [program, *arguments], cwd=cwd, env=os.environ | environment, input="from stdin", capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_real_command_gets_everything_as_it_was_given(ready: Path, tmp_path: Path) -> None:
    done = run(ready / "agd", "generate", "a prompt", "--tests", "x.py", cwd=tmp_path, PYTHONPATH="/elsewhere")

    assert (done.returncode, done.stderr) == (3, "")
    said = json.loads(done.stdout)
    assert said["arguments"] == ["generate", "a prompt", "--tests", "x.py"]
    assert (said["folder"], said["stdin"]) == (str(tmp_path), "from stdin")
    assert said["environment"]["AGD_BWRAP"] == "/our/bwrap"
    assert "PYTHONPATH" not in said["environment"]
    assert str(ready / ".agd" / "venv" / "bin") not in said["path"], "a file there must not hide a module"


def test_a_link_to_the_launcher_works(ready: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "second").symlink_to("first")
    (tmp_path / "bin" / "first").symlink_to(ready / "agd")

    assert run(tmp_path / "bin" / "second", "runs", cwd=tmp_path).returncode == 3


def test_offline_in_front_becomes_a_variable(ready: Path, tmp_path: Path) -> None:
    said = json.loads(run(ready / "agd", "--offline", "generate", "--offline", cwd=tmp_path).stdout)

    assert said["environment"]["AGD_OFFLINE"] == "1"
    assert said["arguments"] == ["generate", "--offline"], "what stands behind the command is the command's"


@pytest.mark.parametrize("name", ["uv.lock", "pyproject.toml", "src/agentic_diffusion/installer/manifest.toml"])
def test_a_changed_source_leads_to_the_set_up(ready: Path, tmp_path: Path, name: str) -> None:
    with (ready / name).open("a") as file:
        file.write("\n# changed\n")

    done = run(ready / "agd", "--offline", "generate", cwd=tmp_path, PATH="/usr/bin:/bin")

    assert done.returncode == 4
    assert "Offline" in done.stderr
    assert done.stdout == ""


def test_a_model_that_is_gone_leads_to_the_set_up_but_not_for_light_commands(ready: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "home")

    assert run(ready / "agd", "runs", cwd=tmp_path).returncode == 3
    assert run(ready / "agd", "generate", "--help", cwd=tmp_path).returncode == 3
    assert run(ready / "agd", "--offline", "generate", "x", cwd=tmp_path).returncode == 4


def test_another_home_folder_leads_to_the_set_up(ready: Path, tmp_path: Path) -> None:
    done = run(ready / "agd", "--offline", "generate", "x", cwd=tmp_path, AGD_HOME=str(tmp_path / "other"))

    assert done.returncode == 4


def test_no_python_is_said_with_the_debian_command(ready: Path, tmp_path: Path) -> None:
    shutil.rmtree(ready / ".agd")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "readlink", "uname"):
        (tools / name).symlink_to(str(shutil.which(name)))

    done = run(ready / "agd", "doctor", cwd=tmp_path, PATH=str(tools))

    assert done.returncode == 4
    assert "no Python 3.11 or newer was found" in done.stderr
    assert "apt-get install python3 python3-venv python3-pip" in done.stderr


def test_an_old_python_is_passed_over(ready: Path, tmp_path: Path) -> None:
    shutil.rmtree(ready / ".agd")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    for name in ("dirname", "readlink"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "python3.11").symlink_to(PYTHON)

    done = run(ready / "agd", "dev", "nothing", cwd=tmp_path, PATH=str(tools))

    assert done.returncode == 2
    assert "There is no development command 'nothing'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["setup", "--what"], "Unrecognized arguments: --what"),
        (["uninstall", "extra"], "Unrecognized arguments: extra"),
        (["dev"], "There is no development command '(none)'"),
    ],
)
def test_wrong_flags(ready: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run(ready / "agd", *arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert words in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "offline", "rest"),
    [
        (["generate"], False, ["generate"]),
        (["--offline", "generate"], True, ["generate"]),
        (["--log-style=json", "--offline", "generate", "x"], True, ["--log-style=json", "generate", "x"]),
        (["generate", "--offline"], False, ["generate", "--offline"]),
        (["--log-style", "json", "--offline", "generate"], True, ["--log-style", "json", "generate"]),
        (["--offline"], True, []),
        (["--log-level"], False, ["--log-level"]),
        ([], False, []),
    ],
)
def test_the_offline_flag(arguments: list[str], offline: bool, rest: list[str]) -> None:
    assert launch.split_offline(arguments) == (offline, rest)


def test_a_word_for_offline_that_is_neither_yes_nor_no_is_refused(ready: Path, tmp_path: Path) -> None:
    done = run(ready / "agd", "setup", cwd=tmp_path, AGD_OFFLINE="maybe")

    assert done.returncode == 2
    assert done.stderr.startswith("error: AGD_OFFLINE='maybe' is neither yes nor no.\nhint: ")


@pytest.mark.parametrize("change", [shutil.move, partial(shutil.copytree, symlinks=True)])
def test_a_moved_or_copied_checkout_leads_to_the_set_up(
    ready: Path, tmp_path: Path, change: Callable[[Path, Path], object]
) -> None:
    """Its environment holds the absolute path of the old place."""
    change(ready, tmp_path / "elsewhere")

    done = run(tmp_path / "elsewhere" / "agd", "--offline", "generate", cwd=tmp_path, PATH="/usr/bin:/bin")

    assert done.returncode == 4
    assert "Offline" in done.stderr
    assert done.stdout == ""
    if ready.exists():
        assert run(ready / "agd", "generate", cwd=tmp_path).returncode == 3, "the old place is as it was"


@pytest.mark.parametrize(
    ("arguments", "command", "light"),
    [
        ([], "", True),
        (["--version"], "", True),
        (["doctor", "model"], "doctor", True),
        (["--log-style", "json", "runs", "list"], "runs", True),
        (["generate", "doctor"], "generate", False),
        (["generate", "x", "-h"], "generate", True),
        (["something-new"], "something-new", False),
    ],
)
def test_what_a_command_line_needs(arguments: list[str], command: str, light: bool) -> None:
    assert launch.first_word(arguments) == command
    assert (launch.needs(arguments) == {"core"}) is light


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"parts": 3}'])
def test_a_stamp_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "stamp").write_text(content)

    assert Stamp.read(tmp_path / "stamp") is None
    assert Stamp.read(tmp_path / "missing") is None


def test_a_start_imports_the_stamp_and_nothing_else_of_ours(ready: Path, tmp_path: Path) -> None:
    """Time is not measured; what would cost it is."""
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-X", "importtime", ready / "src/agentic_diffusion/installer/launch.py", "runs"],
        capture_output=True, text=True, check=False, cwd=tmp_path, input="",
    )  # fmt: skip

    assert done.returncode == 3
    imported = [line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert [name for name in imported if name.startswith("agentic_diffusion.")] == [
        "agentic_diffusion.installer", "agentic_diffusion.installer.stamp",
    ]  # fmt: skip
    assert not {"pathlib", "subprocess", "argparse", "tomllib", "urllib.request"} & set(imported)

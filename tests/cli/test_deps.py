"""`agd deps` as it is called: what goes to stdout, exit codes, and the one sentence of each error."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.packages.project import Project
from small_project import index, newer, project

__all__ = ["index", "newer", "project"]


@pytest.fixture
def agd(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command on the project: exit code, stdout, stderr."""
    capsys.readouterr()

    def call(*words: str) -> tuple[int, str, str]:
        code = main(["deps", *words, "--project", str(project.folder)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_graph(agd: Callable[..., tuple[int, str, str]], project: Project, tmp_path: Path) -> None:
    project.sync()
    (project.folder / "mine.py").write_text("import apple\nimport seed\n")
    picture = tmp_path / "graph.svg"

    code, out, err = agd("graph", "--json", "--svg", str(picture))
    said = json.loads(out)
    assert (code, err) == (0, f"the picture is in {picture}\n")
    assert ET.parse(picture).getroot().tag.endswith("svg")
    assert said["roots"] == ["mine==1.0"]
    assert {entry["key"]: entry["licence"] for entry in said["packages"]}["seed==1.0"] == "BSD-3-Clause"
    assert said["undeclared_imports"] == [{"module": "seed", "where": "mine.py:2", "brought_by": "seed"}]
    assert said["unused_requirements"] == ["pear"]
    assert (said["cycles"], said["duplicates"]) == ([], {})

    code, out, _ = agd("graph")
    assert code == 0
    assert "licences: MIT 3, BSD-3-Clause 1" in out
    assert "imported, not declared: seed (mine.py:2, brought by seed)" in out

    code, out, _ = agd("graph", "seed")
    assert "  here because mine==1.0 -> apple==1.0 -> seed==1.0\n" in out
    assert "  needed by 1 directly, 2 indirectly\n" in out

    code, out, err = agd("graph", "sed")
    assert (code, out) == (2, "")
    assert err.startswith("error: The lock has no package 'sed'.")


def test_verify_and_what_is_wrong(agd: Callable[..., tuple[int, str, str]], project: Project) -> None:
    project.sync()
    code, out, err = agd("verify")
    assert (code, out) == (0, "")
    assert err == "looked at 4 hashes in the lock, 4 installed packages: 0 wrong\n"

    next(project.folder.glob(".venv/lib/*/site-packages/apple/__init__.py")).write_text("")
    code, out, _ = agd("verify", "--json")
    assert code == 1
    assert [problem["subject"] for problem in json.loads(out)["problems"]] == ["apple"]


def test_platforms_export_and_lock(agd: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = agd("platforms", "linux-x86_64", "macos-arm64", "--python", "3.12")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["linux-x86_64", "3.12", "3"], ["macos-arm64", "3.12", "2"],
    ]  # fmt: skip
    assert "torch on linux: the CPU build of PyTorch's own index" in err
    code, out, _ = agd("export", "--format", "pylock")
    assert (code, out.splitlines()[0]) == (0, 'lock-version = "1.0"')
    assert agd("lock") == (0, "the lock has no change\n", "")


def test_add_outdated_upgrade_diff(
    agd: Callable[..., tuple[int, str, str]], project: Project, newer: Callable[[], None], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    old = tmp_path / "old.lock"
    old.write_bytes((project.folder / "uv.lock").read_bytes())
    newer()
    code, out, _ = agd("outdated", "--json")
    assert code == 0
    assert [row["latest"] for row in json.loads(out)["outdated"]] == ["3.0"]

    code, out, _ = agd("upgrade", "--tested", "false", "--json")
    assert (code, json.loads(out)["kept"], json.loads(out)["exit_code"]) == (1, False, 1)
    assert (project.folder / "uv.lock").read_bytes() == old.read_bytes()
    code, out, _ = agd("upgrade", "--tested", "true")
    assert (code, out) == (0, "3 changes kept: the tests pass\n")

    assert main(["deps", "diff", str(old), str(project.folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "seed 1.0 is gone", "apple goes up from 1.0 to 2.0 (major)", "apple needs seed no more",
    ]  # fmt: skip


def test_errors_are_a_sentence(
    agd: Callable[..., tuple[int, str, str]], project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["deps", "sync", "--project", str(tmp_path)]) == 2
    assert "is no Python project: it has no pyproject.toml." in capsys.readouterr().err
    assert main(["deps", "graph", "--project", str(tmp_path)]) == 4
    assert capsys.readouterr().err.startswith(f"error: There is no lock at {tmp_path}/uv.lock.\nhint: Make it with")
    code, _, err = agd("add", "ghost", "--offline")
    assert code == 4
    assert err.startswith("error: Offline, uv could not add ghost: ")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    code, _, err = agd("sync")
    assert code == 4
    assert err.startswith("error: There is no uv 0.7.0 or newer here.")

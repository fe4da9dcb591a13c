"""`agd solve`: what it refuses, and what it says of a project whose tests pass already or cannot be made to pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.codegen.worktree import git
from agentic_diffusion.installer import manifest
from tiny_coder import random_weights, save_model, tiny_shape


@pytest.fixture(autouse=True)
def _project(own_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGD_GENERATE_MODE", "ar")
    shape = tiny_shape()
    place = own_machine.parent / "home" / "models" / manifest.load().model().name
    save_model(place, shape, random_weights(shape))
    folder = own_machine.parent / "project"
    folder.mkdir()
    (folder / "one.py").write_text("def f(x):\n    return x - 1\n")
    (folder / "test_right.py").write_text("from one import f\n\nassert f(1) == 0\n")
    (folder / "test_never.py").write_text("from one import f\n\nassert f(1) == object()\n")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a"],
    ):
        git(folder, *words)
    monkeypatch.chdir(folder)


def test_tests_that_pass_already_leave_everything_as_it_is(capsys) -> None:
    assert main(["solve", "--tests", "test_right.py"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "ran: 1 of 1 cases pass" in said.err
    assert "stopped: all tests pass: 1 of 1 cases pass, 1 did before" in said.err


def test_what_cannot_be_solved_ends_with_code_three_and_every_event(capsys) -> None:
    assert main(["solve", "--tests", "test_never.py", "--budget", "1s", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["solved"], found["branch"], found["passed"], found["total"]) == (False, None, 0, 1)
    assert [event["kind"] for event in found["events"]][:2] == ["looked", "ran"]
    assert found["events"][-1]["kind"] == "stopped"
    assert "agd/" not in git(Path(), "branch", "--list")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "There are no tests to work by."),
        (["--tests", "none.py"], "holds no file none.py."),
        (["--tests", "one.py"], "The tests (one.py) hold no test."),
        (["--tests", "test_right.py", "--repo", "nowhere"], "There is no folder nowhere."),
        (["--tests", "test_right.py", "--budget", "0s"], "generate.budget"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(capsys, words: list[str], message: str) -> None:
    assert main(["solve", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert "hint: " in said.err

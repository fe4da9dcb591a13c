"""The agent on small projects with a small random model: events, memory, journal, a branch of its own."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

from agentic_diffusion.codegen.bundle import bundle
from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.solve import SolveEvent, SolveRequest, solve
from agentic_diffusion.codegen.solve_project import Journal, ProjectRequest, prepare, relative_tests, solve_project
from agentic_diffusion.codegen.worktree import git
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Sandbox, choose
from agentic_diffusion.testing.suite import inline_suite
from tiny_coder import random_adapter, random_llama, stock_tokenizer

FAULTY = "def f(x):\n    return x - 1\n"
RIGHT = "def f(x):\n    return x + 1\n"
SUITE = inline_suite(["from solution import f", "assert f(1) == 2", "assert f(3) == 4"])
DECODE = DecodeSettings(max_new_tokens=8, temperature=0.8)


class Known:
    """A memory that lasts as long as the test."""

    def __init__(self, *programs: str) -> None:
        self.programs, self.kept = programs, []

    def recall(self, key: str) -> list[str]:
        return list(self.programs)

    def remember(self, key: str, program: str, weights: str) -> None:
        self.kept.append((key, program))


@functools.cache
def coder() -> Coder:
    parent = random_llama(context=512)
    return Coder(parent, random_adapter(parent), CodeTokenizer(stock_tokenizer()), weights="0" * 64)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return choose()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "one.py").write_bytes(FAULTY.replace("\n", "\r\n").encode())
    (folder / "test_one.py").write_text(
        "from one import f\n\n\ndef test_f():\n    assert f(1) == 2\n    assert f(3) == 4\n"
    )
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a"],
    ):
        git(folder, *words)
    return folder


def request(program: str = FAULTY, **changes) -> SolveRequest:
    fields = {"bundle": bundle({"one.py": program}, "python"), "suite": SUITE, "seconds": 900.0, "decode": DECODE}
    return SolveRequest(**(fields | changes))


def test_what_passed_before_comes_out_of_memory(sandbox: Sandbox) -> None:
    memory, seen = Known("def f(x):\n    return 2\n", RIGHT), []
    result = solve(
        request(), coder(), sandbox, memory=memory, observe=lambda event, program: seen.append((event, program))
    )
    assert result.solved
    assert result.program == RIGHT
    assert memory.kept == [(request().key, RIGHT)]
    kinds = [event.kind for event in result.events]
    assert kinds == ["looked", "ran", "recalled", "kept", "recalled", "kept", "remembered", "stopped"]
    assert [event for event, _ in seen] == list(result.events)
    assert seen[-1][1] == RIGHT
    assert result.events[1].message.startswith("0 of 2 cases pass; first failure: AssertionError")
    assert result.events[-1].as_json()["data"] == {"solved": True, "passed": 2}


def test_what_passes_already_is_left_alone(sandbox: Sandbox) -> None:
    memory = Known()
    result = solve(request(RIGHT), coder(), sandbox, memory=memory)
    assert (result.solved, result.program, memory.kept) == (True, RIGHT, [])
    assert [event.kind for event in result.events] == ["looked", "ran", "stopped"]


def test_a_faulty_file_is_repaired_and_a_stub_is_filled_and_nothing_worse_is_kept(sandbox: Sandbox) -> None:
    for program, action in ((FAULTY, "repair"), ("def f(x):\n    pass\n", "infill")):
        result = solve(request(program, seconds=900.0, actions=1, judged=12), coder(), sandbox)
        chosen = next(event for event in result.events if event.kind == "chose")
        assert chosen.data["action"] == action
        assert result.verdict.passed >= result.first.passed
        assert [event.kind for event in result.events].count("chose") == 1
        assert result.events[-1].kind == "stopped"


def test_a_program_of_the_journal_is_where_it_goes_on(sandbox: Sandbox) -> None:
    result = solve(request(), coder(), sandbox, start=RIGHT, done=3)
    assert (result.solved, result.program) == (True, RIGHT)


def test_the_journal_gives_back_the_last_program_and_the_number_of_actions(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    journal = Journal(path, {"a": 1})
    journal.note(SolveEvent(kind="chose", message="x", seconds=0.0), FAULTY)
    journal.note(SolveEvent(kind="kept", message="x", seconds=0.0), RIGHT)
    with path.open("ab") as file:
        file.write(b'{"kind": "chose", "mess')
    again = Journal(path, {"a": 1})
    assert (again.start, again.actions) == (RIGHT, 1)
    other = Journal(path, {"a": 2})
    assert (other.start, other.actions) == (None, 0)


def test_the_change_is_on_a_branch_and_the_folder_is_untouched(project: Path, sandbox: Sandbox) -> None:
    (project / "one.py").write_text("uncommitted = True\n")
    (project / "new.txt").write_text("mine\n")
    prepared = prepare(ProjectRequest(repository=project, tests=("test_one.py",), decode=DECODE))
    found = solve_project(prepared, coder(), sandbox, memory=Known(RIGHT))
    assert found.result.solved
    assert found.branch is not None
    assert (project / "one.py").read_text() == "uncommitted = True\n"
    assert git(project, "status", "--porcelain").split("\n")[:2] == [" M one.py", "?? new.txt"]
    shown = subprocess.run(
        ["git", "show", f"{found.branch}:one.py"], cwd=project, capture_output=True, check=True
    ).stdout
    assert shown == RIGHT.replace("\n", "\r\n").encode()
    assert "+    return x + 1" in found.diff
    assert not prepared.tree.folder.exists()
    assert not prepared.journal.path.exists()


def test_nothing_better_leaves_no_branch(project: Path, sandbox: Sandbox) -> None:
    prepared = prepare(ProjectRequest(repository=project, tests=("test_one.py",), decode=DECODE, seconds=1.0))
    found = solve_project(prepared, coder(), sandbox)
    assert (found.branch, found.diff) == (None, "")
    assert "agd/" not in git(project, "branch", "--list")


def test_tests_are_named_from_here_or_from_the_top(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")
    assert relative_tests(project, [Path("../test_one.py")]) == ("test_one.py",)
    assert relative_tests(project, [Path("test_one.py")]) == ("test_one.py",)


def test_what_cannot_be_worked_on_is_told(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no file none.py"):
        prepare(ProjectRequest(repository=project, tests=("none.py",)))
    (tmp_path / "bare").mkdir()
    with pytest.raises(UsageError, match=r"is in no git repository with a commit"):
        prepare(ProjectRequest(repository=tmp_path / "bare", tests=("a.py",)))
    with pytest.raises(UsageError, match="There is no folder"):
        prepare(ProjectRequest(repository=tmp_path / "none", tests=("a.py",)))
    with pytest.raises(UsageError, match="leaves no time"):
        request(seconds=0.0)
    with pytest.raises(UsageError, match="At least one action"):
        request(actions=0)

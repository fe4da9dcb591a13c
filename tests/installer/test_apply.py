"""The journal: whatever interrupts a set-up, the next one goes on from what is really there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import ResourceError
from agentic_diffusion.installer.apply import Journal, apply, disk_needs, recover
from agentic_diffusion.installer.manifest import Size
from agentic_diffusion.installer.plan import Plan, Step

STEPS = ("first", "second", "third")


def three_steps(folder: Path) -> Plan:
    """Each step makes a folder with two files, one after the other; what has both files is done."""
    steps = [
        Step(name=name, title=name, place=str(folder / name), owns=str(folder / name))
        for name in STEPS
        if not (folder / name / "b").exists()
    ]
    return Plan(steps=tuple(steps), have=())


def half(step: Step) -> Path:
    """The first half of a step."""
    place = Path(step.place)
    place.mkdir(parents=True)  # fails where an interrupted run left something: recovery must have removed it
    (place / "a").touch()
    return place


def whole(step: Step) -> str:
    (half(step) / "b").touch()
    return ""


@pytest.mark.parametrize("broken", STEPS)
def test_an_error_in_any_step_is_made_good_by_the_next_run(tmp_path: Path, broken: str) -> None:
    journal = Journal(tmp_path / "journal")

    def fails(step: Step) -> str:
        half(step)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(three_steps(tmp_path), {name: fails if name == broken else whole for name in STEPS}, journal)
    assert list(journal.unfinished()) == [broken]

    assert recover(journal) == [broken]
    assert not (tmp_path / broken).exists()
    rest = three_steps(tmp_path)
    assert [step.name for step in rest.steps] == list(STEPS[STEPS.index(broken) :])
    apply(rest, dict.fromkeys(STEPS, whole), journal)
    assert journal.unfinished() == {}
    assert three_steps(tmp_path).steps == ()


@pytest.mark.parametrize("broken", STEPS)
def test_a_kill_in_any_step_is_made_good_by_the_next_run(tmp_path: Path, broken: str) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_apply import STEPS, half, three_steps, whole
        from agentic_diffusion.installer.apply import Journal, apply

        def killed(step):
            half(step)
            os.kill(os.getpid(), signal.SIGKILL)

        folder = Path({str(tmp_path)!r})
        actions = {{name: killed if name == {broken!r} else whole for name in STEPS}}
        apply(three_steps(folder), actions, Journal(folder / "journal"))
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL

    journal = Journal(tmp_path / "journal")
    assert recover(journal) == [broken]
    apply(three_steps(tmp_path), dict.fromkeys(STEPS, whole), journal)
    assert all((tmp_path / name / "b").exists() for name in STEPS)


def test_a_torn_line_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.write("begin", "first", str(tmp_path / "x"))
    with journal.path.open("a") as file:
        file.write('\n{"event": "end", "st')
    journal.write("end", "first")
    journal.write("begin", "second", str(tmp_path / "y"))

    assert journal.unfinished() == {"second": str(tmp_path / "y")}


def test_the_journal_of_a_copy_names_the_folders_of_the_copy_and_none_outside(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old / "venv", tmp_path / "outside"):
        folder.mkdir(parents=True)
    Journal(old / "journal").write("begin", "environment", str(old / "venv"))
    shutil.copytree(old, new)
    with (new / "journal").open("a") as file:
        record = {"event": "begin", "step": "far", "owns": str(tmp_path / "outside")}
        file.write(f"\n{json.dumps(record)}\n{json.dumps(record | {'step': 'all', 'owns': '.'})}")

    journal = Journal(new / "journal")
    assert journal.unfinished() == {"environment": str(new / "venv"), "far": "", "all": ""}
    assert recover(journal) == ["environment", "far", "all"]
    assert not (new / "venv").exists()
    assert (old / "venv").exists()
    assert (tmp_path / "outside").exists()


def test_no_journal_means_nothing_is_unfinished(tmp_path: Path) -> None:
    assert Journal(tmp_path / "none").unfinished() == {}
    assert recover(Journal(tmp_path / "none")) == []


def test_one_line_a_step_with_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def speaks(step: Step) -> str:
        whole(step)
        return f"{step.name} 1.0"

    apply(three_steps(tmp_path), dict.fromkeys(STEPS, speaks), Journal(tmp_path / "journal"))

    said = capsys.readouterr()
    assert said.out == ""
    assert [line.rsplit("(", 1)[0] for line in said.err.splitlines()] == [
        "[1/3] first: first 1.0 ", "[2/3] second: second 1.0 ", "[3/3] third: third 1.0 ",
    ]  # fmt: skip


def test_the_disk_is_looked_at_before_the_first_step(tmp_path: Path) -> None:
    huge = Step(name="first", title="", place=str(tmp_path / "x" / "y"), size=Size(fetch=0, disk=10**18))

    with pytest.raises(ResourceError, match="not enough disk space to finish the set-up"):
        apply(Plan(steps=(huge,), have=()), {"first": whole}, Journal(tmp_path / "journal"))

    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "journal").exists()


def test_steps_on_one_disk_are_added_up(tmp_path: Path) -> None:
    steps = tuple(Step(name=name, title="", place=str(tmp_path / name), size=Size(fetch=0, disk=10)) for name in STEPS)

    assert disk_needs(Plan(steps=steps, have=())) == {tmp_path / "first": 30}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_said(tmp_path: Path, small_disk: Path) -> None:
    journal = Journal(small_disk / "journal")
    filler = small_disk / "filler"
    with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
        file.write(b"x" * 10_000_000)
        file.flush()

    with pytest.raises(ResourceError, match="disk became full"):
        for _ in range(1000):
            journal.write("begin", "first", "x" * 1000)

"""First runs for real, on a small project that needs no network: real uv, real processes, its own torch and model.

The small project has our launcher and installer, a build backend of its own (so that nothing is fetched to build it), a
wheel that is called torch, and a model folder. All steps are the real ones.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_checkout import PYTHON, UV, Checkout

pytestmark = [pytest.mark.system, pytest.mark.skipif(UV is None, reason="there is no uv; `./agd dev test` has one")]


def test_from_nothing_to_a_result_and_back(small: Checkout) -> None:
    before = {path.name for path in small.root.iterdir()}

    first = small.run("generate", "something")
    assert first.stdout == "generated with torch 2.13.0+cpu ['generate', 'something']\n", first.stderr
    assert first.returncode == 0
    assert "torch==2.13.0+cpu: the CPU wheel 2.13.0+cpu that pip's find-links offer" in first.stderr

    second = small.run("generate", "something")
    assert (second.stdout, second.stderr) == (first.stdout, "")
    again = small.run("setup")
    assert (again.returncode, again.stderr) == (0, "everything is ready\n")

    assert {path.name for path in small.root.iterdir()} - before == {".agd"}, "all that is made lies there"
    gone = small.run("uninstall", "--models")
    assert gone.returncode == 0
    assert f"removed {small.state} (" in gone.stderr
    assert "/models (" in gone.stderr
    assert {path.name for path in small.root.iterdir()} == before
    assert "nothing to remove" in small.run("uninstall").stderr


def test_a_light_command_sets_up_no_torch_and_no_model(small: Checkout) -> None:
    small.run("runs", "list")

    assert (small.state / "venv").exists()
    assert not list(small.state.glob("venv/lib/python3*/site-packages/torch"))
    assert not Path(small.environment["HOME"]).exists()


@pytest.mark.parametrize("change", ["move", "copy"])
def test_a_moved_or_copied_checkout_runs_its_own_sources(small: Checkout, change: str) -> None:
    assert small.run("generate", "1").returncode == 0
    old, new = small.root, small.root.with_name("new place")
    if change == "move":
        old.rename(new)
    else:
        shutil.copytree(old, new, symlinks=True)
    source = new / "small" / "small.py"
    source.write_text(source.read_text().replace("generated", "generated at the new place"))
    small.root = new

    first = small.run("generate", "2")

    assert first.stdout == "generated at the new place with torch 2.13.0+cpu ['generate', '2']\n", first.stderr
    assert "[1/1] environment" in first.stderr, "all else is kept"
    assert small.run("generate", "2").stderr == ""
    if change == "copy":
        small.root = old
        again = small.run("generate", "3")
        assert (again.stdout, again.stderr) == ("generated with torch 2.13.0+cpu ['generate', '3']\n", "")


def test_a_copy_of_an_interrupted_checkout_leaves_the_old_one_alone(small: Checkout, tmp_path: Path) -> None:
    wait = tmp_path / "wait"
    wait.touch()
    process = small.start("generate", "1", AGD_TEST_WAIT=str(wait))
    small.wait_for_step("environment")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    old, small.root = small.root, small.root.with_name("new place")
    shutil.copytree(old, small.root, symlinks=True)
    (old / ".agd" / "venv").mkdir(exist_ok=True)
    wait.unlink()

    done = small.run("generate", "2")

    assert done.returncode == 0, done.stderr
    assert "the step environment did not end last time" in done.stderr
    assert (old / ".agd" / "venv").is_dir()


def test_two_first_runs_share_one_set_up(small: Checkout, tmp_path: Path) -> None:
    wait = tmp_path / "wait"
    wait.touch()
    first = small.start("generate", "1", AGD_TEST_WAIT=str(wait))
    small.wait_for_step("environment")
    second = small.start("generate", "2", AGD_TEST_WAIT=str(wait))
    assert second.stderr is not None
    assert "a set-up is under way in another process" in second.stderr.readline()
    wait.unlink()

    out, err = first.communicate(timeout=120)
    assert (first.returncode, out) == (0, "generated with torch 2.13.0+cpu ['generate', '1']\n"), err
    out, err = second.communicate(timeout=120)
    assert (second.returncode, out) == (0, "generated with torch 2.13.0+cpu ['generate', '2']\n"), err
    journal = (small.state / "journal.jsonl").read_text()
    assert journal.count('"event": "begin", "step": "environment"') == 1


def test_interrupted_in_the_middle_of_a_step_the_next_run_works(small: Checkout, tmp_path: Path) -> None:
    wait = tmp_path / "wait"
    wait.touch()
    process = small.start("generate", "1", AGD_TEST_WAIT=str(wait))
    small.wait_for_step("environment")
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; run the same command again to go on" in err
    assert "Traceback" not in err
    wait.unlink()

    after = small.run("generate", "2")
    assert after.stdout == "generated with torch 2.13.0+cpu ['generate', '2']\n", after.stderr
    assert "the step environment did not end last time: it is begun anew" in after.stderr


@pytest.mark.parametrize("step", ["environment", "torch", "model"])
def test_killed_right_after_any_step_has_begun_the_next_run_works(small: Checkout, step: str) -> None:
    script = small.root / "killed.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(small.root / "src")!r})
        from pathlib import Path
        from agentic_diffusion.installer import actions, layout, plan, setup

        class Killed(actions.Actions):
            def table(self):
                def killed(step):
                    real(step)
                    os.kill(os.getpid(), signal.SIGKILL)
                table = super().table()
                real = table[{step!r}]
                return {{**table, {step!r}: killed}}

        setup.Actions = Killed
        setup.set_up(layout.checkout(Path({str(small.root)!r})), setup.Request(wanted=plan.DEFAULT, offline=True))
        """)
    )
    killed = subprocess.run(
        [PYTHON, "-I", "-S", script], env=small.environment, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    after = small.run("generate", "x")
    assert after.returncode == 0, after.stderr
    assert f"the step {step} did not end last time" in after.stderr


@pytest.fixture
def stranger() -> Iterator[Path]:
    """A folder that another user can reach; root ignores the modes of files, so these tests change the user."""
    if os.geteuid() != 0 or not shutil.which("setpriv") or not Path("/usr/bin/python3").exists():
        pytest.skip("changing the user needs root, setpriv and a Python that anyone can start")
    with tempfile.TemporaryDirectory(prefix="agd-stranger-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(small: Checkout, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The launcher of a copy in `folder`, run by an ordinary user."""
    clone = folder / "clone"
    if not clone.exists():
        shutil.copytree(small.root, clone)
    changed = {"AGD_PYTHON": "/usr/bin/python3", "PATH": "/usr/bin:/bin", "UV_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", clone / "agd", *arguments],
        env=small.environment | changed | environment, capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip


def test_a_checkout_that_may_not_be_written(small: Checkout, stranger: Path) -> None:
    done = as_nobody(small, stranger, "setup", HOME=str(stranger / "home"))

    assert done.returncode == 4
    assert f"error: {stranger}/clone/.agd cannot be written: Permission denied." in done.stderr


def test_a_home_that_may_not_be_written_is_said_before_anything_is_fetched(small: Checkout, stranger: Path) -> None:
    clone = stranger / "clone"
    shutil.copytree(small.root, clone)
    os.chown(clone, 65534, 65534)
    home = stranger / "home"
    home.mkdir(mode=0o755)

    done = as_nobody(small, stranger, "setup", HOME=str(home), AGD_OFFLINE="", AGD_MODEL_SOURCE="")

    assert done.returncode == 4
    assert f"error: The data folder {home}/.local/share/agentic-diffusion cannot be written" in done.stderr
    assert "AGD_HOME" in done.stderr
    assert sorted(path.name for path in (clone / ".agd").iterdir()) == ["lock"], "nothing was begun"

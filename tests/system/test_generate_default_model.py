"""`agd generate` as a user runs it: processes of its own, the default model and the adapter that ships."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentic_diffusion.foundation import resources

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "even_square_sum_test.py"
EASY = "Write a function even_square_sum(numbers) that returns the sum of the squares of the even numbers"
AGD = [sys.executable, "-m", "agentic_diffusion", "generate"]

pytestmark = [pytest.mark.model, pytest.mark.system, pytest.mark.usefixtures("default_model")]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The model of this machine, records of our own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGD_") or name == "AGD_BWRAP"}
    return kept | {"AGD_HOME": str(resources.home()), "AGD_STORE_URL": f"sqlite:///{tmp_path / 'records.db'}"}


def _run(words: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AGD, *words], env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_the_main_job_in_the_default_mode(environment: dict[str, str], tmp_path: Path) -> None:
    done = _run([EASY, "--tests", str(EXAMPLE), "--budget", "10m", "--explain"], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    namespace: dict[str, object] = {}
    exec(done.stdout, namespace)  # a verified program of our own model, printed alone
    assert namespace["even_square_sum"]([1, 2, 3, 4]) == 20  # type: ignore[operator]
    assert "verified: 4 of 4 tests passed" in done.stderr
    assert "mode denoise" in done.stderr
    assert "planted false assertion failed" in done.stderr


def test_mode_verify_writes_what_mode_ar_writes(environment: dict[str, str], tmp_path: Path) -> None:
    words = ["Write a function double(x)", "--temperature", "0", "--max-new-tokens", "24", "--json", "--mode"]
    verify, ar = (json.loads(_run([*words, mode], environment, tmp_path).stdout) for mode in ("verify", "ar"))
    assert verify["program"] == ar["program"]
    assert verify["program"].startswith("def double(")
    assert verify["forwards"] <= ar["forwards"]


def test_an_interrupt_ends_with_130_and_is_recorded(environment: dict[str, str], tmp_path: Path) -> None:
    words = ["Write a function f(x)", "--test", "assert f(1) == 'no such answer'", "--budget", "10m"]
    process = subprocess.Popen(
        [*AGD, *words], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while _status(tmp_path) != "running":
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert error.strip() == "interrupted"
    assert _status(tmp_path) == "interrupted"


def test_show_draws_masks_in_a_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    reader, writer = pty.openpty()
    words = ["Write a function double(x)", "--max-new-tokens", "12", "--show"]
    process = subprocess.Popen(
        [*AGD, *words], env=environment | {"TERM": "xterm"}, cwd=tmp_path, stdout=subprocess.PIPE, stderr=writer
    )
    os.close(writer)
    drawn = b""
    while process.poll() is None or drawn[-1:] == b"":
        try:
            drawn += os.read(reader, 65536)
        except OSError:  # the terminal is closed: Linux says EIO
            break
    out = process.communicate()[0]
    os.close(reader)
    assert "▒▒▒".encode() in drawn
    assert b"candidate 0" in drawn
    assert out.startswith(b"def double(")


def _status(folder: Path) -> str | None:
    """Status of the one run on record; None while there is none."""
    database = folder / "records.db"
    if not database.exists():
        return None
    with sqlite3.connect(database) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'runs'").fetchone():
            return None
        row = connection.execute("select status from runs").fetchone()
        return None if row is None else str(row[0])

"""uv is found only when it runs and is new enough; its failures are said in one sentence with a hint."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import ResourceError, SetupError
from agentic_diffusion.packages import uv


def program(path: Path, text: str) -> str:
    """An executable script with this text."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_first_that_runs_and_is_new_enough(tmp_path: Path) -> None:
    old = program(tmp_path / "old", "echo uv 0.2.9")
    broken = program(tmp_path / "broken", "exit 3")
    good = program(tmp_path / "good", "echo 'uv 1.2.3 (abc 2030-01-01)'")

    found = uv.find([None, str(tmp_path / "missing"), broken, old, good])

    assert found is not None
    assert (found.path, found.version, found.version_text) == (good, (1, 2, 3), "1.2.3")
    assert uv.find([broken, old]) is None


def test_what_uv_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    path = program(tmp_path / "uv", "env")

    said = uv.Uv(path=path, version=uv.FLOOR, offline=True, environment={"SSL_CERT_FILE": "/ca.pem"}).run(
        ["sync"], purpose="try", extra={"UV_PROJECT_ENVIRONMENT": "/there"}
    )

    lines = said.splitlines()
    assert {
        "UV_OFFLINE=1",
        "UV_PYTHON_DOWNLOADS=never",
        "SSL_CERT_FILE=/ca.pem",
        "UV_PROJECT_ENVIRONMENT=/there",
    } <= set(lines)
    assert not [line for line in lines if line.startswith(("VIRTUAL_ENV=", "PYTHONPATH="))]


def test_a_failure_is_one_sentence_with_uvs_words(tmp_path: Path) -> None:
    path = program(tmp_path / "uv", "echo 'error: the lock is of another world' >&2; echo 'hint: no' >&2; exit 2")

    with pytest.raises(SetupError, match=r"uv could not install things: the lock is of another world\."):
        uv.Uv(path=path, version=uv.FLOOR).run(["sync"], purpose="install things")


def test_a_uv_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="does not start"):
        uv.Uv(path=str(tmp_path / "gone"), version=uv.FLOOR).run([], purpose="try")


@pytest.mark.parametrize(
    ("stderr", "kind", "words"),
    [
        ("error: Failed to write\n  cause: No space left on device (os error 28)", ResourceError, "disk is full"),
        ("error: Request failed\n  cause: dns error: failed to lookup", SetupError, "package index was not reached"),
        ("error: Failed to download `x`\n  cause: Network connectivity is disabled", SetupError, "Offline, uv"),
        ("  × No solution found\n  ╰─▶ because of reasons", SetupError, "No solution found"),
        ("", SetupError, "it gave no reason"),
    ],
)
def test_kinds_of_failure(stderr: str, kind: type[SetupError], words: str) -> None:
    error = uv.failure("go on", stderr, offline=False)

    assert type(error) is kind
    assert words in error.message
    assert error.hint


def test_offline_is_named_as_the_reason() -> None:
    error = uv.failure("install torch", "error: Failed to download `torch`", offline=True)

    assert error.message == "Offline, uv could not install torch: Failed to download `torch`."
    assert "with network" in error.hint


def test_no_folder_of_the_path_is_changed(tmp_path: Path) -> None:
    path = program(tmp_path / "uv", "pwd")

    assert uv.Uv(path=path, version=uv.FLOOR).run([], purpose="look").strip() == str(Path.cwd())


def test_an_error_that_uv_broke_into_lines_is_told_whole():
    said = "error: failed to read from file\n       `/some/where/uv.lock`:\n       Is a directory (os error 21)\n"
    problem = uv.failure("install the locked packages", said, offline=False)
    assert "failed to read from file `/some/where/uv.lock`: Is a directory (os error 21)." in str(problem)

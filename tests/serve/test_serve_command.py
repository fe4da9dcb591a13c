"""`agd serve`: what it refuses before anything is loaded."""

import json

import pytest

from agentic_diffusion.cli.app import main


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--unsafe-no-sandbox"], 2, "The server never runs tests without a sandbox."),
        (["--host", "0.0.0.0"], 2, "The address 0.0.0.0 can be reached from other machines, and no token is set."),
        (["--token-file", "none"], 2, "The token cannot be read from none: "),
        (["--port", "70000"], 2, "serve.port is 70000: it must be from 0 to 65535."),
        (["--root", "none", "--port", "0"], 2, "The folder none does not exist."),
        (["--rows", "0"], 2, "serve.rows is 0: it must be at least 1."),
    ],
)
def test_what_is_refused(words, code, sentence, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["serve", *words, "--log-style", "json"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"].startswith(sentence)

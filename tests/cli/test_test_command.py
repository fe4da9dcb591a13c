"""`agd test`: files and folders in, reports and pytest's exit codes out."""

import json

import pytest

from agentic_diffusion.cli.app import main


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    (tmp_path / "pytest.ini").write_text("")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "sign.py").write_text("def sign(x):\n    if x < 0:\n        return -1\n    return 1\n")
    (tmp_path / "test_sign.py").write_text(
        "from sign import sign\ndef test_plus():\n    assert sign(2) == 1\ndef test_zero():\n    assert sign(0) == 0\n"
    )


@pytest.mark.usefixtures("files")
def test_a_run_with_coverage_is_told_remembered_and_repeated(capsys, tmp_path):
    words = ["test", "run", "--lcov", "out.info", "--junit", "out.xml", "--fail-under", "90"]
    assert main(words) == 1
    captured = capsys.readouterr()
    assert "FAILED test_sign.py::test_zero" in captured.out
    assert "1 passed, 1 failed" in captured.out
    assert "sign.py" in captured.out
    assert captured.err.startswith("test_sign.py .F\n")
    assert "DA:3,0" in (tmp_path / "out.info").read_text()
    assert "test_zero" in (tmp_path / "out.xml").read_text()
    assert main(["test", "history", "--json", "--picture", "history.svg"]) == 0
    [point] = json.loads(capsys.readouterr().out)
    assert (point["passed"], point["failed"]) == (1, 1)
    assert 0.6 < point["coverage"] < 0.8
    assert "<title>" in (tmp_path / "history.svg").read_text()
    # only what failed runs again
    assert main(["test", "run", "--failed", "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert [case["name"] for file in again["files"] for case in file["cases"]] == ["test_sign.py::test_zero"]


@pytest.mark.usefixtures("files")
def test_explain_runs_nothing(capsys):
    assert main(["test", "run", "--explain"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:4] == ["test_sign.py", "python", "pytest", "unit"]


def test_exit_codes_are_those_of_pytest(capsys):
    assert main(["test", "run"]) == 5
    assert main(["test", "run", "none.py"]) == 4
    assert main(["test", "run", "--no-such-flag"]) == 4
    assert main(["test", "mutate"]) == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "none.py"], "There is no file or folder none.py."),
        (["run", "--kind", "big"], "There are no tests of kind 'big'."),
        (["run", "--failed"], "No run of the tests at "),
        (["run", "--timeout", "long"], "'long' is not a duration"),
        (["run", "--fail-under", "200"], "--fail-under is 200, and it is a percentage."),
        (["run", "--lcov", "no/where.info"], "The file no/where.info cannot be written."),
        (["mutate", "--since", "HEAD"], "git cannot tell what changed at "),
        (["mutate", "sign.py::nope"], "There is no function 'nope' in sign.py."),
        (["generate", "none.py"], "There is no file none.py."),
        (["generate", "pytest.ini"], "Tests are generated for Python, and pytest.ini is something else."),
        (["generate", "sign.py", "--out", "test_sign.py"], "was not generated, so it is not overwritten."),
    ],
)
@pytest.mark.usefixtures("files")
def test_bad_input_is_one_sentence(capsys, words, sentence):
    assert main(["test", *words]) in (2, 4)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert "\nhint: " in captured.err

"""`agd metrics`: files and folders in, a table or JSON out."""

import json
from pathlib import Path

import pytest

from agentic_diffusion.cli.app import main

FAULTY = "def f(x):\n    spare = 1\n    return x\n"


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    Path("src/node_modules").mkdir(parents=True)
    Path("src/.hidden").mkdir()
    Path("src/a.py").write_text(FAULTY)
    Path("src/b.py").write_text("import a\n")
    Path("src/notes.txt").write_text("def\n")
    Path("src/node_modules/c.py").write_text("x = 1\n")
    Path("src/.hidden/d.py").write_text("x = 1\n")


def test_a_folder_is_measured_file_by_file(capsys):
    assert main(["metrics", "src"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "src/a.py: python, 3 lines, 11 lexemes, complexity 1, 0% of functions documented"
    assert lines[1] == "  line 2: unused-variable: spare is given a value and never read"
    assert lines[2] == "src/b.py: python, 1 lines, 2 lexemes, complexity 0, no functions"
    assert lines[3] == "2 file(s), 0.0% of the lexemes in passages that occur twice"


def test_json_has_files_functions_and_totals(capsys):
    assert main(["metrics", "src/a.py", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["duplication"] == 0
    [file] = data["files"]
    assert (file["path"], file["language"], file["complexity"]) == ("src/a.py", "python", 1)
    assert file["functions"][0]["name"] == "f"
    assert file["issues"] == [
        {"rule": "unused-variable", "line": 2, "message": "spare is given a value and never read"}
    ]


def test_two_programs_are_compared(capsys):
    Path("other.py").write_text(FAULTY.replace("spare", "left"))
    assert main(["metrics", "src/a.py", "--against", "other.py", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data.keys() == {"code_bleu", "ngram", "weighted_ngram", "subtree", "data_flow"}
    assert data["subtree"] == data["data_flow"] == 1 > data["ngram"]
    assert main(["metrics", "src/a.py", "--against", "src/a.py"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "code_bleu      1.000"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no path to measure."),
        (["none"], "There is no file or folder none."),
        (["src/.hidden/none.py"], "There is no file or folder src/.hidden/none.py."),
        (["src/notes.txt"], "The file src/notes.txt ends in .txt, and the languages installed end in "),
        (["xdg"], "There is no program at xdg."),
        (["latin.py"], "The file latin.py is not UTF-8 text."),
        (["src", "--against", "src/a.py"], "Two programs can be compared, not more."),
        (["src/a.py", "--against", "none.py"], "There is no file or folder none.py."),
    ],
)
def test_bad_input_is_one_sentence(capsys, words, sentence):
    Path("xdg").mkdir()
    Path("latin.py").write_bytes(b"x = '\xff'\n")
    assert main(["metrics", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {sentence}")
    assert "\nhint: " in captured.err

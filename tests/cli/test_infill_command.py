"""`agd infill`: what it refuses, and whole runs with a tiny model that knows what belongs into a few holes."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation import resources
from agentic_diffusion.installer import manifest, toolchains
from tiny_coder import HOLES, save_model, stock_weights

TEXT, FILLING, TEST = HOLES["python"]
FILLED = TEXT.replace("<FILL>", FILLING)
HOME = resources.home()
"""Of this machine, looked for before the tests have a home of their own."""


pytestmark = pytest.mark.usefixtures("own_machine")


@pytest.fixture
def model(tmp_path, hole_coder):
    """The model that knows a few holes where set-up puts the default one."""
    parent = hole_coder.parent
    return save_model(tmp_path / "home" / "models" / manifest.load().model().name, parent.shape, stock_weights(parent))


def _file(name: str, text: str | bytes) -> str:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def _ar(*words: str) -> list[str]:
    return ["infill", *words, "--mode", "ar", "-n", "2"]


def _refused(capsys, words: list[str]) -> tuple[str, str]:
    """Sentence and hint of a refused command line, plain and as JSON; stdout stays empty."""
    assert main(["infill", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    sentence, hint = captured.err.removeprefix("error: ").split("\nhint: ")
    assert main(["infill", *words, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    record = json.loads(captured.err)
    assert (record["message"], record["exit_code"]) == (sentence, 2)
    return sentence, hint


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--promt=x"], "There is no flag --promt=x."),
        (["plain.py", "--att", "1"], "Unknown option: --att."),
        (["none.py"], "The file none.py cannot be read: No such file or directory."),
        (["."], "The file . ends in no ending, and the languages installed end in "),
        (["plain.py"], "There is no <FILL> in plain.py, and no other place was named."),
        (["plain.py", "--at", "9"], "plain.py has no line 9: it has 2 lines."),
        (["plain.py", "--at", "2:18"], "Line 2 of plain.py has no column 18: it has 16 characters."),
        (["plain.py", "--at", "0"], "'0' is no place in a file."),
        (["plain.py", "--at", "end"], "'end' is no place in a file."),
        (["plain.py", "--between", "2", "1"], "The hole ends at 1, before it begins at 2."),
        (["plain.py", "--at", "1", "--between", "1", "2"], "--at and --between both name the hole."),
        (["hole.py", "--at", "1"], "hole.py holds <FILL>, and --at names another hole."),
        (["hole.py", "--between", "1", "1"], "hole.py holds <FILL>, and --between names another hole."),
        (["empty.py", "--at", "1"], "The file empty.py is empty: there is nothing around the hole."),
        (["latin.py"], "The file latin.py is not UTF-8 text (byte 5)."),
        (["hole.cob"], "The file hole.cob ends in .cob, and the languages installed end in "),
        (["hole.py", "--lang", "cobol"], "There is no language 'cobol'; installed are: "),
        (["-"], "Standard input has no ending that tells its language."),
        (["-", "--lang", "python", "--apply"], "Standard input cannot be written to."),
        (["locked.py", "--apply"], "The file locked.py is read-only."),
        (["hole.py", "--candidates", "0"], "At least one candidate is needed."),
        (["hole.py", "--seconds", "0s"], "generate.budget is '0s': it must be more than nothing."),
        (["hole.py", "--lines", "0"], "A filling needs at least one line."),
        (
            ["hole.py", "--tests", "none_test.py"],
            "The tests cannot be read from none_test.py: No such file or directory.",
        ),
        (["hole.py", "--test", "assert True"], "The tests (inline) name nothing of the program under test."),
        (["hole.js", "--tests", "hole_test.py"], "The tests (hole_test.py) are in python, and the file is JavaScript."),
    ],
)
def test_bad_input_is_refused_with_a_sentence_before_any_model_is_loaded(capsys, words, sentence):
    _file("plain.py", FILLED)
    for name in ("hole.py", "hole.cob", "locked.py", "hole.js"):
        _file(name, TEXT)
    _file("hole_test.py", f"{TEST}\n")
    _file("empty.py", "\n")
    _file("latin.py", b"x = '\xe9'  # <FILL>\n")
    Path("locked.py").chmod(0o444)
    before = {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    found, hint = _refused(capsys, words)
    assert found.startswith(sentence)
    assert hint.strip()
    assert {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


def test_a_diff_and_json_cannot_both_have_stdout(capsys):
    _file("hole.py", TEXT)
    assert main(["infill", "hole.py", "--diff", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["message"] == "--diff and --json both want stdout."


def test_without_a_model_the_environment_is_named(capsys):
    assert main(_ar(_file("hole.py", TEXT))) == 4
    assert capsys.readouterr().err.startswith("error: The model ")


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_filled_and_verified_in_every_language(capsys, model, monkeypatch, name):
    text, filling, test = HOLES[name]
    path = _file(f"hole{languages.get(name).endings[0]}", text)
    assert main(_ar(path)) == 0
    captured = capsys.readouterr()
    assert captured.out == text.replace("<FILL>", filling)
    assert captured.err.startswith("unverified (no tests were given), confidence ")
    monkeypatch.setenv("AGD_HOME", str(HOME))  # where toolchains are
    monkeypatch.setenv("AGD_MODEL_NAME", str(model))
    if any(toolchains.find(tool) is None for tool in languages.get(name).tools):
        if os.environ.get("CI") == "true":
            pytest.fail(f"a toolchain of {name} is not here")
        pytest.skip(f"a toolchain of {name} is not here")
    assert main(_ar(path, "--test", test)) == 0
    captured = capsys.readouterr()
    assert captured.out == text.replace("<FILL>", filling)
    assert "verified: 1 of 1 tests passed, confidence " in captured.err


def test_bytes_outside_the_hole_stay_as_they_are(capsysbinary, model):
    data = b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode() + b"\tpass  \r\n# \xc3\xa9"
    assert main(_ar(_file("hole.py", data))) in (0, 3)  # the tail does not parse; what is printed is whole all the same
    made = capsysbinary.readouterr().out
    before, after = data.split(b"<FILL>")
    assert made.startswith(before)
    assert made.endswith(after)


def test_apply_writes_what_is_verified_and_nothing_else(capsys, model):
    path = Path(_file("hole.py", TEXT))
    assert main(_ar("hole.py", "--apply", "--test", "assert f(1) == 'blue'", "--seconds", "20s")) == 3
    captured = capsys.readouterr()
    assert path.read_text() == TEXT
    assert captured.out.startswith("def f(x):\n    return ")
    assert captured.err.startswith("UNVERIFIED: the best filling passed 0 of 1 tests")
    assert captured.err.rstrip().endswith("; nothing was written")
    assert main(_ar("hole.py", "--apply", "--test", TEST)) == 0
    assert capsys.readouterr().out == ""
    assert path.read_text() == FILLED


def test_a_diff_is_one_that_patch_reads(capsys, model):
    _file("hole.py", TEXT.rstrip("\n"))
    assert main(_ar("hole.py", "--diff")) == 0
    assert capsys.readouterr().out == (
        "--- a/hole.py\n+++ b/hole.py\n@@ -1,2 +1,2 @@\n def f(x):\n-    return <FILL>\n\\ No newline at end of file\n"
        "+    return x + 1\n\\ No newline at end of file\n"
    )
    assert Path("hole.py").read_text() == TEXT.rstrip("\n")


def test_places_name_the_same_hole_as_a_marker(capsys, model):
    _file("at.py", TEXT.replace("<FILL>", ""))
    assert main(_ar("at.py", "--at", "2:12")) == 0
    assert capsys.readouterr().out == FILLED
    _file("between.py", TEXT.replace("<FILL>", "None if x else x"))
    assert main(_ar("between.py", "--between", "2:12", "2:28")) == 0
    assert capsys.readouterr().out == FILLED


def test_json_holds_every_filling(capsys, model):
    assert main(_ar(_file("hole.py", TEXT), "--json", "--seed", "3")) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["program"], data["verified"], data["parses"], data["seed"]) == (FILLED, False, True, 3)
    for candidate in data["candidates"]:
        [filling] = candidate["fillings"]
        assert set(filling) == {"text", "confidence", "score", "tokens"}


def test_standard_input_is_read_and_two_holes_are_filled(capsys, model, monkeypatch):
    text = f"{TEXT}\n\n{TEXT}"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(_ar("-", "--lang", "py")) == 0
    made = capsys.readouterr().out
    assert "<FILL>" not in made
    assert made.startswith("def f(x):\n    return x")
    assert "\n\n\ndef f(x):\n    return " in made


def test_a_file_that_does_not_parse_is_told(capsys, model):
    assert main(_ar(_file("hole.py", f"{TEXT}def (:\n"))) == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("UNVERIFIED: with no filling does the program parse (best one: line 3: ")
    assert captured.out


def test_a_hole_in_a_file_of_ten_thousand_lines(capsys, model):
    lines = [f"a{number} = {number}" for number in range(10_000)]
    lines[5_000] = "a5000 = <FILL>"
    assert main(_ar(_file("long.py", "\n".join(lines)))) in (0, 3)
    made = capsys.readouterr().out.split("\n")
    assert len(made) == 10_000
    assert [number for number in range(10_000) if made[number] != lines[number]] == [5_000]


@pytest.mark.model
@pytest.mark.system
def test_the_default_model_fills_a_hole_as_a_user_calls_it(default_model, tmp_path):
    text = "def area(width, height):\n    return <FILL>\n"
    environment = os.environ | {"AGD_HOME": str(default_model.parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "agentic_diffusion", "infill", _file("area.py", text), "--test",
         "assert area(2, 3) == 6", "--seconds", "5m"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    space: dict[str, object] = {}
    exec(done.stdout, space)
    assert space["area"](2, 5) == 10
    assert done.stdout.startswith("def area(width, height):\n    return ")

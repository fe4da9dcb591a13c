"""`agd generate`: what it refuses, and whole runs with a tiny model that was taught its answers and a real sandbox."""

import io
import json
import os
from pathlib import Path

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation import plugins
from agentic_diffusion.installer import manifest, toolchains
from tiny_coder import ADD_ONE, ADD_ONE_TEST, SCRIPT, SCRIPT_TEST, WRONG, WRONG_TEST, save_model, stock_weights

EXAMPLE = Path(__file__).parents[2] / "examples" / "even_square_sum_test.py"
EASY = "Write a function even_square_sum(numbers) that returns the sum of the squares of the even numbers"
PROGRAM = "def f(x):\n    return x + 1\n"
MIXED = "The tests ({}) do not parse: line {}: inconsistent use of tabs and spaces in indentation."


pytestmark = pytest.mark.usefixtures("own_machine")


@pytest.fixture
def model(tmp_path, taught_coder):
    """The taught model where set-up puts the default one."""
    parent = taught_coder.parent
    folder = tmp_path / "home" / "models" / manifest.load().model().name
    return save_model(folder, parent.shape, stock_weights(parent))


def _ar(*words: str) -> list[str]:
    return ["generate", *words, "--mode", "ar", "--max-new-tokens", "60", "--budget", "20s"]


def _refused(capsys, words: list[str]) -> tuple[str, str]:
    """Sentence and hint of a refused command line, plain and as JSON; stdout stays empty."""
    assert main(["generate", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    sentence, hint = captured.err.removeprefix("error: ").split("\nhint: ")
    assert main(["generate", *words, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    record = json.loads(captured.err)
    assert (record["message"], record["hint"], record["exit_code"]) == (sentence, hint.rstrip("\n"), 2)
    return sentence, hint


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["", "--test", "assert f(1) == 2"], "The prompt is empty."),
        (["  \n"], "The prompt is empty."),
        (["x\udcff"], "The prompt is not UTF-8 text."),
        (["--tsts", "none.py"], ""),
        (["--promt=x"], "There is no flag --promt=x."),
        (["x", "--promt", "y"], "Unknown option: --promt."),
        (["x", "--tests", "none.py"], "The tests cannot be read from none.py: No such file or directory."),
        (["x", "--test", "assert f(1) =="], "The tests (inline) do not parse: line 1: invalid syntax."),
        (["x", "--test", "  "], "The tests (inline) are empty."),
        (["x", "--lang", "cobol"], "There is no language 'cobol'; installed are: "),
        (["Write a Python function", "--lang", "cobol"], "There is no language 'cobol'; installed are: "),
        (["x", "--test", "if f(1):\n\tassert f(1)\n        assert f(2)"], MIXED.format("inline", 3)),
        (["x", "--style", "none"], "There is no file or folder none."),
        (["x", "--style", "."], "There is no Python program at ."),
        (["x", "--budget", "soon"], "generate.budget: "),
        (["x", "--budget", "0s"], "generate.budget is '0s': it must be more than nothing."),
        (["x", "-n", "0"], "At least one candidate is needed."),
        (["x", "--mode", "guess"], ""),
        (["x", "--block", "2"], "generate.block is 2: mode denoise needs a block of at least 4."),
        (["x", "--temperature", "11"], "threshold 0.9, top_p 0.95 or temperature 11.0 is out of range."),
        (["x", "--seed", "-1"], "The seed -1 is out of range."),
        (["x", "--out", "missing/f.py"], "The output file missing/f.py lies in a folder that does not exist."),
        (["x", "--out", "."], "The output file . is a folder."),
        (["x", "--show"], "--show draws in a terminal, and stderr is none."),
    ],
)
def test_bad_input_is_refused_with_a_sentence_before_any_model_is_loaded(capsys, words, sentence):
    found, hint = _refused(capsys, words)
    assert found.startswith(sentence)
    assert hint.strip()


def test_a_test_file_that_does_not_parse_or_holds_no_test_is_named(capsys):
    Path("broken_test.py").write_text("def test_a(:\n")
    assert _refused(capsys, ["x", "--tests", "broken_test.py"])[0].startswith("The tests (broken_test.py) do not parse")
    Path("empty_test.py").write_text("import math\n")
    assert "empty_test.py" in _refused(capsys, ["x", "--tests", "empty_test.py"])[0]


def test_tests_that_mix_tabs_and_spaces_are_named_with_the_line(capsys):
    Path("mixed_test.py").write_text("def test_f():\n\tassert f(1) == 2\n        assert f(2) == 3\n")
    assert _refused(capsys, ["x", "--tests", "mixed_test.py"])[0] == MIXED.format("mixed_test.py", 3)


@pytest.mark.parametrize("name", [name for name in plugins.discover("languages") if name != "python"])
def test_tests_in_another_language_than_the_program_are_refused(capsys, name):
    other = languages.get(name)
    Path("f_test.py").write_text(f"{ADD_ONE_TEST}\n")
    sentence, hint = _refused(capsys, ["x", "--lang", name, "--tests", "f_test.py"])
    assert sentence == f"The tests in f_test.py are Python, and the program shall be {other.title}."
    assert other.endings[0] in hint


def test_a_test_file_of_no_installed_language_is_named(capsys):
    Path("f_test.cob").write_text("DISPLAY 1.\n")
    assert _refused(capsys, ["x", "--tests", "f_test.cob"])[0].startswith("The file f_test.cob ends in .cob, and the")


def test_the_default_language_is_a_setting(capsys, monkeypatch):
    monkeypatch.setenv("AGD_GENERATE_LANGUAGE", "cobol")
    assert _refused(capsys, ["x"])[0].startswith("There is no language 'cobol'")
    monkeypatch.setenv("AGD_GENERATE_LANGUAGE", " ")
    assert _refused(capsys, ["x"])[0].startswith("generate.language is empty: a language's name is needed.")


def test_tests_that_pass_for_anything_are_refused(capsys):
    sentence, _ = _refused(capsys, ["x", "--test", "assert True"])
    assert sentence


def test_no_prompt_at_all_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert _refused(capsys, [])[0] == "There is no prompt."
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["generate"]) == 2
    assert capsys.readouterr().err.startswith("error: The prompt is empty.")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8"))
    assert main(["generate", "-"]) == 2
    assert capsys.readouterr().err.startswith("error: The prompt on standard input is not UTF-8 text.")
    monkeypatch.setattr("sys.stdin", io.StringIO("x" * 1_000_001))
    assert main(["generate"]) == 2
    assert capsys.readouterr().err.startswith("error: The prompt is longer than 1000000 characters.")


def test_without_a_model_the_environment_is_named(capsys):
    assert main(_ar("x")) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: The model ")
    assert "agd setup" in captured.err


def test_a_verified_program_is_all_that_goes_to_stdout_and_the_run_is_recorded(capsys, model):
    assert main(_ar(ADD_ONE, "--test", ADD_ONE_TEST, "--explain")) == 0
    captured = capsys.readouterr()
    assert captured.out == PROGRAM
    assert captured.err.startswith("verified: 1 of 1 tests passed; 1 candidate(s), ")
    assert ", mode ar, sandbox " in captured.err
    assert "Candidate 0 (greedy) passed 1 of 1 tests, and again alone" in captured.err
    assert main(["runs", "list", "--json"]) == 0
    [run] = json.loads(capsys.readouterr().out)
    assert (run["kind"], run["status"]) == ("generate", "done")
    assert run["summary"]["verified"] is True
    assert run["summary"]["new_tokens"] == 11


def test_a_prompt_from_stdin_and_a_program_to_a_file(capsys, model, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ADD_ONE}\n"))
    assert main(_ar("-", "--test", ADD_ONE_TEST, "--out", "f.py")) == 0
    assert capsys.readouterr().out == ""
    assert Path("f.py").read_text() == PROGRAM


def test_json_holds_the_whole_result(capsys, model):
    Path("add_test.py").write_text(f"from solution import f\n\n\ndef test_f():\n    {ADD_ONE_TEST}\n")
    assert main(_ar(ADD_ONE, "--tests", "add_test.py", "--json", "--seed", "3")) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["program"], data["verified"], data["mode"], data["seed"]) == (PROGRAM, True, "ar", 3)
    assert data["language"] == "python"
    assert data["sandbox"] in ("bubblewrap", "landlock")


def test_an_unverified_program_is_printed_and_called_so(capsys, model):
    assert main(_ar(WRONG, "--test", WRONG_TEST, "-n", "1")) == 3
    captured = capsys.readouterr()
    assert captured.out == "def h(x):\n    y = x\n    return y + 1\n"
    assert captured.err.startswith("UNVERIFIED: the best candidate passed 0 of 1 tests; 1 candidate(s), ")


NODE = toolchains.find("node")
"""Looked for before the tests have a home of their own."""


@pytest.mark.skipif(NODE is None and os.environ.get("CI") != "true", reason="node is not here")
def test_another_language_is_told_by_the_ending_of_the_tests(capsys, model, monkeypatch):
    monkeypatch.setenv("PATH", f"{NODE.program.parent}:{os.environ['PATH']}")
    Path("k_test.js").write_text(
        f"test('adds', () => {{ {SCRIPT_TEST} }});\ntest('again', () => {{ {SCRIPT_TEST} }});\n"
    )
    assert main(_ar(SCRIPT, "--lang", "js", "--test", SCRIPT_TEST)) == 0
    assert capsys.readouterr().out == "function k(x) {\n  return x + 1;\n}\n"
    main(_ar(SCRIPT, "--tests", "k_test.js", "-n", "1", "--json"))
    assert json.loads(capsys.readouterr().out)["language"] == "javascript"


@pytest.mark.parametrize("name", [name for name in plugins.discover("languages") if languages.get(name).tools])
def test_a_missing_toolchain_is_told_with_the_command_that_brings_it(capsys, monkeypatch, name):
    """There is no model either: the toolchain is looked for first."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    tests = {"java": "assert Solution.f(1) == 2;", "go": "assert(f(1) == 2)"}
    assert main(_ar("Write f(x)", "--lang", name, "--test", tests.get(name, "assert.equal(f(1), 2)"))) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "is not installed." in captured.err
    assert "hint: run `agd setup --languages " in captured.err


def test_without_tests_the_program_is_called_unverified_and_the_code_is_0(capsys, model):
    assert main(_ar(f"{ADD_ONE}\nYour code should pass this test:\n{ADD_ONE_TEST}", "-n", "1")) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("unverified (no tests were given); 1 candidate(s), ")
    assert ", sandbox not used" in captured.err
    assert captured.out


def test_a_store_that_cannot_be_used_costs_the_record_alone(capsys, model, monkeypatch, tmp_path):
    (tmp_path / "not-a-folder").write_text("")
    monkeypatch.setenv("AGD_STORE_URL", f"sqlite:///{tmp_path / 'not-a-folder' / 'agd.db'}")
    assert main(_ar(ADD_ONE, "--test", ADD_ONE_TEST)) == 0
    captured = capsys.readouterr()
    assert captured.out == PROGRAM
    assert "the run is not recorded" in captured.err

"""`agd fix`: what it refuses, what it says without a model, and how a repair reaches the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentic_diffusion.cli.app import main
from agentic_diffusion.cli.fix import _Output
from agentic_diffusion.codegen.document import Document
from agentic_diffusion.codegen.merging import merged, plain
from agentic_diffusion.codegen.repair_result import Proposal, RepairResult, Tried
from agentic_diffusion.installer import manifest
from agentic_diffusion.testing.execution import inline_suite
from agentic_diffusion.testing.verdicts import Outcome, Verdict, verdict_of
from tiny_coder import random_weights, save_model, tiny_shape

FAULTY = "def f(x):\n    return x - 1\n"
TEST = "assert f(1) == 2"


@pytest.fixture(autouse=True)
def _faulty(own_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGD_GENERATE_MODE", "ar")
    (own_machine / "a.py").write_text(FAULTY)


def _result(before: str, after: str) -> RepairResult:
    suite = inline_suite([TEST])
    failed = Outcome(case=suite.cases[0], status="failed", message="no", error_type=None, line=None, seconds=0.0)
    passed = Outcome(case=suite.cases[0], status="passed", message="", error_type=None, line=None, seconds=0.0)
    verdicts: list[Verdict] = [
        verdict_of(text, (outcome,), "x") for text, outcome in ((before, failed), (after, passed))
    ]
    tried = Tried(proposal=Proposal(program=after, line=2, origin="a token replaced"), verdict=verdicts[1], seconds=1.0)
    return RepairResult(
        state="repaired",
        before=before,
        program=after,
        first=verdicts[0],
        verdict=verdicts[1],
        suspects=(),
        winner=tried,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.py", "--test", TEST], "The file none.py cannot be read: No such file or directory."),
        (["a.py"], "There are no tests to repair by."),
        (["a.py", "--test", "  "], "The tests (inline) are empty."),
        (["a.py", "--tests", "t.js"], "The tests (t.js) are in javascript, and the file a.py is Python."),
        (["a.py", "--test", "assert f is not None or True"], "The tests pass for functions that do nothing"),
        (["a.py", "--test", TEST, "--at", "9"], "The program has 3 lines, and another one was named."),
        (["a.py", "--test", TEST, "-n", "0"], "At least one candidate is needed."),
        (["a.txt", "--test", TEST], "a.txt"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(capsys, words: list[str], message: str) -> None:
    Path("t.js").write_text("const { f } = require('./solution');\nassert.equal(f(1), 2);\n")
    Path("a.txt").write_text("words\n")
    assert main(["fix", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert "hint: " in said.err


def test_a_read_only_file_is_refused_before_any_work(capsys) -> None:
    Path("a.py").chmod(0o444)
    assert main(["fix", "a.py", "--test", TEST, "--apply"]) == 2
    assert "The file a.py is read-only." in capsys.readouterr().err


def test_tests_that_pass_already_need_no_model(capsys) -> None:
    assert main(["fix", "a.py", "--test", "assert f(2) == 1", "--apply"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "All 1 tests pass already; nothing was changed. Nothing was written." in said.err


def test_a_missing_module_is_told_and_not_repaired(capsys) -> None:
    Path("a.py").write_text("import numpy_that_is_not_here\n\n\ndef f(x):\n    return x\n")
    assert main(["fix", "a.py", "--test", TEST, "--json"]) == 4
    record = json.loads(capsys.readouterr().err)
    assert record["message"].startswith(
        "The tests fail since numpy_that_is_not_here is not here, and no repair of a.py changes that"
    )


def test_what_is_not_repaired_is_not_written(capsys, tmp_path: Path) -> None:
    shape = tiny_shape()
    save_model(tmp_path / "home" / "models" / manifest.load().model().name, shape, random_weights(shape))
    words = ["fix", "a.py", "--test", "assert f(1) == object()", "--apply", "--json", "--budget", "2s", "--explain"]
    assert main(words) == 3
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["state"], found["diff"], found["applied"]) == ("unchanged", "", False)
    assert found["suspects"][0]["line"] == 2
    assert Path("a.py").read_text() == FAULTY
    assert "line 2: " in said.err


def test_a_repair_is_written_and_other_bytes_stay(capsys) -> None:
    data = b"\xef\xbb\xbfdef f(x):\r\n\treturn x - 1\r\n# \xc3\xa9\n\tend"
    path = Path("a.py")
    path.write_bytes(data)
    path.chmod(0o750)
    document = Document.read(path)
    before = plain(document.text)
    output = _Output(file=path, apply=True, as_json=False, explain=False)
    output.deliver(_result(before, before.replace("x - 1", "x + 1")), document)
    assert path.read_bytes() == data.replace(b"x - 1", b"x + 1")
    assert path.stat().st_mode & 0o777 == 0o750
    said = capsys.readouterr().out
    assert said.startswith("--- a/a.py\n+++ b/a.py\n")
    assert "-\treturn x - 1\r\n+\treturn x + 1\r\n" in said


LINES = st.lists(st.sampled_from(["a", "\tb", "", "  c", "d e"]), max_size=8)
ENDS = st.sampled_from(["\n", "\r\n"])
CALM = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)


@CALM
@given(st.lists(st.tuples(st.sampled_from(["a", "\tb", "", "c"]), ENDS), max_size=8), st.sampled_from(["", "tail"]))
def test_an_unchanged_text_keeps_every_byte(lines: list[tuple[str, str]], tail: str) -> None:
    original = "".join(text + end for text, end in lines) + tail
    assert merged(original, plain(original)) == original


@CALM
@given(st.lists(st.tuples(st.sampled_from(["a", "b", ""]), ENDS), max_size=6), LINES)
def test_a_changed_text_reads_as_what_was_written(lines: list[tuple[str, str]], new: list[str]) -> None:
    original = "".join(text + end for text, end in lines)
    changed = "".join(f"{line}\n" for line in new)
    assert plain(merged(original, changed)) == changed

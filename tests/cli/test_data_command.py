"""`agd data generate`: rows that the corpus reads, run in the sandbox; wrong flags in one sentence."""

import json

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.domains.code.corpus import CorpusSettings, build_corpus, data_files
from agentic_diffusion.foundation import events


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)
    yield
    events.configure(style="human", level="warning", run_id="")


def test_generated_rows_are_run_and_can_be_learned(tmp_path, capsys):
    words = ["data", "generate", "--count", "12", "--languages", "python", "--out", "own.jsonl.gz", "--seed", "4"]
    assert main([*words, "--run", "0.5", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"out": "own.jsonl.gz", "rows": 12, "tasks": 12, "run": 6, "failed": 0}
    assert "python: 6 of 6 run" in err
    kept, report = build_corpus(data_files(tmp_path / "own.jsonl.gz"), CorpusSettings())
    assert len(kept) + report.dropped.get("own", {}).get("nearly equal", 0) == 12
    before = (tmp_path / "own.jsonl.gz").read_bytes()
    assert main([*words, "--run", "0.5"]) == 0
    assert capsys.readouterr().out == "own.jsonl.gz\n"
    assert (tmp_path / "own.jsonl.gz").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--count", "0"], "0 tasks of difficulty 4 with 4 tests are out of range"),
        (["--languages", "python,cobol"], "The generator does not write cobol"),
        (["--run", "2"], "A share of 2.0 cannot be run"),
        (["--hardest", "0", "--count", "5000"], "finds no more than"),
    ],
)
def test_wrong_flags_are_told(capsys, flags, sentence):
    assert main(["data", "generate", "--out", "own.jsonl", *flags]) == 2
    assert sentence in capsys.readouterr().err

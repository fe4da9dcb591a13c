"""`agd bench`: what it refuses, and a whole run with a tiny model that was taught its answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.installer import manifest
from tiny_coder import ADD_ONE, ADD_ONE_TEST, WRONG, WRONG_TEST, save_model, stock_weights

FORM = (
    'name = "own"\nrequest = "{text}\\nYour code should pass this test:\\n{example}"\n'
    'request_without_example = "{text}"\nopening = "def {entry_point}("\n'
)
ROWS = [
    {
        "task_id": "add",
        "text": ADD_ONE,
        "code": "def f(x):\n    return x + 1\n",
        "test_list": [ADD_ONE_TEST, "assert f(5) == 6"],
    },
    {
        "task_id": "wrong",
        "text": WRONG,
        "code": "def h(x):\n    return x - 1\n",
        "test_list": [WRONG_TEST, "assert h(5) == 4"],
    },
    {
        "task_id": "bad",
        "text": WRONG,
        "code": "def h(x):\n    return 0 / 0\n",
        "test_list": [WRONG_TEST, "assert h(5) == 4"],
    },
]


@pytest.fixture(autouse=True)
def _files(own_machine: Path) -> None:
    (own_machine / "own.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (own_machine / "own.toml").write_text(FORM)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no benchmark file."),
        (["none.jsonl"], "The benchmark none.jsonl cannot be read: No such file or directory."),
        (["own.jsonl", "--format", "mpbb"], "There is no benchmark format 'mpbb'."),
        (["own.jsonl", "--limit", "0"], "A limit of 0 tasks leaves none."),
        (["own.jsonl", "--samples", "3"], "3 greedy samples of a task would be the same text 3 times."),
        (["own.jsonl", "--batch", "0"], "1 samples in batches of 0 are not possible."),
        (["own.jsonl", "--hidden", "-1"], "-1 hidden cases are not possible."),
        (["own.jsonl", "--out", "missing/r.json"], "The output file missing/r.json lies in a folder that"),
        (["own.jsonl", "--prompt-form", "nothing"], "There is no prompt form 'nothing'."),
        (["own.jsonl", "--compare", "own.toml"], "own.toml holds no result of a benchmark."),
        (["own.jsonl", "--temperature", "-1"], "generate.temperature is -1.0"),
    ],
)
def test_bad_input_is_refused_before_any_model_is_loaded(capsys, words, sentence):
    assert main(["bench", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {sentence}")
    assert "\nhint: " in captured.err


def test_a_whole_run(capsys, tmp_path, taught_coder):
    parent = taught_coder.parent
    save_model(tmp_path / "home" / "models" / manifest.load().model().name, parent.shape, stock_weights(parent))
    words = ["bench", "own.jsonl", "--prompt-form", "own.toml", "--mode", "ar", "--max-new-tokens", "60"]
    assert main([*words, "--out", "first.json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].split()[:5] == ["own.jsonl", "ar", "2", "pass@1", "50.0%"]
    assert "left out: bad: its canonical solution fails its tests: ZeroDivisionError" in captured.err
    result = json.loads(Path("first.json").read_text())
    assert [task["answers"][0]["passed"] for task in result["results"]] == [True, False]
    assert result["command"].split()[0] == "agd"
    assert list(Path().glob("*.journal")) == []
    assert main([*words, "--json", "--compare", "first.json"]) == 0
    (again,) = json.loads(capsys.readouterr().out)
    assert again["scores"] == result["scores"]
    assert again["compared"]["difference"]["value"] == 0
    assert "results" not in again

"""`agd train`: a whole training of a tiny model, its resume, and every wrong input in one sentence."""

import json
import os

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.foundation import events
from tiny_coder import random_weights, save_model, tiny_shape

ROWS = [
    {"solution": f"def f(x):\n    y = x + {number}\n    return y\n", "description": f"Adds {number}.", "license": "MIT"}
    for number in range(30)
]


@pytest.fixture(autouse=True)
def _own_world(monkeypatch, tmp_path):
    """A tiny model and nothing of this machine's configuration."""
    for name in [name for name in os.environ if name.startswith("AGD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    shape = tiny_shape()
    folder = save_model(tmp_path / "tiny", shape, random_weights(shape, tied=False))
    monkeypatch.setenv("AGD_MODEL_NAME", str(folder))
    monkeypatch.setenv("AGD_MODEL_THREADS", "1")
    monkeypatch.setenv("AGD_MODEL_DTYPE", "float32")
    monkeypatch.chdir(tmp_path)
    yield
    events.configure(style="human", level="warning", run_id="")


@pytest.fixture
def data(tmp_path):
    """Write rows as a file of JSON lines."""

    def write(*rows):
        path = tmp_path / "own.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return str(path)

    return write


def test_own_data_are_learned_and_a_second_call_goes_on(data, tmp_path, capsys):
    words = ["train", "--data", data(*ROWS), "--out", "made", "--fresh", "--json", "--share", "hole=0.5"]
    assert main([*words, "--budget", "2s"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["data"]["kept"] == len(ROWS)
    assert told["result"]["step"] >= 1
    assert "of kind hole" in err
    assert "noised copies on cpu" in err, "the plan is told before it starts"
    names = {"adapter.safetensors", "state.safetensors", "log.jsonl", "loss.svg", "plan.json", "data.json"}
    assert names <= {path.name for path in (tmp_path / "made").iterdir()}
    assert main([*words, "--budget", "1s"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["plan"] == told["plan"]
    assert "going on with the training in made" in err


def test_data_alone_can_be_checked(data, capsys):
    assert main(["train", "--data", data(*ROWS, ROWS[0]), "--out", "made", "--check-data"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{len(ROWS)}\n"
    assert "| own | 31 | 30 | 1 |" in err


@pytest.mark.parametrize(
    ("rows", "flags", "sentence"),
    [
        ([*ROWS[:2], "{"], [], "Line 3 of"),
        ([ROWS[0] | {"license": "GPL-3.0"}], [], "The licence 'GPL-3.0' is not one that training data may have"),
        ([{"solution": "x = 1\ny = 2\n"}], [], "It names no licence"),
        ([ROWS[0]], ["--benchmark", "bench.jsonl"], "own:1 is a row of a benchmark (bench.jsonl, row 7)"),
        ([ROWS[0] | {"license": "GPL-3.0"}], ["--skip", "licences"], "Nothing of the data is left to learn."),
        (ROWS[:2], ["--share", "hole"], "'hole' is no share of a kind of text"),
        (ROWS[:2], ["--share", "poem=0.5"], "'poem=0.5' is no share"),
        (ROWS[:2], ["--share", "answer=1"], "There are no texts of kind 'answer' to mix in"),
        (ROWS[:2], ["--budget", "soon"], "'soon' is not a duration"),
        (ROWS[:2], ["--budget", "0s"], "A budget of 0 seconds leaves no time to train"),
        (ROWS[:2], ["--answers", "none.jsonl"], "The answers none.jsonl cannot be read"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(data, tmp_path, capsys, rows, flags, sentence):
    (tmp_path / "bench.jsonl").write_text(
        json.dumps({"task_id": 7, "text": ROWS[0]["description"], "code": ROWS[0]["solution"]})
    )
    assert main(["train", "--data", data(*rows), "--out", "made", "--fresh", *flags]) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert "hint:" in err
    assert out == ""


def test_the_shipped_adapter_is_refused_for_another_model(data, capsys):
    assert main(["train", "--data", data(*ROWS[:4]), "--out", "made", "--budget", "2s"]) == 4
    assert "is for 30 layers, this parent has 2" in capsys.readouterr().err

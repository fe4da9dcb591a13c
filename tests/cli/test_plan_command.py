"""`agd plan`: pictures, JSON, and one clear sentence for every wrong place."""

import json

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.planning.model import PlannerModelSettings, make_model, save_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("planner") / "planner.safetensors"
    save_model(path, make_model(PlannerModelSettings(width=16, mlp=32, layers=1, heads=2), 0), stage="test")
    return str(path)


def test_a_plan_is_told_and_drawn(weights, tmp_path, capsys):
    from PIL import Image

    out, moving = tmp_path / "plan.png", tmp_path / "plan.gif"
    words = ["plan", "--maze", "umaze", "--start", "1,2", "--goal", "1,1", "--model", weights, "--candidates", "4"]
    assert main([*words, "--steps", "3", "--out", str(out), "--animate", str(moving), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["reached"] is True
    assert len(record["promised_returns"]) == 4
    assert len(record["knots"]) == 32
    with Image.open(out) as image:
        assert image.size == (240, 240)
        assert len(image.getcolors(10_000)) > 4
    with Image.open(moving) as image:
        assert image.n_frames >= 2, "steps of the denoising, equal ones merged, and the chosen path"


def test_the_sentence_says_when_it_arrives_and_the_code_whether(weights, capsys):
    assert main(["plan", "--maze", "umaze", "--start", "1,1", "--model", weights, "--candidates", "2"]) == 0
    assert capsys.readouterr().out.startswith("arrives at environment step 1 of 300, return ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--goal", "99,9"], "The goal 99,9 lies outside of maze 'large'"),
        (["--start", "0,0"], "The start 0,0 lies in a wall of maze 'large'."),
        (["--maze", "moon"], "There is no maze 'moon'."),
        (["--start", "here"], "The start 'here' is no place: two numbers with a comma between are needed."),
        (["--start", "1,2,3"], "The start '1,2,3' is no place"),
        (["--maze", "####/#OO#/####"], "Maze 'custom' marks no goal."),
        (["--maze", "#####/#O#O#/#####", "--goal", "1,3"], "There is no way from cell (1, 1) to cell (1, 3)"),
        (["--candidates", "0"], "candidates is 0 and must be 1 or more."),
    ],
)
def test_bad_input_gives_one_clear_sentence(words, sentence, weights, capsys):
    assert main(["plan", "--model", weights, *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error: {sentence}")
    assert told.err.count("\n") == 2


def test_missing_and_foreign_weights_are_named(tmp_path, capsys):
    assert main(["plan", "--model", str(tmp_path / "none.safetensors")]) == 4
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("maze", "start"), [("umaze", "3,1"), ("large", "1,1"), ("#####/#OOG#/#O#O#/#OOO#/#####", "3,3")]
)
def test_the_weights_that_ship_reach_the_goal(maze, start, capsys):
    assert main(["plan", "--maze", maze, "--start", start, "--candidates", "16", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["reached"]

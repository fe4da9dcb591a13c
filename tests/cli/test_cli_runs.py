"""`agd runs`: the records of a real store, for people and as JSON."""

import json
import math

import pytest

from agentic_diffusion.cli.app import main
from agentic_diffusion.foundation.store import Store


@pytest.fixture
def store(monkeypatch, tmp_path):
    """The store that the commands read, with one run that ended and one that goes on."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AGD_STORE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    with Store.open() as store:
        store.start_run("generate", {"mode": "denoise"}, run_id="first")
        store.record_metric("first", "loss", 0.5, 1)
        store.record_metric("first", "loss", math.inf, 2)
        store.record_metric("first", "seconds", 1.25)
        store.finish_run("first", "done", {"forwards": 40, "peak_memory_bytes": 512_000_000, "verified": True})
        store.start_run("train", {"rows": [1, 2]}, run_id="second")
        yield store


def test_list_shows_time_forwards_and_memory(store, capsys):
    assert main(["runs", "list"]) == 0
    head, second, first = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "kind", "status", "started", "seconds", "forwards", "peak", "memory"]
    assert second.split()[:3] == ["second", "train", "running"]
    assert second.split()[4:] == ["-", "-", "-"]
    assert first.split()[5:] == ["40", "512.0", "MB"]


def test_list_as_json_is_limited_and_whole(store, capsys):
    assert main(["runs", "list", "--json", "--limit", "1"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert (run["id"], run["status"], run["finished"], run["summary"]) == ("second", "running", None, None)
    assert run["settings"] == {"rows": [1, 2]}


def test_show_tells_settings_and_summary(store, capsys):
    assert main(["runs", "show", "first"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "settings:" in lines
    assert "  mode: denoise" in lines
    assert "  verified: true" in lines
    assert main(["runs", "show", "first", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["summary"] == {"forwards": 40, "peak_memory_bytes": 512_000_000, "verified": True}
    assert shown["started"].endswith("+00:00")
    assert shown["seconds"] >= 0


def test_metrics_in_order_and_by_name(store, capsys):
    assert main(["runs", "metrics", "first", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert [(m["name"], m["step"], m["value"]) for m in metrics] == [
        ("loss", 1, 0.5),
        ("loss", 2, None),
        ("seconds", None, 1.25),
    ]
    assert main(["runs", "metrics", "first", "--name", "seconds"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["metric", "step", "value"],
        ["seconds", "-", "1.25"],
    ]


def test_without_runs_there_is_a_head_only(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AGD_STORE_URL", f"sqlite:///{tmp_path}/other.db")
    assert main(["runs", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("command", ["show", "metrics"])
def test_an_unknown_run_is_said(store, capsys, command):
    assert main(["runs", command, "third"]) == 2
    assert capsys.readouterr().err == (
        "error: There is no run 'third'.\nhint: `agd runs list` shows the runs there are.\n"
    )


def test_a_limit_below_one_is_refused(store, capsys):
    assert main(["runs", "list", "--limit", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: --limit is 0: at least 1 is needed.")


def test_a_database_that_cannot_be_opened_is_said(capsys, monkeypatch, tmp_path):
    (tmp_path / "letter").write_text("dear reader, this is not a database at all" * 50)
    monkeypatch.setenv("AGD_STORE_URL", f"sqlite:///{tmp_path}/letter")
    assert main(["runs", "list"]) == 4
    assert "file is not a database" in capsys.readouterr().err

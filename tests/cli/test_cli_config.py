"""`agd config`: values with their origins, files, no passwords."""

import json

import pytest

from agentic_diffusion.cli.app import main


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("AGD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def test_show_says_where_each_value_came_from(capsys, monkeypatch, tmp_path):
    (tmp_path / "agd.toml").write_text("[generate]\nsamples = 3\n")
    monkeypatch.setenv("AGD_GENERATE_MODE", "ar")
    assert main(["config", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["generate.samples"] == {"value": 3, "origin": "file agd.toml"}
    assert shown["generate.mode"] == {"value": "ar", "origin": "environment AGD_GENERATE_MODE"}
    assert shown["store.url"] == {"value": None, "origin": "default"}
    assert main(["config", "show", "--log-level", "debug"]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["setting", "value", "origin"]
    assert ["generate.samples", "3", "file agd.toml"] in lines
    assert {line[0] for line in lines[1:]} == set(shown)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:se:cret@host:5432/d", "postgresql://me:***@host:5432/d"),
        (
            "postgresql+psycopg://me@/d?host=/x&password=secret&a=b",
            "postgresql+psycopg://me@/d?host=/x&password=***&a=b",
        ),
        ("postgresql://host:5432/d", "postgresql://host:5432/d"),
        ("sqlite:////data/a.db", "sqlite:////data/a.db"),
    ],
)
def test_show_keeps_passwords_to_itself(capsys, monkeypatch, url, shown):
    monkeypatch.setenv("AGD_STORE_URL", url)
    assert main(["config", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["store.url"]["value"] == shown
    assert main(["config", "show"]) == 0
    assert "secret" not in capsys.readouterr().out


def test_path_names_the_files_the_strongest_last(capsys, tmp_path):
    (tmp_path / "agd.toml").write_text("")
    assert main(["config", "path"]) == 0
    user = tmp_path / "xdg/agentic-diffusion/config.toml"
    assert capsys.readouterr().out == f"{user}  (not there)\n{tmp_path / 'agd.toml'}\n"
    assert main(["config", "path", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"path": str(user), "exists": False},
        {"path": str(tmp_path / "agd.toml"), "exists": True},
    ]


def test_a_broken_file_is_named(capsys, tmp_path):
    (tmp_path / "agd.toml").write_text("[generate\n")
    assert main(["config", "show"]) == 2
    assert capsys.readouterr().err.startswith("error: agd.toml is not valid TOML: ")

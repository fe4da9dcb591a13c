"""One value is written into a configuration file; everything else in it stays."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from agentic_diffusion.foundation import settings_file
from agentic_diffusion.foundation.errors import ConfigError

FILE = """\
# mine
[generate]
samples = 4  # few

[model]  # which
# name = "commented"
name   = "old" # for now
threads = 2

[store]
name = "not this"
"""


def test_a_value_is_changed_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(FILE)

    settings_file.put(path, "model", "name", 'a "new" one')

    assert path.read_text() == FILE.replace('name   = "old" # for now', 'name = "a \\"new\\" one" # for now')
    assert (tmp_path / "config.toml.bak").read_text() == FILE
    settings_file.put(path, "model", "dtype", "float32")
    settings_file.put(path, "log", "level", "debug")
    data = tomllib.loads(path.read_text())
    assert data["model"] == {"name": 'a "new" one', "dtype": "float32", "threads": 2}
    assert (data["log"], data["generate"]) == ({"level": "debug"}, {"samples": 4})


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.toml"
    settings_file.put(path, "model", "name", "x")
    assert path.read_text() == '[model]\nname = "x"\n'
    assert not path.with_name("config.toml.bak").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [("[model", "cannot be read"), ('model = { name = "x" }\n', "cannot be changed here"),
     ('[model]\nname = """x\ny"""\n', "cannot be changed here")],
)  # fmt: skip
def test_what_cannot_be_changed_is_left_alone(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        settings_file.put(path, "model", "name", "new")
    assert path.read_text() == text

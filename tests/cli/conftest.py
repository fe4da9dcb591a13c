"""A machine of its own for commands that run in the tests' process."""

import os
from pathlib import Path

import pytest

from agentic_diffusion.foundation import events


@pytest.fixture
def own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An empty folder to stand in; nothing of this machine's configuration or records takes part; one thread."""
    for name in [name for name in os.environ if name.startswith("AGD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("AGD_MODEL_THREADS", "1")
    monkeypatch.setenv("AGD_MODEL_DTYPE", "float32")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    events.configure(style="human", level="warning", run_id="")

"""What `agd generate` says of a program's imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentic_diffusion.cli import generated_imports
from agentic_diffusion.foundation import config


def test_needs_and_refusals_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT", raising=False)
    (tmp_path / "near.py").touch()
    settings = config.load(environ={"AGD_PACKAGES_ALLOW": "numpy==2.1"}, files=[])

    generated_imports.tell("import json, numpy, near\nimport madeup\n", "python", settings)
    generated_imports.tell("import madeup", "java", settings)
    generated_imports.tell("import (", "python", settings)

    assert capsys.readouterr().err.splitlines() == [
        "needs numpy==2.1",
        "import of madeup: madeup is neither in the standard library, nor installed, locked or allowed"
        " (the setting packages.allow approves a package)",
    ]

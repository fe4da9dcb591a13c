"""Files of rows, and the sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentic_diffusion.foundation.sandbox import Sandbox, choose


@pytest.fixture
def write(tmp_path):
    """Write rows (or texts of lines) to a file and give back its path as text."""

    def written(*rows, name: str = "own.jsonl") -> str:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path = Path(tmp_path / name)
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    return written


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return choose()

"""The stamp (what is ready) and what our variables say: all that a start looks at when nothing is to be done.

It imports next to nothing, because every start pays for it. Standard library only.
"""

# Every start pays for these imports, and pathlib would double its time:
# ruff: noqa: PTH110, PTH118, PTH123
from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from typing import Any

_HASHED = ("uv.lock", "pyproject.toml", "src/agentic_diffusion/installer/manifest.toml")
_HOME_NAMES = ("AGD_HOME", "XDG_DATA_HOME", "HOME")
_FOREIGN = ("PYTHONHOME", "PYTHONPATH")
"""They belong to the Python that the user works with, not to the environment's."""
_YES = ("1", "true", "yes", "on")
_NO = ("", "0", "false", "no", "off")


class Stamp:
    """What a set-up left ready."""

    def __init__(self, *, key: str, parts: frozenset[str], bubblewrap: str, model: str, home: list[str]) -> None:
        """`key` of the sources, ready `parts`, our own bubblewrap, the model's folder, the home's variables."""
        self.key = key
        self.parts = parts
        self.bubblewrap = bubblewrap
        self.model = model
        self.home = home

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Stamp | None:
        """The stamp in a file; None when there is none or it cannot be read."""
        try:
            with open(path, encoding="utf-8") as file:
                data: dict[str, Any] = json.load(file)
            return cls(**{**data, "parts": frozenset(data["parts"])})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {**vars(self), "parts": sorted(self.parts)}

    def covers(self, wanted: frozenset[str], root: str) -> bool:
        """Whether `wanted` is ready for the checkout at `root`, with this Python and this home folder."""
        if not wanted <= self.parts or self.key != key_of(root):
            return False
        return "model" not in wanted or (
            self.home == environment_of_home() and os.path.exists(f"{self.model}/checksums.json")
        )


def key_of(root: str | os.PathLike[str]) -> str:
    """Changes with the lock, the metadata, the manifest, the Python version and the place of the checkout.

    The place counts since the environment holds its absolute path: a moved or copied one would run the old sources.
    """
    digest = sha256(f"2 {sys.version_info[0]}.{sys.version_info[1]} {os.path.realpath(root)}\n".encode())
    for name in _HASHED:
        with open(os.path.join(root, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def environment_of_home() -> list[str]:
    """The variables that decide where the data folder is; where AGD_HOME is set, that alone."""
    named = os.environ.get(_HOME_NAMES[0], "")
    return [named] if named else [os.environ.get(name, "") for name in _HOME_NAMES[1:]]


def offline_asked() -> bool:
    """Whether AGD_OFFLINE forbids the network; raises UsageError for a word that is neither yes nor no."""
    said = os.environ.get("AGD_OFFLINE", "")
    word = said.strip().lower()
    if word not in _YES + _NO:
        from agentic_diffusion.foundation.errors import UsageError

        raise UsageError(
            f"AGD_OFFLINE={said!r} is neither yes nor no.",
            hint="Set it to 1, true, yes or on to forbid the network; to 0, false, no or off to allow it.",
        )
    return word in _YES


def child_environment() -> dict[str, str]:
    """The variables for a program of the environment: ours without those that lead its Python elsewhere."""
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN}

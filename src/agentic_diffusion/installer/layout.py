"""Where set-up puts things.

    a checkout           everything in <checkout>/.agd/: venv, tools, journal, stamp, lock
    an installed package the environment is the one that runs; tools and journal in <home>/setup/

In both the models are in `resources.home()/models`, and uv's cache is uv's own. Standard library only.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from agentic_diffusion.foundation.resources import home
from agentic_diffusion.installer import manifest


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of one set-up."""

    root: Path | None
    """The checkout; None for an installed package."""
    state: Path
    """What set-up makes lies here."""
    venv: Path
    """The environment."""

    @property
    def managed(self) -> bool:
        """Whether the environment is made (and removed) by set-up."""
        return self.root is not None

    @property
    def python(self) -> Path:
        """The Python of the environment."""
        return self.venv / "bin" / "python"

    @property
    def marker(self) -> Path:
        """Written into the environment when it is complete, so that it goes with it."""
        return self.venv / "agd-environment.json"

    @property
    def manifest(self) -> Path:
        """What may be fetched."""
        return self.root / "src/agentic_diffusion/installer/manifest.toml" if self.root else manifest.SHIPPED

    @property
    def tools(self) -> Path:
        """Programs that set-up fetched."""
        return self.state / "tools"

    @property
    def bundle(self) -> Path:
        """Where a bundle is unpacked while a set-up takes from it."""
        return self.state / "bundle"

    @property
    def journal(self) -> Path:
        """What was begun and what was ended."""
        return self.state / "journal.jsonl"

    @property
    def stamp(self) -> Path:
        """What is ready; all that a later start looks at."""
        return self.state / "stamp.json"

    @property
    def lock(self) -> Path:
        """Held while anything is changed."""
        return self.state / "lock"


def checkout(root: Path) -> Layout:
    """The layout of a checkout at `root`."""
    return Layout(root=root, state=root / ".agd", venv=root / ".agd" / "venv")


def installed() -> Layout:
    """The layout of the package as it is installed now."""
    return Layout(root=None, state=home() / "setup", venv=Path(sys.prefix))


def current() -> Layout:
    """The layout of the process that runs: a checkout's, when its environment is the one in a checkout's `.agd`."""
    venv = Path(sys.prefix)
    root = venv.parent.parent
    if venv.name == "venv" and venv.parent.name == ".agd" and (root / "pyproject.toml").is_file():
        return checkout(root)
    return installed()

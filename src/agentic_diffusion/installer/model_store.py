"""The models on the disk, kept in order: which are there, removing one, clearing what nothing needs.

Standard library only.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from agentic_diffusion.foundation import locking
from agentic_diffusion.foundation.resources import home
from agentic_diffusion.installer import fetch, models
from agentic_diffusion.installer.manifest import Manifest, ModelEntry


@dataclass(frozen=True, kw_only=True)
class Removed:
    """Something that was, or would be, removed."""

    path: Path
    """Where it lay."""
    size: int
    """Bytes."""
    why: str
    """What it was."""

    def as_dict(self) -> dict[str, object]:
        """JSON-ready: path, bytes, why."""
        return {"path": str(self.path), "bytes": self.size, "why": self.why}


def remove(entry: ModelEntry) -> Removed | None:
    """Remove a model; None when it is not there. A set-up of it that is under way is waited for."""
    folder = models.folder_of(entry)
    if not folder.exists():
        return None
    with locking.exclusive(folder.parent / f".{entry.name}.lock", f"setting up the model {entry.name}"):
        gone = Removed(path=folder, size=fetch.tree_size(folder), why=f"the model {entry.name}")
        # Out of sight at once, so that nobody finds a part of it.
        aside = folder.with_name(f".{entry.name}.gone")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        shutil.rmtree(aside)
    return gone


def prune(manifest: Manifest, *, dry_run: bool = False) -> list[Removed]:
    """Remove downloads that were broken off, work folders that a kill left, and folders that this release cannot use.

    A model of the manifest stays when it is whole.
    """
    base = home() / "models"
    found = []
    for path in sorted(base.iterdir()) if base.is_dir() else ():
        if path.name == models.PARTS:
            why = "downloads that were broken off"
        elif path.name.endswith((".work", ".gone", ".old")) and path.name.startswith("."):
            why = "left by a set-up that was ended"
        elif path.is_dir() and not path.name.startswith("."):
            entry = manifest.models.get(path.name)
            if entry is not None and not models.damage(entry, path):
                continue
            why = "not a model that this release can use"
        else:
            continue
        found.append(Removed(path=path, size=fetch.tree_size(path), why=why))
    if not dry_run:
        for one in found:
            shutil.rmtree(one.path)
    return found

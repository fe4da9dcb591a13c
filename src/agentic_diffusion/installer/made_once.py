"""Folders that are made once and kept, such as compiled libraries: whole or not there, whoever makes them first.

Standard library only.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from agentic_diffusion.foundation import locking
from agentic_diffusion.foundation.resources import recover_folder, replace_folder
from agentic_diffusion.installer import fetch


def made_once(
    target: Path, purpose: str, make: Callable[[Path], Path], *, finish: Callable[[Path], None] | None = None
) -> Path:
    """Return `target`, made now where it is not there yet.

    `make` gets an empty work folder beside it and returns what in there becomes the target; `finish` is called once the
    target stands in its place. One process at a time makes it, for the `purpose` that others who wait are told. Raises
    what these raise; a full or read-only disk is a ResourceError or SetupError.
    """
    work = target.parent / ".work"
    with locking.exclusive(target.parent / ".lock", purpose), fetch.disk_errors(f"write to {target.parent}"):
        recover_folder(target)
        if not target.is_dir():
            shutil.rmtree(work, ignore_errors=True)  # left by one that was killed
            work.mkdir()
            try:
                replace_folder(make(work), target)
                if finish is not None:
                    finish(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return target

"""One at a time: a lock file held by the kernel, so that it is free again when its holder dies.

Standard library only; POSIX.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import SetupError


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[bool]:
    """Hold the lock at `path`; yields whether it had to be waited for. `what` names the work, for people.

    Raises SetupError when the lock file cannot be made.
    """
    waited = False
    handle = _opened(path)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waited:
                    holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                    events.say(f"{what} is under way in another process ({holder}); waiting for it")
                waited = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, path):
                break
            os.close(handle)  # its folder was removed while we waited: the name now stands for another file
            handle = _opened(path)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}\n".encode(), 0)
        yield waited
    finally:
        os.close(handle)  # closing frees the lock


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SetupError(
            f"{path.parent} cannot be written: {error.strerror or error}.",
            hint="Use a copy of the project in a folder that you may write to; for models and data, set AGD_HOME.",
        ) from error


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one that `path` names."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False

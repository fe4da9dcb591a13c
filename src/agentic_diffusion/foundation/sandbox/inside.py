"""What a program finds inside a sandbox: scratch folder, environment, Python, and the system folders it may read.

Shared by all tiers. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentic_diffusion.foundation.errors import SandboxError


def new_scratch(files: Mapping[str, bytes], owner: int | None) -> Path:
    """A scratch folder on this machine with the files in it; it belongs to `owner` when one is given."""
    folder = Path(tempfile.mkdtemp(prefix="agd-"))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if owner is not None:
        for place in (folder, *folder.iterdir()):
            os.chown(place, owner, owner)
    return folder


def environment(extra: Mapping[str, str] | None, scratch: str) -> dict[str, str]:
    """The environment of a sandboxed program: nothing of ours, but a home that is the scratch folder."""
    base = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8"}
    return base | dict(extra or {})


def interpreter() -> Path:
    """The Python that runs inside a sandbox: the real one behind any virtual environment."""
    base = Path(getattr(sys, "_base_executable", None) or sys.executable)
    return base.resolve()


def python_folders() -> list[Path]:
    """The folders which that Python needs."""
    return sorted({Path(sys.base_prefix).resolve(), Path(sys.base_exec_prefix).resolve()})


SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/ssl/openssl.cnf",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
)
"""What programs of every language need to read; nothing private lives there."""


def resolve(argv: Sequence[str]) -> list[str]:
    """argv with an absolute program; "python" means the Python that the sandbox offers."""
    program = argv[0]
    if program == "python":
        return [str(interpreter()), *argv[1:]]
    found = program if Path(program).is_absolute() else shutil.which(program)
    if found is None:
        raise SandboxError(
            f"The program {program!r} to be run in the sandbox is not installed.",
            hint=f"install {program}, or give its full path",
        )
    return [found, *argv[1:]]

"""Whether a lock, the files that were fetched for it and what is installed belong together, hash by hash.

Standard library only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.packages import installed
from agentic_diffusion.packages.lockfile import Lock

Where = Literal["lock", "file", "environment"]
_STRONG = frozenset({"sha256", "sha384", "sha512"})


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is not as it should be."""

    where: Where
    """Looking at what."""
    subject: str
    """Which package or file."""
    words: str
    """What is wrong."""

    def as_dict(self) -> dict[str, str]:
        """JSON-ready: where, subject, words."""
        return asdict(self)


def of_lock(lock: Lock) -> list[Problem]:
    """Whether every file that the lock names has a strong hash."""
    return list(_lock_problems(lock))


def of_files(lock: Lock, folder: Path) -> tuple[int, list[Problem]]:
    """How many wheels and source archives of a folder are what the lock says, and those that are not.

    Raises UsageError when `folder` is none.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder.", hint="Give the folder that holds the wheels.")
    known = {artifact.file: artifact for package in lock.packages for artifact in package.artifacts}
    right, problems = 0, []
    for path in sorted(folder.iterdir()):
        if path.suffix != ".whl" and not path.name.endswith((".tar.gz", ".zip")):
            continue
        if path.name not in known:
            problems.append(Problem(where="file", subject=path.name, words="the lock does not know it"))
            continue
        kind, _, digest = known[path.name].hash.partition(":")
        if kind not in _STRONG:
            problems.append(Problem(where="file", subject=path.name, words="the lock has no strong hash of it"))
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
        if found == digest:
            right += 1
        else:
            problems.append(
                Problem(where="file", subject=path.name, words=f"its {kind} is {found[:16]}..., not the lock's")
            )
    return right, problems


def of_environment(lock: Lock, site_packages: Path) -> tuple[int, list[Problem]]:
    """How many installed packages are the locked ones with every byte of theirs, and what is not.

    A package that the lock does not know is no problem: an environment may hold more. Scripts beside site-packages are
    looked at, too; compiled byte code has no hash and is not.
    """
    right, problems = 0, []
    for name, package in installed.read(site_packages).items():
        locked = [one for one in lock.by_name.get(name, ()) if not one.local]
        if not locked:
            continue
        if package.version not in {one.version for one in locked}:
            versions = " or ".join(one.version for one in locked)
            words = f"{package.version} is installed, {versions} is locked"
            problems.append(Problem(where="environment", subject=name, words=words))
            continue
        changed = installed.changed_files(package)
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            words = f"{changed[0]}{more} is missing or not what was installed"
            problems.append(Problem(where="environment", subject=name, words=words))
        else:
            right += 1
    return right, problems


def _lock_problems(lock: Lock) -> Iterator[Problem]:
    for package in lock.packages:
        if package.source in ("registry", "url") and not package.artifacts:
            yield Problem(where="lock", subject=package.key, words="the lock names no file of it")
        for artifact in package.artifacts:
            if artifact.hash.partition(":")[0] not in _STRONG:
                yield Problem(where="lock", subject=artifact.file, words="the lock has no strong hash of it")

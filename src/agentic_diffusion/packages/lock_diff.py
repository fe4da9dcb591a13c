"""What is different between two locks, in words and as data.

A file whose hash changed while its version did not is told first: an index normally never does that.
Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from agentic_diffusion.packages import versions
from agentic_diffusion.packages.lockfile import Lock, Package

Kind = Literal["rehashed", "source", "added", "removed", "upgraded", "downgraded", "needs", "python"]
_ORDER: tuple[Kind, ...] = ("rehashed", "source", "python", "added", "removed", "upgraded", "downgraded", "needs")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference."""

    kind: Kind
    """What sort."""
    name: str
    """Of which package; empty for the lock itself."""
    old: str
    """What it was; empty for nothing."""
    new: str
    """What it is; empty for nothing."""
    words: str
    """The same for people."""

    def as_dict(self) -> dict[str, str]:
        """JSON-ready: kind, name, old, new, words."""
        return asdict(self)


def diff(old: Lock, new: Lock) -> list[Change]:
    """All differences, what deserves a look first."""
    changes: list[Change] = []
    if old.requires_python != new.requires_python:
        words = f"Python {new.requires_python or 'any'} is required, not {old.requires_python or 'any'} any more"
        changes.append(Change(kind="python", name="", old=old.requires_python, new=new.requires_python, words=words))
    for name in sorted({*old.by_name, *new.by_name}):
        changes += _of_name(name, old.by_name.get(name, ()), new.by_name.get(name, ()))
    return sorted(changes, key=lambda change: (_ORDER.index(change.kind), change.name))


def _of_name(name: str, old: tuple[Package, ...], new: tuple[Package, ...]) -> list[Change]:
    before = {package.version: package for package in old}
    after = {package.version: package for package in new}
    changes = [change for version in before.keys() & after.keys() for change in _same(before[version], after[version])]
    gone = sorted(before.keys() - after.keys(), key=versions.key)
    come = sorted(after.keys() - before.keys(), key=versions.key)
    # one for one, the rest came or went
    for one, other in zip(gone, come, strict=False):
        up = versions.key(other) > versions.key(one)
        leap = versions.leap(one, other)
        words = (
            f"{name} {'goes up' if up else 'goes DOWN'} from {one or 'no version'} to {other or 'no version'} ({leap})"
        )
        changes.append(Change(kind="upgraded" if up else "downgraded", name=name, old=one, new=other, words=words))
        changes += _needs(before[one], after[other])
    for version in come[len(gone) :]:
        changes.append(Change(kind="added", name=name, old="", new=version, words=f"{name} {version} is new"))
    for version in gone[len(come) :]:
        changes.append(Change(kind="removed", name=name, old=version, new="", words=f"{name} {version} is gone"))
    return changes


def _same(old: Package, new: Package) -> list[Change]:
    """Differences of one version with itself."""
    changes = []
    if (old.source, old.place) != (new.source, new.place):
        words = f"{new.key} comes from {new.source} {new.place}, not from {old.source} {old.place} any more"
        changes.append(
            Change(kind="source", name=new.name, old=f"{old.source} {old.place}", new=f"{new.source} {new.place}",
                   words=words)
        )  # fmt: skip
    hashes: Mapping[str, str] = {artifact.file: artifact.hash for artifact in old.artifacts}
    for artifact in new.artifacts:
        before = hashes.get(artifact.file, artifact.hash)
        if before != artifact.hash:
            words = f"{artifact.file} has ANOTHER HASH though its name and version are the same"
            changes.append(Change(kind="rehashed", name=new.name, old=before, new=artifact.hash, words=words))
    return changes + _needs(old, new)


def _needs(old: Package, new: Package) -> list[Change]:
    before = {need.name for need in old.needs}
    after = {need.name for need in new.needs}
    parts = [f"needs {name} now" for name in sorted(after - before)]
    parts += [f"needs {name} no more" for name in sorted(before - after)]
    if not parts:
        return []
    return [
        Change(
            kind="needs", name=new.name, old=" ".join(sorted(before)), new=" ".join(sorted(after)),
            words=f"{new.name} {' and '.join(parts)}",
        )
    ]  # fmt: skip

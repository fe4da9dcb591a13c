"""uv.lock, read: packages with their versions, where they come from, what they need, their files with hashes.

The file is TOML; its version is 1, and the revision may be any, since revisions only add. Standard library only.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.packages import wheels
from agentic_diffusion.packages.wheels import Wheel

NAME = "uv.lock"
_LOCAL = ("editable", "virtual", "directory")


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file of a package."""

    file: str
    """Its name."""
    url: str
    """Its address or path, as the lock has it."""
    hash: str
    """ "sha256:" and the digest; empty where the lock has none."""
    size: int
    """Bytes; 0 where the lock does not say."""

    @property
    def wheel(self) -> Wheel | None:
        """The parts of its name, where it is a wheel."""
        return wheels.parse(self.file)


@dataclass(frozen=True, kw_only=True)
class Need:
    """One requirement of a package, as it was resolved."""

    name: str
    """Of what."""
    version: str = ""
    """Which version, where the lock has several of that name."""
    marker: str = ""
    """Where it holds; empty for everywhere."""
    extras: tuple[str, ...] = ()
    """Extras of it that are wanted."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """One locked package."""

    name: str
    """Normalised name."""
    version: str
    """Version; empty for a project that has none written down."""
    source: str
    """Kind of its source: registry, editable, virtual, directory, path, url, git."""
    place: str
    """Where that is."""
    needs: tuple[Need, ...] = ()
    """What it always needs."""
    extras: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)
    """What an extra of it needs."""
    groups: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)
    """What a dependency group of it needs."""
    sdist: Artifact | None = None
    """Its sources."""
    wheels: tuple[Artifact, ...] = ()
    """Its wheels."""

    @property
    def key(self) -> str:
        """Name and version: "click==8.1.0"."""
        return f"{self.name}=={self.version}" if self.version else self.name

    @property
    def local(self) -> bool:
        """Whether it is a project on this machine rather than something fetched."""
        return self.source in _LOCAL

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Its wheels and its sources."""
        return (*self.wheels, *((self.sdist,) if self.sdist else ()))


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A whole lock."""

    packages: tuple[Package, ...]
    """Everything in it, by name and version."""
    requires_python: str = ""
    """Which Pythons it is for."""

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Package, ...]]:
        """The packages of each name."""
        found: dict[str, tuple[Package, ...]] = {}
        for package in self.packages:
            found[package.name] = (*found.get(package.name, ()), package)
        return found

    @cached_property
    def roots(self) -> tuple[Package, ...]:
        """The projects on this machine that nothing in the lock stands above; workspaces have several."""
        own = [package for package in self.packages if package.local]
        root = [package for package in own if package.place == "."]
        return tuple(root or own)

    def resolve(self, need: Need) -> Package | None:
        """The locked package that a requirement leads to."""
        found = [package for package in self.by_name.get(need.name, ()) if need.version in ("", package.version)]
        return found[0] if found else None

    def require(self, name: str) -> tuple[Package, ...]:
        """The packages of this name; UsageError when the lock has none."""
        wanted = normalised(name)
        if wanted not in self.by_name:
            near = [known for known in self.by_name if wanted in known or known in wanted]
            hint = f"Did you mean {near[0]}?" if near else "`agd deps graph` lists all."
            raise UsageError(f"The lock has no package {name!r}.", hint=hint)
        return self.by_name[wanted]


def normalised(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def load(path: Path) -> Lock:
    """Read a lock, or the uv.lock of a folder.

    Raises SetupError when there is none and UsageError when the file is none.
    """
    place = path / NAME if path.is_dir() else path
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SetupError(
            f"There is no lock at {place}.", hint="Make it with `agd deps lock --project FOLDER`."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The lock {place} cannot be read: {error}.", hint="Give the path of a uv.lock.") from error
    return parse(text, str(place))


def parse(text: str, name: str = NAME) -> Lock:
    """A lock from its text; `name` is how messages call it. Raises UsageError."""
    try:
        data = tomllib.loads(text)
        if data.get("version") != 1:
            raise UsageError(
                f"{name} is no uv.lock of version 1.", hint="Give a uv.lock; a newer one needs a newer agd."
            )
        packages = [_package(entry) for entry in data.get("package", [])]
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not valid TOML: {error}.", hint="Make the lock anew with uv lock.") from error
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise UsageError(
            f"{name} is no lock that is understood: an entry lacks {error}.", hint="Make the lock anew with uv lock."
        ) from error
    packages.sort(key=lambda package: (package.name, package.version))
    return Lock(packages=tuple(packages), requires_python=str(data.get("requires-python", "")))


def _package(entry: Mapping[str, Any]) -> Package:
    source, place = next(iter(entry["source"].items()))
    return Package(
        name=normalised(entry["name"]),
        version=str(entry.get("version", "")),
        source=str(source),
        place=str(place),
        needs=_needs(entry.get("dependencies", ())),
        extras={name: _needs(needs) for name, needs in entry.get("optional-dependencies", {}).items()},
        groups={name: _needs(needs) for name, needs in entry.get("dev-dependencies", {}).items()},
        sdist=_artifact(entry["sdist"]) if "sdist" in entry else None,
        wheels=tuple(_artifact(wheel) for wheel in entry.get("wheels", ())),
    )


def _needs(entries: Iterable[Mapping[str, Any]]) -> tuple[Need, ...]:
    return tuple(
        Need(
            name=normalised(entry["name"]),
            version=str(entry.get("version", "")),
            marker=str(entry.get("marker", "")),
            extras=tuple(entry.get("extra", ())),
        )
        for entry in entries
    )


def _artifact(entry: Mapping[str, Any]) -> Artifact:
    url = str(entry.get("url") or entry.get("path") or entry.get("filename"))
    name = str(entry.get("filename") or unquote(urlsplit(url).path).rpartition("/")[2])
    return Artifact(file=name, url=url, hash=str(entry.get("hash", "")), size=int(entry.get("size", 0)))

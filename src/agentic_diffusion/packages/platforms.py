"""Where a lock can be installed: for each system and Python which wheels exist, what must be compiled, what blocks.

    wheel     a wheel that fits is locked
    compile   only sources are locked: a compiler, or at least a build, is needed there
    blocks    neither: the package cannot be installed there at all

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.packages import graph as graphs
from agentic_diffusion.packages.lockfile import Lock
from agentic_diffusion.packages.wheels import Machine

Way = Literal["wheel", "compile", "blocks"]
SYSTEMS: Mapping[str, tuple[str, str, tuple[int, int]]] = {
    "linux-x86_64": ("linux", "x86_64", (2, 36)),
    "linux-aarch64": ("linux", "aarch64", (2, 36)),
    "macos-arm64": ("darwin", "arm64", (0, 0)),
    "macos-x86_64": ("darwin", "x86_64", (0, 0)),
    "windows-x86_64": ("win32", "x86_64", (0, 0)),
}
"""The systems by name: sys.platform, processor, C library (that of Debian 12)."""
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
"""The Pythons that are looked at when none is named."""


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What becomes of one package on one platform."""

    key: str
    """The package."""
    way: Way
    """How it gets there."""
    file: str
    """The file that would be fetched; empty when it blocks."""
    size: int
    """Bytes of that file."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What becomes of a lock on one platform."""

    name: str
    """ "linux-x86_64 3.11"."""
    machine: Machine
    """The same as data."""
    fates: tuple[Fate, ...]
    """Every package that is needed there."""

    def of(self, way: Way) -> list[Fate]:
        """The packages that get there in one way."""
        return [fate for fate in self.fates if fate.way == way]

    def as_dict(self) -> dict[str, object]:
        """JSON-ready: platform, packages, bytes, wheels, compile, blocks."""
        return {
            "platform": self.name,
            "packages": len(self.fates),
            "bytes": sum(fate.size for fate in self.fates),
            "wheels": [fate.key for fate in self.of("wheel")],
            "compile": [fate.key for fate in self.of("compile")],
            "blocks": [fate.key for fate in self.of("blocks")],
        }


def machine(system: str, python: tuple[int, int] = (3, 11)) -> Machine:
    """The machine that a system's name stands for; UsageError for a name that is not in `SYSTEMS`."""
    if system not in SYSTEMS:
        raise UsageError(f"There is no platform {system!r}.", hint=f"Known are {', '.join(SYSTEMS)}.")
    name, processor, glibc = SYSTEMS[system]
    return Machine(python=python, system=name, machine=processor, glibc=glibc)


def name_of(here: Machine) -> str:
    """The name of a machine's system, as `machine` takes it."""
    word = {"darwin": "macos", "win32": "windows"}.get(here.system, here.system)
    return f"{word}-{here.machine}"


def python_of(text: str) -> tuple[int, int]:
    """(3, 12) from "3.12"; UsageError for anything else."""
    major, dot, minor = text.partition(".")
    if not (dot and major.isdigit() and minor.isdigit()):
        raise UsageError(f"{text!r} is no version of Python.", hint="Write it like 3.12.")
    return int(major), int(minor)


def look(
    lock: Lock, systems: Sequence[str] = tuple(SYSTEMS), pythons: Sequence[tuple[int, int]] = PYTHONS, *,
    extras: bool = False, groups: bool = False,
) -> list[Platform]:  # fmt: skip
    """What becomes of a lock on each system with each Python; the projects themselves are not counted."""
    found = []
    for system in systems:
        for python in pythons:
            here = machine(system, python)
            graph = graphs.build(lock, machine=here, extras=extras, groups=groups)
            fates = []
            for key, package in graph.packages.items():
                if package.local:
                    continue
                file = graphs.download(package, here)
                remote = package.source in ("git", "url", "path") and not package.wheels
                way: Way = "compile" if remote else "blocks"
                if file is not None:
                    way = "wheel" if file.wheel else "compile"
                fates.append(Fate(key=key, way=way, file=file.file if file else "", size=file.size if file else 0))
            name = f"{system} {python[0]}.{python[1]}"
            found.append(Platform(name=name, machine=here, fates=tuple(fates)))
    return found

"""Names of wheel files: which name and version, and whether this machine can use one (PEP 427, PEP 600).

    torch-2.7.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl
    name  version   python abi  platform

Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RELEASE = re.compile(r"\d+(?:\.\d+)*")
_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_(.+)")
_OLD_GLIBC = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What decides whether a wheel fits."""

    python: tuple[int, int] = (3, 11)
    """Major and minor version of CPython."""
    system: str = "linux"
    """linux, darwin or win32."""
    machine: str = "x86_64"
    """The processor, as `platform.machine()` says it."""
    glibc: tuple[int, int] = (2, 36)
    """Version of the C library; (0, 0) where it is not glibc."""


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """The parts of a wheel's file name."""

    name: str
    """Project, normalised (lower case, hyphens)."""
    version: str
    """Version with its local part ("2.7.0+cpu")."""
    pythons: tuple[str, ...]
    """Python tags."""
    abis: tuple[str, ...]
    """ABI tags."""
    platforms: tuple[str, ...]
    """Platform tags."""

    @property
    def release(self) -> tuple[int, ...]:
        """The numbers of the version, for comparison."""
        return release(self.version)

    @property
    def local(self) -> str:
        """The local part of the version ("cpu"); empty without one."""
        return self.version.partition("+")[2]

    def fits(self, machine: Machine) -> bool:
        """Whether this machine can install it."""
        major, minor = machine.python
        exact = f"cp{major}{minor}" in self.pythons and {f"cp{major}{minor}", "none"} & set(self.abis)
        stable = "abi3" in self.abis and any(_stable_tag(tag, minor) for tag in self.pythons)
        pure = "none" in self.abis and {f"py{major}", f"py{major}{minor}"} & set(self.pythons)
        return bool(exact or stable or pure) and any(_platform_fits(tag, machine) for tag in self.platforms)


def parse(filename: str) -> Wheel | None:
    """The parts of a wheel's file name; None if it is no wheel."""
    parts = filename.removesuffix(".whl").split("-")
    if not filename.endswith(".whl") or len(parts) not in (5, 6):
        return None
    pythons, abis, platforms = (tuple(part.split(".")) for part in parts[-3:])
    name = re.sub(r"[-_.]+", "-", parts[0]).lower()
    return Wheel(name=name, version=parts[1].replace("%2B", "+"), pythons=pythons, abis=abis, platforms=platforms)


def release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "2.7.0+cpu" is (2, 7, 0); pre-releases compare as their release."""
    match = _RELEASE.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _stable_tag(tag: str, minor: int) -> bool:
    return tag.startswith("cp3") and tag[3:].isdigit() and int(tag[3:]) <= minor


def _platform_fits(tag: str, machine: Machine) -> bool:
    if tag == "any":
        return True
    if machine.system == "win32":
        return tag == {"x86_64": "win_amd64", "aarch64": "win_arm64", "x86": "win32"}.get(machine.machine, "")
    if machine.system == "darwin":
        return tag.startswith("macosx_") and tag.endswith((f"_{machine.machine}", "_universal2"))
    if match := _GLIBC.fullmatch(tag):
        return match[3] == machine.machine and (int(match[1]), int(match[2])) <= machine.glibc
    old, _, processor = tag.partition("_")
    if old in _OLD_GLIBC:
        return processor == machine.machine and _OLD_GLIBC[old] <= machine.glibc
    return tag == f"linux_{machine.machine}"

"""The third-party imports of a generated program: where each may come from, or why it may not.

    standard     the standard library
    locked       a package of the project's lock brings it, and the lock has its hash
    installed    a package of the environment brings it
    allowed      the setting packages.allow names the package
    refused      none of these: the program is not to be trusted with it

A module is matched to a package by what the package's own files say, or because the two have the same name and the user
allowed exactly that name. No index is ever asked for a name that a model made up: whoever registers the names that
models make up would otherwise run their code here. Standard library only.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.packages import imports
from agentic_diffusion.packages.installed import Installed
from agentic_diffusion.packages.lockfile import Lock, normalised

Origin = Literal["standard", "locked", "installed", "allowed", "refused"]
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_ENTRY = re.compile(r"(?P<name>[^=<>!~\s]+)\s*(?P<version>(?:==|>=|<=|~=|!=|<|>)[^#]*)?")


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """One imported module and where it comes from."""

    module: str
    """The top-level module."""
    origin: Origin
    """See above."""
    requirement: str
    """What to write into a list of requirements; empty for the standard library and what is refused."""
    note: str
    """For people: why it is refused, and what a typing error may have been meant."""

    def as_dict(self) -> dict[str, str]:
        """JSON-ready: module, origin, requirement, note."""
        return asdict(self)


def allow_list(text: str) -> dict[str, str]:
    """Package -> its requirement, from "numpy==2.1, httpx"; raises ConfigError for what is no requirement."""
    found = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _ENTRY.fullmatch(entry)
        if match is None or not _NAME.fullmatch(match["name"]):
            raise ConfigError(
                f"packages.allow names {entry!r}, which is no requirement.", hint='Write it like "numpy==2.1, httpx".'
            )
        found[normalised(match["name"])] = entry
    return found


def resolve(
    source: str, *, installed: Mapping[str, Installed] | None = None, lock: Lock | None = None,
    allowed: Mapping[str, str] | None = None, own: Iterable[str] = (),
) -> list[Resolution]:  # fmt: skip
    """Where each module that a Python program imports comes from, each once, in the order of the program.

    `allowed` is what `allow_list` gives, `own` the modules of the project that the program is a part of. Raises
    SyntaxError for a program that does not parse.
    """
    there = installed or {}
    bringers: dict[str, list[str]] = {}
    for package in there.values():
        for module in package.modules:
            bringers.setdefault(module, []).append(package.name)
    names = list(dict.fromkeys(found.module for found in imports.imports_of(source)))
    return [
        _resolved(module, bringers.get(module, []), there, lock, allowed or {}) for module in names if module not in own
    ]


def refused(found: Sequence[Resolution]) -> list[Resolution]:
    """Those that may not be used."""
    return [one for one in found if one.origin == "refused"]


def header(found: Sequence[Resolution], *, requires_python: str = "") -> str:
    """The inline metadata of a script (PEP 723) that asks for what was resolved; empty where nothing is asked for."""
    wanted = sorted({one.requirement for one in found if one.requirement})
    if not wanted:
        return ""
    lines = ["# /// script"]
    lines += [f'# requires-python = "{requires_python}"'] if requires_python else []
    lines += ["# dependencies = [", *(f'#     "{requirement}",' for requirement in wanted), "# ]", "# ///"]
    return "\n".join(lines) + "\n"


def with_header(source: str, found: Sequence[Resolution], *, requires_python: str = "") -> str:
    """The program with its header in front, after a first line that names the interpreter."""
    block = header(found, requires_python=requires_python)
    if not block or "# /// script" in source:
        return source
    first, newline, rest = source.partition("\n")
    return f"{first}{newline}{block}{rest}" if first.startswith("#!") else f"{block}{source}"


def _resolved(
    module: str, bringers: list[str], installed: Mapping[str, Installed], lock: Lock | None, allowed: Mapping[str, str]
) -> Resolution:
    if module in sys.stdlib_module_names:
        return Resolution(module=module, origin="standard", requirement="", note="")
    for name in sorted(bringers):
        locked = lock.by_name.get(name, ()) if lock else ()
        versions = [one.version for one in locked]
        if installed[name].version in versions:
            return Resolution(module=module, origin="locked", requirement=f"{name}=={installed[name].version}", note="")
    # The user named the package; that it brings a module of its own name is the one guess that is theirs.
    name = next((one for one in [*sorted(bringers), normalised(module)] if one in allowed), "")
    if name:
        return Resolution(module=module, origin="allowed", requirement=allowed[name], note="")
    if bringers:
        name = sorted(bringers)[0]
        return Resolution(module=module, origin="installed", requirement=f"{name}=={installed[name].version}", note="")
    near = difflib.get_close_matches(
        module, [*(one for package in installed.values() for one in package.modules), *allowed], n=1, cutoff=0.75
    )
    meant = f"; {near[0]} may have been meant" if near else ""
    return Resolution(
        module=module, origin="refused", requirement="",
        note=f"{module} is neither in the standard library, nor installed, locked or allowed{meant}",
    )  # fmt: skip

"""Environment markers: for which Python and which system a requirement holds (PEP 508).

    python_full_version < '3.12' and (sys_platform == 'linux' or extra == 'fast')

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.packages import versions
from agentic_diffusion.packages.wheels import Machine

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<sign>\(|\)|===|==|!=|<=|>=|~=|<|>)|(?P<word>[A-Za-z_][A-Za-z0-9_.]*))"
)
_VERSIONS = frozenset({"python_version", "python_full_version", "implementation_version"})
_SYSTEMS = {
    "linux": ("posix", "linux", "Linux"),
    "darwin": ("posix", "darwin", "Darwin"),
    "win32": ("nt", "win32", "Windows"),
}


def environment(machine: Machine) -> dict[str, str]:
    """The values of the marker variables on a machine with CPython, without extras."""
    os_name, sys_platform, platform_system = _SYSTEMS.get(machine.system, ("posix", machine.system, machine.system))
    major, minor = machine.python
    return {
        "os_name": os_name,
        "sys_platform": sys_platform,
        "platform_system": platform_system,
        "platform_machine": "AMD64" if (machine.system, machine.machine) == ("win32", "x86_64") else machine.machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "python_version": f"{major}.{minor}",
        "python_full_version": f"{major}.{minor}.0",
        "implementation_version": f"{major}.{minor}.0",
        "platform_release": "",
        "platform_version": "",
        "extra": "",
    }


def holds(marker: str, values: Mapping[str, str]) -> bool:
    """Whether a marker is true where its variables have these values; an empty marker is.

    Raises UsageError for one that cannot be read.
    """
    if not marker.strip():
        return True
    reader = _Reader(tokens=_tokens(marker), marker=marker, values=values)
    result = reader.either()
    if reader.at < len(reader.tokens):
        raise reader.wrong()
    return result


@dataclass
class _Reader:
    """A recursive descent over the tokens; everything is read, so that a fault at the end is found, too."""

    tokens: list[str]
    marker: str
    values: Mapping[str, str]
    at: int = 0

    def either(self) -> bool:
        result = self.both()
        while self.take("or"):
            right = self.both()
            result = result or right
        return result

    def both(self) -> bool:
        result = self.single()
        while self.take("and"):
            right = self.single()
            result = result and right
        return result

    def single(self) -> bool:
        if self.take("("):
            result = self.either()
            if not self.take(")"):
                raise self.wrong()
            return result
        left, left_is_variable = self.value()
        sign = self.sign()
        right, right_is_variable = self.value()
        if left_is_variable == right_is_variable:
            raise self.wrong()
        name = left if left_is_variable else right
        if name not in self.values:
            raise self.wrong(f"{name} is no variable")
        a = self.values[left] if left_is_variable else left
        b = self.values[right] if right_is_variable else right
        return _compared(a, sign, b, as_version=name in _VERSIONS)

    def sign(self) -> str:
        if self.take("not"):
            if not self.take("in"):
                raise self.wrong()
            return "not in"
        word = self.next()
        if word not in ("==", "===", "!=", "<=", ">=", "~=", "<", ">", "in"):
            raise self.wrong()
        return word

    def value(self) -> tuple[str, bool]:
        token = self.next()
        if token[0] in "'\"":
            return token[1:-1], False
        if not token[0].isalpha():
            raise self.wrong()
        return token, True

    def next(self) -> str:
        if self.at >= len(self.tokens):
            raise self.wrong()
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, word: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == word:
            self.at += 1
            return True
        return False

    def wrong(self, why: str = "it ends or turns where no marker does") -> UsageError:
        return UsageError(f"The marker {self.marker!r} cannot be read: {why}.", hint="Make the lock anew with uv lock.")


def _tokens(marker: str) -> list[str]:
    tokens, at = [], 0
    while at < len(marker.rstrip()):
        match = _TOKEN.match(marker, at)
        if match is None:
            raise UsageError(
                f"The marker {marker!r} cannot be read at {marker[at:].strip()[:10]!r}.",
                hint="Make the lock anew with uv lock.",
            )
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


def _compared(a: str, sign: str, b: str, *, as_version: bool) -> bool:
    if sign in ("in", "not in"):
        words = [word for word in re.split(r"[\s,]+", b) if word] if as_version else []
        return (a in words if as_version else a in b) == (sign == "in")
    if as_version and sign in ("==", "!=") and b.endswith(".*"):
        start = b[:-2].split(".")
        return (a.split(".")[: len(start)] == start) == (sign == "==")
    if as_version and sign == "~=":
        start = b.split(".")[:-1]
        return versions.key(a) >= versions.key(b) and a.split(".")[: len(start)] == start
    orders: Mapping[str, Callable[[], bool]] = (
        _orders(versions.key(a), versions.key(b)) if as_version else _orders(a, b)
    )
    return orders[sign]()


def _orders(a: versions.Key | str, b: versions.Key | str) -> Mapping[str, Callable[[], bool]]:
    return {
        "==": lambda: a == b,
        "===": lambda: a == b,
        "~=": lambda: a == b,
        "!=": lambda: a != b,
        "<": lambda: a < b,  # type: ignore[operator]  # both are of one kind
        "<=": lambda: a <= b,  # type: ignore[operator]
        ">": lambda: a > b,  # type: ignore[operator]
        ">=": lambda: a >= b,  # type: ignore[operator]
    }

"""Writing one value into a configuration file: the rest of it, comments and order too, stays as it is.

The old file stays beside it as NAME.bak. What was written is read back before it counts. Standard library only.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from agentic_diffusion.foundation.errors import ConfigError, SetupError
from agentic_diffusion.foundation.resources import atomic_write

_TABLE = re.compile(r"^\s*\[")


def put(path: Path, section: str, key: str, value: str | bool | float) -> None:
    """Set `key` in `[section]` of a TOML file, which need not exist.

    Raises ConfigError when the file is no TOML, or writes the value in a form that is not understood.
    """
    old = ""
    if path.is_file():
        try:
            old = path.read_text(encoding="utf-8")
            tomllib.loads(old)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}.", hint="Correct the file first.") from error
    new = _changed(old.splitlines(), section, key, value)
    try:
        told = tomllib.loads(new).get(section, {}).get(key)
    except tomllib.TOMLDecodeError:
        told = None
    if told != value:
        raise ConfigError(
            f"{path} writes {section}.{key} in a form that cannot be changed here.", hint="Change it by hand."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"{path.parent} cannot be made: {error.strerror or error}.", hint="Name another file with AGD_CONFIG."
        ) from error
    if old:
        atomic_write(path.with_name(f"{path.name}.bak"), old)
    atomic_write(path, new)


def _changed(lines: list[str], section: str, key: str, value: str | bool | float) -> str:
    """The lines with one assignment changed or added."""
    # a JSON text, number or truth value is the same in TOML
    written = f"{key} = {json.dumps(value)}"
    head = re.compile(rf"^\s*\[\s*{re.escape(section)}\s*\]\s*(#.*)?$")
    there = re.compile(rf"^\s*{re.escape(key)}\s*=[^#]*?(?P<comment>\s*#.*)?$")
    start = next((number for number, line in enumerate(lines) if head.match(line)), None)
    if start is None:
        return "\n".join([*lines, *([""] if lines else []), f"[{section}]", written, ""])
    end = next((number for number in range(start + 1, len(lines)) if _TABLE.match(lines[number])), len(lines))
    for number in range(start + 1, end):
        if match := there.match(lines[number]):
            lines[number] = f"{written}{match['comment'] or ''}"
            return "\n".join([*lines, ""])
    lines.insert(start + 1, written)
    return "\n".join([*lines, ""])

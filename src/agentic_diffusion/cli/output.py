"""Data on stdout: JSON that every parser reads, and tables for people."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

_PASSWORD = re.compile(r"(?<=://)([^:@/]*):[^@]*@")
_PASSWORD_FIELD = re.compile(r"(?<=[?&]password=)[^&]*")


def print_json(value: Any) -> None:
    """Write one JSON document; numbers that JSON has no word for become null."""
    sys.stdout.write(json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write columns that line up, the head first; nothing but the head without rows."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


def iso_time(seconds: float | None) -> str | None:
    """A time as ISO 8601 in UTC, to the second; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def without_password(text: str) -> str:
    """A database URL whose password is not shown."""
    return _PASSWORD_FIELD.sub("***", _PASSWORD.sub(r"\1:***@", text))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Files of JSON objects, one a line, gzip'd or not, with every fault told by its line number.

Lines count from 1; empty ones are passed over. What counts as gzip is a file's first bytes, not its name.
Standard library only.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentic_diffusion.foundation.errors import ResourceError, UsageError
from agentic_diffusion.foundation.resources import atomic_write

SIZE_LIMIT = 1 << 30
"""Bytes of a file, unpacked, that are still read."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, kw_only=True)
class JsonLines:
    """What a file holds."""

    rows: list[tuple[int, dict[str, Any]]]
    """The objects with their line numbers."""
    broken: list[tuple[int, str]]
    """Lines that are no JSON object: their numbers, and what is wrong with them."""
    checksum: str
    """SHA-256 of the file's bytes."""


def read(path: Path, *, noun: str = "file", name: str | None = None) -> JsonLines:
    """All objects of a file; broken lines are told apart, not refused.

    `noun` and `name` are how messages speak of it. Raises UsageError for a file that cannot be read, is damaged or is
    no UTF-8 text, ResourceError for one that unpacks to more than `SIZE_LIMIT` bytes.
    """
    told = f"The {noun} {name or path}"
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{told} cannot be read: {error.strerror or error}.", hint="give the path of a .jsonl or .jsonl.gz file."
        ) from error
    rows, broken = [], []
    for number, line in enumerate(_text(data, told).split("\n"), start=1):
        if line.strip():
            fields, problem = _parse(line)
            if fields is None:
                broken.append((number, problem))
            else:
                rows.append((number, fields))
    return JsonLines(rows=rows, broken=broken, checksum=hashlib.sha256(data).hexdigest())


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write objects, one a line, atomically; gzip'd where the name ends in .gz, with the same bytes each time."""
    data = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()
    atomic_write(path, gzip.compress(data, mtime=0) if Path(path).suffix == ".gz" else data)


def _parse(line: str) -> tuple[dict[str, Any] | None, str]:
    """The object of a line, or None and what is wrong."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return None, f"no JSON: {error.msg if isinstance(error, json.JSONDecodeError) else error}"
    return (found, "") if isinstance(found, dict) else (None, "no JSON object")


def _text(data: bytes, told: str) -> str:
    try:
        if data[:2] == _GZIP:
            data = _gunzip(data, told)
        return data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{told} is a damaged gzip file: {error}.", hint="copy it here once more.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{told} is no UTF-8 text (byte {error.start}).", hint="give a file of JSON lines.") from error


def _gunzip(data: bytes, told: str) -> bytes:
    """Unpack all members up to the limit, so that a small file that unpacks to the size of the memory does no harm."""
    out = b""
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        out += unpacker.decompress(data, SIZE_LIMIT - len(out) + 1)
        if len(out) > SIZE_LIMIT:
            raise ResourceError(f"{told} unpacks to more than {SIZE_LIMIT} bytes.", hint="split it into smaller files.")
        if not unpacker.eof:
            raise EOFError("it ends too early")
        data = unpacker.unused_data.lstrip(b"\0")
    return out

"""Rows of JSON lines, from a file or from the hub, with every fault told by its line number.

Lines count from 1. A file may be gzip'd; what counts is its first bytes, not its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentic_diffusion.foundation import json_lines
from agentic_diffusion.foundation.errors import SetupError, UsageError

HUB = "hf://datasets/"
"""Addresses that begin so name a file of a data set on the hub: hf://datasets/OWNER/NAME/PATH."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a benchmark file."""

    source: str
    """The file."""
    line: int
    """Its number, from 1."""
    fields: dict[str, Any]
    """What it holds."""

    def text(self, name: str, *, default: str | None = None) -> str:
        """The text in a field; `default` where it is missing or null, else UsageError; UsageError for no text."""
        value = self.fields.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.fault(f"its field {name!r} is {'missing' if value is None else 'no text'}")
        return value.replace("\r\n", "\n")

    def texts(self, name: str) -> list[str]:
        """The list of texts in a field; UsageError for anything else."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fault(f"its field {name!r} is {'missing' if value is None else 'no list of texts'}")
        return [item.replace("\r\n", "\n") for item in value]

    def files(self, name: str) -> dict[str, str]:
        """The file names and texts in a field; UsageError for anything else."""
        value = self.fields.get(name)
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise self.fault(f"its field {name!r} is {'missing' if value is None else 'no table of files'}")
        return {path: text.replace("\r\n", "\n") for path, text in value.items()}

    def fault(self, what: str) -> UsageError:
        """A UsageError that names the line."""
        return UsageError(f"Line {self.line} of {self.source}: {what}.", hint="mend that line, or leave it out.")


def read_rows(address: str) -> tuple[list[Row], str]:
    """The rows of a file or of a hub address, and the SHA-256 of its bytes.

    UsageError for what is no JSON line, SetupError when the hub cannot be reached.
    """
    path = _from_hub(address) if address.startswith(HUB) else Path(address)
    found = json_lines.read(path, noun="benchmark", name=address)
    if found.broken:
        number, problem = found.broken[0]
        raise UsageError(
            f"Line {number} of {path.name} is {problem}.", hint="a benchmark is a file of JSON objects, one a line."
        )
    if not found.rows:
        raise UsageError(f"The benchmark {address} is empty.", hint="give a file of JSON lines, one task a line.")
    return [Row(source=path.name, line=number, fields=fields) for number, fields in found.rows], found.checksum


def _from_hub(address: str) -> Path:
    """The file behind a hub address, kept in the hub library's own cache."""
    parts = address.removeprefix(HUB).split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise UsageError(
            f"The address {address} names no file of a data set.", hint=f"write {HUB}OWNER/NAME/PATH/OF/FILE.jsonl."
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise SetupError(
            f"{address} is on the hub, and the package huggingface_hub is not installed.",
            hint="install huggingface_hub, or fetch the file yourself and give its path.",
        ) from error
    try:
        return Path(hf_hub_download(repo_id="/".join(parts[:2]), filename=parts[2], repo_type="dataset"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise SetupError(
            f"{address} could not be fetched from the hub: {why}",
            hint="check the name and the network, or give a path.",
        ) from error

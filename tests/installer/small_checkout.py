"""A small project with our launcher and installer that needs no network: for first runs with every step a real one.

It has a build backend of its own (so that nothing is fetched to build it), a wheel that is called torch, and a model
folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from tiny_model import TinyModel

from agentic_diffusion.packages import uv

ROOT = Path(__file__).parents[2]
PYTHON = str(getattr(sys, "_base_executable", sys.executable))
UV = uv.find([shutil.which("uv"), str(ROOT / ".agd" / "tools" / "uv" / "bin" / "uv")])

PYPROJECT = """\
[project]
name = "agentic-diffusion"
version = "0.1.0"
requires-python = ">=3.11"

[project.scripts]
agd = "small:main"

[dependency-groups]
dev = []

[build-system]
requires = []
build-backend = "backend"
backend-path = ["build"]
"""

BACKEND = """\
import base64, hashlib, os, pathlib, time, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    while os.path.exists(os.environ.get("AGD_TEST_WAIT", "")):
        time.sleep(0.02)
    info = "agentic_diffusion-0.1.0.dist-info"
    files = {
        "small.pth": str(pathlib.Path.cwd() / "small"),
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: agentic-diffusion\\nVersion: 0.1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\nagd = small:main\\n",
    }
    record = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    name = "agentic_diffusion-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, content)
    return name
"""

SMALL = """\
import sys
def main():
    import torch
    print("generated with torch", torch.__version__, sys.argv[1:])
"""

LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "agentic-diffusion"
version = "0.1.0"
source = { editable = "." }

[package.dev-dependencies]
dev = []

[package.metadata]

[package.metadata.requires-dev]
dev = []
"""


@dataclass
class Checkout:
    """The small project and the machine around it."""

    root: Path
    environment: dict[str, str]
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.root / ".agd"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the launcher in a process group of its own."""
        process = subprocess.Popen(
            [self.root / "agd", *arguments], env=self.environment | environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.root.parent, start_new_session=True,
        )  # fmt: skip
        self.running.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the launcher to its end."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def wait_for_step(self, name: str, event: str = "begin") -> None:
        """Until the journal says so."""
        journal = self.state / "journal.jsonl"
        for _ in range(3000):
            if journal.exists() and f'"event": "{event}", "step": "{name}"' in journal.read_text():
                return
            time.sleep(0.02)
        raise AssertionError(f"{event} {name} was never reached")


def make_checkout(tmp_path: Path, tiny: TinyModel) -> Checkout:
    """A fresh clone, an empty home, no network, a find-links folder with a torch, a model folder."""
    root = tmp_path / "fresh clone"
    root.mkdir()
    shutil.copy(ROOT / "agd", root / "agd")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "weights"))
    (root / "src/agentic_diffusion/installer/manifest.toml").write_text(tiny.manifest.read_text())
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "uv.lock").write_text(LOCK)
    (root / "build").mkdir()
    (root / "build" / "backend.py").write_text(BACKEND)
    (root / "small").mkdir()
    (root / "small" / "small.py").write_text(SMALL)
    torch_wheel(tmp_path / "wheels")
    assert UV is not None
    environment = {
        "PATH": f"{Path(UV.path).parent}:/usr/bin:/bin", "HOME": str(tmp_path / "home"), "AGD_PYTHON": PYTHON,
        "AGD_OFFLINE": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "UV_CACHE_DIR": str(tmp_path / "cache"),
        "AGD_MODEL_SOURCE": str(tiny.folder / "hub"), "PIP_CONFIG_FILE": os.devnull,
    }  # fmt: skip
    return Checkout(root, environment)


def end(made: Checkout) -> None:
    """End what the launcher started and did not end itself."""
    for process in made.running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def torch_wheel(folder: Path) -> None:
    """A wheel that is called torch and holds its version alone."""
    folder.mkdir()
    info = "torch-2.13.0+cpu.dist-info"
    files = {
        "torch/__init__.py": '__version__ = "2.13.0+cpu"\n',
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / "torch-2.13.0+cpu-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))

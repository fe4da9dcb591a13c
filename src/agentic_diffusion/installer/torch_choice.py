"""Which build of torch is installed, and why: one rule, decided from facts alone.

    1. one that is installed already
    2. a CPU wheel that pip's configured find-links offer
    3. with an NVIDIA GPU, or on a system other than Linux: the index's default build
    4. the CPU build of PyTorch's own index, if that answers
    5. the index's default build, its size said first

Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentic_diffusion.packages import wheels

FLOOR = (2, 7)
"""The oldest torch that the project runs on; the extra `torch` in pyproject.toml says the same."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's index of CPU builds."""
_FLOOR_TEXT = f"torch>={FLOOR[0]}.{FLOOR[1]}"


@dataclass(frozen=True, kw_only=True)
class TorchFacts:
    """What the choice depends on."""

    installed: str = ""
    """Version in the environment; empty without one."""
    offered: tuple[str, ...] = ()
    """Paths of the torch wheels in find-links folders."""
    machine: wheels.Machine
    """Which wheels fit."""
    gpu: str = ""
    """What shows an NVIDIA GPU; empty without one."""
    cpu_index_answers: bool = False
    """Whether PyTorch's CPU index answered."""


@dataclass(frozen=True, kw_only=True)
class TorchChoice:
    """A decided build."""

    requirement: str
    """What to ask the installer for; empty when nothing is to be installed."""
    arguments: tuple[str, ...] = ()
    """Arguments of `uv pip install`."""
    reason: str
    """Why, for people."""
    size: str
    """Key of its sizes in the manifest; empty when nothing is to be installed."""
    like_pip: bool = False
    """Whether pip's further indexes, find-links and constraints are to be considered, too."""


def choose_torch(facts: TorchFacts) -> TorchChoice:
    """Apply the rule."""
    if facts.installed and wheels.release(facts.installed) >= FLOOR:
        return TorchChoice(requirement="", reason=f"torch {facts.installed} is installed", size="")
    if best := best_cpu_wheel(facts.offered, facts.machine):
        folder, _, filename = best.rpartition("/")
        wheel = wheels.parse(filename)
        version = wheel.version if wheel else ""
        return TorchChoice(
            requirement=f"torch=={version}", arguments=("--find-links", folder),
            reason=f"the CPU wheel {version} that pip's find-links offer", size="torch-cpu",
        )  # fmt: skip
    if facts.gpu or facts.machine.system != "linux":
        why = facts.gpu or "on this system that is the one for its processor and its own accelerator"
        return TorchChoice(
            requirement=_FLOOR_TEXT, reason=f"the package index's default build ({why})",
            size="torch-index" if facts.machine.system == "linux" else "torch-cpu", like_pip=True,
        )  # fmt: skip
    if facts.cpu_index_answers:
        return TorchChoice(
            requirement=_FLOOR_TEXT, arguments=("--torch-backend", "cpu"),
            reason="the CPU build of PyTorch's own index (no NVIDIA GPU was found)", size="torch-cpu",
        )  # fmt: skip
    return TorchChoice(
        requirement=_FLOOR_TEXT, size="torch-index", like_pip=True,
        reason="the package index's default build, large because it carries GPU libraries: PyTorch's CPU index did "
        "not answer; a folder with a CPU wheel in pip's find-links would avoid that",
    )  # fmt: skip


def best_cpu_wheel(offered: Iterable[str], machine: wheels.Machine) -> str:
    """The path of the newest CPU wheel of torch that fits this machine; empty if there is none."""
    fitting = []
    for path in offered:
        wheel = wheels.parse(path.rpartition("/")[2])
        cpu = wheel is not None and (wheel.local == "cpu" or (machine.system == "darwin" and not wheel.local))
        if wheel and cpu and wheel.name == "torch" and wheel.release >= FLOOR and wheel.fits(machine):
            fitting.append((wheel.release, path))
    return max(fitting, default=((), ""))[1]

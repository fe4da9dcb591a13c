"""The rule for torch: five cases in their order, each with the reason that is told."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from agentic_diffusion.installer.torch_choice import FLOOR, TorchFacts, best_cpu_wheel, choose_torch
from agentic_diffusion.packages.wheels import Machine

MACHINE = Machine(python=(3, 11), system="linux", machine="x86_64", glibc=(2, 36))
CPU_WHEEL = "/wheels/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
EVERYTHING = TorchFacts(
    installed="2.9.1+cpu", offered=(CPU_WHEEL,), machine=MACHINE, gpu="nvidia-smi is here", cpu_index_answers=True
)


def test_one_that_is_installed_is_kept() -> None:
    choice = choose_torch(EVERYTHING)

    assert choice.requirement == ""
    assert choice.reason == "torch 2.9.1+cpu is installed"


def test_one_that_is_too_old_is_not_kept() -> None:
    assert choose_torch(replace(EVERYTHING, installed="2.6.0")).requirement == "torch==2.13.0+cpu"


def test_a_cpu_wheel_in_find_links_is_pinned_exactly() -> None:
    choice = choose_torch(replace(EVERYTHING, installed=""))

    assert choice.requirement == "torch==2.13.0+cpu"
    assert choice.arguments == ("--find-links", "/wheels")
    assert (choice.size, choice.like_pip) == ("torch-cpu", False)
    assert "find-links" in choice.reason


def test_with_a_gpu_the_default_build() -> None:
    choice = choose_torch(replace(EVERYTHING, installed="", offered=()))

    assert (choice.requirement, choice.arguments) == ("torch>=2.7", ())
    assert (choice.size, choice.like_pip) == ("torch-index", True)
    assert "nvidia-smi is here" in choice.reason


def test_without_a_gpu_the_cpu_index_if_it_answers() -> None:
    choice = choose_torch(TorchFacts(machine=MACHINE, cpu_index_answers=True))

    assert choice.arguments == ("--torch-backend", "cpu")
    assert choice.size == "torch-cpu"


def test_else_the_default_build_with_a_warning() -> None:
    choice = choose_torch(TorchFacts(machine=MACHINE))

    assert (choice.arguments, choice.size) == ((), "torch-index")
    assert "did not answer" in choice.reason


def test_a_mac_takes_the_default_build_which_is_small_there() -> None:
    choice = choose_torch(TorchFacts(machine=replace(MACHINE, system="darwin", machine="arm64", glibc=(0, 0))))

    assert choice.size == "torch-cpu"


def test_only_cpu_wheels_that_fit_count_and_the_newest_wins() -> None:
    offered = [
        "/w/torch-2.9.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
        "/w/torch-2.10.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
        "/w/torch-2.12.0+cu130-cp311-cp311-manylinux_2_28_x86_64.whl",
        "/w/torch-2.12.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "/w/torch-2.12.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl",
        "/w/torch-2.1.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
        "/w/torch_other-2.12.0+cpu-py3-none-any.whl",
        "/w/nonsense.whl",
    ]

    assert best_cpu_wheel(offered, MACHINE) == offered[1]
    assert best_cpu_wheel(offered[2:], MACHINE) == ""


def test_the_floor_is_the_one_of_the_extra() -> None:
    root = Path(__file__).parents[2]
    extra = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["torch"]

    assert extra == [f"torch>={FLOOR[0]}.{FLOOR[1]}"]

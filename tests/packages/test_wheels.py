"""Wheel names are read, and only wheels that this machine can use are taken."""

from __future__ import annotations

import pytest

from agentic_diffusion.packages import wheels
from agentic_diffusion.packages.wheels import Machine

DEBIAN_12 = Machine(python=(3, 11), system="linux", machine="x86_64", glibc=(2, 36))


def test_the_parts_of_a_name() -> None:
    wheel = wheels.parse("Some_Name-2.13.0+cpu-1-cp311-cp311-manylinux_2_28_x86_64.manylinux2014_x86_64.whl")

    assert wheel is not None
    assert (wheel.name, wheel.version, wheel.local, wheel.release) == ("some-name", "2.13.0+cpu", "cpu", (2, 13, 0))
    assert wheel.platforms == ("manylinux_2_28_x86_64", "manylinux2014_x86_64")


@pytest.mark.parametrize("name", ["torch-2.0.tar.gz", "torch.whl", "a-b-c-d.whl", "a-1-2-3-4-5-6.whl"])
def test_what_is_no_wheel(name: str) -> None:
    assert wheels.parse(name) is None


@pytest.mark.parametrize(
    ("tags", "fits"),
    [
        ("cp311-cp311-manylinux_2_28_x86_64", True),
        ("cp312-cp312-manylinux_2_28_x86_64", False),
        ("cp311-cp311-manylinux_2_39_x86_64", False),
        ("cp311-cp311-manylinux_2_28_aarch64", False),
        ("cp311-cp311-manylinux2014_x86_64", True),
        ("cp311-cp311-linux_x86_64", True),
        ("cp311-cp311-musllinux_1_2_x86_64", False),
        ("cp311-cp311-macosx_14_0_arm64", False),
        ("cp311-cp311-win_amd64", False),
        ("cp311-cp311t-linux_x86_64", False),
        ("cp39-abi3-linux_x86_64", True),
        ("cp312-abi3-linux_x86_64", False),
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("py2-none-any", False),
    ],
)
def test_which_tags_fit_a_debian_12(tags: str, fits: bool) -> None:
    wheel = wheels.parse(f"torch-2.13.0-{tags}.whl")

    assert wheel is not None
    assert wheel.fits(DEBIAN_12) is fits


def test_a_mac_takes_its_own_and_universal_wheels() -> None:
    mac = Machine(python=(3, 12), system="darwin", machine="arm64", glibc=(0, 0))
    fitting = {
        tag: bool((wheel := wheels.parse(f"x-1-cp312-cp312-{tag}.whl")) and wheel.fits(mac))
        for tag in ("macosx_11_0_arm64", "macosx_10_9_universal2", "macosx_10_9_x86_64", "manylinux_2_28_x86_64")
    }

    assert fitting == {
        "macosx_11_0_arm64": True,
        "macosx_10_9_universal2": True,
        "macosx_10_9_x86_64": False,
        "manylinux_2_28_x86_64": False,
    }


def test_releases_compare_as_numbers() -> None:
    assert wheels.release("2.13.0+cpu") > wheels.release("2.7")
    assert wheels.release("2.10.0rc1") == (2, 10, 0)
    assert wheels.release("main") == ()

"""Every sandbox tier that walls programs in and works here, as a fixture, and why the others do not work."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from agentic_diffusion.foundation.errors import SandboxError
from agentic_diffusion.foundation.sandbox.base import Sandbox
from agentic_diffusion.foundation.sandbox.bubblewrap import Bubblewrap
from agentic_diffusion.foundation.sandbox.landlock import Landlock
from agentic_diffusion.foundation.sandbox.probe import self_test

TIERS: dict[str, Callable[[], Sandbox]] = {
    "bubblewrap": Bubblewrap,
    "bubblewrap without control group": lambda: Bubblewrap(control_group=False),
    "landlock": Landlock,
}


@cache
def working() -> tuple[dict[str, Sandbox], dict[str, str]]:
    """The tiers that start a program here, and the reasons of those that do not."""
    found, reasons = {}, {}
    for name, make in TIERS.items():
        try:
            sandbox = make()
            self_test(sandbox)
        except SandboxError as error:
            reasons[name] = error.message
        else:
            found[name] = sandbox
    return found, reasons


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sandbox" in metafunc.fixturenames:
        found, _ = working()
        metafunc.parametrize("sandbox", found.values(), ids=found.keys())


@pytest.fixture(scope="session")
def tiers() -> tuple[dict[str, Sandbox], dict[str, str]]:
    return working()

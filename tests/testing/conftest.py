"""The sandbox tiers that work here, for judging candidates."""

from __future__ import annotations

import pytest

from agentic_diffusion.foundation.sandbox import Sandbox, choose
from agentic_diffusion.foundation.sandbox.probe import TIERS, probe


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "every_sandbox" in metafunc.fixturenames:
        found = [sandbox for name in TIERS if (sandbox := probe(name)[0]) is not None]
        metafunc.parametrize("every_sandbox", found, ids=[sandbox.tier for sandbox in found])


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return choose()

"""Fixtures of the diffusion core's tests; its tensor shapes are checked at run time here (see the conftest above)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from jaxtyping import config


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are faster on one core, and the machine has others to serve."""
    torch.set_num_threads(1)


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """For wrong settings, which our own checks shall refuse, and for trainings, which the checks would slow down."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)

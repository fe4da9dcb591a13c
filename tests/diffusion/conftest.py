"""The tensor shapes of the diffusion core are checked at run time here; elsewhere they are documentation."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import install_import_hook

CHECKED = ["schedule", "masked", "attention", "denoiser", "samplers", "reverse", "checkpoint"]

install_import_hook([f"agentic_diffusion.diffusion.{name}" for name in CHECKED], "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are faster on one core, and the machine has others to serve."""
    torch.set_num_threads(1)

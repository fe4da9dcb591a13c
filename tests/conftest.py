"""Fixtures that several folders of tests share; nothing heavy is loaded before a test asks for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from jaxtyping import config, install_import_hook

# A suite that a shell started in the background inherits an ignored Ctrl-C, and so would the programs that are tested.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHECKED = [
    "schedule",
    "masked",
    "attention",
    "denoiser",
    "samplers",
    "reverse",
    "checkpoint",
    "gaussian",
    "gaussian_denoisers",
    "gaussian_reverse",
    "gaussian_samplers",
    "guidance",
]
"""Modules of the diffusion core whose tensor shapes are checked in its own tests; elsewhere they are documentation."""
# Here and not beside those tests: a module that another folder's tests imported first would never be checked.
install_import_hook([f"agentic_diffusion.diffusion.{name}" for name in CHECKED], "beartype.beartype")


@pytest.fixture(autouse=True)
def _shapes_are_checked_in_the_core(request):
    config.update("jaxtyping_disable", Path(__file__).parent / "diffusion" not in request.path.parents)


@pytest.fixture(scope="session")
def default_model():
    """The folder of the default model; without it the test is skipped, but in CI it fails."""
    from agentic_diffusion.foundation.errors import ModelFileError
    from agentic_diffusion.installer import models

    try:
        return models.require()
    except ModelFileError as problem:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the default model is not set up: {problem.message}")


@pytest.fixture(scope="session")
def taught_coder():
    """A tiny model that knows a few answers by heart; trained once, in seconds."""
    import tiny_coder

    return tiny_coder.taught()


@pytest.fixture(scope="session")
def hole_coder():
    """A tiny model that knows by heart what belongs into a few holes; trained once, in seconds."""
    import tiny_coder

    return tiny_coder.taught_holes()

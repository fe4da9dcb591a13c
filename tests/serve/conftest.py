"""One server for all tests of this folder."""

from __future__ import annotations

import threading

import pytest
import torch


@pytest.fixture(scope="session")
def served(taught_coder, tmp_path_factory):
    """One server for all tests of this folder."""
    from served_house import Served, make_house, start

    from agentic_diffusion.serve.server import running

    torch.set_num_threads(1)
    house = make_house(taught_coder, tmp_path_factory.mktemp("served"))
    server, url = start(house)
    with running(server):
        yield Served(url, house)
    assert not [thread for thread in threading.enumerate() if thread.name == "engine" and thread.is_alive()]

"""Several processes that train one model: the same gradients as one that accumulates, one checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from agentic_diffusion.diffusion.batches import ShuffledBatches
from agentic_diffusion.diffusion.checkpoint import load_checkpoint
from agentic_diffusion.diffusion.processes import ALONE, Processes, joined, put, whole
from agentic_diffusion.diffusion.training import TrainingSettings, train
from agentic_diffusion.foundation.errors import ModelFileError, UsageError


class Pair(nn.Module):
    """Two weights whose sizes do not divide by two, and a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.inner = nn.Parameter(torch.randn(5, 3, generator=generator))
        self.outer = nn.Parameter(torch.randn(5, generator=generator))

    def forward(self, compute: Callable[[Pair], Tensor]) -> Tensor:
        return compute(self)


def loss(model: nn.Module, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
    """Squared error without noise, so that every process count has the same gradient; the draw is only logged."""

    def error(pair: Pair) -> Tensor:
        return (torch.tanh(batch @ pair.inner.t()) @ pair.outer - batch.sum(-1)).square().mean()

    return model(error), {"drawn": float(torch.rand((), generator=generator))}


def points() -> ShuffledBatches[Tensor]:
    data = torch.randn(24, 3, generator=torch.Generator().manual_seed(5))
    return ShuffledBatches(24, 4, 5, lambda indices: data[indices])


def run(path: Path, processes: Processes, *, accumulation: int = 1) -> None:
    settings = TrainingSettings(
        steps=6, learning_rate=0.05, accumulation=accumulation, ema_decay=0.9, checkpoint_steps=1
    )
    model = Pair()
    processes.shard(model)
    train(model, points(), loss, settings, checkpoint=path, processes=processes)


def work(folder: Path) -> None:
    """What each of the two processes does."""
    torch.set_num_threads(1)
    with joined(torch.device("cpu")) as processes:
        assert processes.count == 2
        run(folder / "whole", processes)
        assert processes.mean(float(processes.rank)) == 0.5


def test_two_processes_give_what_one_gives_that_accumulates(tmp_path: Path) -> None:
    here = Path(__file__)
    code = f"import sys, pathlib; sys.path.insert(0, {str(here.parent)!r}); import {here.stem} as t"
    (tmp_path / "go.py").write_text(f"{code}; t.work(pathlib.Path({str(tmp_path)!r}))\n")
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*words, str(tmp_path / "go.py")], check=False, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    run(tmp_path / "alone", ALONE, accumulation=2)
    shared, alone = (load_checkpoint(tmp_path / name, kind="training state") for name in ("whole", "alone"))
    assert set(shared.tensors) == set(alone.tensors)
    for name, value in alone.tensors.items():
        if name != "generator":
            torch.testing.assert_close(shared.tensors[name], value, atol=1e-5, rtol=1e-4)
    first, second = shared.tensors["generator"]
    assert not torch.equal(first, second), "each process draws noise of its own"
    with pytest.raises(ModelFileError, match="generator has shape"):
        run(tmp_path / "whole", ALONE)


def test_a_single_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Pair()
    ALONE.shard(model)
    ALONE.wait()
    tensor = torch.ones(3)
    assert ALONE.first
    assert ALONE.mean(2.5) == 2.5
    assert ALONE.together(tensor) is tensor is ALONE.own(tensor) is whole(tensor)
    target = torch.zeros(3)
    put(tensor, target)
    assert torch.equal(target, tensor)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(torch.device("cpu")) as processes:
        assert processes is ALONE
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    with joined(torch.device("cpu")) as processes:
        assert processes is ALONE


def test_a_broken_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(UsageError, match="WORLD_SIZE is set, and RANK is not a number"), joined(torch.device("cpu")):
        pass

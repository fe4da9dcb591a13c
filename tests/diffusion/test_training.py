"""The training loop: its laws on a small model, and a run that is killed and goes on with the same bits."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from agentic_diffusion.diffusion.batches import ShuffledBatches
from agentic_diffusion.diffusion.checkpoint import checksum, load_checkpoint
from agentic_diffusion.diffusion.training import (
    StepReport,
    TrainingResult,
    TrainingSettings,
    learning_rate,
    train,
)
from agentic_diffusion.diffusion.training_state import ExponentialMovingAverage
from agentic_diffusion.foundation.errors import ConfigError, ModelFileError, NegativeResultError, UsageError


class Small(nn.Module):
    """A regression model with a matrix, a vector, a frozen weight and a buffer."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.hidden = nn.Parameter(torch.randn(2, width, generator=generator))
        self.out = nn.Parameter(torch.randn(width, generator=generator))
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("calls", torch.zeros(()))
        self.calls: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(x * self.frozen @ self.hidden) @ self.out


def noisy_loss(model: nn.Module, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
    """Squared error on points with noise drawn from the generator."""
    noised = batch + 0.1 * torch.randn(batch.shape, generator=generator)
    loss = (model(noised) - batch.sum(-1)).square().mean()
    return loss, {"spread": noised.std().item()}


def points(size: int = 40, batch: int = 8, seed: int = 5) -> ShuffledBatches[Tensor]:
    data = torch.randn(size, 2, generator=torch.Generator().manual_seed(seed))
    return ShuffledBatches(size, batch, seed, lambda indices: data[indices])


SETTINGS = TrainingSettings(
    steps=12, learning_rate=0.05, warmup_steps=2, accumulation=2, ema_decay=0.9, weight_decay=0.1, checkpoint_steps=1
)
STOP_AFTER = 7


def run(path: Path | None, settings: TrainingSettings = SETTINGS, *, kill: bool = False) -> TrainingResult:
    """A training; with `kill` the process is ended by SIGKILL in step 7, before its checkpoint is written."""

    def killer(report: StepReport) -> None:
        if report.step == STOP_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    return train(Small(), points(), noisy_loss, settings, checkpoint=path, callbacks=[killer] if kill else [])


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(whole)
    code = (
        f"import sys, pathlib, torch; sys.path.insert(0, {str(Path(__file__).parent)!r}); torch.set_num_threads(1)\n"
        f"import test_training; test_training.run(pathlib.Path({str(cut)!r}), kill=True)"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert load_checkpoint(cut, kind="training state").config["step"] == STOP_AFTER - 1
    result = run(cut)
    assert result.step == 12
    wanted, got = (load_checkpoint(path, kind="training state") for path in (whole, cut))
    assert got.config == wanted.config
    assert set(got.tensors) == set(wanted.tensors)
    for name, value in wanted.tensors.items():
        assert torch.equal(got.tensors[name], value), name
    assert checksum(cut) == checksum(whole)


def test_checkpoint_has_all_parts_and_no_frozen_weight(tmp_path: Path) -> None:
    run(tmp_path / "c")
    names = set(load_checkpoint(tmp_path / "c", kind="training state").tensors)
    parts = {"model/hidden", "model/out", "model/calls", "ema/hidden", "ema/out", "generator"}
    moments = {f"optimizer/{key}/{name}" for key in ("step", "exp_avg", "exp_avg_sq") for name in ("hidden", "out")}
    assert names == parts | moments


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    run(tmp_path / "c")
    before = checksum(tmp_path / "c")
    again = run(tmp_path / "c")
    assert (again.step, again.last) == (12, None)
    assert checksum(tmp_path / "c") == before


def test_training_lowers_the_loss_and_reports_each_step() -> None:
    reports: list[StepReport] = []
    settings = TrainingSettings(steps=200, learning_rate=0.05)
    result = train(Small(), points(), noisy_loss, settings, callbacks=[reports.append])
    first, last = (sum(r.loss for r in part) / 20 for part in (reports[:20], reports[-20:]))
    assert last < 0.2 * first
    assert [r.step for r in reports] == list(range(1, 201))
    assert result.ended_by == "steps"
    assert result.last == reports[-1]
    assert all(math.isfinite(r.gradient_norm) and r.metrics["spread"] > 0 for r in reports)


def test_accumulated_micro_batches_equal_one_large_batch() -> None:
    data = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))

    def plain(model: nn.Module, batch: Tensor, generator: torch.Generator) -> Tensor:
        return (model(batch) - batch.sum(-1)).square().mean()

    class Fixed:
        def __init__(self, size: int) -> None:
            self.size, self.place = size, 0

        def __next__(self) -> Tensor:
            part = data[self.place : self.place + self.size]
            self.place = (self.place + self.size) % 8
            return part

        def state_dict(self) -> dict[str, int]:
            return {"place": self.place}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.place = state["place"]

    large, small = Small(), Small()
    train(large, Fixed(8), plain, TrainingSettings(steps=5))
    train(small, Fixed(2), plain, TrainingSettings(steps=5, accumulation=4))
    assert torch.allclose(large.hidden, small.hidden, atol=1e-6)


def test_frozen_weights_stay() -> None:
    model = Small()
    train(model, points(), noisy_loss, SETTINGS)
    assert torch.equal(model.frozen, torch.ones(2))
    assert not torch.equal(model.hidden, Small().hidden)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_divergence_keeps_the_last_good_weights_and_says_where(tmp_path: Path, where: str) -> None:
    seen: list[Tensor] = []

    def bad(model: nn.Module, batch: Tensor, generator: torch.Generator) -> Tensor:
        loss, _ = noisy_loss(model, batch, generator)
        calls = int(model.get_buffer("calls"))
        if calls == 6 and where == "loss":  # the second micro-batch of step 3
            return loss * float("nan")
        if calls == 6:
            # sqrt has an infinite slope at 0: the loss is finite, its gradient is not.
            return loss + (model.get_parameter("out") * 0).sum().sqrt()
        return loss

    model = Small()
    path = tmp_path / "c"
    settings = TrainingSettings(steps=12, accumulation=2, ema_decay=0.9)
    with pytest.raises(NegativeResultError) as caught:
        train(
            model,
            points(),
            bad,
            settings,
            checkpoint=path,
            callbacks=[lambda _: seen.append(model.hidden.detach().clone())],
        )
    what = "the loss of micro-batch 2 is nan" if where == "loss" else "the gradient of out is not finite"
    assert f"The training diverged in step 3: {what}" in caught.value.message
    assert torch.equal(model.hidden, seen[-1])
    saved = load_checkpoint(path, kind="training state")
    assert saved.config["step"] == 2
    assert torch.equal(saved.tensors["model/hidden"], seen[-1])
    assert saved.config["batches"] == {"epoch": 0, "place": 32}


def test_data_that_end_end_the_training() -> None:
    class Three:
        def __init__(self) -> None:
            self.left = 3

        def __next__(self) -> Tensor:
            if not self.left:
                raise StopIteration
            self.left -= 1
            return torch.ones(2, 2)

        def state_dict(self) -> dict[str, int]:
            return {"left": self.left}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.left = state["left"]

    source = Three()
    result = train(Small(), source, noisy_loss, TrainingSettings(steps=9, accumulation=2))
    assert (result.step, result.ended_by) == (1, "data")
    assert source.left == 1  # the half step gave its batch back


def test_time_limit_stops_with_a_checkpoint(tmp_path: Path) -> None:
    settings = TrainingSettings(steps=10**9, max_seconds=0.2, decay="constant")
    result = train(Small(), points(), noisy_loss, settings, checkpoint=tmp_path / "c")
    assert result.ended_by == "seconds"
    assert load_checkpoint(tmp_path / "c", kind="training state").config["step"] == result.step > 0


def test_resume_refuses_other_settings_and_other_models(tmp_path: Path) -> None:
    path = tmp_path / "c"
    run(path, TrainingSettings(steps=2))
    with pytest.raises(UsageError, match=r"other settings: learning_rate was 0\.001 and is 0\.01"):
        run(path, TrainingSettings(steps=2, learning_rate=0.01))
    with pytest.raises(ModelFileError, match=r"model/hidden has shape \(2, 3\) and must have \(2, 4\)"):
        train(Small(4), points(), noisy_loss, TrainingSettings(steps=2), checkpoint=path)
    result = run(path, TrainingSettings(steps=2, checkpoint_steps=1, max_seconds=60))  # these may differ
    assert result.step == 2


def test_average_follows_its_formula_and_swaps_back() -> None:
    model = Small()
    ema = ExponentialMovingAverage(model, 0.5)
    start = model.out.detach().clone()
    with torch.no_grad():
        model.out.fill_(1.0)
    ema.update(model)  # d = min(0.5, 1 / 10)
    with torch.no_grad():
        model.out.fill_(2.0)
    ema.update(model)  # d = min(0.5, 2 / 11)
    wanted = (2 / 11) * (0.1 * start + 0.9) + (9 / 11) * 2.0
    with ema.applied(model):
        assert torch.allclose(model.out, wanted)
    assert torch.equal(model.out, torch.full((3,), 2.0))


def test_learning_rate_rises_then_falls() -> None:
    for decay in ("cosine", "linear", "constant"):
        settings = TrainingSettings(steps=20, warmup_steps=5, learning_rate=1.0, final_share=0.1, decay=decay)  # type: ignore[arg-type]
        rates = [learning_rate(settings, step) for step in range(21)]
        assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
        assert all(a >= b for a, b in pairwise(rates[5:]))
        assert rates[20] == pytest.approx(1.0 if decay == "constant" else 0.1)


def test_shuffled_batches_visit_everything_once_an_epoch_and_know_their_place() -> None:
    source: ShuffledBatches[list[int]] = ShuffledBatches(10, 5, 3, lambda indices: indices.tolist())
    epochs = [next(source) + next(source) for _ in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    place = source.state_dict()
    following = [next(source) for _ in range(3)]
    other: ShuffledBatches[list[int]] = ShuffledBatches(10, 5, 3, lambda indices: indices.tolist())
    other.load_state_dict(place)
    assert [next(other) for _ in range(3)] == following
    with pytest.raises(UsageError, match="A batch of 11 cannot be drawn from 10 items"):
        ShuffledBatches(10, 11, 0, lambda indices: indices)


def test_models_that_cannot_be_trained_exactly_are_refused() -> None:
    with pytest.raises(ConfigError, match="has dropout"):
        train(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)), points(), noisy_loss, SETTINGS)
    with pytest.raises(ConfigError, match="no weights to train"):
        train(nn.Sequential(), points(), noisy_loss, SETTINGS)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"steps": 0}, "steps is 0 and must be 1 or more"),
        ({"steps": 5, "learning_rate": float("nan")}, "learning_rate is nan and must be above 0"),
        ({"steps": 5, "ema_decay": 1.5}, r"ema_decay is 1.5 and must lie in \[0, 1\]"),
        ({"steps": 5, "warmup_steps": 6}, "must lie between 0 and the 5 steps"),
        ({"steps": 5, "decay": "step"}, "cosine, linear and constant are known"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TrainingSettings(**wrong)  # type: ignore[arg-type]

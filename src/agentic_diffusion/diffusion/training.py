"""One training loop for every denoiser: a step, an average of the weights, checkpoints, and a bit-exact resume.

The loop knows neither process nor data. It receives a model, a source of batches that knows its place, and
`loss_fn(model, batch, generator)`, which draws times and masks from the generator handed in.

    step = accumulate gradients over micro-batches -> check -> clip -> AdamW -> average the weights -> report

Only parameters with `requires_grad` are trained, averaged and saved (an adapter's checkpoint holds no backbone), with
the model's persistent buffers. A checkpoint holds weights, average, optimizer state, the generator's state, the place
in the data and the settings; stopped at any moment, even by SIGKILL, a run goes on from the last one with the same bits
as one that was never stopped, on the same machine and number of threads. Layers that draw from the global generator
(dropout) would break that and are refused.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from agentic_diffusion.diffusion.batches import Batch, BatchSource, take
from agentic_diffusion.diffusion.processes import ALONE, Processes, whole
from agentic_diffusion.diffusion.training_state import (
    ExponentialMovingAverage,
    Place,
    TrainingState,
    load_state,
    save_state,
    trained_parameters,
)
from agentic_diffusion.foundation.errors import ConfigError, NegativeResultError
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.foundation.resources import Budget

LossFunction = Callable[[nn.Module, Batch, torch.Generator], "Tensor | tuple[Tensor, Mapping[str, float]]"]
"""Gives the loss (a scalar, to be differentiated) or the loss and numbers to log."""

Ending = Literal["steps", "seconds", "data"]

_FREE = frozenset({"checkpoint_steps", "checkpoint_seconds", "max_seconds"})


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a model is trained."""

    steps: int
    """Optimizer steps in all."""
    learning_rate: float = 1e-3
    """The highest learning rate."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly from near 0."""
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    final_share: float = 0.1
    """The last learning rate as a share of the highest."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's averages of gradient and squared gradient."""
    weight_decay: float = 0.0
    """AdamW's decay, for matrices only."""
    gradient_clip: float | None = 1.0
    """Largest norm of the whole gradient; None: no clipping."""
    accumulation: int = 1
    """Micro-batches a step; their losses are averaged."""
    ema_decay: float | None = None
    """Decay of the average of the weights; None: no average."""
    seed: int = 0
    """Seed of the generator that the loss draws from."""
    checkpoint_steps: int | None = None
    """Write a checkpoint every so many steps."""
    checkpoint_seconds: float | None = 300.0
    """Write a checkpoint every so many seconds."""
    max_seconds: float | None = None
    """Stop, with a checkpoint, after so many seconds of this call."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        hint = "Leave it out for the default."
        for name in ("steps", "accumulation"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)} and must be 1 or more.", hint=hint)
        for name in ("learning_rate", "gradient_clip", "checkpoint_steps", "checkpoint_seconds", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{name} is {value} and must be above 0.", hint=hint)
        for name in ("final_share", "ema_decay"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value} and must lie in [0, 1].", hint=hint)
        if not 0 <= self.warmup_steps <= self.steps:
            raise ConfigError(
                f"warmup_steps is {self.warmup_steps} and must lie between 0 and the {self.steps} steps.", hint=hint
            )
        if self.decay not in ("cosine", "linear", "constant"):
            raise ConfigError(f"decay is {self.decay!r}: cosine, linear and constant are known.", hint=hint)


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one step did; callbacks receive it."""

    step: int
    """Steps done, this one included."""
    loss: float
    """Mean loss of the micro-batches."""
    learning_rate: float
    """The rate that was used."""
    gradient_norm: float
    """Norm of the whole gradient before clipping."""
    metrics: Mapping[str, float]
    """Means of what the loss function gave to log."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How a training ended."""

    step: int
    """Steps done in all."""
    ended_by: Ending
    """The number of steps, the time limit, or the end of the data."""
    last: StepReport | None
    """The last step of this call; None where it made none."""
    ema: ExponentialMovingAverage | None
    """The average of the weights, if asked for."""


def start_state(model: nn.Module, settings: TrainingSettings, processes: Processes = ALONE) -> TrainingState:
    """The state before the first step; raises ConfigError for a model without weights to train or with dropout."""
    weights = trained_parameters(model)
    if not weights:
        raise ConfigError("The model has no weights to train.", hint="Set requires_grad on those to be trained.")
    if any(isinstance(part, _DropoutNd) and part.p > 0 for part in model.modules()):
        raise ConfigError(
            "The model has dropout, which draws from the global generator, so a resume would not be exact.",
            hint="Set its probability to 0.",
        )
    matrices = [weight for weight in weights.values() if weight.ndim >= 2]
    others = [weight for weight in weights.values() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas)
    ema = None if settings.ema_decay is None else ExponentialMovingAverage(model, settings.ema_decay)
    seed = settings.seed if processes.count == 1 else derive(settings.seed, "process", processes.rank)
    generator = torch.Generator().manual_seed(seed)
    return TrainingState(model=model, optimizer=optimizer, ema=ema, generator=generator, processes=processes)


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """The rate of the step after `step` steps: linear warm-up, then the decay from 1 to `final_share` at the end."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    left = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[settings.decay]
    floor = 1.0 if settings.decay == "constant" else settings.final_share
    return settings.learning_rate * (floor + (1 - floor) * left)


def train_step(
    state: TrainingState, batches: Sequence[Batch], loss_fn: LossFunction[Batch], settings: TrainingSettings
) -> StepReport:
    """One optimizer step over micro-batches.

    Raises NegativeResultError, with weights, optimizer and average untouched, where a loss or a gradient is not finite;
    the sentence says in which step, and which micro-batch or parameter.
    """
    rate, number = learning_rate(settings, state.step), state.step + 1
    state.optimizer.zero_grad(set_to_none=True)
    total, sums = 0.0, dict[str, float]()
    for index, batch in enumerate(batches):
        result = loss_fn(state.model, batch, state.generator)
        loss, metrics = result if isinstance(result, tuple) else (result, {})
        value = state.processes.mean(loss.item())
        if not math.isfinite(value):
            raise _diverged(number, f"the loss of micro-batch {index + 1} is {value}")
        (loss / len(batches)).backward()  # type: ignore[no-untyped-call]
        total += value / len(batches)
        for name, metric in metrics.items():
            sums[name] = sums.get(name, 0.0) + metric / len(batches)
    weights = trained_parameters(state.model)
    total_norm = whole(nn.utils.get_total_norm([weight.grad for weight in weights.values() if weight.grad is not None]))
    norm = total_norm.item()
    if not math.isfinite(norm):
        wrong = [n for n, w in weights.items() if w.grad is not None and not bool(torch.isfinite(whole(w.grad)).all())]
        raise _diverged(number, f"the gradient of {wrong[0] if wrong else 'the whole model'} is not finite")
    if settings.gradient_clip is not None:
        nn.utils.clip_grads_with_norm_(weights.values(), settings.gradient_clip, total_norm)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    if state.ema is not None:
        state.ema.update(state.model)
    state.step = number
    means = {name: state.processes.mean(value) for name, value in sums.items()}
    return StepReport(step=number, loss=total, learning_rate=rate, gradient_norm=norm, metrics=means)


def train(
    model: nn.Module,
    batches: BatchSource[Batch],
    loss_fn: LossFunction[Batch],
    settings: TrainingSettings,
    *,
    checkpoint: Path | None = None,
    callbacks: Sequence[Callable[[StepReport], None]] = (),
    processes: Processes = ALONE,
) -> TrainingResult:
    """Train in place, going on from `checkpoint` where that file exists; it is written as set, and at the end.

    Of several `processes` each one calls this with the same arguments and a model sharded by `Processes.shard`; each
    takes every `count`-th micro-batch of a step, so a step is `count` times larger.

    `callbacks` see each step's report before the checkpoint of that step is written. Data that end inside a step end
    the training before it. Raises UsageError for a checkpoint made with other settings, ModelFileError for one of
    another model, NegativeResultError where the training diverges: the model then has the weights of the last good
    step, and so has the checkpoint.
    """
    model.train()
    state = start_state(model, settings, processes)
    if checkpoint is not None and checkpoint.exists():
        load_state(checkpoint, state, batches, _as_json(settings, without=_FREE))
    writer, budget = _Writer(checkpoint, settings), Budget(settings.max_seconds)
    ended_by: Ending = "steps"
    last: StepReport | None = None
    while state.step < settings.steps:
        if processes.mean(float(budget.exhausted())) > 0:
            ended_by = "seconds"
            break
        before = Place.of(state, batches)
        micro = take(batches, settings.accumulation * processes.count)
        if micro is None:
            batches.load_state_dict(before.batches)
            ended_by = "data"
            break
        try:
            last = train_step(state, micro[processes.rank :: processes.count], loss_fn, settings)
        except NegativeResultError:
            writer.write(state, before)
            raise
        for callback in callbacks:
            callback(last)
        if processes.mean(float(writer.due(state.step))) > 0:
            writer.write(state, Place.of(state, batches))
    if last is not None:
        writer.write(state, Place.of(state, batches))
    return TrainingResult(step=state.step, ended_by=ended_by, last=last, ema=state.ema)


class _Writer:
    """Writes checkpoints when they are due; does nothing without a path."""

    def __init__(self, path: Path | None, settings: TrainingSettings) -> None:
        self._path, self._settings, self._written = path, settings, time.monotonic()

    def due(self, step: int) -> bool:
        """Whether the steps or the seconds since the last one call for a checkpoint."""
        steps, seconds = self._settings.checkpoint_steps, self._settings.checkpoint_seconds
        by_steps = steps is not None and step % steps == 0
        return by_steps or (seconds is not None and time.monotonic() - self._written >= seconds)

    def write(self, state: TrainingState, place: Place) -> None:
        """Write the state as of `place`."""
        if self._path is not None:
            save_state(self._path, state, place, _as_json(self._settings))
        self._written = time.monotonic()


def _as_json(settings: TrainingSettings, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The settings as JSON would give them back."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(settings).items()
        if name not in without
    }


def _diverged(step: int, what: str) -> NegativeResultError:
    """The error of a training that left the finite numbers."""
    return NegativeResultError(
        f"The training diverged in step {step}: {what}; the weights are those before it.",
        hint="Start from these weights with a lower learning rate, or look at that batch.",
    )

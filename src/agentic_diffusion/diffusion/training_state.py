"""What a training changes, and how it is written down so that a resume is exact to the bit.

A checkpoint holds the trained weights and persistent buffers ("model/"), the optimizer's state ("optimizer/"), the
average of the weights ("ema/"), the generator's state, and in its configuration the step, the place in the data and the
settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agentic_diffusion.diffusion.batches import BatchSource
from agentic_diffusion.diffusion.checkpoint import load_checkpoint, require_shapes, save_checkpoint
from agentic_diffusion.diffusion.processes import ALONE, Processes, put, shard_of, whole
from agentic_diffusion.foundation.errors import UsageError

KIND = "training state"


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


class ExponentialMovingAverage:
    """An average of the trained weights: shadow = d * shadow + (1 - d) * weight.

    d = min(decay, (1 + n) / (10 + n)) after n updates, so that the start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start from the model's present weights."""
        self.decay = decay
        self.updates = 0
        self.shadow = {name: weight.detach().clone() for name, weight in trained_parameters(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, weight in trained_parameters(model).items():
            shard_of(self.shadow[name]).lerp_(shard_of(weight.detach()), 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Give the model the averaged weights for good."""
        _copy(self.shadow, trained_parameters(model))

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Within the block the model has the averaged weights; afterwards its own again."""
        weights = trained_parameters(model)
        own = {name: weight.detach().clone() for name, weight in weights.items()}
        try:
            _copy(self.shadow, weights)
            yield
        finally:
            _copy(own, weights)


@dataclass(kw_only=True)
class TrainingState:
    """What a step changes."""

    model: nn.Module
    """The model, trained in place."""
    optimizer: torch.optim.AdamW
    """Its optimizer."""
    ema: ExponentialMovingAverage | None
    """The average of its weights."""
    generator: torch.Generator
    """What the loss draws from."""
    processes: Processes = ALONE
    """Who trains it."""
    step: int = 0
    """Steps done."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the randomness and the data are."""

    generator: Tensor
    """State of the generator."""
    batches: dict[str, Any]
    """State of the batch source."""

    @classmethod
    def of(cls, state: TrainingState, batches: BatchSource[Any]) -> Place:
        """The present place."""
        generator = state.processes.together(state.generator.get_state())
        return cls(generator=generator, batches=batches.state_dict())


def save_state(path: Path, state: TrainingState, place: Place, settings: Mapping[str, Any]) -> None:
    """Write all that a resume needs, atomically; `settings` must be as JSON gives them back.

    Every process has to call it; the first one writes.
    """
    config = {
        "step": state.step,
        "batches": place.batches,
        "ema_updates": None if state.ema is None else state.ema.updates,
        "settings": dict(settings),
    }
    tensors = {name: whole(value) for name, value in _state_tensors(state).items()}
    if state.processes.first:
        save_checkpoint(path, {**tensors, "generator": place.generator}, kind=KIND, config=config)
    state.processes.wait()


def load_state(path: Path, state: TrainingState, batches: BatchSource[Any], settings: Mapping[str, Any]) -> None:
    """Put a checkpoint back into a fresh state and its source of batches.

    `settings` are those that must be as they were. Raises UsageError where one is not, ModelFileError for a file of
    another model.
    """
    saved = load_checkpoint(path, kind=KIND)
    config: Mapping[str, Any] = saved.config
    before = config["settings"]
    other = [name for name, value in settings.items() if before.get(name) != value]
    if other:
        raise UsageError(
            f"The checkpoint {path} was made with other settings: {other[0]} was {before.get(other[0])!r} and is"
            f" {settings[other[0]]!r}.",
            hint="Go on with the settings it was made with, or start anew in another file.",
        )
    for name, weight in trained_parameters(state.model).items():
        if f"optimizer/step/{name}" in saved.tensors:  # AdamW makes its state in the first step that has a gradient
            averages = {key: torch.zeros_like(weight).detach() for key in ("exp_avg", "exp_avg_sq")}
            state.optimizer.state[weight] = {"step": torch.tensor(0.0), **averages}
    targets = _state_tensors(state)
    shapes = {name: tuple(value.shape) for name, value in targets.items()}
    count = state.processes.count
    own = tuple(state.generator.get_state().shape)
    require_shapes(saved.tensors, {**shapes, "generator": own if count == 1 else (count, *own)}, path)
    _copy(saved.tensors, targets)
    state.generator.set_state(state.processes.own(saved.tensors["generator"]))
    state.step = config["step"]
    if state.ema is not None:
        state.ema.updates = config["ema_updates"]
    batches.load_state_dict(config["batches"])


def _state_tensors(state: TrainingState) -> dict[str, Tensor]:
    """The live tensors of a state by their names in a checkpoint."""
    weights = trained_parameters(state.model)
    frozen = {name for name, weight in state.model.named_parameters() if not weight.requires_grad}
    kept = {name: value for name, value in state.model.state_dict().items() if name not in frozen}
    tensors = {f"model/{name}": value for name, value in kept.items()}
    for name, weight in weights.items():
        for key, value in state.optimizer.state.get(weight, {}).items():
            tensors[f"optimizer/{key}/{name}"] = value
    if state.ema is not None:
        tensors |= {f"ema/{name}": value for name, value in state.ema.shadow.items()}
    return tensors


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    """Copy the values of `source` into the live tensors of `target`."""
    for name, value in target.items():
        put(source[name], value)

"""Sources of batches that know their place, so that a training can go on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.randomness import derive

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)


class BatchSource(Protocol[Batch_co]):
    """An iterator over batches that can say where it is; it may end."""

    def __next__(self) -> Batch_co:
        """The next batch; StopIteration ends the training."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The place in the data, ready for JSON."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a place that `state_dict` gave."""
        ...


class ShuffledBatches(Generic[Batch]):
    """Endless batches of a data set of known size, in a new order each epoch; the rest of an epoch is dropped."""

    def __init__(self, size: int, batch_size: int, seed: int, collate: Callable[[Tensor], Batch]) -> None:
        """`collate` makes a batch of indices [batch_size]; raises UsageError where the data are less than a batch."""
        if not 1 <= batch_size <= size:
            raise UsageError(
                f"A batch of {batch_size} cannot be drawn from {size} items.", hint="Use a smaller batch or more data."
            )
        self._size, self._batch_size, self._seed, self._collate = size, batch_size, seed, collate
        self._epoch, self._place = 0, 0
        self._order = self._shuffle()

    def __iter__(self) -> ShuffledBatches[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._place + self._batch_size > self._size:
            self._epoch, self._place = self._epoch + 1, 0
            self._order = self._shuffle()
        indices = self._order[self._place : self._place + self._batch_size]
        self._place += self._batch_size
        return self._collate(indices)

    def state_dict(self) -> dict[str, Any]:
        """Epoch and place."""
        return {"epoch": self._epoch, "place": self._place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to an epoch and a place."""
        self._epoch, self._place = state["epoch"], state["place"]
        self._order = self._shuffle()

    def _shuffle(self) -> Tensor:
        generator = torch.Generator().manual_seed(derive(self._seed, "epoch", self._epoch))
        return torch.randperm(self._size, generator=generator)


def take(batches: BatchSource[Batch], count: int) -> list[Batch] | None:
    """The next `count` batches, or None where the data end first."""
    taken = []
    for _ in range(count):
        try:
            taken.append(next(batches))
        except StopIteration:
            return None
    return taken

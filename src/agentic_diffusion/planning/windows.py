"""Training data of the planner: windows of trajectories with hindsight goals.

A window goes from one moment of a trajectory to a later one on the way to the same target; where it ends is its goal,
and how long it took is its duration (hindsight: Andrychowicz et al. 2017). Windows are resampled to a plan's knots.
With `horizons` windows have a fixed length instead and ignore the targets, as Diffuser cuts them.

Shapes: N windows, K knots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from agentic_diffusion.domains.trajectories.environment import MazeSet
from agentic_diffusion.domains.trajectories.maze import Maze
from agentic_diffusion.domains.trajectories.offline_data import OfflineData
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.planning.plan_format import SYMMETRIES, PlanFormat, cell_features, reference_durations

SHORTEST = 12
"""Fewest environment steps of a window."""
Float32 = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PlanBatch:
    """Windows as the loss wants them."""

    x_0: Float[Tensor, "B H C"]
    """The plans."""
    context: Float[Tensor, "B M W"]
    """The cells."""
    context_mask: Bool[Tensor, "B M"]
    """Which of them are cells."""
    is_known: Bool[Tensor, "1 H C"]
    """Start and goal."""


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """States one after the other, cut in pieces: each piece is one way to one target."""

    states: Float32
    """[total, 4] all pieces, one behind the other."""
    begin: NDArray[np.int64]
    """[P] first state of each piece."""
    end: NDArray[np.int64]
    """[P] last state of each piece, included."""
    which: NDArray[np.int64]
    """[P] index of its maze in the collection."""

    def __post_init__(self) -> None:
        """Check the shapes; raises UsageError."""
        if self.states.ndim != 2 or self.states.shape[1] != 4 or not len(self.begin):
            raise UsageError(
                f"Trajectories have states of shape {self.states.shape} in {len(self.begin)} pieces and must have"
                " [steps, 4] in at least one.",
                hint="A state is x, y, vx, vy.",
            )


def pieces_of(data: Sequence[OfflineData], places: Sequence[int], *, whole: bool = False) -> Trajectories:
    """The ways between targets of offline data; `places` are their mazes' indices. `whole`: uncut streams."""
    states, begin, end, which = [], [], [], []
    offset = 0
    for one, place in zip(data, places, strict=True):
        streams, length = one.ends.shape
        states.append(one.states.reshape(-1, 4))
        last = one.ends.copy() if not whole else np.zeros_like(one.ends)
        last[:, -1] = True
        stop = np.flatnonzero(last.ravel())
        # The step after a target repeats its state: a piece begins behind it.
        first = np.concatenate([[0], stop[:-1] + 1]) + (0 if whole else 1)
        long = stop - first >= SHORTEST
        begin.append(first[long] + offset)
        end.append(stop[long] + offset)
        which.append(np.full(int(long.sum()), place))
        offset += streams * length
    return Trajectories(
        states=np.concatenate(states), begin=np.concatenate(begin), end=np.concatenate(end), which=np.concatenate(which)
    )


@dataclass(frozen=True, kw_only=True)
class Source:
    """One collection among those that a batch is drawn from."""

    trajectories: Trajectories
    """The pieces."""
    share: float
    """Its share of each batch."""
    weight: NDArray[np.float64] | None = None
    """[P] how often a piece is drawn; None: by its length."""


class WindowBatches:
    """Endless random batches of windows, each from the seed and its number alone; satisfies `BatchSource`."""

    def __init__(
        self,
        mazes: Sequence[Maze],
        sources: Sequence[Source],
        plan: PlanFormat,
        *,
        batch_size: int,
        seed: int,
        horizons: Sequence[int] | None = None,
        whole_share: float = 0.5,
    ) -> None:
        """`horizons` gives each maze a fixed window length; `whole_share` of windows keep a piece's begin, or end."""
        self.mazes, self._plan, self._horizons = MazeSet(mazes), plan, horizons
        self._sources, self._batch_size, self._seed, self._whole = sources, batch_size, seed, whole_share
        self._number = 0
        self._chances = [self._chance(source) for source in sources]

    def __iter__(self) -> WindowBatches:
        return self

    def __next__(self) -> PlanBatch:
        rng = np.random.default_rng(derive(self._seed, "batch", self._number))
        self._number += 1
        states, durations, which = self.draw(rng)
        return self.batch(states, durations, which, symmetry=int(rng.integers(SYMMETRIES)))

    def state_dict(self) -> dict[str, Any]:
        """The number of the next batch."""
        return {"number": self._number}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a batch."""
        self._number = state["number"]

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Knots [N, K, 4], durations [N] and mazes [N] of one batch."""
        counts = np.floor(self._batch_size * np.array([source.share for source in self._sources])).astype(int)
        counts[0] += self._batch_size - counts.sum()
        drawn = [
            self._windows(source.trajectories, chance, int(count), rng)
            for source, chance, count in zip(self._sources, self._chances, counts, strict=True)
        ]
        states, durations, which = (np.concatenate(part) for part in zip(*drawn, strict=True))
        return states, durations, which

    def batch(
        self, states: NDArray[np.float64], durations: NDArray[np.float64], which: NDArray[np.int64], *, symmetry: int
    ) -> PlanBatch:
        """Windows as tensors."""
        start, goal = states[:, 0], states[:, -1, :2]
        reference = reference_durations(self.mazes, which, start[:, :2], goal)
        context, mask = cell_features(self.mazes, which, start[:, :2], goal, slack=self._plan.slack, symmetry=symmetry)
        given, _ = self._plan.known(start[:1], goal[:1])
        return PlanBatch(
            x_0=torch.from_numpy(self._plan.encode(states, durations, reference, symmetry)),
            context=torch.from_numpy(context),
            context_mask=torch.from_numpy(mask),
            is_known=torch.from_numpy(given),
        )

    def _chance(self, source: Source) -> NDArray[np.float64]:
        part = source.trajectories
        weight = (part.end - part.begin).astype(float) if source.weight is None else source.weight.copy()
        if self._horizons is not None:
            weight[part.end - part.begin <= np.array(self._horizons)[part.which]] = 0.0
        if not weight.sum() > 0:
            raise UsageError("No window fits into the trajectories.", hint="Use longer trajectories.")
        return np.asarray(np.cumsum(weight / weight.sum()))

    def _windows(
        self, part: Trajectories, chance: NDArray[np.float64], count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        piece = np.minimum(np.searchsorted(chance, rng.random(count)), len(chance) - 1)
        begin, end = part.begin[piece], part.end[piece]
        room = end - begin
        if self._horizons is not None:
            length = np.array(self._horizons)[part.which[piece]]
            first = begin + (rng.random(count) * (room - length)).astype(np.int64)
        else:
            most = np.maximum(room, SHORTEST)
            cut = SHORTEST + (rng.random(count) * (most - SHORTEST + 1)).astype(np.int64)
            length = np.minimum(
                np.where(rng.random(count) < self._whole, np.maximum(cut, (0.7 * most).astype(int)), cut), room
            )
            place = rng.random(count)
            place = np.where(place < self._whole, 0.0, np.where(place < (1 + self._whole) / 2, 1.0, rng.random(count)))
            first = begin + np.floor(place * (room - length)).astype(np.int64)
        times = first[:, None] + length[:, None] * np.linspace(0.0, 1.0, self._plan.knots)
        low = np.minimum(times.astype(np.int64), len(part.states) - 2)
        rest = (times - low)[..., None]
        knots = (1 - rest) * part.states[low] + rest * part.states[low + 1]
        return knots.astype(np.float64), length.astype(np.float64), part.which[piece]

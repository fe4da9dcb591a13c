"""The trajectory buffer: the good samples of a domain, to learn from; its Protocol and the form in memory.

A sample is a program (text) or a trajectory (arrays such as states [H, C] and actions [H, A]) with its task, its
measured reward and where it came from. Every buffer obeys the same laws (`store_buffer` keeps them in the database):

    once        the same content of a task is kept once; the first stays
    capacity    over it the worst go first, and a task's second best before any task's best
    best first  `samples` gives the best reward first, then the oldest
    draw        a function of the samples, the settings and the generator handed in alone
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from agentic_diffusion.foundation.errors import ConfigError, StoreError, UsageError

if TYPE_CHECKING:
    from agentic_diffusion.foundation.store.store import Domain

_DIGEST = 32
_POINTS = 16
_BINS = 256
_DOMAINS = ("code", "trajectories")


@dataclass(frozen=True, kw_only=True, eq=False)
class BufferSample:
    """One sample of the buffer; compare two by task and `content`."""

    task: str
    """The key of the task that it solves or tries to."""
    reward: float
    """Measured outcome; finite."""
    text: str = ""
    """The program; empty for a trajectory."""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Arrays by name: "states" [H, C], "actions" [H, A], "tokens" [L]; equal names have equal widths in a buffer."""
    reward_parts: Mapping[str, float] = field(default_factory=dict)
    """What the reward is made of, by name."""
    round: int | None = None
    """Round of self-improvement."""
    weights: str | None = None
    """Checksum of the weights that made it."""
    run: str | None = None
    """The run that made it, if there is a record of it."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How it came about: sampler, seed, source."""

    def __post_init__(self) -> None:
        """Check the reward; raises UsageError."""
        if not math.isfinite(self.reward):
            raise UsageError(
                f"The reward {self.reward} of a sample is not finite.", hint="Drop samples that could not be measured."
            )

    @property
    def content(self) -> str:
        """What makes two samples of a task the same: the text, else the names, shapes and checksum of the arrays."""
        if self.text:
            return self.text
        shapes = {name: list(self.arrays[name].shape) for name in sorted(self.arrays)}
        return json.dumps({"arrays": shapes, "sha256": hashlib.sha256(_bytes(self.arrays)).hexdigest()})


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """How much a buffer keeps."""

    per_task: int | None = None
    """Samples a task; None: no bound."""
    total: int | None = None
    """Samples in all; None: no bound."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        for name in ("per_task", "total"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value} and must be 1 or more.", hint="Leave it out for no bound.")


@dataclass(frozen=True, kw_only=True)
class DrawSettings:
    """How samples are drawn."""

    priority: float = 1.0
    """Weight 1 / place^priority for the sample at that place among its task's, best first; 0: all alike.

    By place and not by reward (Schaul et al. 2016, "Prioritized experience replay", section 3.3, rank-based), so that
    rewards of any scale serve, and each task counts the same.
    """
    diversity: float = 0.0
    """The next sample's weight is multiplied by its distance to the nearest one drawn, to this power; 0: not at all."""
    repeats: bool = False
    """Whether a sample may be drawn twice, as for a batch; without, a draw ends when all are drawn."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        for name in ("priority", "diversity"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ConfigError(f"{name} is {value:g} and must be 0 or more.", hint="Leave it out for the default.")
        if self.repeats and self.diversity:
            raise ConfigError(
                "A diverse draw has no repeats: the second copy would have no distance to the first.",
                hint="Set diversity to 0, or repeats to False.",
            )


UNBOUNDED = Capacity()
"""Keeps everything."""

BY_PLACE = DrawSettings()
"""The default draw."""


@runtime_checkable
class TrajectoryBuffer(Protocol):
    """Keeps the good samples of one domain."""

    @property
    def domain(self) -> Domain:
        """Which data domain: code, or trajectories."""
        ...

    def add(self, samples: Iterable[BufferSample]) -> int:
        """Keep samples, within the capacity; returns how many were new to their task."""
        ...

    def samples(
        self, *, task: str | None = None, min_reward: float | None = None, since_round: int | None = None
    ) -> list[BufferSample]:
        """What is kept, best first; `since_round` leaves out earlier rounds and samples of none."""
        ...

    def draw(self, count: int, rng: np.random.Generator, settings: DrawSettings = BY_PLACE) -> list[BufferSample]:
        """`draw_samples` of what is kept."""
        ...

    def __len__(self) -> int:
        """How many samples are kept."""
        ...


class MemoryBuffer:
    """A buffer in memory, gone with the process; satisfies `TrajectoryBuffer`."""

    def __init__(self, domain: Domain, capacity: Capacity = UNBOUNDED) -> None:
        """An empty buffer of one domain."""
        self._domain, self._capacity = check_domain(domain), capacity
        self._kept: dict[tuple[str, str], BufferSample] = {}

    @property
    def domain(self) -> Domain:
        """Which data domain."""
        return self._domain

    def add(self, samples: Iterable[BufferSample]) -> int:
        """Keep samples, within the capacity; returns how many were new to their task."""
        new = 0
        for sample in [check_sample(sample, self._domain) for sample in samples]:
            key = (sample.task, sample.content)
            if key not in self._kept:
                self._kept[key] = sample
                new += 1
        self._trim()
        return new

    def samples(
        self, *, task: str | None = None, min_reward: float | None = None, since_round: int | None = None
    ) -> list[BufferSample]:
        """What is kept, best first."""
        chosen = [
            sample
            for sample in self._kept.values()
            if (task is None or sample.task == task) and (min_reward is None or sample.reward >= min_reward)
        ]
        return sorted(since(chosen, since_round), key=lambda sample: -sample.reward)

    def draw(self, count: int, rng: np.random.Generator, settings: DrawSettings = BY_PLACE) -> list[BufferSample]:
        """`draw_samples` of what is kept."""
        return draw_samples(self.samples(), count, rng, settings)

    def __len__(self) -> int:
        return len(self._kept)

    def _trim(self) -> None:
        """Forget what is beyond the capacity."""
        ordered = sorted(self._kept.items(), key=lambda item: -item[1].reward)
        places = _places([sample for _, sample in ordered])
        per_task, total = self._capacity.per_task, self._capacity.total
        ranked = sorted(range(len(ordered)), key=lambda index: places[index])  # stable: best reward first in a place
        kept = {
            ordered[index][0]
            for order, index in enumerate(ranked)
            if (per_task is None or places[index] <= per_task) and (total is None or order < total)
        }
        self._kept = {key: sample for key, sample in self._kept.items() if key in kept}


def draw_samples(
    samples: Sequence[BufferSample], count: int, rng: np.random.Generator, settings: DrawSettings = BY_PLACE
) -> list[BufferSample]:
    """Draw up to `count` of samples that are sorted best first, by priority and diversity; see `DrawSettings`.

    The same samples, settings and state of `rng` give the same draw. Distances are between `features`. Raises
    UsageError for a negative count, or for repeats of an empty buffer.
    """
    if count < 0 or (settings.repeats and count and not samples):
        raise UsageError(
            f"{count} samples cannot be drawn from a buffer of {len(samples)}.", hint="Fill the buffer first."
        )
    weights = np.array([place**-settings.priority for place in _places(samples)], dtype=np.float64)
    if settings.repeats:
        return [samples[index] for index in rng.choice(len(samples), size=count, p=weights / weights.sum())]
    described = features(samples) if settings.diversity and samples else None
    nearest = np.full(len(samples), np.inf)
    drawn: list[int] = []
    left = np.ones(len(samples), dtype=bool)
    for _ in range(min(count, len(samples))):
        pull = weights * left
        if described is not None and drawn:
            nearest = np.minimum(nearest, np.linalg.norm(described - described[drawn[-1]], axis=1))
            spread = pull * (nearest / max(float(nearest.max()), 1e-12)) ** settings.diversity
            pull = spread if spread.sum() > 0 else pull  # copies of what is drawn are all that is left
        index = int(rng.choice(len(samples), p=pull / pull.sum()))
        left[index] = False
        drawn.append(index)
    return [samples[index] for index in drawn]


def features(samples: Sequence[BufferSample]) -> NDArray[np.float64]:
    """Vectors [N, F] whose distances say how different samples are.

    Arrays: 16 points at equal shares of the first axis, one array after another, so that horizons may differ. Text:
    shares of its triples of characters in 256 bins. Each column is divided by its standard deviation.
    """
    rows = [_describe(sample) for sample in samples]
    width = max(len(row) for row in rows)
    table = np.stack([np.pad(row, (0, width - len(row))) for row in rows])
    deviation = table.std(axis=0)
    return np.asarray(table / np.where(deviation > 0, deviation, 1.0))


def since(samples: Iterable[BufferSample], first: int | None) -> list[BufferSample]:
    """The samples of a round from `first` on; all of them for None."""
    return [s for s in samples if first is None or (s.round is not None and s.round >= first)]


def check_domain(domain: Domain) -> Domain:
    """The domain; raises UsageError for a foreign one."""
    if domain not in _DOMAINS:
        raise UsageError(f"{domain!r} is no data domain: code and trajectories are.", hint="Use one of these two.")
    return domain


def check_sample(sample: BufferSample, domain: Domain) -> BufferSample:
    """The sample; raises UsageError unless it is what the domain learns from."""
    if domain == "code" and not sample.text:
        raise UsageError("A sample of the code domain has no text.", hint="Give the program; tokens come beside it.")
    if domain == "trajectories" and (sample.text or not sample.arrays):
        raise UsageError("A trajectory is given by arrays alone, and has no text.", hint='Give arrays={"states": ...}.')
    return sample


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes | None:
    """Arrays as a SHA-256 followed by safetensors, so that a flipped bit is found; None for no arrays."""
    if not arrays:
        return None
    data = _bytes(arrays)
    return hashlib.sha256(data).digest() + data


def unpack_arrays(packed: bytes | None) -> dict[str, NDArray[Any]]:
    """The arrays of `pack_arrays`; raises StoreError where they were altered."""
    if packed is None:
        return {}
    digest, data = packed[:_DIGEST], packed[_DIGEST:]
    if hashlib.sha256(data).digest() == digest:
        try:
            return dict(load(data))
        except SafetensorError:
            pass
    raise StoreError(
        "The arrays of a sample were altered: they do not match their checksum.",
        hint="Restore the database from a copy, or delete that sample.",
    )


def _places(samples: Sequence[BufferSample]) -> list[int]:
    """The place of each sample among its task's, from 1, for samples that are sorted best first."""
    counts: dict[str, int] = {}
    places = []
    for sample in samples:
        counts[sample.task] = counts.get(sample.task, 0) + 1
        places.append(counts[sample.task])
    return places


def _describe(sample: BufferSample) -> NDArray[np.float64]:
    """One row of `features`, before scaling."""
    if sample.text:
        data = sample.text.encode()
        triples = [zlib.crc32(data[i : i + 3]) % _BINS for i in range(max(1, len(data) - 2))]
        return np.bincount(triples, minlength=_BINS) / len(triples)
    parts = []
    for name in sorted(sample.arrays):
        values = np.atleast_1d(np.asarray(sample.arrays[name], dtype=np.float64))
        if len(values):
            index = np.linspace(0, len(values) - 1, _POINTS).round().astype(int)
            parts.append(values[index].ravel())
    return np.concatenate(parts) if parts else np.zeros(1)


def _bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The same bytes for the same arrays."""
    return save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})

"""The trajectory buffer that outlives the process: the samples table of `foundation.store`, one for both domains.

What `agd generate` verified is in the same table, so the code domain's buffer is filled by daily use. Each `add` is one
transaction: a killed process leaves all of it or nothing, and at most more than the capacity, which the next one trims.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from agentic_diffusion.diffusion.buffer import (
    BY_PLACE,
    UNBOUNDED,
    BufferSample,
    Capacity,
    DrawSettings,
    check_domain,
    check_sample,
    draw_samples,
    pack_arrays,
    since,
    unpack_arrays,
)
from agentic_diffusion.foundation.store import NewSample, Sample, Store

if TYPE_CHECKING:
    from agentic_diffusion.foundation.store.store import Domain


class StoreBuffer:
    """A buffer over an open store; satisfies `TrajectoryBuffer`. Every method raises StoreError as the store does."""

    def __init__(self, store: Store, domain: Domain, capacity: Capacity = UNBOUNDED) -> None:
        """A view of the store's samples of one domain; the store is closed by whoever opened it."""
        self._store, self._domain, self._capacity = store, check_domain(domain), capacity

    @property
    def domain(self) -> Domain:
        """Which data domain."""
        return self._domain

    def add(self, samples: Iterable[BufferSample]) -> int:
        """Keep samples, within the capacity; returns how many were new to their task."""
        new = self._store.add_samples([_row(check_sample(sample, self._domain), self._domain) for sample in samples])
        self._store.keep_best_samples(self._domain, per_task=self._capacity.per_task, total=self._capacity.total)
        return new

    def samples(
        self, *, task: str | None = None, min_reward: float | None = None, since_round: int | None = None
    ) -> list[BufferSample]:
        """What is kept, best first."""
        rows = self._store.samples(self._domain, task=task, min_reward=min_reward)
        return since((_sample(row) for row in rows), since_round)

    def draw(self, count: int, rng: np.random.Generator, settings: DrawSettings = BY_PLACE) -> list[BufferSample]:
        """`draw_samples` of what is kept."""
        return draw_samples(self.samples(), count, rng, settings)

    def __len__(self) -> int:
        return self._store.count_samples(self._domain)


def _row(sample: BufferSample, domain: Domain) -> NewSample:
    """The sample as a row."""
    return NewSample(
        domain=domain,
        task=sample.task,
        content=sample.content,
        reward=sample.reward,
        reward_parts=sample.reward_parts,
        run=sample.run,
        round=sample.round,
        weights=sample.weights,
        provenance=sample.provenance,
        arrays=pack_arrays(sample.arrays),
    )


def _sample(row: Sample) -> BufferSample:
    """The row as a sample; raises StoreError for arrays that were altered."""
    return BufferSample(
        task=row.task,
        reward=row.reward,
        text=row.content if row.domain == "code" else "",
        arrays=unpack_arrays(row.arrays),
        reward_parts=row.reward_parts,
        round=row.round,
        weights=row.weights,
        run=row.run,
        provenance=row.provenance,
    )

"""The records of what was asked for and what came of it, in the store that `agd runs` reads.

A store that cannot be used is told once and costs nothing else: answers do not wait for their records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentic_diffusion.foundation.errors import StoreError
from agentic_diffusion.foundation.events import get_logger
from agentic_diffusion.foundation.store import NewSample, Run, Sample, Store

KINDS = ("serve generate", "serve infill", "serve fix", "serve plan")
_PROGRAMS = 2000


class History:
    """The server's part of the store."""

    def __init__(self, url: str | None, *, keep: bool = True) -> None:
        """Open the store, or do without; `keep` False records nothing."""
        self._store: Store | None = None
        if keep:
            try:
                self._store = Store.open(url)
            except StoreError as problem:
                self._warn(problem)

    def keep(self, kind: str, asked: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        """Record one finished piece of work."""
        if self._store is None:
            return
        try:
            run = self._store.start_run(kind, asked)
            self._store.finish_run(run, "done", told)
        except StoreError as problem:
            self._warn(problem)

    def newest(self, limit: int) -> list[Run]:
        """The newest pieces of work."""
        if self._store is None:
            return []
        try:
            return [run for run in self._store.runs(limit * 4) if run.kind in KINDS][:limit]
        except StoreError as problem:
            self._warn(problem)
            return []

    def programs(self) -> list[Sample]:
        """Verified programs of earlier runs, the best first."""
        if self._store is None:
            return []
        try:
            return self._store.samples("code", min_reward=1.0, limit=_PROGRAMS)
        except StoreError as problem:
            self._warn(problem)
            return []

    def remember(self, task: str, program: str, weights: str) -> None:
        """Keep a verified program for `programs`."""
        if self._store is None:
            return
        try:
            sample = NewSample(
                domain="code", task=task.strip(), content=program, reward=1.0, reward_parts={"share_passed": 1.0},
                weights=weights, provenance={"origin": "serve"},
            )  # fmt: skip
            self._store.add_sample(sample)
        except StoreError as problem:
            self._warn(problem)

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def _warn(self, problem: StoreError) -> None:
        get_logger(__name__).warning("the records are not kept: %s (%s)", problem.message, problem.hint)

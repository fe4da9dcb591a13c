"""Numbered migrations: each module brings a database from its number less one to its number, in one transaction.

A migration that has been released is never changed; the next change is the next number. The statements are plain SQL
that both databases understand, except where the dialect must decide.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from agentic_diffusion.foundation.store.migrations import m0001_runs_metrics_samples, m0002_sample_arrays

MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    m0001_runs_metrics_samples.upgrade,
    m0002_sample_arrays.upgrade,
)
"""The migration to version n stands at index n - 1."""

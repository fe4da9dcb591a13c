"""The database of runs, metrics and samples: SQLite by default, PostgreSQL by URL, through the same code.

    schema.py       the tables as they are now
    migrations/     how a database gets there, one numbered module a change
    database.py     open, migrate, and turn database errors into ours
    store.py        what the rest of the package calls

Names are loaded on first use, so that importing the package does not load SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentic_diffusion.foundation.store.store import Metric, NewSample, Run, Sample, Store

__all__ = ["Metric", "NewSample", "Run", "Sample", "Store"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("agentic_diffusion.foundation.store.store"), name)

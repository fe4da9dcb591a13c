"""Version 2: a sample may carry arrays (states, actions, tokens) beside its text."""

from __future__ import annotations

from sqlalchemy import Connection

_BYTES = {"sqlite": "BLOB", "postgresql": "BYTEA"}


def upgrade(connection: Connection) -> None:
    """Add the column; samples that are there keep none."""
    connection.exec_driver_sql(f"ALTER TABLE samples ADD COLUMN arrays {_BYTES[connection.dialect.name]}")

"""Version 1: runs, their metrics, and the samples of the trajectory buffer."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    """
    CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        status TEXT NOT NULL CONSTRAINT runs_status CHECK (status IN ('running', 'done', 'failed', 'interrupted')),
        started DOUBLE PRECISION NOT NULL,
        finished DOUBLE PRECISION,
        settings JSON NOT NULL,
        summary JSON,
        version TEXT NOT NULL
    )
    """,
    "CREATE INDEX runs_started ON runs (started)",
    """
    CREATE TABLE metrics (
        id {row_id} PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        step BIGINT,
        value DOUBLE PRECISION,
        time DOUBLE PRECISION NOT NULL
    )
    """,
    "CREATE INDEX metrics_run_name ON metrics (run, name)",
    """
    CREATE TABLE samples (
        id {row_id} PRIMARY KEY,
        run TEXT REFERENCES runs (id) ON DELETE SET NULL,
        domain TEXT NOT NULL CONSTRAINT samples_domain CHECK (domain IN ('code', 'trajectories')),
        task TEXT NOT NULL,
        content TEXT NOT NULL,
        content_sha256 TEXT NOT NULL,
        reward DOUBLE PRECISION NOT NULL,
        reward_parts JSON NOT NULL,
        round INTEGER,
        weights TEXT,
        provenance JSON NOT NULL,
        created DOUBLE PRECISION NOT NULL,
        CONSTRAINT samples_once UNIQUE (domain, task, content_sha256)
    )
    """,
    "CREATE INDEX samples_reward ON samples (domain, reward)",
)
_ROW_ID = {"sqlite": "INTEGER NOT NULL", "postgresql": "BIGSERIAL NOT NULL"}


def upgrade(connection: Connection) -> None:
    """Create the first tables."""
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement.replace("{row_id}", _ROW_ID[connection.dialect.name]))

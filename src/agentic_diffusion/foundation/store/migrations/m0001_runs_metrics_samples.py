"""Version 1: runs, their metrics, and the samples of the trajectory buffer."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    """
    CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        status TEXT NOT NULL CONSTRAINT runs_status CHECK (status IN ('running', 'done', 'failed', 'interrupted')),
        started {double} NOT NULL,
        finished {double},
        settings JSON NOT NULL,
        summary JSON,
        version TEXT NOT NULL
    )
    """,
    "CREATE INDEX runs_started ON runs (started)",
    """
    CREATE TABLE metrics (
        id {row_id} PRIMARY KEY,
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        step BIGINT,
        value {double},
        time {double} NOT NULL,
        FOREIGN KEY (run) REFERENCES runs (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX metrics_run_name ON metrics (run, name)",
    """
    CREATE TABLE samples (
        id {row_id} PRIMARY KEY,
        run TEXT,
        domain TEXT NOT NULL CONSTRAINT samples_domain CHECK (domain IN ('code', 'trajectories')),
        task TEXT NOT NULL,
        content TEXT NOT NULL,
        content_sha256 TEXT NOT NULL,
        reward {double} NOT NULL,
        reward_parts JSON NOT NULL,
        round INTEGER,
        weights TEXT,
        provenance JSON NOT NULL,
        created {double} NOT NULL,
        FOREIGN KEY (run) REFERENCES runs (id) ON DELETE SET NULL,
        CONSTRAINT samples_once UNIQUE (domain, task, content_sha256)
    )
    """,
    "CREATE INDEX samples_reward ON samples (domain, reward)",
)
_WORDS = {
    "sqlite": {"{row_id}": "INTEGER NOT NULL", "{double}": "DOUBLE"},
    "postgresql": {"{row_id}": "BIGSERIAL NOT NULL", "{double}": "DOUBLE PRECISION"},
}


def upgrade(connection: Connection) -> None:
    """Create the first tables."""
    for statement in _STATEMENTS:
        text = statement
        for placeholder, word in _WORDS[connection.dialect.name].items():
            text = text.replace(placeholder, word)
        connection.exec_driver_sql(text)

"""The tables as they are after the newest migration; the same on SQLite and PostgreSQL.

Times are seconds since 1970 (UTC), so that both databases give back what was put in. Changing a table means a new
module in `migrations/`; a test compares a migrated database with this picture.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()
# SQLite numbers rows by itself only for a column of exactly this type.
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied", Double, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started", Double, nullable=False),
    Column("finished", Double),
    Column("settings", JSON, nullable=False),
    Column("summary", JSON(none_as_null=True)),
    Column("version", Text, nullable=False),
    CheckConstraint("status IN ('running', 'done', 'failed', 'interrupted')", name="runs_status"),
    Index("runs_started", "started"),
)

metrics = Table(
    "metrics",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("run", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("step", BigInteger),
    Column("value", Double),  # NULL means not a number, which SQLite cannot hold
    Column("time", Double, nullable=False),
    Index("metrics_run_name", "run", "name"),
)

samples = Table(
    "samples",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("run", Text, ForeignKey("runs.id", ondelete="SET NULL")),
    Column("domain", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("content_sha256", Text, nullable=False),
    Column("reward", Double, nullable=False),
    Column("reward_parts", JSON, nullable=False),
    Column("round", Integer),
    Column("weights", Text),
    Column("provenance", JSON, nullable=False),
    Column("created", Double, nullable=False),
    Column("arrays", LargeBinary),
    CheckConstraint("domain IN ('code', 'trajectories')", name="samples_domain"),
    UniqueConstraint("domain", "task", "content_sha256", name="samples_once"),
    Index("samples_reward", "domain", "reward"),
)

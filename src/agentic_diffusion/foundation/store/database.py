"""Open a database, bring it to the newest schema, and say in one sentence what is wrong when that fails.

SQLite runs in WAL mode, so that readers and one writer do not wait for each other; a killed process loses at most the
transaction that it had not committed. Writing transactions take the write lock when they begin, so that two processes
queue (for up to `BUSY_SECONDS`) and never fail halfway.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from agentic_diffusion.foundation import resources
from agentic_diffusion.foundation.errors import AgdError, StoreError
from agentic_diffusion.foundation.store.migrations import MIGRATIONS
from agentic_diffusion.foundation.store.schema import schema_version

BUSY_SECONDS = 30
_WRITE = "agd_write"
_MIGRATION_LOCK = 0x41474431  # any number, as long as every process takes the same
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}


class Database:
    """An open database at the newest schema; `reading()` and `writing()` are its transactions."""

    def __init__(self, url: str | None) -> None:
        """Open and migrate; None is the file agd.db in the data folder. Raises StoreError."""
        self.url = _url(url)
        self.name = self.url.render_as_string(hide_password=True)
        if self.url.get_backend_name() == "sqlite":
            _create_private_file(self.url, self.name)
        try:
            self.engine = _engine(self.url)
        except ImportError as error:
            raise StoreError(
                f"The driver for {self.name} is not installed.",
                hint="Install the extra: pip install 'agentic-diffusion[postgres]'.",
            ) from error
        try:
            self._migrate()
        except AgdError:
            self.engine.dispose()
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._errors("read"), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: everything in it is committed together, or nothing."""
        with self._errors("written"), self.engine.execution_options(**{_WRITE: True}).begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _migrate(self) -> None:
        """Apply the missing migrations, each in a transaction of its own; any number of processes may try at once."""
        newest = len(MIGRATIONS)
        if self._version() == newest:
            return
        version = -1
        while version < newest:
            with self.writing() as connection:
                if connection.dialect.name == "postgresql":  # SQLite's write lock is taken already
                    connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
                schema_version.create(connection, checkfirst=True)
                version = connection.scalar(select(func.max(schema_version.c.version))) or 0
                if version < newest:
                    MIGRATIONS[version](connection)
                    version += 1
                    connection.execute(schema_version.insert().values(version=version, applied=time.time()))
        if version > newest:
            raise StoreError(
                f"The database {self.name} has schema version {version}, this program knows versions up to {newest}.",
                hint="Update agentic-diffusion, or set store.url or AGD_HOME to another place.",
            )

    def _version(self) -> int:
        """The schema version, read without a lock; 0 for an empty database."""
        with self.reading() as connection:
            if not connection.dialect.has_table(connection, schema_version.name):
                return 0
            return connection.scalar(select(func.max(schema_version.c.version))) or 0

    @contextlib.contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        """Turn errors of the database into a StoreError that says what to do."""
        try:
            yield
        except DBAPIError as error:
            reason = _reason(error)
            raise StoreError(f"The database {self.name} cannot be {done}: {reason}.", hint=_hint(reason)) from error


def _url(given: str | None) -> URL:
    """The checked URL, its driver chosen; the file in the data folder for None."""
    if given is None:
        return URL.create("sqlite", database=str(resources.home() / "agd.db"))
    try:
        url = make_url(given)
        return url.set(drivername=_DRIVERS[url.drivername])
    except (ArgumentError, NoSuchModuleError, KeyError):
        # The text may hold a password, so it is not repeated.
        raise StoreError(
            "The database URL is not one that is supported: sqlite and postgresql+psycopg are.",
            hint="Write sqlite:///path/to/file or postgresql+psycopg://user@host/name.",
        ) from None


def _create_private_file(url: URL, name: str) -> None:
    """Make the file readable by its owner only before SQLite would make it readable by all."""
    if url.database in (None, "", ":memory:"):
        return
    path = Path(str(url.database))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"The database {name} cannot be opened: {reason}.", hint=_hint(reason.lower())) from error


def _engine(url: URL) -> Engine:
    """The engine with this project's rules on every connection."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, connect_args={"connect_timeout": BUSY_SECONDS})
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: object) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver's own transactions would commit before a CREATE TABLE and take the write lock too late.
        write = connection.get_execution_options().get(_WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _reason(error: DBAPIError) -> str:
    """The first line of the driver's own words, without a full stop."""
    lines = str(error.orig).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error.orig).__name__


def _hint(reason: str) -> str:
    """What to do about a failure of this kind."""
    if "full" in reason or "No space" in reason or "no space" in reason:
        return "Free some space, or set AGD_HOME or store.url to another disk."
    if "not a database" in reason or "malformed" in reason:
        return "Move the file away: a new one is made on the next run."
    if "locked" in reason:
        return "Another program holds the database; try again when it has finished."
    return "Set AGD_HOME to a folder that you may write to, or store.url to a database that answers."

"""What is kept of the work: runs with their settings and summaries, metrics, and samples of both domains.

    with Store.open() as store:
        run = store.start_run("generate", {"mode": "denoise"})
        store.record_metric(run, "tokens_per_forward", 1.7)
        store.finish_run(run, "done", {"verified": True})

Times are seconds since 1970. A value that is not a number comes back as one. Work that can go on without its records
catches StoreError.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, get_args

from sqlalchemy import Connection, RowMapping, Table, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

import agentic_diffusion
from agentic_diffusion.foundation.errors import StoreError, UsageError
from agentic_diffusion.foundation.events import new_run_id
from agentic_diffusion.foundation.store import schema
from agentic_diffusion.foundation.store.database import Database

Status = Literal["running", "done", "failed", "interrupted"]
Domain = Literal["code", "trajectories"]
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a command or a pipeline."""

    id: str
    """Sorts by time of start."""
    kind: str
    """What ran: "generate", "train"."""
    status: Status
    """A run whose process was killed stays at "running"."""
    started: float
    """Seconds since 1970."""
    finished: float | None
    """Seconds since 1970; None while it runs."""
    settings: dict[str, Any]
    """The settings that it ran with."""
    summary: dict[str, Any] | None
    """Its results; None while it runs."""
    version: str
    """The package's version."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured value of a run."""

    name: str
    """What was measured, its unit at the end: "seconds", "peak_memory_bytes"."""
    step: int | None
    """Training step, round or another count; None for a value of the whole run."""
    value: float
    """May be infinite or not a number."""
    time: float
    """When it was recorded, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class NewSample:
    """A sample to be kept in the trajectory buffer."""

    domain: Domain
    """Which data domain: code, or trajectories."""
    task: str
    """The key of the task that it solves or tries to."""
    content: str
    """The code, or what names the arrays; equal contents of a task are one sample."""
    reward: float
    """Measured outcome; finite."""
    reward_parts: Mapping[str, float] = field(default_factory=dict)
    """What the reward is made of, by name."""
    run: str | None = None
    """The run that made it, if there is a record of it."""
    round: int | None = None
    """Round of self-improvement."""
    weights: str | None = None
    """Checksum of the weights that made it."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How it came about: sampler, seed, sandbox tier, source."""
    arrays: bytes | None = field(default=None, repr=False)
    """Arrays beside the content, in the form of whoever reads them (the trajectory buffer: safetensors)."""

    def __post_init__(self) -> None:
        """Check what both databases must be able to hold; raises UsageError."""
        if self.domain not in get_args(Domain):
            raise UsageError(
                f"{self.domain!r} is no data domain: code and trajectories are.", hint="Use one of these two."
            )
        if not math.isfinite(self.reward):
            raise UsageError(
                f"The reward {self.reward} of a sample is not finite.", hint="Drop samples that could not be measured."
            )
        _check_text("task", self.task)
        _check_text("content", self.content)


@dataclass(frozen=True, kw_only=True)
class Sample(NewSample):
    """A sample as it lies in the trajectory buffer."""

    id: int
    """Its row, in the order of arrival."""
    content_sha256: str
    """SHA-256 of the content in UTF-8, in hexadecimal."""
    created: float
    """Seconds since 1970."""


class Store:
    """The records, over an open database; every method is one transaction and may be called from any thread."""

    def __init__(self, database: Database) -> None:
        """Use an open database; `Store.open` opens one."""
        self._database = database

    @classmethod
    def open(cls, url: str | None = None) -> Self:
        """Open, create or migrate the database of this URL (None: agd.db in the data folder); raises StoreError."""
        return cls(Database(url))

    @property
    def name(self) -> str:
        """The database's URL without its password."""
        return self._database.name

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_run(self, kind: str, settings: Mapping[str, Any], *, run_id: str | None = None) -> str:
        """Record that a run begins; returns its id (`run_id`, else a new one). Raises UsageError for a taken id."""
        identity = run_id or new_run_id()
        row = {
            "id": identity,
            "kind": kind,
            "status": "running",
            "started": time.time(),
            "settings": _checked_json("settings", settings),
            "version": agentic_diffusion.__version__,
        }
        with self._database.writing() as connection:
            insert = _insert(connection, schema.runs).values(row).on_conflict_do_nothing()
            if connection.execute(insert.returning(schema.runs.c.id)).first() is None:
                raise UsageError(f"There is a run {identity!r} already.", hint="Give each run an id of its own.")
        return identity

    def finish_run(self, run_id: str, status: Status, summary: Mapping[str, Any]) -> None:
        """Record how a running run ended; raises UsageError if it is unknown or has ended before."""
        if status not in get_args(Status) or status == "running":
            raise UsageError(f"A run cannot end as {status!r}.", hint="Use done, failed or interrupted.")
        values = {"status": status, "finished": time.time(), "summary": _checked_json("summary", summary)}
        running = (schema.runs.c.id == run_id) & (schema.runs.c.status == "running")
        with self._database.writing() as connection:
            if connection.execute(schema.runs.update().where(running).values(values)).rowcount != 1:
                raise UsageError(f"There is no run {run_id!r} that is running.", hint="Finish each started run once.")

    def record_metric(self, run_id: str, name: str, value: float, step: int | None = None) -> None:
        """Record one value of a run; raises StoreError if the run is unknown."""
        self.record_metrics(run_id, {name: value}, step)

    def record_metrics(self, run_id: str, values: Mapping[str, float], step: int | None = None) -> None:
        """Record several values of a run in one transaction; raises StoreError if the run is unknown."""
        now = time.time()
        rows = [
            {"run": run_id, "name": name, "step": step, "value": None if math.isnan(value) else value, "time": now}
            for name, value in values.items()
        ]
        if rows:
            with self._database.writing() as connection:
                connection.execute(schema.metrics.insert(), rows)

    def runs(self, limit: int = 20) -> list[Run]:
        """The newest runs first."""
        query = select(schema.runs).order_by(schema.runs.c.started.desc(), schema.runs.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            return [Run(**row) for row in connection.execute(query).mappings()]

    def run(self, run_id: str) -> Run:
        """One run; raises UsageError if there is none of this id."""
        with self._database.reading() as connection:
            row = connection.execute(select(schema.runs).where(schema.runs.c.id == run_id)).mappings().one_or_none()
        if row is None:
            raise UsageError(f"There is no run {run_id!r}.", hint="`agd runs list` shows the runs there are.")
        return Run(**row)

    def metrics(self, run_id: str, name: str | None = None) -> list[Metric]:
        """The metrics of a run in the order of recording; raises UsageError if there is no such run."""
        self.run(run_id)
        columns = schema.metrics.c
        query = select(columns.name, columns.step, columns.value, columns.time).where(columns.run == run_id)
        if name is not None:
            query = query.where(columns.name == name)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(columns.id)).mappings().all()
        return [Metric(**{**row, "value": math.nan if row["value"] is None else row["value"]}) for row in rows]

    def add_sample(self, sample: NewSample) -> bool:
        """Keep a sample; False if the same content is kept for this task already."""
        return self.add_samples([sample]) == 1

    def add_samples(self, samples: Iterable[NewSample]) -> int:
        """Keep samples in one transaction; returns how many were new. Raises StoreError for an unknown run."""
        rows = [_sample_row(sample) for sample in samples]
        added = 0
        with self._database.writing() as connection:
            once = _insert(connection, schema.samples).on_conflict_do_nothing(
                index_elements=["domain", "task", "content_sha256"]
            )
            for row in rows:  # one by one: drivers do not agree on the count of a batched insert
                added += connection.execute(once.values(row).returning(schema.samples.c.id)).first() is not None
        return added

    def samples(
        self,
        domain: Domain,
        *,
        task: str | None = None,
        run: str | None = None,
        min_reward: float | None = None,
        limit: int | None = None,
    ) -> list[Sample]:
        """Samples of a domain, best reward first, then oldest first; raises StoreError if a content was altered."""
        columns = schema.samples.c
        query = select(schema.samples).where(columns.domain == domain)
        if task is not None:
            query = query.where(columns.task == task)
        if run is not None:
            query = query.where(columns.run == run)
        if min_reward is not None:
            query = query.where(columns.reward >= min_reward)
        query = query.order_by(columns.reward.desc(), columns.id).limit(limit)
        with self._database.reading() as connection:
            return [self._sample(row) for row in connection.execute(query).mappings()]

    def count_samples(self, domain: Domain) -> int:
        """How many samples of a domain are kept."""
        query = select(func.count()).select_from(schema.samples).where(schema.samples.c.domain == domain)
        with self._database.reading() as connection:
            return connection.scalar(query) or 0

    def keep_best_samples(self, domain: Domain, *, per_task: int | None = None, total: int | None = None) -> int:
        """Delete a domain's samples beyond `per_task` for each task and `total` in all; returns how many went.

        The best reward stays first, then the oldest. Under `total` a task's second best goes before any task's best.
        """
        columns = schema.samples.c
        best_first = (columns.reward.desc(), columns.id)
        place = func.row_number().over(partition_by=columns.task, order_by=best_first)
        ranked = select(columns.id, columns.reward, place.label("place")).where(columns.domain == domain).subquery()
        order = func.row_number().over(order_by=(ranked.c.place, ranked.c.reward.desc(), ranked.c.id))
        placed = select(ranked.c.id, ranked.c.place, order.label("order")).subquery()
        surplus = [placed.c.place > per_task] if per_task is not None else []
        surplus += [placed.c.order > total] if total is not None else []
        if not surplus:
            return 0
        doomed = select(placed.c.id).where(or_(*surplus))
        with self._database.writing() as connection:
            return connection.execute(schema.samples.delete().where(columns.id.in_(doomed))).rowcount

    def _sample(self, row: RowMapping) -> Sample:
        sample = Sample(**row)
        if _sha256(sample.content) != sample.content_sha256:
            raise StoreError(
                f"Sample {sample.id} in {self.name} was altered: its content does not match its checksum.",
                hint="Restore the database from a copy, or delete that sample.",
            )
        return sample


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that knows the clause ON CONFLICT, which both databases spell alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _sample_row(sample: NewSample) -> dict[str, Any]:
    return {
        "run": sample.run,
        "domain": sample.domain,
        "task": sample.task,
        "content": sample.content,
        "content_sha256": _sha256(sample.content),
        "reward": sample.reward,
        "reward_parts": _checked_json("reward_parts", sample.reward_parts),
        "round": sample.round,
        "weights": sample.weights,
        "provenance": _checked_json("provenance", sample.provenance),
        "created": time.time(),
        "arrays": sample.arrays,
    }


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _checked_json(what: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """A plain copy that both databases can hold as JSON; UsageError for what JSON has no word for."""
    try:
        text = json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The {what} cannot be kept as JSON: {error}.", hint="Use texts, finite numbers, lists and mappings."
        ) from error
    copy: dict[str, Any] = json.loads(text)
    return copy


def _check_text(what: str, text: str) -> None:
    """Texts that PostgreSQL cannot hold are refused by both databases alike."""
    if _UNSTORABLE.search(text):
        raise UsageError(
            f"The {what} of a sample holds a NUL character or half of a surrogate pair.", hint="Drop this sample."
        )

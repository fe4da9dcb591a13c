"""Opening, migrating, crashing and competing for a database."""

import hashlib
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event, inspect

from agentic_diffusion.foundation.errors import StoreError
from agentic_diffusion.foundation.store import NewSample, Store, database, schema
from agentic_diffusion.foundation.store.database import Database
from agentic_diffusion.foundation.store.migrations import MIGRATIONS

WRITER = """
import sys
from agentic_diffusion.foundation.store import Store
with Store.open(sys.argv[1]) as store:
    run = store.start_run("train", {}, run_id=sys.argv[2])
    for step in range(int(sys.argv[3])):
        store.record_metric(run, "loss", float(step), step)
        print(step, flush=True)
"""


def _writer(url: str, run_id: str, steps: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, url, run_id, str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _picture(url: str) -> dict:
    """All that the database says about its own tables, comparable between two databases."""
    opened = Database(url)
    try:
        inspector = inspect(opened.engine)
        return {
            table: {
                "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)],
                "key": inspector.get_pk_constraint(table)["constrained_columns"],
                "foreign": [
                    (f["constrained_columns"], f["referred_table"], f["options"])
                    for f in inspector.get_foreign_keys(table)
                ],
                "unique": [(u["name"], u["column_names"]) for u in inspector.get_unique_constraints(table)],
                "checks": sorted(str(c["name"]) for c in inspector.get_check_constraints(table)),
                "indexes": sorted((i["name"], i["column_names"]) for i in inspector.get_indexes(table)),
            }
            for table in sorted(inspector.get_table_names())
        }
    finally:
        opened.close()


def test_the_migrations_lead_to_the_drawn_schema(new_url, monkeypatch):
    migrated = _picture(new_url())
    # The same database made from schema.py at once, by one migration in place of all.
    monkeypatch.setattr(database, "MIGRATIONS", (schema.metadata.create_all,))
    assert migrated == _picture(new_url())
    assert set(migrated) == {"metrics", "runs", "samples", "schema_version"}


def test_opening_again_keeps_what_is_there(url):
    with Store.open(url) as store:
        store.start_run("train", {}, run_id="one")
    with Store.open(url) as store:
        assert [run.id for run in store.runs()] == ["one"]


def test_a_failed_migration_leaves_no_trace_and_a_repaired_one_goes_through(url, monkeypatch):
    with Store.open(url) as store:
        store.start_run("train", {}, run_id="one")

    def fails(connection):
        connection.exec_driver_sql("CREATE TABLE half (x INTEGER)")
        connection.exec_driver_sql("DELETE FROM runs")
        connection.exec_driver_sql("INSERT INTO missing VALUES (1)")

    def works(connection):
        connection.exec_driver_sql("CREATE TABLE half (x INTEGER)")

    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, fails))
    with pytest.raises(StoreError, match="missing"):
        Store.open(url)
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, works))
    with Store.open(url) as store:
        assert [run.id for run in store.runs()] == ["one"]
        assert "half" in inspect(store._database.engine).get_table_names()


def test_a_sample_of_the_first_version_is_kept_without_arrays(url, monkeypatch):
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS[:1])
    first = Database(url)
    content = hashlib.sha256(b"x").hexdigest()
    with first.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO samples (domain, task, content, content_sha256, reward, reward_parts, provenance, created) "
            f"VALUES ('code', 't', 'x', '{content}', 1.0, '{{}}', '{{}}', 5.0)"
        )
    first.close()
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    with Store.open(url) as store:
        (sample,) = store.samples("code")
        assert (sample.content, sample.created, sample.arrays) == ("x", 5.0, None)
        assert store.add_sample(NewSample(domain="code", task="t", content="y", reward=0.0, arrays=b"12"))


def test_a_newer_database_is_refused(url):
    with Store.open(url) as store, store._database.writing() as connection:
        connection.execute(schema.schema_version.insert().values(version=99, applied=0.0))
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert f"has schema version 99, this program knows versions up to {len(MIGRATIONS)}." in caught.value.message
    assert caught.value.hint.startswith("Update agentic-diffusion")


def test_a_killed_writer_leaves_a_database_with_all_finished_rows(url):
    writer = _writer(url, "killed", 1_000_000)
    finished = [int(writer.stdout.readline()) for _ in range(40)][-1]
    writer.send_signal(signal.SIGKILL)
    finished = max(
        [finished, *(int(line) for line in writer.stdout.read().splitlines(keepends=True) if line[-1:] == "\n")]
    )
    assert writer.wait() == -signal.SIGKILL
    writer.stderr.close()
    writer.stdout.close()
    with Store.open(url) as store:
        assert store.run("killed").status == "running"
        steps = [metric.step for metric in store.metrics("killed")]
        assert steps == list(range(len(steps)))
        assert len(steps) - 1 >= finished
        store.start_run("train", {})  # and it can be written again


def test_processes_that_start_at_once_all_get_through(url):
    writers = [_writer(url, f"run-{i}", 25) for i in range(3)]
    for writer in writers:
        _, err = writer.communicate()
        assert writer.returncode == 0, err
    with Store.open(url) as store:
        assert {run.id for run in store.runs()} == {"run-0", "run-1", "run-2"}
        assert all(len(store.metrics(f"run-{i}")) == 25 for i in range(3))


def test_removing_a_run_takes_its_metrics_and_keeps_its_samples(url):
    with Store.open(url) as store:
        store.start_run("train", {}, run_id="one")
        store.record_metric("one", "loss", 1.0)
        store.add_sample(NewSample(domain="code", task="t", content="x", reward=1.0, run="one"))
        with store._database.writing() as connection:
            connection.execute(schema.runs.delete())
        with store._database.reading() as connection:
            assert connection.execute(schema.metrics.select()).all() == []
        assert [sample.run for sample in store.samples("code")] == [None]


def test_the_default_is_a_private_file_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    with Store.open() as store:
        store.start_run("train", {})
        files = list((tmp_path / "home").iterdir())
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert {path.name for path in files} == {"agd.db", "agd.db-wal", "agd.db-shm"}


def test_sqlite_is_set_up_for_many_processes(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with opened.reading() as connection:
        values = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                  ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")}  # fmt: skip
    opened.close()
    assert values == {"journal_mode": "wal", "busy_timeout": 30_000, "foreign_keys": 1, "synchronous": 1}


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        run = store.start_run("train", {})
        store._database.engine.dispose()

        @event.listens_for(store._database.engine, "connect")
        def _limit(connection, _record):
            connection.execute("PRAGMA max_page_count = 20")  # SQLite itself then reports a full disk

        with pytest.raises(StoreError) as caught:
            store.add_sample(NewSample(domain="code", task="t", content="x" * 10**6, reward=1.0))
        assert caught.value.message == f"The database {store.name} cannot be written: database or disk is full."
        assert caught.value.hint == "Free some space, or set AGD_HOME or store.url to another disk."
        assert store.run(run).status == "running"
        assert store.samples("code") == []


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        Store.open(f"sqlite:///{tmp_path}/file/a.db")
    assert caught.value.message.startswith(f"The database sqlite:///{tmp_path}/file/a.db cannot be opened: ")
    assert caught.value.hint.startswith("Set AGD_HOME to a folder that you may write to")


def test_a_read_only_folder_is_said(tmp_path):
    code = (
        "import os, sys\n"
        "from agentic_diffusion.foundation.errors import StoreError\n"
        "from agentic_diffusion.foundation.store import Store\n"
        "Store.open('sqlite://').close()\n"  # everything is imported before the rights are given up
        "os.chdir(sys.argv[1])\n"
        "os.geteuid() or os.setuid(65534)\n"  # root may write everywhere
        "try:\n    Store.open('sqlite:///a.db')\n"
        "except StoreError as error:\n    print(error)"
    )
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    result = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert result.stdout == (
        "The database sqlite:///a.db cannot be opened: Permission denied.\n"
        "hint: Set AGD_HOME to a folder that you may write to, or store.url to a database that answers.\n"
    )


def test_a_foreign_file_is_named_and_left_alone(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"this is somebody's letter, not a database" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="file is not a database") as caught:
        Store.open(f"sqlite:///{path}")
    assert caught.value.hint == "Move the file away: a new one is made on the next run."
    assert path.read_bytes() == before


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "not a url", "postgresql+asyncpg://u:secret@h/d"])
def test_an_unsupported_url_is_refused_without_repeating_it(url):
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert caught.value.message == "The database URL is not one that is supported: sqlite and postgresql+psycopg are."
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_said_without_its_password(tmp_path):
    with pytest.raises(StoreError) as caught:
        Store.open(f"postgresql://agd:secret@/agd?host={tmp_path}")
    assert caught.value.message.startswith("The database postgresql+psycopg://agd:***@/agd")
    assert "secret" not in str(caught.value)


def test_importing_the_package_of_the_store_does_not_load_sqlalchemy():
    code = "import sys, agentic_diffusion.foundation.store as s; print('sqlalchemy' in sys.modules, sorted(s.__all__))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False ['Metric', 'NewSample', 'Run', 'Sample', 'Store']\n"


def test_a_missing_driver_is_said():
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from agentic_diffusion.foundation.errors import StoreError\n"
        "from agentic_diffusion.foundation.store import Store\n"
        "try:\n    Store.open('postgresql://h/d')\n"
        "except StoreError as error:\n    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == (
        "The driver for postgresql+psycopg://h/d is not installed.\n"
        "hint: Install the extra: pip install 'agentic-diffusion[postgres]'.\n"
    )


def test_the_data_folder_is_the_only_place_written(tmp_path, monkeypatch):
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Store.open().close()
    assert {path.name for path in Path.cwd().iterdir()} == {"home"}

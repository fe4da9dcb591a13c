"""A throw-away PostgreSQL server and empty databases on both systems.

The server is a real one from the Debian package `postgresql`, in a temporary folder, reachable by a Unix socket only.
Where its programs are missing the tests are skipped, except under CI, which installs them: there a missing server is a
failure.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest


def _programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps it off the search path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root, so root lends it an unprivileged user; anybody else runs it as they are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """The socket folder of a running server with the superuser `agd`."""
    programs = _programs()
    if programs is None:
        message = "PostgreSQL's server programs are not installed (Debian package postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    user = _server_user()
    folder = Path(tempfile.mkdtemp(prefix="agd-pg-"))  # short: a socket's path has about a hundred bytes
    data = folder / "data"
    if user is not None:
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        groups = None if user is None else []
        result = subprocess.run(
            command, user=user, extra_groups=groups, cwd=folder, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"

    try:
        run("initdb", "-D", str(data), "-U", "agd", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=40"
        run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield folder
    finally:
        if (data / "postmaster.pid").exists():
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_url(request, tmp_path) -> Callable[[], str]:
    """A function that gives the URL of one more empty database; the test runs on both systems."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / uuid.uuid4().hex}.db"
    socket = request.getfixturevalue("postgres_socket")

    def create() -> str:
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(f"host={socket} user=agd dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://agd@/{name}?host={socket}"

    return create


@pytest.fixture
def url(new_url) -> str:
    """The URL of an empty database."""
    return new_url()

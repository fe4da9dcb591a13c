"""The process: sockets, signals and the orderly end. The application itself is in `app`.

The first Ctrl-C or SIGTERM refuses new work and gives what runs a few seconds; a second one ends at once. Records are
written in transactions, so a killed server leaves a whole history, and the next start needs no repair.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from agentic_diffusion.foundation.errors import ResourceError, UsageError
from agentic_diffusion.serve.app import make_app
from agentic_diffusion.serve.guard import LOOPBACK, GuardSettings
from agentic_diffusion.serve.house import House

_GRACE_SECONDS = 5
_SHORTEST_TOKEN = 16


def guard_settings(*, host: str, token: str | None, body_bytes: int, per_minute: int) -> GuardSettings:
    """What is let through; UsageError where an address beyond the loopback has no token."""
    on_loopback = host in LOOPBACK
    if token is None and not on_loopback:
        raise UsageError(
            f"The address {host} can be reached from other machines, and no token is set.",
            hint="listen on 127.0.0.1, or give a token with --token-file.",
        )
    return GuardSettings(
        token=token, hosts=LOOPBACK if on_loopback else (), body_bytes=body_bytes, per_minute=per_minute
    )


def read_token(path: Path | None) -> str | None:
    """The token in a file; UsageError where it cannot be read, or is too short to be one."""
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(
            f"The token cannot be read from {path}: {problem}.", hint="name a readable text file."
        ) from problem
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise UsageError(
            f"The first line of {path} is no token: at least {_SHORTEST_TOKEN} printable characters are needed.",
            hint="make one: python -c 'import secrets; print(secrets.token_urlsafe())'.",
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ResourceError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as problem:
        sock.close()
        raise ResourceError(
            f"The address {host}:{port} cannot be listened on: {problem.strerror or problem}.",
            hint="use another --port; 0 takes a free one.",
        ) from problem
    return sock


def serve_on(sock: socket.socket, house: House, guard: GuardSettings) -> uvicorn.Server:
    """A server over a house whose engine was started; its `run` returns at the end."""
    config = uvicorn.Config(
        make_app(house, guard),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=64 << 10,
        fd=None,
    )
    return _Server(config, sock)


class _Server(uvicorn.Server):
    """A server whose socket was opened before, so that its port is known and an address in use is told at once."""

    def __init__(self, config: uvicorn.Config, sock: socket.socket) -> None:
        super().__init__(config)
        self._sock = sock

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal or `should_exit`."""
        super().run(sockets or [self._sock])


@contextlib.contextmanager
def running(server: uvicorn.Server) -> Iterator[Callable[[], None]]:
    """Run a server in a thread for as long as this is open (tests, benchmarks)."""
    import threading
    import time

    thread = threading.Thread(target=server.run, name="server", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)

    def stop() -> None:
        server.should_exit = True
        thread.join()

    try:
        yield stop
    finally:
        stop()

"""The self-test that a tier must pass before anything untrusted runs in it. This file runs INSIDE the sandbox.

It tries what the sandbox has to refuse and prints one JSON object: for each try, "refused" or what it got away with.
argv: a folder that the caller made for this purpose, a port on which the caller listens, the home folder of the caller,
the names that may be seen in it, and how many processes to try. It harms nothing even where nothing is refused.
Standard library only.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import time
from collections.abc import Callable

CLONE_NEWUSER = 0x10000000


def main(canary: str, port: int, home: str, visible: list[str], forks: int) -> None:
    """Try everything and print what happened."""
    tries = {
        "TCP to the caller": lambda: _connect(port),
        "UDP": lambda: _datagram(port),
        "a write outside": lambda: _write(canary),
        "a read outside": lambda: _read(canary),
        "the home folder": lambda: _list(home, visible),
        "a new user namespace": _namespace,
    }
    report = {name: _try(function) for name, function in tries.items()}
    made = _forks(forks)
    report["processes without limit"] = "refused" if made < forks else f"{made} at once"
    with open("own", "w", encoding="utf-8") as stream:  # noqa: PTH123  (runs without the package, keep it plain)
        stream.write("scratch")
    report["ran to its end"] = "yes"
    print(json.dumps(report))


def _try(function: Callable[[], str]) -> str:
    try:
        return str(function())
    except OSError:
        return "refused"


def _connect(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as end:
        end.settimeout(1.0)
        end.connect(("127.0.0.1", port))
    return "connected"


def _datagram(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"canary", ("127.0.0.1", port))
    return "sent"


def _write(canary: str) -> str:
    with open(canary + "/written", "w", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write("canary")
    return "written"


def _read(canary: str) -> str:
    with open(canary + "/readable", encoding="utf-8") as stream:  # noqa: PTH123
        return "read " + stream.read()


def _list(home: str, visible: list[str]) -> str:
    names = set(os.listdir(home)) - set(visible)  # noqa: PTH208
    if not names:
        return "refused"
    return f"{len(names)} names seen"


def _namespace() -> str:
    child = os.fork()
    if child == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0 else 1)
    return "made" if os.waitpid(child, 0)[1] == 0 else "refused"


def _forks(wanted: int) -> int:
    """How many of `wanted` processes can be alive at once."""
    children = []
    for _ in range(wanted):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return len(children)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]), int(sys.argv[5]))

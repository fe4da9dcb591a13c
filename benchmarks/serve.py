"""The server under load: many streaming clients, the first block, what batching gains, and memory.

Claims: no stream is lost or mixed with another; the first block comes within 2 s at 4 clients (95th percentile);
8 streams together write at least twice the tokens a second of one; memory does not grow. Every client asks with a seed
of its own, again and again; every answer is held against the one that the same request had before.

    python benchmarks/serve.py [--clients 100] [--seconds 600] [--port N] [--out FILE]

Without --port a server of its own is started with `agd serve --port 0` and stopped at the end. Only the loopback is
ever spoken to.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from results import write_result

PROMPTS = (
    "def add(a, b):\n    ",
    "def is_even(number):\n    ",
    "def largest(values):\n    ",
    "def reverse_words(text):\n    ",
    "def count_vowels(text):\n    ",
)
TOKENS = 48
FIRST_BAR, GAIN_BAR = 2.0, 2.0
SAMPLE_SECONDS = 1.0


@dataclass
class Tally:
    """What all clients of one load saw."""

    answers: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    tokens: int = 0
    texts: dict[tuple[str, int], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def ask(port: int, prompt: str, seed: int) -> tuple[str, float, int]:
    """One streamed completion: its text, seconds to the first block, new tokens; LookupError where it is refused."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    body = {"prompt": prompt, "max_tokens": TOKENS, "temperature": 0.8, "seed": seed, "stream": True}
    begun, first = time.monotonic(), 0.0
    link.request(
        "POST", "/v1/completions", json.dumps(body | {"stream_options": {"include_usage": True}}),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    answer = link.getresponse()
    if answer.status == 429:
        answer.read()
        raise LookupError(answer.headers["Retry-After"])
    text, tokens, ended = [], 0, False
    for line in answer:
        if not line.startswith(b"data: "):
            continue
        if line.startswith(b"data: [DONE]"):
            ended = True
            continue
        told = json.loads(line[6:])
        if told.get("usage"):
            tokens = told["usage"]["completion_tokens"]
        for choice in told["choices"]:
            text.append(choice["text"])
            first = first or time.monotonic() - begun
    link.close()
    if not ended:
        raise ConnectionError("the stream broke off")
    return "".join(text), first, tokens


def client(port: int, number: int, until: float, tally: Tally) -> None:
    """One client: five requests in turn, each with a text that must not change."""
    turn = 0
    while time.monotonic() < until:
        prompt, seed = PROMPTS[(number + turn) % len(PROMPTS)], number * 10 + turn % 5
        turn += 1
        try:
            text, first, tokens = ask(port, prompt, seed)
        except LookupError as wait:
            with tally.lock:
                tally.refused += 1
            time.sleep(float(str(wait.args[0])))
            continue
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as problem:
            with tally.lock:
                tally.lost.append(f"{type(problem).__name__}: {problem}")
            continue
        with tally.lock:
            tally.answers += 1
            tally.tokens += tokens
            tally.first.append(first)
            if tally.texts.setdefault((prompt, seed), text) != text:
                tally.mixed.append(f"{prompt!r} with seed {seed}")


def load(port: int, clients: int, seconds: float, pid: int | None = None) -> dict[str, Any]:
    """So many clients for so long; what they saw, and the server's memory meanwhile."""
    tally, begun = Tally(), time.monotonic()
    until = begun + seconds
    threads = [threading.Thread(target=client, args=(port, number, until, tally)) for number in range(clients)]
    for thread in threads:
        thread.start()
    memory = []
    while time.monotonic() < until:
        time.sleep(SAMPLE_SECONDS)
        if pid is not None:
            memory.append((time.monotonic() - begun, resident(pid)))
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    late = [point for point in memory if point[0] > seconds / 3]  # the first third warms caches and allocators up
    slope = float(np.polyfit(*zip(*late, strict=True), 1)[0]) * 60 / 2**20 if len(late) > 2 else None
    return {
        "clients": clients,
        "seconds": round(took, 1),
        "answers": tally.answers,
        "refused": tally.refused,
        "lost": len(tally.lost),
        "mixed": len(tally.mixed),
        "tokens_per_second": round(tally.tokens / took, 1),
        "first_block_median": round(statistics.median(tally.first), 3) if tally.first else None,
        "first_block_p95": round(float(np.quantile(tally.first, 0.95)), 3) if tally.first else None,
        "memory_mib": round(memory[-1][1] / 2**20) if memory else None,
        "memory_slope_mib_a_minute": None if slope is None else round(slope, 2),
    }


def resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 where the system does not tell."""
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


@contextmanager
def own_server(rows: int, queue: int) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: (port, process id)."""
    code = "import sys; from agentic_diffusion.cli.app import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--rows", str(rows), "--no-history"]
    limits = {"AGD_SERVE_QUEUE": str(queue), "AGD_SERVE_PER_CLIENT": str(queue), "AGD_SERVE_PER_MINUTE": "1000000"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | limits)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r" on http\S+:(\d+) ", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield int(found[1]), process.pid
                return
        raise SystemExit("the server did not start; run `agd serve` to see why")
    finally:
        process.terminate()
        process.wait(60)


def main() -> int:
    """Run the loads and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--short", type=float, default=30.0, help="seconds of the loads of 1, 4 and 8 clients")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--port", type=int, help="a server that runs already")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    if chosen.port is not None:
        rows = measure(chosen, chosen.port, None)
    else:
        with own_server(chosen.rows, 2 * chosen.clients) as (port, pid):
            rows = measure(chosen, port, pid)
    by_clients = {row["clients"]: row for row in rows}
    gain = round(by_clients[8]["tokens_per_second"] / max(by_clients[1]["tokens_per_second"], 1e-9), 2)
    print("| clients | answers | lost | mixed | tokens/s | first block p95 | MiB | MiB a minute |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['clients']} | {row['answers']} | {row['lost']} | {row['mixed']} | {row['tokens_per_second']} "
            f"| {row['first_block_p95']} s | {row['memory_mib']} | {row['memory_slope_mib_a_minute']} |"
        )
    print(f"8 streams write {gain} times the tokens a second of one")
    write_result(chosen.out, "serve", rows, batching_gain_at_8=gain)
    whole = all(row["lost"] == row["mixed"] == 0 for row in rows)
    return 0 if whole and gain >= GAIN_BAR and (by_clients[4]["first_block_p95"] or 99) < FIRST_BAR else 1


def measure(chosen: argparse.Namespace, port: int, pid: int | None) -> list[dict[str, Any]]:
    """One stream, four, eight, and then all of them."""
    ask(port, PROMPTS[0], 0)  # the first request pays for what is made once
    counts = [(1, chosen.short), (4, chosen.short), (8, chosen.short)]
    counts += [(chosen.clients, chosen.seconds)] if chosen.clients not in (1, 4, 8) else []
    return [load(port, clients, seconds, pid) for clients, seconds in counts]


if __name__ == "__main__":
    sys.exit(main())

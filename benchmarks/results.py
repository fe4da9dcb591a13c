"""Result files of the benchmarks: small JSON with a date, the command and the class of machine, committed beside them.

README and docs take their tables from `benchmarks/results/`; a number without such a file does not appear there.
"""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentic_diffusion.evaluation import passk
from agentic_diffusion.foundation.resources import atomic_write, cpu_features, usable_cpus

ROOT = Path(__file__).resolve().parents[1]


def machine() -> str:
    """The class of this machine in words: cores and the widest vector instructions."""
    features = cpu_features()
    widest = next((name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in features), "no AVX2")
    return f"{usable_cpus()} CPU cores ({widest})"


def command() -> str:
    """The command that made the result, without the folders of this machine."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def write_result(path: Path | None, name: str, rows: list[dict[str, Any]], **more: Any) -> None:
    """Write a result file atomically (nothing without a path)."""
    if path is None:
        return
    result = {
        "name": name,
        "date": datetime.now(UTC).date().isoformat(),
        "command": command(),
        "machine": machine(),
        **more,
        "rows": rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(result, indent=1) + "\n")


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    found = passk.wilson(successes, trials)
    return found.low, found.high

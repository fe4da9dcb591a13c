"""Runs inside the sandbox: calls functions of canonical solutions with given arguments and tells what they give back.

    python canonical_values.py SECONDS         reads jobs.json: [{"source", "name", "arguments": [text, ...]}, ...]

One JSON list a line on stdout: turn (0 or 1, a process each, so that hash seeds differ), number of the job, number of
the call, text of the value. A call that raises, takes longer than SECONDS, changes its own arguments, or gives what is
no literal, is passed over. Every job runs in a fork of its own. Standard library only.
"""

import ast
import copy
import io
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

LONGEST = 10_000
"""Characters of a value that is still of use."""


def late(_number: int, _frame: object) -> None:
    """A call took too long."""
    raise TimeoutError


def value_of(function: object, text: str, seconds: float) -> str | None:
    """The text of what one call gives back; None where it is of no use."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        given = eval(f"({text},)", {"inf": float("inf"), "nan": float("nan")})  # noqa: S307  (in the sandbox)
        kept = copy.deepcopy(given)
        value = function(*given)  # type: ignore[operator]
        shown = repr(value)
        back = ast.literal_eval(shown)
        same = type(back) is type(value) and back == value and kept == given
    except BaseException:  # noqa: BLE001 - whatever a foreign program raises, its call is of no use
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return shown if same and len(shown) <= LONGEST else None


def run(turn: str, number: int, job: dict[str, Any], seconds: float) -> None:
    """One job, in a process of its own."""
    out, sys.stdout = sys.stdout, io.StringIO()
    signal.signal(signal.SIGALRM, late)
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    exec(compile(job["source"], "solution.py", "exec"), module.__dict__)  # noqa: S102  (in the sandbox)
    for place, text in enumerate(job["arguments"]):
        shown = value_of(getattr(module, job["name"]), text, seconds)
        if shown is not None:
            out.write(json.dumps([int(turn), number, place, shown]) + "\n")
            out.flush()


def main() -> None:
    """Start two turns; a turn forks for each job."""
    if len(sys.argv) == 2:
        for turn in ("0", "1"):
            subprocess.run([sys.executable, "-I", "-S", *sys.argv, turn], check=False)
        return
    seconds = float(sys.argv[1])
    for number, job in enumerate(json.loads(Path("jobs.json").read_text())):
        child = os.fork()
        if child == 0:
            try:
                run(sys.argv[2], number, job, seconds)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()

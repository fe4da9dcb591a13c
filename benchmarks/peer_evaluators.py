"""Programs a second of other evaluators of Python programs; called by `runner_throughput.py --peers`.

    process    the way of HumanEval's published evaluator (Chen et al. 2021), written anew: one process a program by
               `multiprocessing`, an empty folder, a timer and `exec`; its result comes back through a manager process
    evalplus   `evalplus.eval.untrusted_check` of the package evalplus (Liu et al. 2023), where the interpreter has it

Neither is a sandbox: both disarm functions inside the process that runs the program. Reads JSON from standard input
({"programs": [...], "calls": [[x, f(x)], ...], "at_once": N}), writes the seconds that all programs took.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SECONDS = 3.0

Check = Callable[[str], bool]


def in_process(program: str, tests: str, told: Any) -> None:
    """In the child: run a program and its tests and tell whether they passed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        exec(program + tests, {"__name__": "candidate"})
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.chdir("/")
    told.append(True)


def process_check(calls: list[list[int]]) -> Check:
    """A process and a manager for each program."""
    tests = "".join(f"assert f({given}) == {expected}\n" for given, expected in calls)

    def check(program: str) -> bool:
        with multiprocessing.Manager() as manager:
            told = manager.list()
            child = multiprocessing.Process(target=in_process, args=(program, tests, told))
            child.start()
            child.join(SECONDS + 1)
            if child.is_alive():
                child.kill()
            return list(told) == [True]

    return check


def evalplus_check(calls: list[list[int]]) -> Check:
    """The package's own function."""
    from evalplus.eval import PASS, untrusted_check

    inputs, expected = [[given] for given, _ in calls], [answer for _, answer in calls]

    def check(program: str) -> bool:
        status, _ = untrusted_check("humaneval", program, inputs, "f", expected, 0, [0.01] * len(inputs), True)
        return bool(status == PASS)

    return check


def main(kind: str) -> None:
    """Judge the programs and print the seconds."""
    asked = json.load(sys.stdin)
    check = {"process": process_check, "evalplus": evalplus_check}[kind](asked["calls"])
    check(asked["programs"][0])  # what is loaded once is not counted
    start = time.perf_counter()
    with ThreadPoolExecutor(asked["at_once"]) as pool:
        passed = list(pool.map(check, asked["programs"]))
    took = time.perf_counter() - start
    if not all(passed):
        raise SystemExit(f"{kind}: {passed.count(False)} of {len(passed)} programs did not pass")
    print(took)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main(sys.argv[1])

"""The fork server for mutants of Python: `python worker_mutants.py`, inside the sandbox.

pytest collects the tests once; every mutant is a fork of that process in which the code of one living function is
replaced, and which runs the chosen tests until one fails. Speaks lines on descriptors 3 and 4:

    {"open": ...}   as in worker_project                            ->  {"ready": true}
    {"collect": {"target": path, "tests": [path], "words": [..]}}   ->  {"cases": [name], "broken": text}
    {"calm": {"seconds": s}}    every case once, traced
        ->  {"cases": {name: {"ok", "seconds", "lines"}}, "problem": text}
    {"try": [{"id", "statement": text, "original": text, "first": line, "line": line, "cases": [name], "seconds": s}]}
        ->  a line each: {"id", "status": s, "by": name, "seconds": s}, then {"tried": n}

A status is killed, timeout, survived, equivalent (the same bytecode), duplicate (that of a mutant before) or outside
(what changed is no part of a living function, so the file itself has to be replaced). Times are processor seconds.
Standard library only, but for pytest of the project; imports nothing of this package, which is not visible in here.
"""

from __future__ import annotations
import __future__

import contextlib
import ctypes
import functools
import gc
import importlib
import json
import operator
import os
import signal
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from typing import Any

REQUEST, REPLY = 3, 4
PR_SET_CHILD_SUBREAPER = 36
WALL = 20
"""A mutant may wait so many times its processor time."""
FUTURE = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
"""Flags of code that `from __future__ import` sets."""
FUNCTION = 0x2  # CO_NEWLOCALS


class Server:
    """The plug-in of pytest in whose loop requests are answered."""

    def __init__(self, lines: Iterator[bytes], target: str, home: str) -> None:
        """Serve for the program file `target`."""
        self.lines, self.target, self.home = lines, target, home
        self.items: dict[str, Any] = {}
        self.broken = ""
        self.verdict = -1
        self.seen: set[Any] = set()
        self.functions: dict[tuple[str, int], list[types.FunctionType]] = {}
        self.current: set[int] = set()

    def pytest_collectreport(self, report: Any) -> None:
        """A test file that does not load."""
        if report.failed:
            self.broken = self.broken or f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}"

    def pytest_runtest_logreport(self, report: Any) -> None:
        """In a fork: the first failure is enough."""
        if self.verdict >= 0 and report.failed:
            os.write(self.verdict, report.nodeid.encode())
            os._exit(1)

    def pytest_runtestloop(self, session: Any) -> bool:
        """Answer requests in place of running the tests."""
        self.items = {item.nodeid: item for item in session.items}
        answer({"cases": list(self.items), "broken": self.broken})
        gc.collect()
        gc.freeze()
        for line in self.lines:
            [(what, order)] = json.loads(line).items()
            if what == "calm":
                answer(self.calm(order["seconds"]))
            elif what == "try":
                for mutant in order:
                    answer({"id": mutant["id"], **self.attempt(mutant)})
                answer({"tried": len(order)})
        return True

    # The calm run ---------------------------------------------------------------------------------------------------

    def calm(self, seconds: float) -> dict[str, Any]:
        """Every case once in one fork, with the lines of the target that it runs."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                self._trace(pipe)
            os._exit(0)
        os.close(writing)
        found: dict[str, Any] = {}
        with os.fdopen(reading, encoding="utf-8", errors="replace") as pipe:
            for line in pipe:
                with contextlib.suppress(ValueError):
                    found |= json.loads(line)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        reap()
        return {"cases": found, "problem": "" if status == 0 else f"the tests ended their runner ({status})"}

    def _trace(self, pipe: Any) -> None:
        failed: list[str] = []
        items = list(self.items.values())
        items[0].config.pluginmanager.register(_Failures(failed))
        threading.settrace(self._enter)
        for place, item in enumerate(items):
            self.current, began = set(), time.process_time()
            failed.clear()
            sys.settrace(self._enter)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=(items[place + 1 :] or [None])[0])
            sys.settrace(None)
            spent = time.process_time() - began
            pipe.write(
                json.dumps({item.nodeid: {"ok": not failed, "seconds": spent, "lines": sorted(self.current)}}) + "\n"
            )
            pipe.flush()

    def _enter(self, frame: types.FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != self.target:
            return None
        self.current.add(frame.f_lineno)
        return self._line

    def _line(self, frame: types.FrameType, _event: str, _argument: Any) -> Any:
        self.current.add(frame.f_lineno)
        return self._line

    # Mutants --------------------------------------------------------------------------------------------------------

    def attempt(self, mutant: dict[str, Any]) -> dict[str, Any]:
        """What became of one mutant."""
        try:
            original = compiled(mutant["original"], mutant["first"], self.target, self.flags())
            altered = compiled(mutant["statement"], mutant["first"], self.target, self.flags())
        except (SyntaxError, ValueError):
            return {"status": "equivalent", "by": "it does not compile", "seconds": 0.0}
        if essence(original) == essence(altered):
            return {"status": "equivalent", "by": "", "seconds": 0.0}
        key = (mutant["first"], essence(altered))
        if key in self.seen:
            return {"status": "duplicate", "by": "", "seconds": 0.0}
        self.seen.add(key)
        old, new = function_at(original, mutant["line"]), function_at(altered, mutant["line"])
        inside = old is not None and new is not None and essence(old) != essence(new)
        if old is None or new is None or not inside or not mutant["cases"]:
            return {"status": "survived" if inside else "outside", "by": "", "seconds": 0.0}
        living = self._living(old)
        if not living or any(len(function.__code__.co_freevars) != len(new.co_freevars) for function in living):
            return {"status": "outside", "by": "", "seconds": 0.0}
        return self._fork(mutant, living, new)

    def flags(self) -> int:
        """What the target imports from the future, as its functions tell."""
        some = next(iter(self._all().values()), None)
        return some[0].__code__.co_flags & FUTURE if some else 0

    def _living(self, code: types.CodeType) -> list[types.FunctionType]:
        """The functions of the target that have this code, however they are decorated or bound."""
        return self._all().get((code.co_name, code.co_firstlineno), [])

    def _all(self) -> dict[tuple[str, int], list[types.FunctionType]]:
        """Every living function of the target, by name and first line."""
        if not self.functions:
            gc.unfreeze()
            for thing in gc.get_objects():
                if isinstance(thing, types.FunctionType) and thing.__code__.co_filename == self.target:
                    place = (thing.__code__.co_name, thing.__code__.co_firstlineno)
                    self.functions.setdefault(place, []).append(thing)
            gc.freeze()
        return self.functions

    def _fork(self, mutant: dict[str, Any], living: list[types.FunctionType], code: types.CodeType) -> dict[str, Any]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.setsid()
            os.close(reading)
            signal.setitimer(signal.ITIMER_PROF, mutant["seconds"])
            signal.alarm(max(1, int(WALL * mutant["seconds"])))
            for function in living:
                function.__code__ = code
            self.verdict = writing
            items = [self.items[name] for name in mutant["cases"]]
            for place, item in enumerate(items):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=(items[place + 1 :] or [None])[0])
            os._exit(0)
        os.close(writing)
        _, status, usage = os.wait4(child, 0)
        os.set_blocking(reading, False)
        with os.fdopen(reading, "rb") as pipe:
            by = (pipe.read() or b"").decode(errors="replace")
        self._sweep(child)
        end = os.waitstatus_to_exitcode(status)
        slow = -end in (signal.SIGPROF, signal.SIGALRM)
        return {
            "status": "timeout" if slow else "survived" if end == 0 else "killed",
            "by": by, "seconds": usage.ru_utime + usage.ru_stime,
        }  # fmt: skip

    def _sweep(self, child: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        reap()


class _Failures:
    """A plug-in that notes failures."""

    def __init__(self, failed: list[str]) -> None:
        """Note them in `failed`."""
        self.failed = failed

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A phase of a case has ended."""
        if report.failed:
            self.failed.append(report.nodeid)


def compiled(text: str, first: int, target: str, flags: int) -> types.CodeType:
    """The code of a statement of the module that begins on line `first`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `x is 3` and the like are what a mutant may say
        code: types.CodeType = compile("\n" * (first - 1) + text, target, "exec", flags=flags, dont_inherit=True)
    return code


def essence(code: types.CodeType) -> Any:
    """What code does: everything but its places in the text."""
    constants = tuple(
        essence(one) if isinstance(one, types.CodeType) else (type(one), repr(one)) for one in code.co_consts
    )
    table = getattr(code, "co_exceptiontable", b"")
    return (
        code.co_code,
        constants,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_flags,
        table,
    )


def function_at(code: types.CodeType, line: int) -> types.CodeType | None:
    """The outermost function whose body holds a line."""
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType) and inner.co_firstlineno <= line <= last_line(inner):
            return inner if inner.co_flags & FUNCTION else function_at(inner, line)
    return None


def last_line(code: types.CodeType) -> int:
    """The last line of a code and of all inside it."""
    own = max((line for _, _, line in code.co_lines() if line is not None), default=code.co_firstlineno)
    return max([own, *(last_line(inner) for inner in code.co_consts if isinstance(inner, types.CodeType))])


def reap() -> None:
    """Forget children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def answer(record: dict[str, Any]) -> None:
    """Write one line."""
    data = json.dumps(record).encode() + b"\n"
    while data:
        data = data[os.write(REPLY, data) :]


def serve() -> None:
    """Open the project, collect the tests, and answer until there are no more requests."""
    import pytest

    home = os.getcwd()
    sys.path.insert(0, home)
    project = importlib.import_module("worker_project")
    sys.path.remove(home)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.set_inheritable(REQUEST, False)
    os.set_inheritable(REPLY, False)
    lines = iter(os.fdopen(os.dup(REQUEST), "rb").readline, b"")
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    bench = project.Bench()
    answer(bench.open(json.loads(next(lines))["open"]))
    order = json.loads(next(lines))["collect"]
    server = Server(lines, os.path.join(bench.root, order["target"]), home)
    words = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "--capture=sys", "--tb=no", *order["words"]]
    code = pytest.main([*words, *order["tests"]], plugins=[server])
    if not server.items:
        answer({"cases": [], "broken": server.broken or f"pytest ended with exit code {int(code)}"})


if __name__ == "__main__":
    serve()

"""The child's side of the worker: runs one candidate and its cases. This file runs INSIDE the sandbox.

Candidate code shares this process. What a case reports is therefore only evidence, judged outside (`verdicts`);
what can be kept from the candidate is kept: built-ins of the tests are copied before it is loaded, the functions that
report use local names only, its own input and output lead elsewhere.
Standard library only; imports nothing of this package, which is not visible in here.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import resource
import signal
import sys
import time
import types
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

EVENTS_A_CASE = 2000
PENDING_BYTES = 1 << 16
VALUE_NODES = 15_000
VALUE_TEXT = 200_000
VALUE_DEPTH = 60
SOLUTION = "solution"
HIT = "__agd_hit__"
PASSES = 100_000
LINES = 20_000


class CaseTimeout(BaseException):
    """Raised by the alarm inside a case."""


class TooManySteps(BaseException):
    """Raised in a counted candidate that goes on and on."""


class Lines:
    """What a counted candidate (testing/counters.py) tells: the lines that it passes, so many passes a case."""

    def __init__(self) -> None:
        """Nothing was passed; what is passed before the first case belongs to all of them."""
        self.loading: set[int] = set()
        self.found: set[int] = set()
        self.left = PASSES

    def hit(self, line: int) -> None:
        """A line was passed."""
        self.left -= 1
        if self.left < 0:
            raise TooManySteps("too many steps")
        if len(self.found) < LINES:
            self.found.add(line)

    def begin(self) -> None:
        """A case begins."""
        self.found, self.left = set(self.loading), PASSES

    def loaded(self) -> None:
        """The candidate is loaded."""
        self.loading = self.found


class Prepared:
    """What of a program does not depend on the candidate: made once by the server, which runs nothing of it."""

    def __init__(self, program: dict[str, Any], stub: types.CodeType) -> None:
        """Compile the parts of the tests, copy the built-ins, and say what an alarm does."""
        self.program, self.stub = program, stub
        self.code = [compile(part["code"], "tests.py", "exec", dont_inherit=True) for part in program["parts"]]
        self.pristine = dict(vars(builtins))
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, ring)


def run_candidate(request: dict[str, Any], prepared: Prepared, events: int, output: int) -> None:
    """In the child: become a session of its own, limit itself, run the candidate and its cases, report."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, events)
    os.closerange(events + 1, 256)
    for name, value in (
        (resource.RLIMIT_AS, request["memory_bytes"]),
        (resource.RLIMIT_CPU, request["cpu_seconds"]),
        (resource.RLIMIT_FSIZE, request["file_bytes"]),
    ):
        hard = resource.getrlimit(name)[1]
        top = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (top, top))
    mark = request["nonce"].encode() + b" "
    source, counted = request.pop("source"), bool(request.get("counted"))
    request.pop("nonce")

    # local names, so that nothing a candidate may patch is used after this point
    dumps, write, arm = json.dumps, os.write, signal.setitimer
    cpu, wall = request["case_cpu"], request["case_wall"]

    pending = bytearray()

    def report(*event: object) -> None:
        # the end of a case travels with the beginning of the next one: what a case says that does not end is not read
        pending.extend(mark + dumps(event).encode() + b"\n")
        if event[0] in {"begin", "finish"} or len(pending) > PENDING_BYTES:
            while pending:
                del pending[: write(events, pending)]

    def alarm(on: bool) -> None:
        arm(signal.ITIMER_PROF, cpu if on else 0)
        arm(signal.ITIMER_REAL, wall if on else 0)

    run_cases(source, prepared, test_space(prepared, report), report, alarm, lines=Lines() if counted else None)
    report("finish")


def ring(_number: int, _frame: types.FrameType | None) -> None:
    """The alarm."""
    raise CaseTimeout("too slow")


def run_cases(
    source: str,
    prepared: Prepared,
    space: dict[str, Any],
    report: Callable[..., None],
    alarm: Callable[[bool], None],
    *,
    lines: Lines | None = None,
) -> None:
    """Load the candidate, then run parts and calls in order; stop at the first case that does not end."""
    clock = time.monotonic
    program = prepared.program
    module = types.ModuleType(SOLUTION)
    sys.modules[SOLUTION] = module
    order = [part["case"] for part in program["parts"]] + [call["case"] for call in program["calls"]]
    steps: list[Callable[[], None]] = [partial(exec, code, space) for code in prepared.code]
    steps += [partial(call, entry, space) for entry in program["calls"]]

    def load() -> None:
        # the first step outside any case: compile and run the candidate, fetch the names that the tests use bare
        if lines is not None:
            setattr(module, HIT, lines.hit)
        exec(compile(source, SOLUTION + ".py", "exec", dont_inherit=True), module.__dict__)
        if lines is not None:
            lines.loaded()
        for name in program["wanted"]:
            with contextlib.suppress(AttributeError):
                space[name] = getattr(module, name)

    for case, step in zip([None, *order], [load, *steps], strict=True):
        started = clock()
        if case is not None:
            report("begin", case)
            if lines is not None:
                lines.begin()
        problem: BaseException | None = None
        try:
            try:
                alarm(True)
                step()
            finally:
                alarm(False)
        except BaseException as error:  # whatever the candidate raises, SystemExit included, is an outcome
            problem = error
        if lines is not None and case is not None:
            report("lines", case, sorted(lines.found))
        if problem is not None:
            report("raised", case, *describe(problem), clock() - started)
            if case is None or type(problem) is CaseTimeout:
                return
        elif case is not None:
            report("end", case, clock() - started)


def call(entry: dict[str, Any], space: dict[str, Any]) -> None:
    """Run a test function, or a test method with its set-up and tear-down."""
    if not entry["owner"]:
        space[entry["name"]]()
        return
    owner = space[entry["owner"]]
    unittest = sys.modules.get("unittest")
    if unittest is not None and issubclass(owner, unittest.TestCase):
        owner.setUpClass()
        try:
            owner(entry["name"]).debug()
        finally:
            owner.tearDownClass()
            owner.doClassCleanups()
        return
    case = owner()
    if hasattr(case, "setup_method"):
        case.setup_method()
    try:
        getattr(case, entry["name"])()
    finally:
        if hasattr(case, "teardown_method"):
            case.teardown_method()


def test_space(prepared: Prepared, report: Callable[..., None]) -> dict[str, Any]:
    """The namespace of the tests: reporting functions, and built-ins that the candidate cannot patch."""
    program, pristine = prepared.program, prepared.pristine
    counts = {"events": 0}
    plain, opaque, to_text = encode, repr, text_of

    def room() -> bool:
        counts["events"] += 1
        return counts["events"] <= EVENTS_A_CASE * (1 + len(program["parts"]) + len(program["calls"]))

    def check(number: int, value: object) -> None:
        if not room():
            report("opaque", number, "too many checks")
            raise OverflowError("too many checks in one run")
        try:
            data = plain(value)
        except OpaqueError:
            report("opaque", number, to_text(value, opaque))
        else:
            report("value", number, data)

    def truth(
        number: int, value: object, operator: str | None = None, left: object = None, right: object = None
    ) -> None:
        if not room():
            raise OverflowError("too many checks in one run")
        answer = True if value else False  # noqa: SIM210  (bool could be patched)
        if operator == "==" and (equals_all(left) or equals_all(right)):
            report("alike", number)
        sides = [] if operator is None else [to_text(left, opaque), to_text(right, opaque)]
        report("truth", number, answer, sides)

    space = {"__name__": "tests", "__builtins__": pristine, "__agd_check__": check, "__agd_truth__": truth}
    if program["pytest"]:
        module = types.ModuleType("pytest")
        sys.modules["pytest"] = module
        exec(prepared.stub, module.__dict__)
    return space


class OpaqueError(Exception):
    """A value that is not plain data."""


def encode(value: object) -> Any:
    """The JSON form of a value made of built-in types and nothing else; OpaqueError for all others."""
    left = [VALUE_NODES, VALUE_TEXT]
    return _encode(value, left, VALUE_DEPTH)


def _encode(value: Any, left: list[int], depth: int) -> Any:
    """One value; `left` holds the nodes and the characters that may still be sent."""
    kind = type(value)
    left[0] -= 1
    if kind is int:
        left[1] -= value.bit_length() // 4
    elif kind is str or kind is bytes or kind is bytearray:
        left[1] -= len(value)
    if left[0] < 0 or left[1] < 0 or depth < 0 or kind not in PLAIN:
        raise OpaqueError

    def inner(items: Iterable[Any]) -> list[Any]:
        return [_encode(item, left, depth - 1) for item in items]

    if kind is list:
        return inner(value)
    if kind is dict:
        return {"dict": [inner(pair) for pair in value.items()]}
    if kind is tuple or kind is set or kind is frozenset:
        return {kind.__name__: inner(value)}
    return _encode_leaf(value, kind)


def _encode_leaf(value: Any, kind: type) -> Any:
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -(2**53) < value < 2**53 else {"int": hex(value)}
    if kind is complex:
        return {"complex": [value.real.hex(), value.imag.hex()]}
    return {kind.__name__: value.hex()}


def equals_all(value: object) -> bool:
    """Whether a value of a foreign type claims to equal an object that it cannot know."""
    if type(value).__module__ == "builtins" and type(value) in BUILT_IN:
        return False
    try:
        return (value == object()) is True
    except Exception:  # an __eq__ that fails on strangers is honest enough
        return False


# a range is short to send and long to search, so it is compared in here
PLAIN = {type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict}
BUILT_IN = {*PLAIN, range}


def text_of(value: object, show: Callable[[object], str]) -> str:
    """repr, shortened; a repr that fails is an answer too."""
    try:
        return show(value)[:200]
    except BaseException as error:
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def describe(error: BaseException) -> tuple[str, str, int | None]:
    """Type, message and the deepest line of the candidate that an exception came through."""
    line, trace, seen = None, error.__traceback__, 0
    while trace is not None and seen < 100_000:
        if trace.tb_frame.f_code.co_filename == SOLUTION + ".py":
            line = trace.tb_lineno
        trace, seen = trace.tb_next, seen + 1
    return type(error).__name__, text_of(error, str), line

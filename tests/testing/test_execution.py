"""Judging: statuses, lines and messages, limits of every kind, and a server that survives its candidates."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.sandbox import Limits, Sandbox
from agentic_diffusion.foundation.sandbox.base import MIB
from agentic_diffusion.foundation.sandbox.unsafe import Unsafe
from agentic_diffusion.testing import execution
from agentic_diffusion.testing.execution import Pace, confirm, inline_suite, judge, judge_each, make_suite

PACE = Pace(cpu_seconds=0.5, wall_seconds=1.5)
LIMITS = Limits(seconds=5.0, memory_bytes=256 * MIB, scratch_bytes=16 * MIB, file_bytes=8 * MIB)
SUITE = inline_suite(["assert f(3) == 7", "assert f(4) == 8"])
GOOD = "def f(x):\n    return x + 4\n"


def test_messages_and_lines(sandbox: Sandbox) -> None:
    candidates = [
        GOOD,
        "def f(x):\n    return 5\n",
        "def f(x):\n    y = 1\n    return y / (x - 3)\n",
        "def f(x:\n    return\n",
        "def g(x):\n    return 1\n",
        "import nothing_like_this\n",
        "def f(x):\n    return helper(x)\n\ndef helper(x):\n    raise KeyError('deep')\n",
        "def f(x):\n    return f(x)\n",
        "def f(x):\n    assert x > 100, 'too small'\n    return 7\n",
    ]
    found = judge(SUITE, candidates, sandbox, LIMITS, pace=PACE)
    assert [verdict.candidate for verdict in found] == candidates
    assert [(verdict.passed, verdict.total, verdict.ok) for verdict in found[:3]] == [
        (2, 2, True),
        (0, 2, False),
        (0, 2, False),
    ]
    assert [verdict.message for verdict in found] == [
        "",
        "AssertionError: f(3) gave 5, expected 7",
        "ZeroDivisionError: division by zero",
        "SyntaxError: line 1: '(' was never closed",
        "NameError: name 'f' is not defined",
        "ModuleNotFoundError: No module named 'nothing_like_this'",
        "KeyError: 'deep'",
        "RecursionError: maximum recursion depth exceeded",
        "AssertionError: too small",
    ]
    assert [verdict.failure_line for verdict in found] == [None, None, 3, 1, None, 1, 5, 2, 2]
    assert [outcome.error_type for outcome in found[2].outcomes] == ["ZeroDivisionError", "AssertionError"]
    assert all(outcome.seconds >= 0 for verdict in found for outcome in verdict.outcomes)


def test_nothing_to_judge(sandbox: Sandbox) -> None:
    assert judge(SUITE, [], sandbox) == []
    assert judge(SUITE, ["def f(:\n"], sandbox)[0].failure_line == 1


BOMBS = {
    "never ends": ("def f(x):\n    while True:\n        pass\n", {"timeout"}),
    "sleeps": ("import time\ndef f(x):\n    time.sleep(60)\n", {"timeout"}),
    "never ends and swallows": (
        "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n",
        {"timeout"},
    ),
    "never ends while it loads": ("while True: pass\n", {"timeout"}),
    "prints a gigabyte": (
        "def f(x):\n    for _ in range(1024):\n        print('x' * 2**20)\n    return x + 4\n",
        {"output"},
    ),
    "takes memory": ("def f(x):\n    return [0] * 10**9\n", {"memory"}),
    "takes memory slowly": (
        "def f(x):\n    y = []\n    while True:\n        y.append('x' * 10**6 + str(len(y)))\n",
        {"memory", "killed", "timeout"},
    ),
    "forks without end": (
        "import os\ndef f(x):\n    while True:\n        try:\n            os.fork()\n"
        "        except OSError:\n            pass\n",
        {"timeout", "killed"},
    ),
    "fills the disk": (
        "def f(x):\n    n = 0\n    while True:\n        n += 1\n        open(str(n), 'wb').write(b'x' * 2**20)\n",
        {"error", "killed"},
    ),
    "crashes": ("import ctypes\ndef f(x):\n    ctypes.string_at(0)\n", {"killed"}),
    "kills itself": ("import os\ndef f(x):\n    os.kill(os.getpid(), 9)\n", {"killed"}),
    "leaves a daemon": (
        "import os, time\ndef f(x):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
        "            time.sleep(60)\n        os._exit(0)\n    return 5\n",
        {"failed"},
    ),
    "closes everything": ("import os\ndef f(x):\n    os.closerange(0, 256)\n    return x + 4\n", {"killed"}),
    "returns a huge number": ("def f(x):\n    return 1 << 10**7\n", {"failed"}),
    "returns an endless string": (
        "class S(str):\n    def __repr__(self):\n        raise SystemExit\ndef f(x):\n    return S('a')\n",
        {"failed"},
    ),
    "raises without words": (
        "class E(Exception):\n    def __str__(self):\n        raise E\ndef f(x):\n    raise E\n",
        {"error"},
    ),
}


def test_bombs(every_sandbox: Sandbox) -> None:
    """Each goes off alone, and the good candidate behind it passes all the same."""
    candidates = [source for bomb, _ in BOMBS.values() for source in (bomb, GOOD)]
    found = judge(SUITE, candidates, every_sandbox, LIMITS, pace=PACE)
    bombs, good = found[::2], found[1::2]
    told = {label: verdict.outcomes[0].status for label, verdict in zip(BOMBS, bombs, strict=True)}
    assert {label for label, status in told.items() if status not in BOMBS[label][1]} == set(), told
    assert not any(verdict.ok for verdict in bombs)
    assert [verdict.message for verdict in good] == [""] * len(BOMBS)


def test_a_daemon_where_nobody_may_sweep() -> None:
    """Without a sandbox a worker must not kill "everybody", so it is replaced; the warden then ends what was left."""
    marker = secrets.token_hex(8)
    code = f"import time; time.sleep(60) # {marker}"
    leaving = (
        "import os, sys\n"
        "def f(x):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        f"        os.execv(sys.executable, [sys.executable, '-I', '-S', '-c', {code!r}])\n"
        "    return x + 4\n"
    )
    found = judge(SUITE, [GOOD, leaving, GOOD], Unsafe(), LIMITS, pace=PACE)
    assert [verdict.ok for verdict in found] == [True, True, True]
    left = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            left += [entry.name] if marker.encode() in (entry / "cmdline").read_bytes() else []
    assert left == []


def test_the_line_of_an_endless_loop_is_known(sandbox: Sandbox) -> None:
    (verdict,) = judge(SUITE, [BOMBS["never ends"][0]], sandbox, LIMITS, pace=PACE)
    assert verdict.failure_line in {2, 3}
    assert [outcome.message for outcome in verdict.outcomes] == [
        "the case did not end in time",
        "not run, since a case before it did not end",
    ]


def test_candidates_do_not_see_one_another(sandbox: Sandbox) -> None:
    writer = (
        "import builtins, os, sys, json\n"
        "json.left = builtins.left = 'here'\nos.environ['LEFT'] = 'here'\n"
        "open('left', 'w').write('x')\nopen('../left', 'w').write('x')\n"
        "if os.access('/tmp', os.W_OK): open('/tmp/left', 'w').write('x')\n"
        "os.mkdir('closed'); open('closed/f', 'w').write('x'); os.chmod('closed', 0)\n"
        "def f(x):\n    return x + 4\n"
    )
    reader = (
        "import builtins, os, json\n"
        "seen = [hasattr(builtins, 'left'), hasattr(json, 'left'), 'LEFT' in os.environ, *os.listdir('.'),"
        " *(name for name in os.listdir('..') if name != 'run')]\n"
        "def f(x):\n    return seen\n"
    )
    first, second = judge(SUITE, [writer, reader], sandbox, LIMITS, pace=PACE)
    assert first.ok, first.message
    assert second.message == "AssertionError: f(3) gave [False, False, False], expected 7"


def test_shared_memory_of_the_machine_is_left_alone(every_sandbox: Sandbox) -> None:
    """/dev/shm is everybody's, except in bubblewrap, where the sandbox has one of its own and empties it."""
    writer = (
        "try:\n    with open('/dev/shm/agd-left', 'x') as s: s.write('x')\nexcept OSError:\n    pass\n"
        "def f(x):\n    return x + 4\n"
    )
    reader = "import os\ndef f(x):\n    return os.path.exists('/dev/shm/agd-left')\n"
    mine = Path("/dev/shm") / f"agd-test-{secrets.token_hex(8)}"
    folder = mine.with_suffix(".d")
    left = Path("/dev/shm/agd-left")
    try:
        mine.write_text("mine")
        folder.mkdir()
        first, second = judge(SUITE, [writer, reader], every_sandbox, LIMITS, pace=PACE)
        assert first.ok, first.message
        assert mine.read_text() == "mine"
        assert folder.is_dir()
        written = every_sandbox.tier == "none"
        assert left.exists() is written
        assert second.message == f"AssertionError: f(3) gave {written}, expected 7"
    finally:
        for path in (mine, left):
            path.unlink(missing_ok=True)
        folder.rmdir()


def test_candidates_do_not_see_the_tests(sandbox: Sandbox) -> None:
    candidate = "import os\ndef f(x):\n    return [name for _, _, names in os.walk('..') for name in names]\n"
    assert judge(SUITE, [candidate], sandbox)[0].message == "AssertionError: f(3) gave [], expected 7"


def test_values_that_are_no_plain_data(sandbox: Sandbox) -> None:
    suite = inline_suite(["assert f(3) == {'a': 1}", "assert f(0) == {}"])
    good = "from collections import Counter\ndef f(x):\n    return Counter('a') if x else Counter()\n"
    bad = "from collections import Counter\ndef f(x):\n    return Counter('ab')\n"
    first, second = judge(suite, [good, bad], sandbox)
    assert first.ok, first.message
    assert second.message == "AssertionError: f(3) gave Counter({'a': 1, 'b': 1}), expected {'a': 1}"
    assert confirm(suite, good, sandbox).ok


def test_an_assertion_that_cannot_compare(sandbox: Sandbox) -> None:
    (verdict,) = judge(inline_suite(["assert f(1) < 3"]), ["def f(x):\n    return 'a'\n"], sandbox)
    assert verdict.message.startswith("AssertionError: TypeError: '<' not supported")


def test_a_case_stops_counting_at_its_first_failure(sandbox: Sandbox) -> None:
    suite = make_suite("def test_f():\n    assert f(1) == 1\n    assert f(2).name == 2\n", origin="two")
    (verdict,) = judge(suite, ["def f(x):\n    return None\n"], sandbox)
    assert verdict.message == "AssertionError: f(1) gave None, expected 1"


def test_confirm_of_what_does_not_parse_or_pass(sandbox: Sandbox) -> None:
    assert confirm(SUITE, "def f(", sandbox).message.startswith("SyntaxError")
    assert confirm(SUITE, "def f(x):\n    return 7\n", sandbox).passed == 1


def test_pace_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"A case is given 0\.0 s of processor"):
        Pace(cpu_seconds=0.0)


def test_other_languages() -> None:
    with pytest.raises(UsageError, match=r"There is no extension .rust. among the languages"):
        make_suite("assert f(1)", origin="x", language="rust")


def test_two_servers_keep_the_order_and_lose_only_the_candidate_that_ends_its_own(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "MANY", 2)
    twins = []
    twin = execution.Server.twin

    def counting(self: execution.Server) -> execution.Server:
        twins.append(twin(self))
        return twins[-1]

    monkeypatch.setattr(execution.Server, "twin", counting)
    suite = inline_suite(["assert f(1) == 2", "assert f(2) == 3"])
    right, wrong = "def f(x):\n    return x + 1\n", "def f(x):\n    return x\n"
    killer = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n" + right
    texts = [right, wrong, "def f(x:\n", right + "# 2\n", "import os\nos._exit(0)\n", right + "# 3\n", killer, right]
    found = judge(suite, texts, sandbox, workers=2)
    assert [verdict.candidate for verdict in found] == texts
    assert [verdict.ok for verdict in found][:6] == [True, False, False, True, False, True]
    assert found[-1].ok
    assert len(twins) == 1


def test_one_server_makes_a_verdict_when_it_is_asked_for(sandbox: Sandbox) -> None:
    suite = inline_suite(["assert f(1) == 2"])
    right = "def f(x):\n    return x + 1\n"
    each = judge_each(suite, [right, 7], sandbox, workers=1)  # type: ignore[list-item]
    assert next(each).ok
    with pytest.raises(TypeError):  # the second was not looked at before
        next(each)

"""Candidates that try to win without solving the task: none may come out as passed, in any tier.

`FAKES` do not know the answers. Each has to fail already when it is judged; `confirm` is the second line.
"""

from __future__ import annotations

import pytest

from agentic_diffusion.foundation.sandbox import Sandbox
from agentic_diffusion.testing.execution import Pace, Suite, confirm, inline_suite, judge, make_suite

PACE = Pace(cpu_seconds=1.0, wall_seconds=3.0)
HONEST = "def f(x):\n    return x * x + 1\n"
SEALED = inline_suite(["assert f(2) == 5", "assert f(3) == 10", "assert f(0) == 1"])
OPEN = make_suite(
    "from solution import f\n"
    "def expected(x):\n    return x ** 2 + 1\n"
    "def test_small():\n    for x in range(5):\n        assert f(x) == expected(x)\n"
    "def test_large():\n    assert f(100) == expected(100)\n    assert f(7) > f(6)\n"
    "def test_type():\n    assert isinstance(f(1), int)\n",
    origin="open",
)
UNITTEST = make_suite(
    "import unittest\nfrom solution import f\n"
    "class TestF(unittest.TestCase):\n"
    "    def test_one(self):\n        self.assertEqual(f(2), 5)\n"
    "    def test_two(self):\n        self.assertTrue(f(3) == 2 * 5)\n",
    origin="unittest",
)
CHECKED = make_suite(
    "def check(candidate):\n    assert candidate(2) == 5\n    assert candidate(3) == 2 * candidate(2)\n\ncheck(f)\n",
    origin="checked",
)
SUITES = {"sealed": SEALED, "open": OPEN, "unittest": UNITTEST, "checked": CHECKED}

FAKES = {
    "leaves at once": "import os\nos._exit(0)\n",
    "leaves when called": "import os\ndef f(x):\n    os._exit(0)\n",
    "system exit": "import sys\ndef f(x):\n    sys.exit(0)\n",
    "system exit at once": "raise SystemExit(0)\ndef f(x): pass\n",
    "prints a report": (
        "import json\nfor i in range(9):\n    print(json.dumps(['begin', i]))\n    print(json.dumps(['end', i, 0.1]))\n"
        "print(json.dumps(['finish']), flush=True)\ndef f(x):\n    return 0\n"
    ),
    "writes a report to every descriptor": (
        "import json, os\n"
        "text = '\\n'.join(json.dumps(e) for e in [['begin', 0], ['end', 0, 0.1], ['finish']]) + '\\n'\n"
        "for fd in range(256):\n"
        "    try:\n        os.write(fd, text.encode())\n    except OSError:\n        pass\n"
        "def f(x):\n    return 0\n"
    ),
    "patches the built-ins": (
        "import builtins\nclass Never(Exception): pass\n"
        "builtins.AssertionError = Never\nbuiltins.bool = lambda *a: True\nbuiltins.repr = lambda *a: '5'\n"
        "builtins.type = lambda *a: int\nbuiltins.isinstance = lambda *a: True\nbuiltins.range = lambda *a: []\n"
        "builtins.exec = lambda *a: None\n"
        "def f(x):\n    return 0\n"
    ),
    "patches unittest": (
        "import unittest\n"
        "for name in dir(unittest.TestCase):\n"
        "    if name.startswith('assert'):\n        setattr(unittest.TestCase, name, lambda *a, **k: None)\n"
        "unittest.TestCase.debug = lambda self: None\nunittest.TestCase.run = lambda self, result=None: result\n"
        "def f(x):\n    return 0\n"
    ),
    "equals everything": (
        "class Any:\n"
        "    def __eq__(self, other): return True\n    def __ne__(self, other): return True\n"
        "    def __gt__(self, other): return True\n    def __lt__(self, other): return True\n"
        "    def __hash__(self): return 0\n    def __bool__(self): return True\n"
        "    __class__ = int\n"
        "def f(x):\n    return Any()\n"
    ),
    "an int that equals everything": (
        "class Any(int):\n    def __eq__(self, other): return True\n    def __gt__(self, other): return True\n"
        "    __hash__ = int.__hash__\n"
        "def f(x):\n    return Any(0)\n"
    ),
    "kills its parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\ndef f(x):\n    return 0\n",
    "kills everybody": "import os, signal\nos.kill(-1, signal.SIGKILL)\ndef f(x):\n    return 0\n",
    "reports through the frames": (
        "import sys\n"
        "def f(x):\n"
        "    frame = sys._getframe()\n"
        "    while frame is not None:\n"
        "        report = frame.f_locals.get('report')\n"
        "        if report is not None:\n"
        "            for case in range(9):\n"
        "                report('begin', case); report('truth', case, True, []); report('end', case, 0.1)\n"
        "            report('finish')\n"
        "            import os; os._exit(0)\n"
        "        frame = frame.f_back\n"
        "    return 0\n"
    ),
    "replaces the reporting functions": (
        "import sys, gc\n"
        "def f(x):\n"
        "    for found in gc.get_objects():\n"
        "        if isinstance(found, dict) and '__agd_truth__' in found:\n"
        "            found['__agd_truth__'] = lambda *a: None\n            found['__agd_check__'] = lambda *a: None\n"
        "    frame = sys._getframe(1)\n"
        "    frame.f_globals['__agd_truth__'] = lambda *a: None\n"
        "    frame.f_globals['__agd_check__'] = lambda *a: None\n"
        "    return 0\n"
    ),
    "always says yes": (
        "import sys\n"
        "def f(x):\n"
        "    space = sys._getframe(1).f_globals\n"
        "    old = space.get('__agd_truth__')\n"
        "    if old is not None:\n        space['__agd_truth__'] = lambda k, v, *s: old(k, True)\n"
        "    return 0\n"
    ),
    "jumps over the assertion": (
        "import sys\n"
        "def tracer(frame, event, arg):\n"
        "    if event == 'line' and frame.f_code.co_filename == 'tests.py':\n"
        "        try:\n            frame.f_lineno = frame.f_lineno + 1\n        except ValueError:\n            pass\n"
        "    return tracer\n"
        "def f(x):\n"
        "    frame = sys._getframe(1)\n    frame.f_trace = tracer\n    sys.settrace(tracer)\n"
        "    return 0\n"
    ),
    "swallows the tests": (
        "import sys\n"
        "def f(x):\n"
        "    for name in list(sys._getframe(1).f_globals):\n"
        "        if name.startswith('test'):\n            sys._getframe(1).f_globals[name] = lambda: None\n"
        "    return 0\n"
    ),
    "leaves a child that goes on writing": (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    for fd in range(3, 256):\n"
        "        try:\n            os.write(fd, b'[\"finish\"]\\n')\n        except OSError:\n            pass\n"
        "    time.sleep(60)\n"
        "def f(x):\n    return 0\n"
    ),
}


@pytest.mark.parametrize("name", SUITES)
def test_the_honest_candidate_passes(every_sandbox: Sandbox, name: str) -> None:
    verdict = confirm(SUITES[name], HONEST, every_sandbox, pace=PACE)
    assert (verdict.ok, verdict.message) == (True, "")
    assert verdict.passed == verdict.total == len(SUITES[name].cases)
    assert verdict.tier == every_sandbox.tier


@pytest.mark.parametrize("name", SUITES)
def test_no_fake_wins(every_sandbox: Sandbox, name: str) -> None:
    suite = SUITES[name]
    candidates = [*FAKES.values(), HONEST]
    found = judge(suite, candidates, every_sandbox, pace=PACE)
    *fakes, honest = found
    assert {label for label, verdict in zip(FAKES, fakes, strict=True) if verdict.ok} == set()
    # the server was killed on the way, and the one behind it still got its verdict
    assert honest.ok, honest.message


def test_forged_reports_are_called_faked(sandbox: Sandbox) -> None:
    names = ["writes a report to every descriptor", "reports through the frames", "replaces the reporting functions"]
    for verdict in judge(SEALED, [FAKES[name] for name in names], sandbox, pace=PACE):
        assert not verdict.ok
        assert verdict.passed == 0
        assert verdict.message.startswith("faked: ")


def test_dying_before_the_end_is_a_failure(sandbox: Sandbox) -> None:
    (verdict,) = judge(SEALED, [FAKES["leaves at once"]], sandbox, pace=PACE)
    assert [outcome.status for outcome in verdict.outcomes] == ["killed"] * 3
    assert verdict.message == "died before finishing (exit status 0)"


KNOWING = (
    # answers each report as this run wants it, which the byte code of the test tells; at work before any test begins
    "import dis, sys\n"
    "frame = sys._getframe()\n"
    "while 'space' not in frame.f_locals:\n    frame = frame.f_back\n"
    "space = frame.f_locals['space']\n"
    "old = space['__agd_truth__']\n"
    "def report(number, value, *sides):\n"
    "    code = sys._getframe(1).f_code\n"
    "    old(number, not any(step.opname == 'UNARY_NOT' for step in dis.get_instructions(code)))\n"
    "space['__agd_truth__'] = report\n"
    "def f(x):\n    return 0\n"
)


def test_confirm_catches_a_fake_that_knows_the_harness(sandbox: Sandbox) -> None:
    """It reads from the test's byte code which answer is wanted; only the planted false assertion gives it away."""
    suite = make_suite(
        "from solution import f\n"
        "def want(x):\n    return x * x + 1\n"
        "def test_a():\n    assert f(2) == want(2)\n"
        "def test_b():\n    assert f(3) == want(3)\n",
        origin="known",
    )
    (judged,) = judge(suite, [KNOWING], sandbox, pace=PACE)
    assert judged.ok, f"the fake is meant to get through the first line: {judged.message}"
    for seed in range(4):
        confirmed = confirm(suite, KNOWING, sandbox, pace=PACE, seed=seed)
        assert not confirmed.ok
        assert confirmed.message == "faked: an assertion that is false was passed as well"
    assert confirm(suite, HONEST, sandbox, pace=PACE).ok


def test_confirm_plants_at_many_places(sandbox: Sandbox) -> None:
    """Whatever the seed, an honest candidate is confirmed and a wrong one is not."""
    for name, suite in SUITES.items():
        for seed in range(3):
            assert confirm(suite, HONEST, sandbox, pace=PACE, seed=seed).ok, (name, seed)
            assert not confirm(suite, "def f(x):\n    return 5\n", sandbox, pace=PACE, seed=seed).ok


NEAR = {
    "a difference": "assert abs(area(2) - 12.566) < 0.01\nassert abs(area(1) - 3.1416) < 0.01\n",
    "at most": "assert abs(12.566 - area(2)) <= 1e-2\nassert 0.01 >= abs(area(1) - 3.1416)\n",
    "a computed number": "import math\nTOLERANCE = 1e-6\nassert abs(area(2) - math.pi * 4) < TOLERANCE\n",
    "rounded": "assert round(area(2) - 12.566, 2) == 0\nassert 0 == round(abs(area(1) - 3.1416), 2)\n",
    "relative": "assert abs(area(2) - 12.566) / 12.566 < 0.01\nassert abs(area(1) / 3.1416 - 1) < 1e-3\n",
    "squared": "assert (area(2) - 12.566) ** 2 < 1e-4\nassert 100 * 2 > (area(1) - 3.1416) ** 2 * 1e4\n",
    "after a type": "def test_area():\n    assert isinstance(area(1), float) and abs(area(1) - 3.1416) < 0.01\n",
    "unittest": (
        "import unittest\nclass TestArea(unittest.TestCase):\n"
        "    def test_area(self):\n        self.assertAlmostEqual(area(2), 12.566, places=2)\n"
        "    def test_delta(self):\n        self.assertAlmostEqual(area(1), 3.1416, delta=0.01)\n"
    ),
}
AREA = "import math\ndef area(r):\n    return math.pi * r * r\n"
NEAR_ALL = (
    # near to every number: its difference from anything is nothing
    "class Z(float):\n    __sub__ = __rsub__ = lambda s, o: 0.0\n    __truediv__ = lambda s, o: s\n"
    "    __hash__ = float.__hash__\n"
    "def area(r):\n    return Z(1)\n"
)
CLOSE = {
    "isclose": (
        "import math\nassert math.isclose(area(2), 12.566, rel_tol=1e-3)\n"
        "assert math.isclose(3.1416, area(1), abs_tol=0.1)\n"
    ),
    "approx": "import pytest\ndef test_area():\n    assert area(2) == pytest.approx(12.566, rel=1e-3)\n",
    "approx of what is computed": (
        "import math\nfrom pytest import approx\ndef test_area():\n    assert area(2) == approx(math.pi * 4)\n"
    ),
}
PATCHED = (
    # every number is near to every other for the functions that the tests ask; without lying to a plain `==`
    "import math, sys\nmath.isclose = lambda *a, **k: True\n"
    "class Z(float):\n    __eq__ = lambda s, o: type(o).__name__ == 'approx'\n    __hash__ = float.__hash__\n"
    "def area(r):\n    return Z(1)\n"
)


@pytest.mark.parametrize("name", NEAR)
def test_a_number_near_to_everything_is_no_answer(every_sandbox: Sandbox, name: str) -> None:
    """It passes the honest assertion, and the same one about a number that lies elsewhere."""
    suite = make_suite(NEAR[name], origin=name)
    for seed in range(3):
        fake = confirm(suite, NEAR_ALL, every_sandbox, pace=PACE, seed=seed)
        assert (fake.ok, fake.message) == (False, "faked: an assertion that is false was passed as well"), seed
        honest = confirm(suite, AREA, every_sandbox, pace=PACE, seed=seed)
        assert honest.ok, (seed, honest.message)


@pytest.mark.parametrize("name", CLOSE)
def test_patched_closeness_is_no_answer(every_sandbox: Sandbox, name: str) -> None:
    suite = make_suite(CLOSE[name], origin=name)
    for seed in range(2):
        fake = confirm(suite, PATCHED, every_sandbox, pace=PACE, seed=seed)
        assert not fake.ok, (seed, fake)
        assert fake.message.startswith("faked: "), fake.message
        honest = confirm(suite, AREA, every_sandbox, pace=PACE, seed=seed)
        assert honest.ok, (seed, honest.message)


def test_expected_values_are_not_in_the_sandbox(sandbox: Sandbox) -> None:
    """A candidate that turns over every object of its process does not find a sealed answer."""
    secret = 982451653
    suite: Suite = inline_suite([f"assert f(1) == {secret}", f"assert f('{'x' * 3}') == 'the-hidden-word'"])
    thief = (
        "import gc, sys, marshal\n"
        "def f(x):\n"
        "    seen = []\n"
        "    for found in gc.get_objects():\n"
        "        for inner in [found, *gc.get_referents(found)]:\n"
        "            if type(inner) is int and inner == 982451653 - x if isinstance(x, int) else False:\n"
        "                return inner\n"
        "            if type(inner) is str and 'hidden-' in inner and len(inner) == 15:\n"
        "                return inner\n"
        "    return None\n"
    )
    (verdict,) = judge(suite, [thief], sandbox, pace=Pace(cpu_seconds=10, wall_seconds=30))
    assert verdict.passed == 0, verdict
    assert {outcome.status for outcome in verdict.outcomes} == {"failed"}

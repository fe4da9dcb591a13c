"""Reading suites: what is a case, what is set-up, and the sentence for every suite that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Sandbox
from agentic_diffusion.testing.execution import (
    Pace,
    Suite,
    combine,
    inline_suite,
    judge,
    load_suite,
    make_suite,
    suite_is_vacuous,
)

MIXED = """
from __future__ import annotations
import math
import unittest
from solution import area

HALF = area(1) / 2

def close(a, b):
    assert math.isclose(a, b)

assert area(0) == 0
close(area(1), math.pi)
for r in (1, 2):
    assert area(r) > 0

def test_half():
    assert HALF * 2 == area(1)

class TestArea(unittest.TestCase):
    def setUp(self):
        self.r = 2

    def test_grows(self):
        self.assertGreater(area(self.r), area(1))

class TestPlain:
    def setup_method(self):
        self.r = 3

    def test_grows(self):
        assert area(self.r) > area(2)

if __name__ == "__main__":
    unittest.main()
"""


def test_cases_in_their_order(sandbox: Sandbox) -> None:
    suite = make_suite(MIXED, origin="mixed")
    assert [case.name for case in suite.cases] == [
        "area(0) == 0",
        "close(area(1), math.pi)",
        "for r in (1, 2): assert area(r) > 0",
        "test_half",
        "TestArea.test_grows",
        "TestPlain.test_grows",
    ] or suite.cases[0].name == "assert area(0) == 0"
    assert suite.cases[3].line == MIXED[: MIXED.index("def test_half")].count("\n") + 1
    good, bad = judge(
        suite, ["import math\ndef area(r):\n    return math.pi * r * r\n", "def area(r):\n    return r\n"], sandbox
    )
    assert good.ok, good.message
    assert [outcome.status for outcome in bad.outcomes] == ["passed", "failed", "passed", "passed", "passed", "passed"]


def test_set_up_stands_where_it_is_written(sandbox: Sandbox) -> None:
    suite = inline_suite(["x = f(1)", "assert x == 2", "x = f(2)", "assert x == 3"])
    assert judge(suite, ["def f(x):\n    return x + 1\n"], sandbox)[0].ok


def test_bare_names_and_imports(sandbox: Sandbox) -> None:
    candidate = "LIMIT = 3\ndef f(x):\n    return min(x, LIMIT)\n"
    for source in (
        "assert f(5) == LIMIT",
        "import solution\nassert solution.f(5) == 3",
        "from solution import *\nassert f(5) == LIMIT",
        "from solution import f as g\ndef test_g():\n    assert g(5) == 3",
        "def test_inside():\n    from solution import f\n    assert f(1) == 1",
    ):
        verdict = judge(make_suite(source, origin="bare"), [candidate], sandbox)[0]
        assert verdict.ok, (source, verdict.message)


def test_a_candidate_cannot_shadow_the_names_of_the_tests(sandbox: Sandbox) -> None:
    suite = make_suite("def helper(x):\n    return x\nassert helper(f(1)) == 1 and len([1]) == 1", origin="shadow")
    candidate = "def helper(x):\n    return 1\ndef len(x):\n    return 99\ndef f(x):\n    return 2\n"
    assert judge(suite, [candidate], sandbox)[0].message == "AssertionError: helper(f(1)) gave 2, expected 1"


def test_the_stand_in_for_pytest(sandbox: Sandbox) -> None:
    suite = make_suite(
        "import pytest\n"
        "@pytest.mark.parametrize('x, y', [(1, 1), (4, 2)])\n"
        "def test_root(x, y):\n    assert f(x) == pytest.approx(y)\n"
        "@pytest.mark.slow\n"
        "def test_raises():\n    with pytest.raises(ValueError, match='neg'):\n        f(-1)\n"
        "def test_list():\n    assert [f(2), f(3)] == pytest.approx([1.41421356, 1.7320508], rel=1e-4)\n",
        origin="pytest",
    )
    good = "def f(x):\n    if x < 0:\n        raise ValueError('negative')\n    return x ** 0.5\n"
    bad = "def f(x):\n    return x\n"
    first, second = judge(suite, [good, bad], sandbox)
    assert first.ok, first.message
    assert [outcome.status for outcome in second.outcomes] == ["failed"] * 3
    assert second.outcomes[1].message.startswith("Failed: did not raise")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "are empty"),
        ("   \n", "are empty"),
        ("assert f(1 == 2", r"do not parse: line 1: '\(' was never closed"),
        ("x = 1\nassert f(x) ==", "do not parse: line 2: invalid syntax"),
        ("x = f(1)\n", "hold no test"),
        ("def helper():\n    assert f(1)\n", "hold no test"),
        ("assert 1 + 1 == 2", "name nothing of the program under test"),
        ("import numpy as np\nassert np.sum(f(1)) == 2", "import numpy in line 1"),
        ("from .other import f\nassert f(1)", r"import .other in line 1"),
        ("def test_x(tmp_path):\n    assert f(tmp_path)", "ask for fixtures in line 1: test_x takes tmp_path"),
        ("async def test_x():\n    assert await f()", "define test_x as async in line 1"),
        ("assert f('\0')", "do not parse"),
    ],
)
def test_suites_that_cannot_be_used(source: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make_suite(source, origin="given")
    assert caught.value.message.count("\n") == 0
    assert caught.value.hint


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "f_test.py"
    path.write_text("\ufeffassert f(1) == 2\n", encoding="utf-8")
    suite = load_suite(path)
    assert (suite.origin, suite.language, len(suite.cases)) == (str(path), "python", 1)
    with pytest.raises(UsageError, match=r"cannot be read from .*: No such file"):
        load_suite(tmp_path / "missing.py")
    with pytest.raises(UsageError, match=r"cannot be read from .*: Is a directory"):
        load_suite(tmp_path)
    path.write_bytes(b"assert f('\xff')\n")
    with pytest.raises(UsageError, match=r"is not UTF-8 text \(byte 10\)"):
        load_suite(path)
    other = tmp_path / "f.rb"
    other.write_text("x")
    with pytest.raises(UsageError, match=r"ends in \.rb, and the languages installed end in"):
        load_suite(other)
    with path.open("wb") as stream:
        stream.truncate(5_000_000)
    with pytest.raises(UsageError, match="larger than"):
        load_suite(path)


def test_combining_keeps_every_case(sandbox: Sandbox) -> None:
    one = make_suite(
        "from __future__ import annotations\nX = 1\ndef helper():\n    return X\n"
        "def test_f():\n    assert f(1) == helper() + 1\n",
        origin="one",
    )
    two = make_suite(
        "X = 5\ndef helper():\n    return X\ndef test_f():\n    assert f(5) == helper() + 1\n", origin="two"
    )
    both = combine([one, two, inline_suite(["assert f(0) == 1"])])
    assert len(both.cases) == 3
    assert both.origin == "one, two, inline"
    assert judge(both, ["def f(x):\n    return x + 1\n"], sandbox)[0].ok
    assert judge(both, ["def f(x):\n    return 2\n"], sandbox)[0].passed == 1
    assert combine([one]) is one
    with pytest.raises(UsageError, match="no tests to combine"):
        combine([])


@pytest.mark.parametrize(
    ("source", "vacuous"),
    [
        ("assert f(1) == 2", False),
        ("assert f(1) is not None", False),
        ("assert callable(f)", True),
        ("from solution import f\nassert f", True),
        ("def test_f():\n    try:\n        f(1)\n    except Exception:\n        pass", True),
        ("def test_f():\n    if f is None:\n        assert f(1) == 2", True),
        ("import pytest\ndef test_f():\n    with pytest.raises(ValueError):\n        f(1)", False),
    ],
)
def test_vacuous_suites(sandbox: Sandbox, source: str, vacuous: bool) -> None:
    assert suite_is_vacuous(make_suite(source, origin="given"), sandbox) is vacuous


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("while True:\n    pass\nassert f(1) == 2", "their set-up ran longer than 0.3 s of processor time or 1 s"),
        ("import time\ntime.sleep(60)\nassert f(1) == 2", "their set-up ran longer"),
        ("def test_f():\n    while True:\n        pass\n    assert f(1) == 2", "the case 'test_f' ran longer"),
        ("assert f\nwhile True:\n    pass\nassert f(1) == 2", "their set-up ran longer"),
    ],
)
def test_suites_that_never_end(every_sandbox: Sandbox, source: str, words: str) -> None:
    suite = make_suite(source, origin="given")
    with pytest.raises(UsageError, match=f"The tests do not end: {words}") as caught:
        suite_is_vacuous(suite, every_sandbox, pace=Pace(cpu_seconds=0.3, wall_seconds=1.0))
    assert "given" in caught.value.hint


def test_a_suite_that_waits_for_an_answer_ends_for_whoever_gives_one(sandbox: Sandbox) -> None:
    """It hangs for functions that fail, and for those alone."""
    source = (
        "def test_f():\n    while True:\n        try:\n            got = f(1)\n            break\n"
        "        except NotImplementedError:\n            pass\n    assert got == 2"
    )
    suite = make_suite(source, origin="given")
    assert suite_is_vacuous(suite, sandbox, pace=Pace(cpu_seconds=0.3, wall_seconds=1.0)) is False


def test_suites_that_are_nested_too_deeply(sandbox: Sandbox) -> None:
    deep = "assert f(1) == " + "+".join(["1"] * 600)
    with pytest.raises(UsageError, match="nested too deeply") as caught:
        inline_suite([deep])
    assert "split" in caught.value.hint
    plain = inline_suite(["x = 1\nassert f(x) == 2"])
    deeper = Suite(source=f"x = 2\n{deep}\n", language="python", cases=plain.cases, origin="made elsewhere")
    with pytest.raises(UsageError, match="nested too deeply"):
        combine([plain, deeper])
    with pytest.raises(UsageError, match="nested too deeply"):
        judge(deeper, ["def f(x):\n    return 600\n"], sandbox)

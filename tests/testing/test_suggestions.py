"""What is suggested, in which order, and how each is mended."""

import pytest

from agentic_diffusion.testing import discovery, mutation, suggestions
from agentic_diffusion.testing.coverage import FileCoverage, ProjectCoverage
from agentic_diffusion.testing.project import open_project
from agentic_diffusion.testing.project_outcomes import CaseRun, FileRun, ProjectRun
from agentic_diffusion.testing.project_run import RunSettings, run_project

PROGRAM = '''def sign(x: int) -> int:
    """Minus one, or one."""
    if x < 0:
        return -1
    if x == 4711:
        return 2
    return 1


def joined(words: list[str], between: str | None) -> str:
    return (between or "").join(words)
'''
TESTS = """from sign import joined, sign

SEEN = []

def test_first():
    SEEN.append(1)
    assert sign(5) == 1

def test_second():
    assert SEEN == [1]

def test_idle():
    sign(3)

def test_joined():
    assert joined([], "x") == ""
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("suggest")
    (root / "pytest.ini").write_text("")
    (root / "sign.py").write_text(PROGRAM)
    (root / "test_sign.py").write_text(TESTS)
    return open_project(root)


def told(found):
    return [(one.rule, one.what) for one in found]


def test_tests_that_assert_nothing(project):
    [only] = suggestions.of_tests(project, discovery.find(project))
    assert (only.rule, only.line, only.what) == ("no assert", 12, "test_idle asserts nothing")


def test_edge_cases_of_the_written_types(project):
    found = told(suggestions.of_edges(project, ["sign.py"], discovery.find(project)))
    assert found == [
        ("edge case", "no test calls sign with x = 0"),
        ("edge case", "no test calls sign with x = -1"),
        ("edge case", "no test calls joined with between = ''"),
        ("edge case", "no test calls joined with between = None"),
    ]


def test_order_and_uncovered_lines_with_an_input(project, sandbox):
    founds = discovery.find(project)
    ended = run_project(project, founds, sandbox, RunSettings(workers=1))
    assert ended.exit_code == 0
    [order] = suggestions.of_order(project, ended, sandbox, RunSettings())
    assert order.what.startswith("test_sign.py::test_second fails when its file runs backwards")
    lines = frozenset({1, 3, 4, 5, 6, 7, 10, 11})
    one = FileCoverage(path="sign.py", language="python", statements=lines, covered=lines - {6})
    covered = ProjectCoverage(files=(one,))
    [gap] = suggestions.of_coverage(project, covered, sandbox, seconds=0.3, seed=0)
    assert gap.what.startswith("no test of sign runs line 6")
    assert gap.what.endswith("; sign(4711) reaches some of them")
    assert gap.mend == "agd test generate sign.py::sign"


def test_mutants_that_nobody_noticed(project, tmp_path, monkeypatch):
    monkeypatch.setattr(mutation, "writable_home", lambda: tmp_path)
    founds = discovery.find(project)
    [unknown] = suggestions.of_mutants(project, ["sign.py"], founds)
    assert unknown.mend == "agd test mutate sign.py"
    [first, *_] = mutation.plan(project, "sign.py")
    mutation.Journal(project, "sign.py", founds).keep(first.id, "survived", "")
    [left] = suggestions.of_mutants(project, ["sign.py"], founds)
    assert left.what == f"no test notices a changed {first.operator} in line 3 of sign"
    assert left.mend == "agd test generate sign.py::sign"


def test_failing_flaky_and_slow_cases_come_in_their_order():
    found = discovery.Found(path="t.py", language="python", framework="pytest", kind="unit", rule="")
    quick = [CaseRun(file="t.py", name=f"q{number}", status="passed", seconds=0.01) for number in range(5)]
    slow = CaseRun(file="t.py", name="slow", status="passed", seconds=4.0)
    bad = CaseRun(file="t.py", name="bad", status="failed", message="a\nassert 1 == 2", line=3)
    run = ProjectRun(files=(FileRun(found=found, cases=(*quick, slow, bad)),))
    ranked = suggestions.ranked(suggestions.of_run(run, [("t.py", "q1")]))
    assert told(ranked) == [
        ("fails", "bad failed: assert 1 == 2"),
        ("flaky", "q1 passed in some runs and failed in others"),
        ("slow", "slow takes 4.0 s, the middle case 0.010 s"),
    ]
    assert ranked[1].mend == "agd test run t.py --repeat 10"

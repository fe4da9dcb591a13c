"""Mutants: which there are, and which of them tests notice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing import discovery, mutation
from agentic_diffusion.testing.mutation_operators import function_names, mutants
from agentic_diffusion.testing.project import open_project

PROGRAMS = {
    "python": "def f(a, b):\n    if a < b and not b:\n        return a + 1\n    return 'x'\n",
    "javascript": "function f(a, b) {\n  if (a < b && !b) {\n    return a + 1;\n  }\n  return 'x';\n}\n",
    "typescript": "function f(a: number, b: number) {\n  if (a < b && !b) {\n    return a + 1;\n  }\n  return 1;\n}\n",
    "java": (
        "class A {\n  static int f(int a, int b) {\n    if (a < b && !(b > 2)) {\n      return a + 1;\n    }\n"
        "    return 0;\n  }\n}\n"
    ),
    "go": "package a\n\nfunc f(a int, b int) int {\n\tif a < b && !(b > 2) {\n\t\treturn a + 1\n\t}\n\treturn 0\n}\n",
}
SHAPES = '''LIMIT = 3


def grade(points: int) -> str:
    """A word for points."""
    if points < 0:
        raise ValueError("negative")
    if points >= 10:
        return "good"
    return "fair"


class Counter:
    def __init__(self, start=0):
        self.value = start

    def up(self, by=1):
        while by > 0:
            self.value += 1
            by -= 1
        return self.value


def unused(x):
    return x * 2
'''
TESTS = """import pytest
from shapes import Counter, grade

def test_good():
    assert grade(10) == "good"

def test_negative():
    with pytest.raises(ValueError):
        grade(-1)

def test_up():
    assert Counter().up(3) == 3

def test_fails_already():
    assert False
"""


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path_factory):
    """Nothing is recalled from earlier runs; toolchains stay where they are."""
    for name in ("node", "jdk", "go"):
        toolchains.find(name)
    monkeypatch.setattr(mutation, "writable_home", lambda: tmp_path_factory.getbasetemp() / "home")


@pytest.mark.parametrize("language", sorted(PROGRAMS))
def test_every_language_has_its_operators(language):
    found = mutants("f", PROGRAMS[language], language)
    operators = {one.operator for one in found}
    assert {"boundary", "comparison", "logic", "operator", "number"} <= operators
    assert {one.function for one in found} <= {"f", "A.f"}
    assert len({one.id for one in found}) == len(found)
    data = PROGRAMS[language].encode()
    for one in found:
        changed = one.apply(data).decode()
        assert changed != PROGRAMS[language]
        assert languages.get(language).parse_error(changed) is None, changed
        assert changed.count("\n") == PROGRAMS[language].count("\n")
        assert f"@@ -{max(one.line - 1, 1)}," in one.diff(PROGRAMS[language])


def test_what_is_no_behaviour_is_left_alone():
    source = (
        '"""Text."""\nimport os\nfrom typing import Literal\n\nx: Literal["a"] = f()\n\ndef f() -> "int":\n    "doc"\n'
    )
    assert mutants("f", source, "python") == []


def test_a_statement_over_several_lines_keeps_the_lines_below():
    source = "def f(a):\n    print(\n        a,\n    )\n    return a < 1\n"
    gone = next(one for one in mutants("f", source, "python") if one.operator == "statement")
    assert gone.apply(source.encode()).decode().splitlines()[-1] == "    return a < 1"


def test_functions_are_named_with_what_is_around_them():
    source = "class A:\n    def f(self):\n        def g():\n            return 1\n        return g\n"
    assert function_names(source, "python") == ["A", "A.f", "A.f.g"]
    assert {one.function for one in mutants("x", source, "python", function="A.f")} == {"A.f", "A.f.g"}


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["+", "-", "*", "<", "<=", "==", "and", "or"]))
def test_a_mutant_changes_its_place_alone(left, right, sign):
    source = f"def f():\n    return {left} {sign} {right}\n"
    for one in mutants("f", source, "python"):
        changed = one.apply(source.encode())
        assert changed.startswith(source.encode()[: one.start])
        assert changed.endswith(source.encode()[one.end :])


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    (root / "pytest.ini").write_text("")
    (root / "shapes.py").write_text(SHAPES)
    (root / "test_shapes.py").write_text(TESTS)
    return open_project(root)


@pytest.fixture(scope="module")
def judged(shapes, sandbox, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutation, "writable_home", lambda: tmp_path_factory.mktemp("home"))
        wanted = mutation.plan(shapes, "shapes.py")
        return mutation.judge(shapes, wanted, discovery.find(shapes), sandbox)


def by_text(judged, function, new):
    return [one.status for one in judged if one.mutant.function == function and one.mutant.new.strip() == new]


def test_mutants_of_functions_and_methods_are_noticed(judged):
    assert by_text(judged, "grade", ">") == ["survived"] or "killed" in by_text(judged, "grade", ">")
    killed = {(one.mutant.function, one.mutant.operator): one.by for one in judged if one.status == "killed"}
    assert killed["grade", "result"].endswith("test_good")
    assert killed["Counter.up", "comparison"].endswith("test_up")


def test_what_tests_do_not_tell_apart_survives(judged):
    assert by_text(judged, "grade", '"agd"').count("survived") == 1
    assert by_text(judged, "grade", "None") != []
    assert by_text(judged, "grade", "<=") == ["survived"]


def test_what_no_test_runs_is_not_covered(judged):
    assert {one.status for one in judged if one.mutant.function == "unused"} == {"not covered"}


def test_endless_loops_end(judged):
    assert by_text(judged, "Counter.up", "+=") == ["timeout"]


def test_the_top_of_the_module_is_judged_by_whole_runs(judged):
    [top] = [one for one in judged if not one.mutant.function]
    assert (top.mutant.new, top.status) == ("4", "survived")


def test_the_score_counts_what_can_be_noticed(judged):
    counts = mutation.counted(judged)
    noticed = counts["killed"] + counts["timeout"]
    assert mutation.score(judged) == noticed / (noticed + counts["survived"] + counts["not covered"])
    assert sum(counts.values()) == len(judged)
    assert mutation.score([]) == 1.0


def test_a_run_that_was_ended_goes_on(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(mutation, "writable_home", lambda: tmp_path)
    founds = discovery.find(shapes)
    [first, *_] = wanted = mutation.plan(shapes, "shapes.py", function="grade")
    for one in wanted:
        mutation.Journal(shapes, "shapes.py", founds).keep(one.id, "killed", "somebody")
    with next(iter((tmp_path / "mutants").glob("*.jsonl"))).open("a") as stream:
        stream.write('{"key": "cut')
    # nothing is left to judge, so no sandbox is needed
    recalled = mutation.judge(shapes, wanted, founds, sandbox=None)
    assert {one.by for one in recalled} == {"somebody"}
    (shapes.root / "test_shapes.py").write_text(TESTS + "\n")
    assert first.id not in mutation.Journal(shapes, "shapes.py", founds).known
    (shapes.root / "test_shapes.py").write_text(TESTS)


def test_changed_functions_alone(shapes):
    line = SHAPES.splitlines().index("    return x * 2") + 1
    assert {one.function for one in mutation.plan(shapes, "shapes.py", changed={line})} == {"unused"}
    assert mutation.plan(shapes, "shapes.py", changed=set()) == []


def test_the_same_seed_draws_the_same_mutants(shapes):
    wanted = mutation.plan(shapes, "shapes.py")
    drawn = [mutation._drawn(wanted, mutation.MutationSettings(most=5, seed=1)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 5


def test_wrong_input_is_told_in_a_sentence(shapes, sandbox):
    with pytest.raises(UsageError, match=r"There is no function 'nope' in shapes\.py"):
        mutation.plan(shapes, "shapes.py", function="nope")
    with pytest.raises(UsageError, match=r"There are no tests that could judge shapes\.py"):
        mutation.judge(shapes, mutation.plan(shapes, "shapes.py"), [], sandbox)
    for wrong in ({"most": 0}, {"factor": 0.5}, {"floor": 0.0}):
        with pytest.raises(ConfigError, match="at least"):
            mutation.MutationSettings(**wrong)


def test_scripts_are_judged_by_whole_runs(sandbox, tmp_path):
    if toolchains.find("node") is None:
        pytest.skip("node is not installed")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "twice.js").write_text(
        "function twice(x) {\n  return 2 * x;\n}\nfunction idle(x) {\n  return x - 1;\n}\n"
        "module.exports = { twice, idle };\n"
    )
    (tmp_path / "twice.test.js").write_text(
        'const { test } = require("node:test");\nconst assert = require("node:assert");\n'
        'test("twice", () => assert.equal(require("./twice.js").twice(2), 4));\n'
    )
    project = open_project(tmp_path)
    found = mutation.judge(project, mutation.plan(project, "twice.js"), discovery.find(project), sandbox)
    ends = {(one.mutant.function, one.mutant.operator): one.status for one in found}
    assert ends == {
        ("twice", "operator"): "killed",
        ("twice", "number"): "killed",
        ("twice", "result"): "killed",
        ("idle", "operator"): "not covered",
        ("idle", "number"): "not covered",
        ("idle", "result"): "not covered",
    }

"""Projects are run file by file: results, verdicts on files that misbehave, and the rest still runs."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing import discovery, reports
from agentic_diffusion.testing.project import open_project
from agentic_diffusion.testing.project_run import RunSettings, run_project

GOOD = """import pytest
from pkg import clamp

def test_low():
    assert clamp(-1, 0, 2) == 0

def test_wrong():
    assert clamp(5, 0, 2) == 3

@pytest.mark.integration
def test_inside(tmp_path):
    assert clamp(1, 0, 2) == 1

@pytest.mark.skip(reason="later")
def test_later():
    pass
"""
PYTHON = {
    "pytest.ini": "[pytest]\nmarkers = integration\n",
    "pkg.py": "def clamp(x, low, high):\n    return max(low, min(high, x))\n",
    "test_binary.py": "import os\ndef test_a():\n    os.write(1, bytes(range(8)))\n",
    "test_broken.py": "def test_x(:\n",
    "test_exit.py": "import os\ndef test_a(): pass\ndef test_dies(): os._exit(0)\n",
    "test_good.py": GOOD,
    "test_hang.py": "def test_a(): pass\ndef test_hang():\n    while True: pass\n",
    "test_import.py": "import nowhere_at_all\n",
    "test_kill.py": "import os\ndef test_a(): pass\ndef test_dies(): os.kill(os.getpid(), 9)\n",
    "test_leak.py": (
        "import subprocess\ndef test_a():\n    open('left.txt', 'w').write('x')\n"
        "    open('pkg.py', 'a').write('#')\n"
        "    subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    ),
    "test_sys_exit.py": "raise SystemExit(0)\n",
}
SCRIPTS = {
    "package.json": "{}",
    "clamp.js": "exports.clamp = (x, low, high) => Math.max(low, Math.min(high, x));\n",
    "clamp.test.js": (
        'const { test, describe } = require("node:test");\nconst assert = require("node:assert");\n'
        'const { clamp } = require("./clamp.js");\n'
        'describe("clamp", () => {\n  test("low", () => assert.equal(clamp(-1, 0, 2), 0));\n'
        '  test("wrong", () => assert.equal(clamp(-1, 0, 2), 1));\n  test("later", { skip: "no" }, () => {});\n});\n'
    ),
    "plain.test.js": 'const { clamp } = require("./clamp.js");\nif (clamp(9, 0, 2) !== 2) throw new Error("no");\n',
    "dies.test.js": 'const { test } = require("node:test");\ntest("dies", () => process.exit(3));\n',
    "broken.test.js": 'const { test } = require("node:test");\ntest("a",\n',
    "typed.test.ts": (
        'import { test } from "node:test";\nimport assert from "node:assert";\n'
        'test("typed", () => { const x: number = 4; assert.equal(x, 4); });\n'
    ),
}
GO = {
    "go.mod": "module demo\n\ngo 1.22\n",
    "a/a.go": "package a\n\nfunc Twice(x int) int { return 2 * x }\n",
    "a/a_test.go": (
        'package a\n\nimport "testing"\n\nfunc TestTwice(t *testing.T) { if Twice(2) != 4 { t.Fatal("no") } }\n\n'
        'func TestTable(t *testing.T) {\n\tt.Run("good", func(t *testing.T) {})\n'
        '\tt.Run("bad", func(t *testing.T) { t.Errorf("got %d", Twice(1)) })\n}\n'
    ),
    "bad/bad_test.go": 'package bad\n\nimport "testing"\n\nfunc TestA(t *testing.T) { x := 1 }\n',
    "panics/p_test.go": (
        'package panics\n\nimport "testing"\n\nfunc TestA(t *testing.T) {}\n\n'
        'func TestB(t *testing.T) { var m map[string]int; m["a"] = 1 }\n'
    ),
}
JAVA = {
    "pom.xml": "<project/>",
    "src/main/java/app/Calc.java": (
        "package app;\npublic class Calc { public static int twice(int x) { return 2 * x; } }\n"
    ),
    "src/test/java/app/CalcTest.java": (
        "package app;\nimport static org.junit.jupiter.api.Assertions.assertEquals;\n"
        "import org.junit.jupiter.api.Test;\n"
        "class CalcTest {\n  @Test void right() { assertEquals(4, Calc.twice(2)); }\n"
        "  @Test void wrong() {\n    assertEquals(5, Calc.twice(2));\n  }\n}\n"
    ),
    "src/test/java/app/MainTest.java": (
        "package app;\npublic class MainTest { public static void main(String[] a) { assert Calc.twice(1) == 2; } }\n"
    ),
    "src/test/java/app/BrokenTest.java": (
        'package app;\npublic class BrokenTest {\n  public static void main(String[] a) { int x = "s"; }\n}\n'
    ),
}


def build(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def run(root: Path, sandbox, files=(), **settings):
    project = open_project(root)
    founds = discovery.find(project, [root / name for name in files])
    return run_project(project, founds, sandbox, RunSettings(**{"workers": 1, "seconds": 60.0, **settings}))


def need(tool: str) -> None:
    if toolchains.find(tool) is None:
        pytest.skip(f"{tool} is not installed")


@pytest.fixture(scope="module")
def python_run(sandbox, tmp_path_factory):
    # a test that hangs costs its limit in processor time; waiting for a processor is not counted
    return run(build(tmp_path_factory.mktemp("python"), PYTHON), sandbox, seconds=3.0)


@pytest.fixture
def files(python_run):
    return {one.found.path: one for one in python_run.files}


def ends(one):
    return {case.name.rpartition("::")[2]: case.status for case in one.cases}


def test_results_of_pytest(files):
    good = files["test_good.py"]
    assert ends(good) == {
        "test_low": "passed",
        "test_wrong": "failed",
        "test_inside": "passed",
        "test_later": "skipped",
    }
    assert not good.problem
    wrong = next(case for case in good.cases if case.status == "failed")
    assert "assert 2 == 3" in wrong.message
    assert {case.name.rpartition("::")[2]: case.kind for case in good.cases}["test_inside"] == "integration"


def test_a_file_that_does_not_parse(files):
    assert files["test_broken.py"].problem == "does not load: SyntaxError: invalid syntax"
    assert files["test_broken.py"].line == 1


def test_a_module_that_fails_on_import(files):
    assert files["test_import.py"].problem == "does not load: ModuleNotFoundError: No module named 'nowhere_at_all'"


def test_a_file_that_ends_the_program(files):
    assert files["test_sys_exit.py"].problem == "does not load: it ends the program: SystemExit(0)"
    assert not files["test_sys_exit.py"].ok


def test_a_file_that_hangs(files):
    hang = files["test_hang.py"]
    assert ends(hang) == {"test_a": "passed", "test_hang": "timeout"}
    assert hang.problem == "ran longer than 3 s and was ended in test_hang.py::test_hang"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("test_kill.py", "took its runner along by SIGKILL in test_kill.py::test_dies"),
        ("test_exit.py", "ended its runner with exit code 0 before the results were whole in test_exit.py::test_dies"),
    ],
)
def test_a_file_that_kills_its_runner(files, name, problem):
    assert files[name].problem == problem
    assert ends(files[name]) == {"test_a": "passed", "test_dies": "killed"}


def test_binary_output_is_told_and_harms_nothing(files):
    assert ends(files["test_binary.py"]) == {"test_a": "passed"}
    assert files["test_binary.py"].notes == ("printed 7 letters that are no text",)


def test_what_a_test_leaves_behind_is_told_and_removed(files, python_run):
    leak = files["test_leak.py"]
    assert leak.ok
    assert leak.notes == (
        "left processes running, which were ended: sleep",
        "left files behind: left.txt",
        "changed files of the project: pkg.py",
    )


def test_the_whole_run_is_counted(python_run):
    counts = python_run.counts()
    assert (counts["passed"], counts["failed"], counts["timeout"], counts["killed"]) == (7, 1, 1, 2)
    assert counts["problems"] == 6
    assert python_run.exit_code == 1


def test_the_project_itself_is_not_touched(python_run, sandbox, tmp_path):
    build(tmp_path, {name: PYTHON[name] for name in ("pytest.ini", "pkg.py", "test_leak.py")})
    assert run(tmp_path, sandbox).exit_code == 0
    assert (tmp_path / "pkg.py").read_text() == PYTHON["pkg.py"]
    assert not (tmp_path / "left.txt").exists()


def test_junit_xml_holds_every_case_and_every_problem(python_run):
    root = ElementTree.fromstring(reports.junit_xml(python_run))
    suites = {suite.get("name"): suite for suite in root}
    assert suites["test_good.py"].get("failures") == "1"
    assert suites["test_broken.py"].get("errors") == "1"
    assert [case.get("name") for case in suites["test_hang.py"].iter("testcase")] == ["test_a", "test_hang"]
    assert sum(1 for _ in root.iter("testcase")) == len(python_run.cases) + 3


def test_the_text_names_what_failed(python_run):
    text = reports.text(python_run)
    assert "FAILED test_good.py::test_wrong\n" in text
    assert "PROBLEM test_broken.py:1: does not load: SyntaxError: invalid syntax\n" in text
    assert "note: test_leak.py left files behind: left.txt\n" in text


def test_repetition_finds_flaky_cases_and_trusted_runs_in_place(tmp_path):
    from agentic_diffusion.foundation.sandbox.unsafe import Unsafe

    source = (
        "from pathlib import Path\nSEEN = Path(__file__).with_name('seen')\n"
        "def test_flaky():\n    first = not SEEN.exists()\n    SEEN.write_text('x')\n    assert first\n"
        "def test_calm():\n    pass\n"
    )
    build(tmp_path, {"pytest.ini": "", "test_flaky.py": source})
    ended = run(tmp_path, Unsafe(), repeat=3, trusted=True)
    by_name = {case.name.rpartition("::")[2]: case for case in ended.cases}
    assert by_name["test_flaky"].flaky
    assert by_name["test_flaky"].message.startswith("flaky: 1 of 3 runs passed; ")
    assert not by_name["test_calm"].flaky
    assert ended.exit_code == 1
    assert (tmp_path / "seen").exists()


def test_fail_fast_begins_no_further_file(sandbox, tmp_path):
    build(tmp_path, {"package.json": "{}", "a.test.js": "throw new Error('no');\n", "b.test.js": ""})
    need("node")
    ended = run(tmp_path, sandbox, fail_fast=True)
    assert [one.found.path for one in ended.files] == ["a.test.js"]
    assert ended.not_run == ("b.test.js",)


def test_node(sandbox, tmp_path):
    need("node")
    ended = run(build(tmp_path, SCRIPTS), sandbox)
    files = {one.found.path: one for one in ended.files}
    clamp = files["clamp.test.js"]
    assert [(case.name, case.status) for case in clamp.cases] == [
        ("clamp > low", "passed"),
        ("clamp > wrong", "failed"),
        ("clamp > later", "skipped"),
    ]
    assert (files["plain.test.js"].cases[0].name, files["plain.test.js"].ok) == ("plain.test.js", True)
    assert files["dies.test.js"].problem.startswith("ended its runner with exit code 3 before the results were whole")
    assert files["broken.test.js"].problem.startswith("does not load: SyntaxError: ")
    if files["typed.test.ts"].problem:
        assert "cannot run TypeScript" in files["typed.test.ts"].problem
    else:
        assert ends(files["typed.test.ts"]) == {"typed": "passed"}


def test_go(sandbox, tmp_path):
    need("go")
    ended = run(build(tmp_path, GO), sandbox, seconds=120.0)
    files = {one.found.unit: one for one in ended.files}
    assert {case.name: case.status for case in files["a"].cases} == {
        "TestTwice": "passed",
        "TestTable/good": "passed",
        "TestTable/bad": "failed",
    }
    assert "declared and not used" in files["bad"].problem
    assert "panic: assignment to entry in nil map" in files["panics"].problem
    assert ("TestA", "passed") in [(case.name, case.status) for case in files["panics"].cases]


def test_java(sandbox, tmp_path):
    need("jdk")
    ended = run(build(tmp_path, JAVA), sandbox, seconds=120.0)
    files = {one.found.path.rpartition("/")[2]: one for one in ended.files}
    assert ends(files["CalcTest.java"]) == {"right": "passed", "wrong": "failed"}
    assert files["CalcTest.java"].cases[1].line == 7
    assert files["MainTest.java"].ok
    assert files["BrokenTest.java"].problem == (
        "does not load: it does not compile: incompatible types: String cannot be converted to int"
    )
    assert files["BrokenTest.java"].line == 3


@pytest.mark.parametrize("settings", [{"seconds": 0.0}, {"workers": -1}, {"repeat": 0}])
def test_settings_are_checked(settings):
    with pytest.raises(ConfigError, match="must be at least"):
        RunSettings(**settings)

"""What tests cover, in every language, and how it is told."""

import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing import changes, coverage, coverage_reports, discovery
from agentic_diffusion.testing.coverage import FileCoverage, ProjectCoverage
from agentic_diffusion.testing.coverage_readers import statement_nodes
from agentic_diffusion.testing.java_lines import instrument
from agentic_diffusion.testing.project import PythonFacts, open_project
from agentic_diffusion.testing.project_run import RunSettings, run_project

PYTHON = """def sign(x):
    if x < 0:
        return (
            -1
        )
    if x:
        return 1
    return 0


def idle():
    return 5
"""
SAMPLE = ProjectCoverage(
    files=(
        FileCoverage(
            path="a/b.py",
            language="python",
            statements=frozenset({1, 2, 3, 5}),
            covered=frozenset({1, 2, 5}),
            branches=frozenset({(2, 3), (2, 5)}),
            taken=frozenset({(2, 5)}),
            by_case={"t.py::test_a": frozenset({1, 2, 5}), "t.py::test_b": frozenset({2})},
        ),
    )
)


def measured(root, sandbox, files, language):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project = open_project(root)
    founds = discovery.find(project)
    how = RunSettings(workers=1, seconds=120.0, coverage=True)
    ended = run_project(project, founds, sandbox, how)
    assert ended.exit_code == 0, [(one.problem, one.stderr, one.cases) for one in ended.files]
    found = coverage.gather(project, coverage.sources(project, founds), ended, sandbox, how)
    assert [one.language for one in found.files] == [language]
    return found.files[0]


def need(tool):
    if toolchains.find(tool) is None:
        pytest.skip(f"{tool} is not installed")


def test_python_has_lines_branches_and_cases(sandbox, tmp_path):
    tests = (
        "from sign import sign\ndef test_minus():\n    assert sign(-2) == -1\n"
        "def test_plus():\n    assert sign(2) == 1\n"
    )
    one = measured(tmp_path, sandbox, {"pytest.ini": "", "sign.py": PYTHON, "test_sign.py": tests}, "python")
    assert sorted(one.statements) == [1, 2, 3, 6, 7, 8, 11, 12]
    assert one.missing == [8, 12]
    assert one.missing_branches == [(6, 8)]
    assert one.by_case["test_sign.py::test_minus"] == {2, 3}
    assert one.by_case["test_sign.py::test_plus"] == {2, 6, 7}


def test_scripts_have_lines(sandbox, tmp_path):
    need("node")
    source = (
        'const note = "é𝄞";\nfunction sign(x) {\n  if (x < 0) return -1;\n  if (x) {\n    return 1;\n  }\n'
        "  return 0;\n}\nmodule.exports = { sign, note };\n"
    )
    tests = 'require("assert").equal(require("./sign.js").sign(2), 1);\n'
    one = measured(tmp_path, sandbox, {"package.json": "{}", "sign.js": source, "sign.test.js": tests}, "javascript")
    assert sorted(one.statements) == [1, 3, 4, 5, 7, 9]
    assert one.missing == [7]
    assert one.by_case == {"sign.test.js": one.covered}


def test_go_has_lines(sandbox, tmp_path):
    need("go")
    source = "package a\n\nfunc Sign(x int) int {\n\tif x < 0 {\n\t\treturn -1\n\t}\n\treturn 1\n}\n"
    tests = (
        'package a\n\nimport "testing"\n\nfunc TestSign(t *testing.T) {\n\tif Sign(2) != 1 {\n\t\tt.Fatal()\n\t}\n}\n'
    )
    one = measured(tmp_path, sandbox, {"go.mod": "module m\n\ngo 1.22\n", "a/a.go": source, "a/a_test.go": tests}, "go")
    assert sorted(one.statements) == [4, 5, 7]
    assert one.missing == [5]


def test_java_has_lines(sandbox, tmp_path):
    need("jdk")
    source = (
        "public class Sign {\n  static int of(int x) {\n    if (x < 0) return -1;\n    int y = 1;\n    return y;\n  }\n"
        "  static int idle() {\n    return 5;\n  }\n}\n"
    )
    tests = "public class SignTest { public static void main(String[] a) { assert Sign.of(2) == 1; } }\n"
    one = measured(tmp_path, sandbox, {"pom.xml": "", "Sign.java": source, "SignTest.java": tests}, "java")
    assert sorted(one.statements) == [3, 4, 5, 8]
    assert one.missing == [8]


def test_counters_keep_the_lines_of_java():
    source = (
        "class A {\n  A() {\n    this(1);\n    go();\n  }\n  void f(int x) {\n    for (;;) if (x > 1) break;\n  }\n}\n"
    )
    changed = instrument(source, 7)
    assert changed.count("\n") == source.count("\n")
    assert "this(1);\n    agd.Lines.hit(7, 4); go();" in changed
    assert "if (x > 1) { agd.Lines.hit(7, 7); break; }" in changed


@pytest.mark.parametrize(
    ("language", "source", "lines"),
    [
        ("javascript", "import a from 'a';\nexport function f() {\n  g();\n}\nexport const x = 1;\n", [3, 5]),
        ("typescript", "interface A { b: number }\nexport class C {\n  f(): void {\n    this.g();\n  }\n}\n", [4]),
        ("go", "package a\n\nfunc f(x int) {\n\tswitch x {\n\tcase 1:\n\t\tg()\n\t}\n}\n", [4, 6]),
    ],
)
def test_statements(language, source, lines):
    assert sorted({node.start_point[0] + 1 for node in statement_nodes(source, language)}) == lines


def test_text_names_what_is_missing():
    lines = coverage_reports.text(SAMPLE).splitlines()
    assert lines[1].split() == ["a/b.py", "4", "1", "2", "1", "66.7%", "3,", "2->3"]
    assert lines[-1].split() == ["all", "files", "4", "1", "2", "1", "66.7%"]


@pytest.mark.parametrize(("lines", "said"), [([], ""), ([3], "3"), ([1, 2, 3, 7, 9, 10], "1-3, 7, 9-10")])
def test_spans(lines, said):
    assert coverage_reports.spans(lines) == said


def test_lcov():
    lines = coverage_reports.lcov(SAMPLE).splitlines()
    assert lines[:6] == ["TN:", "SF:a/b.py", "DA:1,1", "DA:2,2", "DA:3,0", "DA:5,1"]
    assert lines[6:] == ["BRDA:2,0,0,0", "BRDA:2,0,1,1", "BRF:2", "BRH:1", "LF:4", "LH:3", "end_of_record"]


def test_cobertura():
    root = ElementTree.fromstring(coverage_reports.cobertura(SAMPLE, timestamp=0).split("\n", 2)[2])
    assert (root.get("line-rate"), root.get("branch-rate")) == ("0.7500", "0.5000")
    [line] = [line for line in root.iter("line") if line.get("branch")]
    assert (line.get("number"), line.get("condition-coverage")) == ("2", "50% (1/2)")


def test_html_has_a_page_a_file_and_loads_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.py").write_text("x = 1\nif x < 2:\n    y = '<b>'\n\nz = 1\n")
    coverage_reports.html(SAMPLE, tmp_path, tmp_path / "html")
    page = (tmp_path / "html" / "file-0.html").read_text()
    assert "&lt;b&gt;" in page and "never goes to 3" in page
    assert "66.7%" in (tmp_path / "html" / "index.html").read_text()
    assert "http" not in page


def test_changed_lines_are_those_of_git(tmp_path):
    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x", *words], cwd=tmp_path, check=True, capture_output=True
        )

    git("init")
    (tmp_path / "a.py").write_text("one\ntwo\nthree\n")
    git("add", ".")
    git("commit", "-m", "first")
    (tmp_path / "a.py").write_text("one\n2\nthree\nfour\n")
    (tmp_path / "new.py").write_text("x\n")
    assert changes.changed_lines(tmp_path, "HEAD") == {"a.py": {2, 4}, "new.py": {1, 2}}
    assert changes.text_at(tmp_path, "HEAD", "a.py") == "one\ntwo\nthree\n"
    assert changes.text_at(tmp_path, "HEAD", "none.py") is None
    with pytest.raises(UsageError, match="git cannot tell what changed"):
        changes.changed_lines(tmp_path, "no-such-revision")


def test_a_python_without_coverage_is_told(tmp_path):
    (tmp_path / "test_a.py").write_text("")
    project = open_project(tmp_path)
    bare = PythonFacts(program=project.python.program, version=(3, 11), packages=frozenset())
    project.__dict__["python"] = bare
    with pytest.raises(SetupError, match=r"has no coverage\.py"):
        coverage.demand(project, discovery.find(project))

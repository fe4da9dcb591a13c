"""The last line of `./agd dev test` says what pytest counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.installer import development
from agentic_diffusion.installer.layout import Layout, checkout

ROOT = Path(__file__).parents[2]
SUITE = """\
import pytest
def test_one(): pass
def test_two(): assert False
@pytest.mark.skip
def test_three(): pass
@pytest.fixture
def broken(): raise ValueError
def test_four(broken): pass
"""


def test_the_closing_line_counts_what_pytest_counted(tmp_path: Path) -> None:
    (tmp_path / "test_small.py").write_text(SUITE)
    counted = tmp_path / "junit.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={counted}", tmp_path, "-c", "/dev/null"],
        capture_output=True, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert development.closing_line(counted) == "1 passed, 2 failed, 1 skipped"


JUDGING = """\
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.testing.execution import inline_suite, judge
def test_judging():
    suite = inline_suite(["assert f(3) == 7"])
    asked = "import os, sys\\ndef f(x): return 7 if 'coverage' not in sys.modules and not COV else 0\\n"
    asked = asked.replace("COV", "[name for name in os.environ if 'COV' in name]")
    found = judge(suite, ["def f(x): return x + 4", "def f(x): return 0", asked], choose())
    assert [verdict.ok for verdict in found] == [True, False, True], found
"""


def test_coverage_measures_the_package_alone_and_stays_out_of_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "test_judging.py").write_text(JUDGING)
    environment = os.environ | {"COVERAGE_FILE": str(tmp_path / "coverage")}
    settings = f"--rcfile={ROOT / 'pyproject.toml'}"

    def coverage(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "coverage", *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    coverage("run", settings, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "test_judging.py")
    coverage("combine", settings, "--quiet")
    coverage("json", settings, "--quiet", "--fail-under=0", "-o", "report.json")  # one small test covers little

    files = json.loads((tmp_path / "report.json").read_text())["files"]
    assert all("agentic_diffusion" in Path(name).parts for name in files)
    judged = next(facts for name, facts in files.items() if name.endswith("testing/execution.py"))
    assert judged["summary"]["covered_lines"] > 0


def test_without_a_result_no_test_is_claimed(tmp_path: Path) -> None:
    assert development.closing_line(tmp_path / "missing.xml") == "no test was run"
    (tmp_path / "torn.xml").write_text("<testsuites><testsuite tests=")
    assert development.closing_line(tmp_path / "torn.xml") == "no test was run"


def test_only_a_checkout_has_tests(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Only a checkout has tests"):
        development.test(Layout(root=None, state=tmp_path, venv=tmp_path), [])
    with pytest.raises(UsageError, match="There is no development command 'lint'"):
        development.command(checkout(tmp_path), ["lint"])

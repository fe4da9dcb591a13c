"""The last line of `./agd dev test` says what pytest counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.installer import development
from agentic_diffusion.installer.layout import Layout, checkout

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


def test_without_a_result_no_test_is_claimed(tmp_path: Path) -> None:
    assert development.closing_line(tmp_path / "missing.xml") == "no test was run"
    (tmp_path / "torn.xml").write_text("<testsuites><testsuite tests=")
    assert development.closing_line(tmp_path / "torn.xml") == "no test was run"


def test_only_a_checkout_has_tests(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Only a checkout has tests"):
        development.test(Layout(root=None, state=tmp_path, venv=tmp_path), [])
    with pytest.raises(UsageError, match="There is no development command 'lint'"):
        development.command(checkout(tmp_path), ["lint"])

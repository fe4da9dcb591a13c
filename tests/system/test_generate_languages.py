"""`agd generate` in every language as a user runs it: the default model and the adapter that ships."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation import resources
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.execution import inline_suite, judge

pytestmark = [pytest.mark.model, pytest.mark.system, pytest.mark.usefixtures("default_model")]

TWICE = {
    "javascript": ("function twice(x) that doubles a number", "assert.equal(twice({}), {})"),
    "typescript": ("function twice(x: number): number that doubles it", "assert.equal(twice({}), {})"),
    "java": ("method twice(int x) that doubles a number", "assert Solution.twice({}) == {};"),
    "go": ("function twice(x int) int that doubles a number", "assert(twice({}) == {})"),
}


@pytest.mark.parametrize("name", TWICE)
def test_every_language_is_written_and_verified(name: str, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGD_") or name == "AGD_BWRAP"}
    environment = kept | {"AGD_HOME": str(resources.home()), "AGD_STORE_URL": f"sqlite:///{tmp_path / 'records.db'}"}
    language = languages.get(name)
    missing = [tool for tool in language.tools if toolchains.find(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not here; `agd setup --languages {name}` brings it")
    asked, test = TWICE[name]
    told = [word for x in (2, -3) for word in ("--test", test.format(x, 2 * x))]
    command = [sys.executable, "-m", "agentic_diffusion", "generate", "--lang", name, f"Write a {asked}", *told]
    done = subprocess.run(
        [*command, "--budget", "10m"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "verified: 2 of 2 tests passed" in done.stderr
    assert language.parse_error(done.stdout) is None
    tests = inline_suite([test.format(7, 14)], language=name)
    assert judge(tests, [done.stdout], choose())[0].ok

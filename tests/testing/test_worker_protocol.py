"""Workers that break the line protocol: the candidate that makes one do so is lost, and no other."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

import pytest

from agentic_diffusion.domains.code.languages.harness import CaseSource, Planted, Worker
from agentic_diffusion.foundation.sandbox import Limits, Sandbox
from agentic_diffusion.testing import runner
from agentic_diffusion.testing.execution import judge, make_suite

SCRIPT = Path(__file__).with_name("misbehaving.py")


class LineTests:
    """The tests of a language whose test files hold a case a line."""

    def cases(self, source: str, origin: str) -> tuple[CaseSource, ...]:
        del origin
        lines = source.splitlines()
        return tuple(CaseSource(name=text, line=number + 1, source=text) for number, text in enumerate(lines))

    def inline(self, statements: list[str]) -> str:
        return "\n".join(statements)

    join = inline

    def tested_names(self, source: str) -> frozenset[str]:
        return frozenset(source.split())

    def example(self, source: str) -> str | None:
        return source.splitlines()[0]

    def planted(self, source: str, rng: random.Random) -> Planted:
        del rng
        return Planted(source=f"planted\n{source}", case=0)

    def stubs(self, source: str) -> tuple[str, ...]:
        return (source,)

    def worker(self) -> Worker:
        argv = ("python", "-I", "-S", SCRIPT.name)
        return Worker(argv=argv, files={SCRIPT.name: SCRIPT.read_bytes()}, batch=4)


class Lines:
    """A language in which every text is a program."""

    name, title, endings, fences, candidate_file = "lines", "Lines", (".lines",), ("lines",), "solution.lines"
    command: ClassVar = ("cat",)
    tools: ClassVar = ()
    body_ends = "fence"
    harness = LineTests()

    def parse_error(self, source: str) -> None:
        del source


LANGUAGE = Lines()


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The language, on the road of every plug-in: the entry point of an installed distribution."""
    info = tmp_path / "lines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[agentic_diffusion.languages]\nlines = {__name__}:LANGUAGE\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "lines"


@pytest.mark.parametrize(
    ("way", "status", "said"),
    [
        ("garbage", "error", "faked: a report was written that the harness did not write"),
        ("other nonce", "error", "faked: a report was written that the harness did not write"),
        ("other place", "error", "faked: a report was written that the harness did not write"),
        ("no outcomes", "error", "faked: a report cannot be read"),
        ("half a line", "killed", "the candidate took its whole sandbox down"),
        ("done at once", "error", "faked: a report was written that the harness did not write"),
        ("silence", "timeout", "the candidate did not end in time"),
    ],
)
def test_only_the_candidate_that_breaks_the_protocol_is_lost(
    lines: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, way: str, status: str, said: str
) -> None:
    # only silence is waited for, and it is the test's own
    monkeypatch.setattr(runner, "REPLY_GRACE", 2.0 if way == "silence" else 60.0)
    monkeypatch.setattr(runner, "COMPILE_GRACE", 0.0)
    suite = make_suite("one\ntwo\n", origin="x", language=lines)
    texts = ["honest a", way, "honest b", "honest c", "honest d"]
    found = judge(suite, texts, sandbox, Limits(seconds=1.0))
    assert [verdict.candidate for verdict in found] == texts
    assert [verdict.passed for verdict in found] == [2, 0, 2, 2, 2]
    assert (found[1].outcomes[0].status, found[1].message) == (status, said)

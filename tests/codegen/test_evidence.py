"""Evidence: every kind names the line that it knows of, the first that says something decides, others can be added."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.codegen import evidence
from agentic_diffusion.codegen.evidence import Attempt, Blame, blame, failure_of, kinds
from agentic_diffusion.domains.code.languages import ParseProblem
from agentic_diffusion.testing import verdicts
from agentic_diffusion.testing.suite import inline_suite

SUITE = inline_suite(["assert f(1) == 2", "assert f(2) == 3"])
law = settings(deadline=None)


def _verdict(status="error", kind="TypeError", message="TypeError: no", line=2) -> verdicts.Verdict:
    passed = verdicts.Outcome(case=SUITE.cases[0], status="passed", message="", error_type=None, line=None, seconds=0.0)
    told = verdicts.Outcome(
        case=SUITE.cases[1], status=status, message=message, error_type=kind, line=line, seconds=0.0
    )
    return verdicts.verdict_of("", (passed, told), "none")


def _attempt(**known) -> Attempt:
    return Attempt(**({"lines": [1, 2, 2, 3], "confidences": [0.1, 0.9, 0.8, 0.3], "head": 1} | known))


def test_built_in_kinds_are_entry_points_and_asked_by_rank():
    ours = [
        evidence.PARSE_ERROR,
        evidence.TYPE_ERROR,
        evidence.UNDEFINED_NAME,
        evidence.FAILING_TEST,
        evidence.COVERAGE,
        evidence.LOW_VALUE,
        evidence.LOW_CONFIDENCE,
    ]
    assert [kind for kind in kinds() if kind in ours] == ours
    assert [kind.rank for kind in kinds()] == sorted(kind.rank for kind in kinds())


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"parses": False, "line": 3}, Blame(3, "parse error")),
        ({"parses": False, "line": 3, "verdict": _verdict()}, Blame(3, "parse error")),
        ({"line": 2, "verdict": _verdict()}, Blame(2, "stack trace")),
        (
            {"line": 3, "verdict": _verdict("failed", "AssertionError", "got 1 (type error in line 3: no name)", 3)},
            Blame(3, "type error"),
        ),
        ({"verdict": _verdict("failed", "AssertionError", "got 1", None)}, Blame(3, "the model's own doubt")),
        ({"undefined": 2, "suspiciousness": {3: 1.0}}, Blame(2, "undefined name")),
        ({"undefined": 3, "line": 2, "verdict": _verdict()}, Blame(2, "stack trace")),
        ({"suspiciousness": {2: 0.5, 3: 0.7}}, Blame(3, "coverage of the failing tests")),
        ({"suspiciousness": {2: 0.5, 3: 0.5}}, Blame(2, "coverage of the failing tests")),
        ({"suspiciousness": {7: 1.0}}, Blame(3, "the model's own doubt")),
        ({"line": 2, "verdict": _verdict(), "suspiciousness": {3: 1.0}}, Blame(2, "stack trace")),
        ({"values": {1: 0.5, 2: 0.1, 3: 0.2}}, Blame(2, "the predicted value")),
        ({"values": {1: 0.1, 2: 0.2, 3: 0.3}}, Blame(3, "the model's own doubt")),
        ({}, Blame(3, "the model's own doubt")),
        ({"lines": [1, 1, 1, 1]}, None),
        ({"parses": False}, Blame(3, "the model's own doubt")),
    ],
)
def test_the_surest_evidence_decides(known, said):
    assert blame(_attempt(**known)) == said


@law
@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 1)), min_size=1, max_size=12), st.integers(1, 5))
def test_doubt_never_names_the_head(tokens, head):
    lines, confidences = [line for line, _ in tokens], [chance for _, chance in tokens]
    said = evidence.LOW_CONFIDENCE.blame(_attempt(lines=lines, confidences=confidences, head=head))
    body = [chance for line, chance in tokens if line > head]
    if not body:
        assert said is None
        return
    assert said.line > head
    assert min(body) in [chance for line, chance in tokens if line == said.line]


def test_a_kind_of_another_package_is_asked_in_its_place(tmp_path, monkeypatch):
    info = tmp_path / "hot_line-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hot-line\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[agentic_diffusion.evidence]\nhot = hot_line_module:HOT\n")
    (tmp_path / "hot_line_module.py").write_text(
        "from agentic_diffusion.codegen.evidence import Blame\n"
        "class Hot:\n    rank = 35\n    def blame(self, attempt):\n        return Blame(2, 'a hot line')\n"
        "HOT = Hot()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    kinds.cache_clear()
    try:
        assert blame(_attempt()) == Blame(2, "a hot line")
        assert blame(_attempt(line=3, verdict=_verdict())) == Blame(3, "stack trace")
        assert blame(_attempt(), asked=[evidence.LOW_CONFIDENCE]) == Blame(3, "the model's own doubt")
    finally:
        kinds.cache_clear()
        sys.modules.pop("hot_line_module", None)


@pytest.mark.parametrize(
    ("status", "kind", "message", "line", "said"),
    [
        ("failed", "AssertionError", "AssertionError: got 1, expected 2", None, "failed assertion"),
        ("error", "TypeError", "TypeError: x is not a function", 2, "stack trace"),
        ("failed", "AssertionError", "got 1, expected 2 (type error in line 3: no such name)", 3, "type error"),
        ("passed", None, "", None, "no evidence"),
    ],
)
def test_a_failure_is_named_by_what_it_is(status, kind, message, line, said):
    assert failure_of(_verdict(status, kind, message, line)) == said


def test_what_a_compiler_says_is_a_compile_error():
    problem = ParseProblem(line=3, column=1, message="cannot find symbol")
    assert failure_of(verdicts.unparsed("", SUITE, problem, "none")) == "compile error"
    assert failure_of(None) == "no evidence"

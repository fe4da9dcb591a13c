"""Repair with a small random model: what it finds, what it never gives back, and what it says."""

from __future__ import annotations

import functools

import pytest

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.local_parse import LocalParse
from agentic_diffusion.codegen.reading import Edit, read
from agentic_diffusion.codegen.repair import repair
from agentic_diffusion.codegen.repair_holes import STAGES, holes
from agentic_diffusion.codegen.repair_result import RepairRequest, Tried
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Sandbox, choose
from agentic_diffusion.testing.execution import inline_suite, judge
from agentic_diffusion.testing.localisation import Suspect
from tiny_coder import random_adapter, random_llama, stock_tokenizer

EVERY_TOKEN = 400
"""More than the vocabulary of the small model: a change of one token is found whatever it prefers."""
FAULTY = "def f(x):\n    return x - 1\n"
TESTS = ["assert f(1) == 2", "assert f(3) == 4"]


@functools.cache
def coder() -> Coder:
    parent = random_llama(context=512)
    return Coder(parent, random_adapter(parent), CodeTokenizer(stock_tokenizer()), weights="0" * 64)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return choose()


def request(program: str, tests: list[str], **changes) -> RepairRequest:
    settings = {
        "seconds": 900.0, "edits": 4000, "alternatives": EVERY_TOKEN, "candidates": 2, "most": 3000,
        "decode": DecodeSettings(max_new_tokens=12, temperature=0.8),
    } | changes  # fmt: skip
    return RepairRequest(program=program, suite=inline_suite(tests), **settings)


def test_a_wrong_token_is_replaced_and_the_repair_confirmed(sandbox: Sandbox) -> None:
    seen: list[Tried] = []
    result = repair(request(FAULTY, TESTS), coder(), sandbox, report=seen.append)
    assert result.state == "repaired"
    assert result.winner is not None
    assert result.winner.proposal.line == 2
    assert judge(inline_suite(["assert f(10) == 11", *TESTS]), [result.program], sandbox)[0].passed >= 2
    texts = [tried.proposal.program for tried in seen]
    assert len(texts) == len(set(texts)) == result.judged, "no program is judged twice"
    assert FAULTY not in texts
    assert "+" in result.diff("a.py")
    assert "All 2 tests pass, 0 did before" in result.explain()
    assert result.as_json()["state"] == "repaired"


def test_what_passes_already_is_left_alone(sandbox: Sandbox) -> None:
    result = repair(request(FAULTY.replace("-", "+"), TESTS), coder(), sandbox)
    assert (result.state, result.judged, result.program) == ("passing", 0, result.before)
    assert result.diff("a.py") == ""
    assert result.explain() == "All 2 tests pass already; nothing was changed."


def test_a_partial_improvement_fails_nothing_that_passed(sandbox: Sandbox) -> None:
    tests = ["assert f(0) == 0", "assert f(1) == 2", "assert f(2) == 'never' + str(hash(f))"]
    result = repair(request("def f(x):\n    return x - x\n", tests, most=600), coder(), sandbox)
    assert result.state == "improved"
    statuses = [outcome.status for outcome in result.verdict.outcomes]
    assert statuses[:2] == ["passed", "passed"]
    assert result.explain().startswith("PARTIAL: 2 of 3 tests pass, 1 did before")


def test_nothing_worse_is_given_back(sandbox: Sandbox) -> None:
    tests = ["assert f(1) == 2", "assert f(2) == object()"]
    program = "def f(x):\n    return x + 1\n"
    result = repair(request(program, tests, most=60, edits=20), coder(), sandbox)
    assert (result.state, result.program) == ("unchanged", program)
    assert "No change passed more than the 1 of 2 tests" in result.explain()


def test_what_does_not_parse_is_repaired_at_the_line_of_the_error(sandbox: Sandbox) -> None:
    result = repair(request("def f(x:\n    return x + 1\n", TESTS), coder(), sandbox)
    assert result.suspects[0].line == 1
    assert result.state == "repaired"


def test_the_line_may_be_told(sandbox: Sandbox) -> None:
    program = "def f(x):\n    y = x - 1\n    return y\n"
    seen: list[Tried] = []
    repair(request(program, TESTS, lines=(3,), most=40), coder(), sandbox, report=seen.append)
    assert {tried.proposal.line for tried in seen} <= {3, 4}


def test_no_more_programs_are_judged_than_allowed(sandbox: Sandbox) -> None:
    result = repair(request(FAULTY, ["assert f(1) == object()"], most=7, edits=5), coder(), sandbox)
    assert result.judged == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"program": " \n"}, "The program is empty"),
        ({"lines": (9,)}, "The program has 3 lines"),
        ({"seconds": 0.0}, "leaves no time"),
        ({"candidates": 0}, "At least one candidate"),
    ],
)
def test_requests_that_make_no_sense_are_refused(changes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        request(**({"program": FAULTY, "tests": TESTS} | changes))


def test_edits_change_one_token_of_the_lines_asked_for() -> None:
    reading = read(FAULTY, coder(), [2], alternatives=8)
    found = list(reading.edits(coder(), [2]))
    assert found
    programs = [edit.applied(FAULTY) for edit in found]
    assert all(program.startswith("def f(x):\n") and program != FAULTY for program in programs)
    assert {edit.kind for edit in found} >= {"replaced", "inserted"}
    assert reading.doubts().keys() == {2}
    assert all(0 <= doubt <= 1 for doubt in reading.doubts().values())


def test_a_long_program_is_read_around_the_lines() -> None:
    program = "".join(f"x{number} = {number}\n" for number in range(3000))
    reading = read(program, coder(), [2000], alternatives=2)
    assert set(reading.lines) <= {2000}


@pytest.mark.parametrize("size", [1, 2000])
def test_an_edit_parses_in_its_piece_as_in_the_whole(size: int) -> None:
    program = "".join(f"def f{number}(x):\n    return x - {number}\n\n\n" for number in range(size))
    local, start = LocalParse(program, languages.get("python")), program.index("- ")
    for new in ("+", ")", "if", "\nx", ""):
        edit = Edit(start, start + 1, new, 2, 0.0, "replaced")
        whole = languages.get("python").parse_error(edit.applied(program)) is None
        assert local.parses(edit) == whole
    across = Edit(0, len(program), "def (", 1, 0.0, "replaced")
    assert not local.parses(across)


PROGRAM = "def f(x):\n    while x > 3 and g(x, 1):\n        x = h(x,\n              2)\n        y = 1\n    return x\n"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("lines", [(2, 2), (3, 4), (6, 6)])
def test_a_hole_filled_with_what_was_there_is_the_program(stage: str, lines: tuple[int, int]) -> None:
    suspect = Suspect(line=lines[0], end=lines[1], score=1.0, ochiai=1.0, doubt=None, reasons=())
    found = list(holes(PROGRAM, suspect, stage, "python", "a note"))
    assert found
    for hole in found:
        if stage == "inserted":
            assert hole.hole.filled("pass").count("\n") == PROGRAM.count("\n") + 1
        else:
            assert hole.hole.filled(hole.old) == PROGRAM
            assert hole.hole.note == f"a note\nIt was: {hole.old}"


def test_the_head_of_a_block_keeps_its_colon() -> None:
    suspect = Suspect(line=2, end=2, score=1.0, ochiai=1.0, doubt=None, reasons=())
    (whole,) = holes(PROGRAM, suspect, "line", "python", "")
    assert whole.old == "while x > 3 and g(x, 1)"
    expressions = [hole.old for hole in holes(PROGRAM, suspect, "expressions", "python", "")]
    assert expressions[0] == "x > 3 and g(x, 1)"

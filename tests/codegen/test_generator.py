"""The search, end to end: a tiny model that was taught a few answers, and the real sandbox."""

import json
import os
from dataclasses import replace

import pytest

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.generator import _lines_before, generate
from agentic_diffusion.codegen.request import GenerationRequest, build_prompt
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.style import style_of
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.suite import inline_suite
from tiny_coder import (
    ADD_ONE,
    ADD_ONE_TEST,
    CHEAT,
    CHEAT_TEST,
    SCRIPT,
    SCRIPT_TEST,
    WRONG,
    WRONG_TEST,
    random_adapter,
    random_llama,
    stock_tokenizer,
)

needs_node = pytest.mark.skipif(
    toolchains.find("node") is None and os.environ.get("CI") != "true", reason="node is not here"
)
AR = DecodeSettings(mode="ar", block=1, max_new_tokens=60, temperature=0.7, top_p=0.95)


@pytest.fixture(scope="module")
def sandbox():
    return choose()


@pytest.fixture(scope="module")
def random_coder():
    """A model that was never taught anything."""
    parent = random_llama(0)
    return Coder(parent, random_adapter(parent), CodeTokenizer(stock_tokenizer()), weights="0" * 64)


def _request(prompt: str, test: str, **more) -> GenerationRequest:
    return GenerationRequest(**({"prompt": prompt, "suite": inline_suite([test]), "decode": AR} | more))


@pytest.mark.parametrize("mode", ["ar", "verify"])
def test_a_right_program_is_verified(taught_coder, sandbox, mode):
    reported, views = [], []
    block = 1 if mode == "ar" else 4
    request = _request(ADD_ONE, ADD_ONE_TEST, decode=replace(AR, mode=mode, block=block))
    result = generate(request, taught_coder, sandbox, observe=views.append, report=reported.append)
    assert result.verified
    assert result.program == "def f(x):\n    return x + 1\n"
    assert result.best is not None
    assert (result.best.number, result.best.origin, result.drawn) == (0, "greedy", 1)
    assert result.best.verdict.ok
    assert reported == result.candidates == [result.best]
    assert result.tier == sandbox.tier
    assert 0 < len(views) <= result.forwards
    assert result.new_tokens == len(result.best.tokens) + 1  # and the fence
    assert result.explain() == (
        "Candidate 0 (greedy) passed 1 of 1 tests, and again alone in a fresh process in which a planted false "
        "assertion failed. 0 other distinct candidate(s) were judged before or beside it and failed or were less "
        "likely."
    )


@needs_node
@pytest.mark.parametrize("mode", ["ar", "verify"])
def test_a_program_in_another_language_is_verified_and_ends_at_its_brace(taught_coder, sandbox, mode):
    suite = inline_suite([SCRIPT_TEST], language="javascript")
    decode = replace(AR, mode=mode, block=1 if mode == "ar" else 4)
    request = GenerationRequest(prompt=SCRIPT, suite=suite, language="javascript", decode=decode, candidates=1)
    result = generate(request, taught_coder, sandbox)
    assert result.verified, result.explain()
    assert result.program == "function k(x) {\n  return x + 1;\n}\n"
    assert taught_coder.tokenizer.decode(result.best.tokens) == "x) {\n  return x + 1;\n}", "it said k(1), too"
    assert result.as_json()["language"] == "javascript"


def test_a_program_that_fakes_its_result_does_not_win(taught_coder, sandbox):
    result = generate(_request(CHEAT, CHEAT_TEST, candidates=1), taught_coder, sandbox)
    assert "__eq__" in result.program
    assert not result.verified
    assert result.best.share_passed == 0
    assert result.best.verdict.message.startswith("faked")


def test_a_wrong_program_is_gone_on_from_and_called_unverified(taught_coder, sandbox):
    """The model insists on its wrong answer, so duplicates are dropped and the best one is returned."""
    reported = []
    request = _request(WRONG, WRONG_TEST, candidates=9, batch=4)
    result = generate(request, taught_coder, sandbox, report=reported.append)
    assert result.drawn == 9
    assert not result.verified
    programs = [candidate.program for candidate in result.candidates]
    assert programs[0] == "def h(x):\n    y = x\n    return y + 1\n"
    assert len(set(programs)) == len(programs) < 9
    assert reported == result.candidates
    assert result.candidates[0].remasked > 0
    assert result.explain().startswith(f"Candidate {result.best.number} (")
    assert f"came closest of {len(programs)} distinct candidate(s): it passed 0 of 1 tests; " in result.explain()


def test_remasked_candidates_keep_the_lines_before_the_fault(taught_coder, sandbox):
    """Hot sampling makes candidates differ; those gone on from begin as the one that they go on from."""
    request = _request(WRONG, WRONG_TEST, candidates=24, batch=12, decode=replace(AR, temperature=2.5, top_p=1.0))
    result = generate(request, taught_coder, sandbox)
    assert len(result.candidates) > 3
    remasked = [candidate for candidate in result.candidates if candidate.origin.startswith("remasked")]
    assert remasked, [candidate.origin for candidate in result.candidates]
    by_number = {candidate.number: candidate for candidate in result.candidates}
    for candidate in remasked:
        source = by_number[int(candidate.origin.split(" candidate ")[1].split()[0])]
        kept = sum(chance == 1.0 for chance in candidate.confidences)
        assert 0 < kept <= len(source.tokens)
        assert candidate.tokens[0] == source.tokens[0]


def test_an_untaught_model_stays_unverified_within_its_candidates(random_coder, sandbox):
    for mode, block in (("denoise", 4), ("ar", 1)):
        decode = replace(AR, mode=mode, block=block, max_new_tokens=12)
        result = generate(
            _request("Write f(x)", "assert f(1) == 2", candidates=5, batch=2, decode=decode), random_coder, sandbox
        )
        assert not result.verified
        assert result.drawn == 5
        assert len({candidate.program for candidate in result.candidates}) == len(result.candidates)
        assert all(candidate.program for candidate in result.candidates)
        data = json.loads(json.dumps(result.as_json(), allow_nan=False))
        assert data["verified"] is False
        assert data["drawn"] == 5
        assert data["sandbox"] == sandbox.tier
        assert data["program"] == result.program
        assert len(data["candidates"]) == len(result.candidates)
        assert {"number", "origin", "program", "ok", "message"} <= data["candidates"][0].keys()
        assert result.tokens_per_forward > 0
        assert result.tokens_per_second > 0


def test_a_spent_budget_ends_the_search_after_the_first_candidate(random_coder, sandbox):
    request = _request("Write f(x)", "assert f(1) == 2", seconds=1e-6, decode=replace(AR, max_new_tokens=6))
    result = generate(request, random_coder, sandbox)
    assert result.drawn == 1
    assert not result.verified


def test_the_same_seed_finds_the_same_candidates(random_coder, sandbox):
    request = _request("Write f(x)", "assert f(1) == 2", candidates=4, decode=replace(AR, max_new_tokens=8))

    def programs(seed: int) -> list[str]:
        seeded = replace(request, decode=replace(request.decode, seed=seed))
        return [candidate.program for candidate in generate(seeded, random_coder, sandbox).candidates]

    assert programs(1) == programs(1)
    assert programs(1) != programs(2)


def test_without_tests_the_first_program_that_parses_is_taken_unverified(taught_coder):
    result = generate(GenerationRequest(prompt=ADD_ONE, decode=AR), taught_coder, None)
    assert not result.verified
    assert result.tier == "not used"
    assert result.suite is None
    assert result.drawn <= 4
    assert result.best is None or result.explain().endswith("nothing was tested.")


def test_among_candidates_that_are_alike_the_one_of_the_style_is_best(random_coder, sandbox):
    """No candidate of an untaught model passes or parses for long; then the style decides before the confidence."""
    wanted = style_of("def f(x):\n  return x\n", "python")
    request = _request("Write f(x)", "assert f(1) == 2", candidates=8, batch=4, decode=replace(AR, max_new_tokens=12))
    result = generate(replace(request, style=wanted), random_coder, sandbox)
    far = [candidate.style_distance for candidate in result.candidates]
    assert all(0 <= distance <= 1 for distance in far)
    alike = [c for c in result.candidates if (c.parses, c.finished) == (result.best.parses, result.best.finished)]
    assert result.best.style_distance == min(candidate.style_distance for candidate in alike)
    plain = generate(request, random_coder, sandbox)
    assert {candidate.style_distance for candidate in plain.candidates} == {None}


def test_tests_need_a_sandbox(taught_coder):
    with pytest.raises(UsageError, match="Tests can only be run in a sandbox"):
        generate(_request(ADD_ONE, ADD_ONE_TEST), taught_coder, None)


def test_a_prompt_beyond_the_context_is_refused(taught_coder, sandbox):
    with pytest.raises(UsageError, match="the model's context holds 256"):
        generate(_request("long " * 100, ADD_ONE_TEST), taught_coder, sandbox)


def test_a_prompt_that_just_fits_is_searched_though_nothing_kept_would_fit(taught_coder, sandbox):
    """Remasking adds kept tokens to the prompt; where they do not fit, the candidate is made anew."""
    request = _request(WRONG, WRONG_TEST, candidates=5)
    prompt = build_prompt(request, languages.get("python"), taught_coder.tokenizer)
    room = taught_coder.parent.shape.context - len(prompt.tokens)
    result = generate(replace(request, decode=replace(AR, max_new_tokens=room)), taught_coder, sandbox)
    assert result.drawn == 5
    assert not any(candidate.origin.startswith("remasked") for candidate in result.candidates)


@pytest.mark.parametrize(
    ("program", "text", "offset"),
    [
        ("def f(x):\n    return x\n", "def f(x):\n    return x\n", 0),
        ("def f(x):\n    return x\n", "Here it is:\n\ndef f(x):\n    return x\n", 2),
        ("import math\n\ndef f(x):\n    return math.pi\n", "def f(x):\n    return math.pi\n", -2),
    ],
)
def test_lines_of_the_program_are_found_again_in_the_answer(program, text, offset):
    """A traceback counts in the program; what is remasked is the answer, without the imports that were added."""
    assert _lines_before(program, text) == offset

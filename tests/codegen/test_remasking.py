"""Remasking: what is kept is whole lines before the one at fault."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentic_diffusion.codegen.evidence import FAILING_TEST, UNDEFINED_NAME
from agentic_diffusion.codegen.remasking import plan_remask
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.testing import verdicts
from agentic_diffusion.testing.suite import inline_suite
from tiny_coder import stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())
law = settings(deadline=None)
SUITE = inline_suite(["assert f(1) == 2"])
CRASHED = verdicts.verdict_of(
    "",
    (
        verdicts.Outcome(
            case=SUITE.cases[0], status="error", message="TypeError: no", error_type="TypeError", line=2, seconds=0.0
        ),
    ),
    "none",
)
"""The first line that a stack trace names is handed over beside it."""
lines = st.lists(
    st.sampled_from(["x):", "    return x + 1", "", "    y = 'é数'", "    if x == 2:", "        pass", "\ty = 3"]),
    min_size=1,
    max_size=8,
)


def _plan(text: str, line: int | None, *, opening: str = "def f(", doubt: int | None = None):
    tokens = TOKENIZER.encode(text)
    confidences = [0.9] * len(tokens)
    if doubt is not None:
        confidences[doubt] = 0.1
    return tokens, plan_remask(tokens, confidences, opening, TOKENIZER, line, verdict=CRASHED)


@law
@given(lines, st.integers(1, 9), st.sampled_from(["def f(", "", "import re\n\ndef f("]))
def test_kept_tokens_are_the_whole_lines_before_the_fault(body, fault, opening):
    text = "\n".join(body)
    tokens, plan = _plan(text, fault, opening=opening)
    before = fault - 1 - opening.count("\n")
    if plan is None:
        kept = "\n".join(body[: max(before, 0)])
        assert kept.strip("\n") == "" or before >= len(body) or text[len(kept) :].strip("\n") == ""
        return
    assert tokens[: len(plan.kept)] == plan.kept
    assert 0 < len(plan.kept) < len(tokens)
    assert (plan.line, plan.reason) == (fault, "stack trace")
    # The end of the last line may be in the token that indents the next one.
    assert TOKENIZER.decode(plan.kept).rstrip("\n") == "\n".join(body[:before]).rstrip("\n")


def test_the_indentation_behind_a_blank_line_goes_with_the_line_that_it_indents():
    _, plan = _plan("x):\n\n    return x", 3)
    assert plan is not None
    assert TOKENIZER.decode(plan.kept) == "x):"


def test_nothing_is_planned_when_the_first_line_is_at_fault_or_none_of_the_tokens():
    assert _plan("x):\n    return x", 1)[1] is None
    assert _plan("x):\n    return x", 99)[1] is None
    assert _plan("", 2)[1] is None


@law
@given(lines, st.data())
def test_without_a_line_the_token_of_least_confidence_decides_but_never_the_head(body, data):
    text = "x):\n" + "\n".join(body)
    tokens = TOKENIZER.encode(text)
    doubt = data.draw(st.integers(0, len(tokens) - 1))
    _, plan = _plan(text, None, doubt=doubt)
    assume(plan is not None)
    assert plan.reason == "the model's own doubt"
    assert plan.line > 1
    head = len(TOKENIZER.encode("x):"))
    if doubt >= head + 1:
        assert len(plan.kept) <= doubt, "the doubtful token was kept"
    assert TOKENIZER.decode(plan.kept).startswith("x):")


def test_a_text_of_one_line_has_no_body_to_doubt():
    assert _plan("x): return x", None, doubt=2)[1] is None


def test_where_no_line_failed_a_name_that_nothing_declares_is_written_again():
    tokens = TOKENIZER.encode("x):\n    y = x\n    return z")
    plan = plan_remask(
        tokens, [0.9] * len(tokens), "def f(", TOKENIZER, None, undefined=3, asked=[UNDEFINED_NAME, FAILING_TEST]
    )
    assert plan is not None
    assert (plan.line, plan.reason) == (3, "undefined name")
    assert TOKENIZER.decode(plan.kept).rstrip() == "x):\n    y = x"

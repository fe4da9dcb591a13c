"""Prompt forms: they fit the room, keep what is nearest to the hole, and lose nothing at the open end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.codegen.infill_prompt import (
    LeftContext,
    SuffixFirst,
    SuffixShown,
    cut_begin,
    cut_end,
    form_named,
    healed,
)
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import ModelFileError, UsageError
from tiny_coder import END, stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())
FORMS = [SuffixShown(), LeftContext(), SuffixFirst()]
law = settings(deadline=None, max_examples=40)
texts = st.text(st.sampled_from("ab (=\n\té数🙂"), max_size=40)


@law
@given(texts)
def test_healing_takes_the_open_end_off_and_loses_nothing(prefix):
    kept, forced = healed(prefix, TOKENIZER)
    assert kept + forced == prefix
    if prefix and prefix[-1] in " \t\n":
        assert forced.isspace()
        assert kept == kept.rstrip()


@law
@given(texts, texts, texts, st.integers(150, 260), st.sampled_from(FORMS))
def test_every_form_fits_its_room_and_ends_before_the_open_end(prefix, suffix, note, room, form):
    hole = Hole(prefix=prefix * 9, suffix=suffix * 9, language="python", note=note * 9)
    prompt = form.prompt(hole, TOKENIZER, room)
    assert len(prompt.tokens) <= room
    assert hole.prefix.endswith(prompt.forced)
    kept = hole.prefix[: len(hole.prefix) - len(prompt.forced)]
    assert TOKENIZER.decode(prompt.tokens).endswith(kept[-2:])


def test_the_suffix_is_in_view_but_for_the_form_without_it():
    hole = Hole(prefix="def f(x):\n    y = x\n", suffix="\n    return y * 2\n", language="python", note="It doubles.")
    shown, left, first = (TOKENIZER.decode(form.prompt(hole, TOKENIZER, 400).tokens) for form in FORMS)
    for text in (shown, left, first):
        assert "It doubles." in text
    for text in (shown, first):
        assert text.index("    return y * 2") < text.index("def f(x):")
    assert "return y * 2" not in left
    assert shown.endswith("```python\ndef f(x):\n    y = x")
    assert first.endswith("```python\ndef f(x):\n    y = x\n")
    assert SuffixFirst().prompt(hole, TOKENIZER, 400).enders == (END,)
    assert SuffixFirst().prompt(hole, TOKENIZER, 400).tells_end


@pytest.mark.parametrize("form", FORMS)
def test_a_room_without_place_for_the_form_is_refused(form):
    with pytest.raises(UsageError, match="form of a hole has"):
        form.prompt(Hole(prefix="x = ", suffix="\n", language="python"), TOKENIZER, 8)


@law
@given(texts, st.integers(0, 12))
def test_what_is_cut_is_farthest_from_the_hole(text, room):
    begin, end = cut_begin(text, TOKENIZER, room), cut_end(text, TOKENIZER, room)
    assert text.endswith(begin)
    assert text.startswith(end)
    if len(TOKENIZER.encode(text)) <= room:
        assert begin == end == text
    assert len(TOKENIZER.encode(begin)) <= room + 3  # a character may be split into tokens in another way alone
    assert len(TOKENIZER.encode(end)) <= room + 3


def test_an_adapter_names_the_form_that_it_was_trained_on():
    assert form_named("") == SuffixShown()
    assert form_named("suffix-first") == SuffixFirst()
    with pytest.raises(ModelFileError, match="holes of the form 'other', which is not known here"):
        form_named("other")

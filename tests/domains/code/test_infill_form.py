"""The prompt form of infilling: what it holds, in which order, and what goes where room is short."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.domains.code.infill_form import end_of_middle, middle_tokens, suffix_first_prompt
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from tiny_coder import stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())
TEXTS = st.text(alphabet="ab \n(é", max_size=30)


def test_the_suffix_stands_before_the_prefix_and_the_prefix_last():
    tokens = suffix_first_prompt(TOKENIZER, "def f(x):\n", "    return y\n", request="Doubles x.")
    text = TOKENIZER.decode(tokens)
    assert text.index("Doubles x.") < text.index("    return y") < text.index("def f(x):")
    assert text.endswith("```python\ndef f(x):\n")
    assert tokens.count(TOKENIZER.special("<|im_start|>")) == 2
    assert "go" in TOKENIZER.decode(suffix_first_prompt(TOKENIZER, "", "", fence="go"))


@settings(max_examples=40, deadline=None)
@given(prefix=TEXTS, suffix=TEXTS, longest=st.integers(140, 200))
def test_what_is_next_to_the_hole_is_kept(prefix, suffix, longest):
    whole = suffix_first_prompt(TOKENIZER, prefix, suffix)
    cut = suffix_first_prompt(TOKENIZER, prefix, suffix, longest=longest)
    assert len(cut) <= max(longest, 0)
    if len(whole) <= longest:
        assert cut == whole
    before = TOKENIZER.encode(prefix)
    assert any(cut[-len(before[place:]) :] == before[place:] for place in range(len(before))) or not before


def test_a_middle_ends_with_the_token_that_ends_texts():
    tokens = middle_tokens(TOKENIZER, "x = 1\n")
    assert tokens[-1] == end_of_middle(TOKENIZER) == 2
    assert TOKENIZER.decode(tokens) == "x = 1\n"
    assert 2 not in TOKENIZER.encode("<|im_end|>"), "a program cannot end a middle by writing the token's name"


def test_no_room_is_refused():
    with pytest.raises(UsageError, match="The form of a hole has more than 5 tokens even without the program"):
        suffix_first_prompt(TOKENIZER, "a", "b", longest=5)

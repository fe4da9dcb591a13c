"""Pieces of text: together they are the text up to the first stop sequence, whatever the pace."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.serve.text_stream import TextStream
from tiny_coder import END, stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())


def _expected(text: str, stops: list[str]) -> str:
    places = [place for place in (text.find(stop) for stop in stops if stop) if place >= 0]
    return text[: min(places)] if places else text


@settings(deadline=None, max_examples=60)
@given(
    text=st.text(alphabet="ab\néß€🙂", max_size=40),
    stops=st.lists(st.text(alphabet="ab\n€", min_size=0, max_size=4), max_size=3),
    paces=st.lists(st.integers(1, 5), min_size=1, max_size=60),
)
def test_the_pieces_make_the_text_up_to_the_first_stop(text, stops, paces):
    tokens = TOKENIZER.encode(text)
    stream, pieces, shown = TextStream(TOKENIZER, stops=stops, enders=[END]), [], 0
    for pace in paces:
        shown = min(shown + pace, len(tokens))
        pieces.append(stream.feed(tokens[:shown]))
        assert "".join(pieces) == stream.text
        assert text.startswith(stream.text)
    pieces.append(stream.finish(tokens))
    assert "".join(pieces) == stream.text == _expected(text, stops)
    assert stream.stopped == (_expected(text, stops) != text or any(stop and stop in text for stop in stops))


def test_a_token_that_ends_the_text_hides_what_follows():
    stream = TextStream(TOKENIZER, enders=[END])
    assert stream.feed([*TOKENIZER.encode("ab"), END, *TOKENIZER.encode("cd")]) == "ab"


@pytest.mark.parametrize(("text", "piece"), [("ab", "a"), ("aba", "ab"), ("b", ""), ("c", "c")])
def test_what_may_begin_a_stop_sequence_waits(text, piece):
    stream = TextStream(TOKENIZER, stops=["bc", "ad"])
    assert stream.feed(TOKENIZER.encode(text)) == piece

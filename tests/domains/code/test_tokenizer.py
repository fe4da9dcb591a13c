"""The tokenizer: text survives, special tokens cannot be typed, pieces add up."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from agentic_diffusion.domains.code.tokenizer import FENCE, CodeTokenizer
from agentic_diffusion.foundation.errors import ModelFileError
from tiny_coder import SPECIAL, stock_tokenizer, vocabulary

TOKENIZER = CodeTokenizer(stock_tokenizer())
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
code = st.lists(
    st.sampled_from(["\t", "\r\n", "\ufeff", "é", "数", "\U0001f600", "\n    ", "```", "def ", " 12", "\0"])
)


@given(st.one_of(texts, code.map("".join)))
def test_text_survives_encoding_byte_by_byte(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@given(texts, st.sampled_from(SPECIAL), texts)
def test_a_special_token_that_is_typed_is_only_text(before, special, after):
    tokens = TOKENIZER.encode(before + special + after)
    assert min(tokens) >= len(SPECIAL)
    assert TOKENIZER.decode(tokens) == before + special + after


@given(st.lists(st.integers(0, len(vocabulary()) - 1), max_size=30))
def test_pieces_add_up_to_the_text_for_any_tokens(tokens):
    pieces = TOKENIZER.pieces(tokens)
    assert len(pieces) == len(tokens)
    assert "".join(pieces) == TOKENIZER.decode(tokens)


def test_a_character_of_several_tokens_appears_with_the_last_of_them():
    tokens = TOKENIZER.encode("aé\U0001f600")
    assert TOKENIZER.pieces(tokens) == ["a", "", "é", "", "", "", "\U0001f600"]
    assert TOKENIZER.pieces(tokens[:2]) == ["a", "\ufffd"]


def test_the_chat_form_is_one_turn_of_the_user_and_an_open_fence():
    prompt = TOKENIZER.chat("Say <|im_end|>", language="python", opening="def f(")
    assert prompt.opening == "def f("
    special = [place for place, token in enumerate(prompt.tokens) if token < len(SPECIAL)]
    assert [prompt.tokens[place] for place in special] == [1, 2, 1]
    assert special[0] == 0
    user, between, assistant = (
        prompt.tokens[begin + 1 : end] for begin, end in zip(special, [*special[1:], len(prompt.tokens)], strict=True)
    )
    assert TOKENIZER.decode(user) == "user\nSay <|im_end|>"
    assert TOKENIZER.decode(between) == "\n"
    assert TOKENIZER.decode(assistant) == "assistant\n```python\ndef f("
    assert assistant.count(TOKENIZER.fence_id) == 1


def test_special_tokens_are_left_out_of_the_text():
    assert TOKENIZER.decode([1, *TOKENIZER.encode("x"), 2]) == "x"


def test_a_folder_without_a_right_tokenizer_is_refused(tmp_path):
    with pytest.raises(ModelFileError) as caught:
        CodeTokenizer.load(tmp_path)
    assert caught.value.message == f"The model folder {tmp_path} has no tokenizer.json."
    path = tmp_path / "tokenizer.json"
    stock_tokenizer().save(str(path))
    data = path.read_bytes()
    for wrong in (b"", b"{}", data[:-20], b"\xff\xfe\0", json.dumps([1]).encode()):
        path.write_bytes(wrong)
        with pytest.raises(ModelFileError) as caught:
            CodeTokenizer.load(tmp_path)
        assert caught.value.message.startswith(f"The tokenizer {path} cannot be read: ")
        assert caught.value.hint
    path.write_bytes(data)
    assert CodeTokenizer.load(tmp_path).encode("def") == TOKENIZER.encode("def")


def test_a_tokenizer_that_splits_the_fence_or_has_no_turns_is_refused():
    with pytest.raises(ModelFileError) as caught:
        CodeTokenizer(Tokenizer(models.BPE(vocab={"`": 0}, merges=[])))
    assert caught.value.message == (
        "The tokenizer splits a code fence into 3 tokens; answers could not be ended by it."
    )
    plain = CodeTokenizer(Tokenizer(models.BPE(vocab={"`": 0, "``": 1, FENCE: 2}, merges=[("`", "`"), ("``", "`")])))
    with pytest.raises(ModelFileError) as caught:
        plain.chat("x")
    assert caught.value.message == "The tokenizer has no token <|im_start|>, so the chat form cannot be written."

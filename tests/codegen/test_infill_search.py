"""Holes of a file, end to end: tests decide, several holes, bytes outside unchanged, wrong requests."""

import pytest

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.document import Document
from agentic_diffusion.codegen.hole import Filling
from agentic_diffusion.codegen.infill_search import InfillRequest, _by_rank, infill
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.testing.suite import inline_suite
from tiny_coder import HOLES, random_adapter, random_llama, stock_tokenizer

AR = DecodeSettings(mode="ar", block=1, max_new_tokens=40, temperature=0.7, top_p=0.95)


@pytest.fixture(scope="module")
def random_coder():
    """A model that was never taught anything."""
    parent = random_llama(0)
    return Coder(parent, random_adapter(parent), CodeTokenizer(stock_tokenizer()), weights="0" * 64)


def _request(text: str, **more) -> InfillRequest:
    document = Document.decode(text.encode(), "f.py").at_markers()
    return InfillRequest(**({"document": document, "language": "python", "decode": AR, "candidates": 3} | more))


def test_tests_decide_which_filling_is_taken(hole_coder):
    text, filling, test = HOLES["python"]
    result = infill(_request(text, suite=inline_suite([test])), hole_coder, choose())
    assert result.verified
    assert result.best.document.text == text.replace("<FILL>", filling)
    assert result.best.verdict.ok
    wrong = infill(_request(text, suite=inline_suite(["assert f(1) == 'blue'"]), seconds=30), hole_coder, choose())
    assert not wrong.verified
    assert wrong.best.verdict.passed == 0
    assert len({attempt.document.text for attempt in wrong.attempts}) == len(wrong.attempts)


def test_several_holes_are_filled_and_nothing_else_changes(hole_coder):
    text = "def f(x):\n    return <FILL>\n\n\ndef g(x):\n    return <FILL>\n"
    result = infill(_request(text), hole_coder, None)
    assert result.best is not None
    first, second = result.best.fillings
    assert result.best.document.text == text.replace("<FILL>", first.text, 1).replace("<FILL>", second.text, 1)
    assert result.best.document.holes == ()
    assert not result.tested
    assert result.as_json()["program"] == result.best.document.text


def test_bytes_outside_every_hole_of_a_file_are_unchanged(random_coder):
    data = b"\xef\xbb\xbfdef f(x):\r\n\tif x:\r\n\t\treturn 1\n\n    # \xc3\xa9\r\n\treturn 2"
    document = Document.decode(data, "f.py")
    settings = DecodeSettings(mode="ar", block=1, max_new_tokens=4)
    for begin in range(0, len(document.text), 3):
        if document.text[begin - 1 : begin + 1] == "\r\n":
            continue
        holed = Document(text=document.text, bom=True, origin="f.py", holes=((begin, begin),))
        result = infill(
            InfillRequest(document=holed, language="python", decode=settings, candidates=1), random_coder, None
        )
        if result.best is not None:
            made = result.best.document.encode()
            before = b"\xef\xbb\xbf" + document.text[:begin].encode()
            assert made.startswith(before)
            assert made.endswith(data[len(before) :])
            assert len(made) > len(data)


def test_wrong_requests_are_refused(hole_coder):
    text, _, test = HOLES["python"]
    with pytest.raises(UsageError, match="Tests can only be run in a sandbox"):
        infill(_request(text, suite=inline_suite([test])), hole_coder, None)
    for wrong, sentence in (
        ({"candidates": 0}, "At least one candidate"),
        ({"seconds": 0}, "leaves no time"),
        ({"longest_lines": 0}, "at least one line"),
        ({"document": Document.decode(b"x", "f.py")}, "no hole to fill"),
    ):
        with pytest.raises(UsageError, match=sentence):
            _request(text, **wrong)


def test_combinations_come_by_their_rank_and_each_once():
    fillings = [Filling(str(n), 0.5, 0.0, True, 1) for n in range(3)]
    found = list(_by_rank([fillings, fillings[:2], fillings]))
    assert len(found) == len(set(found)) == 18
    assert [sum(chosen) for chosen in found] == sorted(sum(chosen) for chosen in found)
    assert found[0] == (0, 0, 0)

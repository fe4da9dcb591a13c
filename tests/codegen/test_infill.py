"""Filling holes with a tiny model that knows a few by heart, and with one that knows nothing."""

import pytest

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.document import Document
from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.codegen.infill import fill
from agentic_diffusion.codegen.infill_prompt import LeftContext, SuffixFirst
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from tiny_coder import HOLES, LINES, random_adapter, random_llama, stock_tokenizer

AR = DecodeSettings(mode="ar", block=1, max_new_tokens=40, temperature=0.7, top_p=0.95)


@pytest.fixture(scope="module")
def random_coder():
    """A model that was never taught anything."""
    parent = random_llama(0)
    return Coder(parent, random_adapter(parent), CodeTokenizer(stock_tokenizer()), weights="0" * 64)


def _hole(text: str, language: str = "python") -> Hole:
    return Document.decode(text.encode(), "f").at_markers().hole(0, language)


@pytest.mark.parametrize("name", [*HOLES, "lines"])
def test_a_known_hole_is_filled_to_its_end_and_no_further(hole_coder, name):
    text, filling, _ = LINES if name == "lines" else HOLES[name]
    [best, *_] = found = fill(
        _hole(text, "python" if name == "lines" else name), hole_coder, candidates=2, settings=AR, seed=0
    )
    assert filling in [one.text for one in found]
    if name != "lines":  # a model of a few texts cannot rank what it never saw
        assert best.text == filling
    assert best.parses
    assert 0 < best.confidence <= 1
    assert best.tokens > 0
    assert len({one.text for one in found}) == len(found)
    order = [(not one.parses, -one.score) for one in found]
    assert order == sorted(order)


@pytest.mark.parametrize("mode", ["denoise", "ar"])
@pytest.mark.parametrize("form", [None, LeftContext(), SuffixFirst()])
def test_the_same_seed_gives_the_same_fillings_in_every_form(random_coder, mode, form):
    decode = DecodeSettings(mode=mode, block=1 if mode == "ar" else 4, max_new_tokens=12, temperature=1.0)
    hole = Hole(prefix="def f(x):\n    return ", suffix="\n", language="python", note="It adds one.")
    first, again, other = (
        fill(hole, random_coder, candidates=3, settings=decode, seed=seed, form=form) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    for one in first:
        assert "\n" not in one.text
        assert one.text.strip()
        assert one.parses == (languages.get("python").parse_error(hole.filled(one.text)) is None)


def test_a_stop_ends_it_with_what_is_there(random_coder):
    hole = Hole(prefix="x = ", suffix="\n", language="python")
    asked = []
    found = fill(
        hole, random_coder, candidates=30, settings=AR, seed=0, stop=lambda: bool(asked.append(1)) or len(asked) > 3
    )
    assert len(asked) < 10
    assert len(found) <= 2


def test_a_told_length_is_kept(random_coder):
    hole = Hole(prefix="x = ", suffix="\n", language="python")
    found = fill(hole, random_coder, candidates=4, settings=AR, seed=0, length=3, constraint=False)
    assert found
    assert all(one.tokens <= 4 for one in found)  # the space before it is part of the first or a token of its own


@pytest.mark.parametrize(
    "hole",
    [
        Hole(prefix="", suffix="", language="javascript"),
        Hole(prefix='s = "a', suffix=' b"\n', language="python"),
        Hole(prefix="x = 1  # the num", suffix=" of it\n", language="python"),
        Hole(prefix="def f(:\n  ]]", suffix="\n", language="python"),  # the grammar knows no such program
        Hole(prefix="x = 1\n" * 3000, suffix="y = 2\n" * 3000, language="python"),
        Hole(prefix="x = '" + "a" * 3000, suffix="'\n", language="python"),
        Hole(prefix="x = '🙂", suffix="🙂'\n", language="python", note="é" * 2000),
    ],
)
def test_every_hole_is_taken(random_coder, hole):
    settings = DecodeSettings(max_new_tokens=8, temperature=1.0)
    found = fill(hole, random_coder, candidates=2, settings=settings, seed=0, longest_lines=2)
    assert all(one.text.strip() for one in found)


def test_less_than_one_candidate_or_line_is_refused(random_coder):
    hole = Hole(prefix="x = ", suffix="\n", language="python")
    for wrong in ({"candidates": 0}, {"candidates": 1, "longest_lines": 0}):
        with pytest.raises(UsageError, match="At least one candidate and one line"):
            fill(hole, random_coder, settings=AR, seed=0, **wrong)
    with pytest.raises(UsageError, match="is no text"):
        Hole(prefix="\0", suffix="", language="python")

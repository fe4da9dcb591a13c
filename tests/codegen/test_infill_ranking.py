"""Ranking: the parent's terms are those of one clean pass, and the weights decide."""

import pytest

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.codegen.infill import fill
from agentic_diffusion.codegen.infill_ranking import Ranking, terms
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from tiny_coder import causal_states, random_adapter, random_llama, stock_tokenizer

AR = DecodeSettings(mode="ar", block=1, max_new_tokens=40, temperature=0.7, top_p=0.95)


@pytest.fixture(scope="module")
def random_coder():
    """A model that was never taught anything."""
    parent = random_llama(0)
    return Coder(parent, random_adapter(parent), CodeTokenizer(stock_tokenizer()), weights="0" * 64)


def test_the_parents_terms_are_those_of_one_clean_pass(random_coder):
    hole = Hole(prefix="def f(x):\n    y = x\n", suffix="    return y\n", language="python")
    texts = ["    y = 1\n", "    y = y + x\n    x = 2\n"]
    for text, said in zip(texts, terms(hole, texts, random_coder), strict=True):
        tokenizer = random_coder.tokenizer
        begin = tokenizer.encode("```python\ndef f(x):\n    y = x")
        middle = tokenizer.encode(f"\n{text}    return y")
        states = causal_states(random_coder.parent, [*begin, *middle])
        chances = random_coder.parent.logits(states).float().log_softmax(-1)
        places = range(len(begin) - 1, len(begin) + len(middle) - 1)
        own = [float(chances[place, token]) for place, token in zip(places, middle, strict=True)]
        total = sum(own)
        count = len(own)
        share = next(n for n in range(1, count) if abs(sum(own[:n]) / n - said.filling) < 1e-4)
        assert said.suffix == pytest.approx((total - sum(own[:share])) / (count - share), abs=1e-4)
        assert tokenizer.decode(middle[:share]).strip() == text.strip()


def test_weights_decide_the_order(random_coder):
    hole = Hole(prefix="def f(x):\n    y = ", suffix="\n    return y\n", language="python")
    for ranking in (Ranking(filling=1, suffix=0), Ranking(filling=0, suffix=1), Ranking(filling=0, suffix=0, own=1)):
        found = fill(hole, random_coder, candidates=6, settings=AR, seed=3, ranking=ranking)
        said = terms(hole, [one.text for one in found], random_coder)
        if ranking.filling:
            assert [one.score for one in found] == pytest.approx([term.filling for term in said])
        elif ranking.suffix:
            assert [one.score for one in found] == pytest.approx([term.suffix for term in said])
        else:
            assert all(one.score <= 0 for one in found)

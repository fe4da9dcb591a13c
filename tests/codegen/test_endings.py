"""The rule that ends an answer after its function."""

import pytest
import torch

from agentic_diffusion.codegen.endings import TopLevelLine
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from tiny_coder import stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())
VOCABULARY = stock_tokenizer().get_vocab_size()


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("x):\n    return x\n\ndef g(x):\n    return 1\n", "x):\n    return x\n\n"),
        ("x):\n    return x\n# Example\n", "x):\n    return x\n"),
        ("x):\n    return x\nprint(f(1))\n", "x):\n    return x\n"),
        ("\n    x,\n):\n    return x\n", "\n    x,\n):\n    return x\n"),
        ("x):\n    if x:\n        return 1\n\n    return 2\n", "x):\n    if x:\n        return 1\n\n    return 2\n"),
    ],
)
def test_an_answer_ends_before_the_first_word_at_the_margin(answer, kept):
    tokens = TOKENIZER.encode(answer)
    ends = TopLevelLine(TOKENIZER, VOCABULARY)(torch.tensor([tokens]))[0]
    first = int(ends.nonzero()[0, 0]) if ends.any() else len(tokens)
    assert TOKENIZER.decode(tokens[:first]) == kept

"""The rule that ends an answer after its function."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.codegen.endings import ClosedBrace, TopLevelLine, brace_tokens, closed_at
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


GO_FUNCTION = "x int) int {\n\tif x > 0 {\n\t\treturn 1\n\t}\n\treturn 2\n}\n"


def _braced(opening: str, answer: str) -> str:
    """What is kept of an answer; in front of it stand a prompt with braces and a kept part of a row."""
    prompt = TOKENIZER.encode("{ } }\n" + opening)
    tokens = torch.tensor([[*prompt, *TOKENIZER.encode(answer)], [*prompt, *[0] * len(TOKENIZER.encode(answer))]])
    rule = ClosedBrace(TOKENIZER, brace_tokens(TOKENIZER, VOCABULARY), opening=opening, begin=len(prompt))
    ends = rule(tokens)
    assert not ends[1].any(), "an empty row is open"
    first = int(ends[0].nonzero()[0, 0]) if ends[0].any() else tokens.shape[1]
    return TOKENIZER.decode(tokens[0, len(prompt) : first].tolist())


@pytest.mark.parametrize(
    ("opening", "answer", "kept"),
    [
        ("func f(", GO_FUNCTION + "\nfunc g() {\n}\n", GO_FUNCTION[:-1]),
        ("func f(", GO_FUNCTION + "// an example\n", GO_FUNCTION[:-1]),
        ("func f(", "x interface{}) struct{ a int } {\n}\nmore", "x interface{}) struct{ a int } {\n}"),
        ("function f(", "x = {}) {\n  return {};\n}\nf(1)\n", "x = {}) {\n  return {};\n}"),
        ("function f(", "x) {\n  return `}${x}{`; // }\n} // end\nf(1)\n", "x) {\n  return `}${x}{`; // }\n}"),
        ("function f(", "x) {\n  return x.split(/[}/]\\}/);\n}\nf(1)\n", "x) {\n  return x.split(/[}/]\\}/);\n}"),
        (
            "function f(",
            'x) {\n  return \'}\' + "\\"}"; /* }\n} */\n}\n\n',
            'x) {\n  return \'}\' + "\\"}"; /* }\n} */\n}',
        ),
        ("function f(", "x) {\nif (x) {\nreturn 1;\n}\nreturn 2;\n}\ng", "x) {\nif (x) {\nreturn 1;\n}\nreturn 2;\n}"),
        (
            "class Solution {\n    public static ",
            "int f(int x) {\n        return x / 2 / 3;\n    }\n}\n\nclass B {}\n",
            "int f(int x) {\n        return x / 2 / 3;\n    }\n}",
        ),
        ("func f(", "x int) int {\n\treturn x\n", "x int) int {\n\treturn x\n"),
        ("func f(", "x int) int {\n\treturn x\n}", "x int) int {\n\treturn x\n}"),
    ],
)
def test_an_answer_ends_behind_the_brace_that_closes_its_function(opening, answer, kept):
    assert _braced(opening, answer) == kept


@given(st.lists(st.sampled_from(["a {\n", "}\n", "b;\n", '"}{"\n', "// }\n", "'{'\n", "(", ")"]), max_size=30))
def test_what_is_closed_is_balanced_and_nothing_shorter_was(parts):
    text = "f {\n" + "".join(parts)
    end = closed_at(text)
    plain = text.replace('"}{"', "").replace("// }", "").replace("'{'", "")
    depths = [0]
    closings = []
    for mark in plain:
        depths.append(depths[-1] + (mark in "{(") - (mark in "})"))
        if mark == "}":
            closings.append(depths[-1] <= 0)
    assert (end is not None) == any(closings)
    if end is not None:
        assert text[end - 1] == "}"
        assert closed_at(text[: end + 1]) == end
        assert closed_at(text[: end - 1]) is None

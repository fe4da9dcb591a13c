"""Where a filling ends: laws of its hole, over texts that a model might write."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.codegen.infill_ends import Ends, HoleEnd
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from tiny_coder import stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())
law = settings(deadline=None, max_examples=50)


def _rule(prefix: str, suffix: str, language: str = "python", lines: int = 8) -> HoleEnd:
    return HoleEnd(Hole(prefix=prefix, suffix=suffix, language=language), longest_lines=lines)


@pytest.mark.parametrize(
    ("prefix", "suffix", "text", "over"),
    [
        # the suffix's first line is reproduced
        ("def f(x):\n    y = x\n", "    return y\n", "    y += 1\n    return y\n", 11),
        # a line leaves the block
        ("def f(x):\n", "    return x\n", "    x += 1\nprint(f(1))", 11),
        ("def f(x):\n    if x:\n", "    return y\n", "        y = 1\n    else:\n        y = 2\n    return y\n", 38),
        ("def f(x):\n    for a in x:\n", "            b += a\n", "        if a:\n            b += a\n", 14),
        # the text behind the hole is at the margin
        ("def f(x):\n", "\n\ndef g():\n    pass\n", "    return x\n\ndef h():", 14),
        ("x = 1\n", "", "def f():\n    return x\n", None),
        # still being written
        ("def f(x):\n", "    return y\n", "    y = 1\n    ret", None),
        ("def f(x):\n    ", "\n    return y\n", "y = 1\n    return y\n", 6),
    ],
)
def test_whole_lines_end_where_a_line_belongs_to_the_suffix(prefix, suffix, text, over):
    assert _rule(prefix, suffix).over(text) == over


@pytest.mark.parametrize(
    ("prefix", "suffix", "text", "over"),
    [
        ("function f(x) {\n", "}\n", "  return x;\n}\n", 12),
        ("function f(x) {\n", "  return y;\n}\n", "  let y = { a: [x] };\n  return y;\n}\n", 22),
        ("function f(x) {\n", "\n  g();\n}\n", "  if (x) {\n    h('}');\n  } else {\n    i();\n  }\n}\n", 47),
        ("function f(x) {\n", "  return 1;\n  }\n}\n", "  if (x) {\n    g();\n", None),
    ],
)
def test_braces_that_the_suffix_closes_are_not_closed_before(prefix, suffix, text, over):
    assert _rule(prefix, suffix, "javascript").over(text) == over


def test_so_many_lines_and_no_more():
    rule = _rule("x = 1\n", "", lines=2)
    assert rule.over("a = 1\n\nb = 2\n") == 13
    assert rule.over("a = 1\n\nb = 2\nc") == 13
    assert rule.over("a = 1\n\nb = 2") is None
    assert rule.ends("a = 1\n\nb = 2\nc = 3\n", complete=False) == ["a = 1\n", "a = 1\n\nb = 2\n"]


def test_every_whole_line_is_a_possible_end():
    rule = _rule("def f(x):\n", "    return y\n")
    text = "    y = x\n    y += 1\n    y *= 2"
    assert rule.ends(text, complete=False) == ["    y = x\n", "    y = x\n    y += 1\n"]
    assert rule.ends(text, complete=True)[-1] == f"{text}\n"
    assert rule.ends("\n\n    y = 1\n", complete=False) == ["    y = 1\n"]
    assert rule.ends("", complete=True) == []
    kept = _rule("def f(x):\n    ", "\n    return y\n")
    assert kept.ends("y = x\n    y += 1\n", complete=False) == ["y = x", "y = x\n    y += 1"]


def test_inside_a_line_the_rest_of_it_or_its_end_ends_a_filling():
    rule = _rule("x = max(", ") + 1\n")
    assert rule.over("a, b) + 1\ny") == 9
    assert rule.over("a, b) + 1") is None
    assert rule.ends("a, b) + 1", complete=False) == ["a, b", "a, b) + 1"]
    nested = _rule("x = max(", ")\n").ends("f(a), g(b))", complete=True)
    assert nested == ["f(a", "f(a), g(b", "f(a), g(b)", "f(a), g(b))"]
    assert _rule("x = ", "\n").ends("1  \n", complete=True) == ["1"]
    assert _rule('s = "a', ' c"\n').ends('b c"', complete=True) == ["b", 'b c"']


texts = st.lists(
    st.sampled_from(["    a = 1\n", "    return y\n", "\n", "b = 2\n", "        c = [\n", "    ]\n", "    d", "é"]),
    max_size=6,
).map("".join)
holes = st.sampled_from(
    [
        ("def f(x):\n", "    return y\n", "python"),
        ("def f(x):\n    ", "\n    return y\n", "python"),
        ("x = (", ")\n", "python"),
        ("", "", "python"),
        ("class A {\n  void f() {\n", "  }\n}\n", "java"),
    ]
)


@law
@given(holes, texts, st.booleans(), st.integers(1, 4))
def test_what_is_offered_is_a_beginning_of_the_text_and_within_its_limit(around, text, complete, longest):
    rule = HoleEnd(Hole(prefix=around[0], suffix=around[1], language=around[2]), longest_lines=longest)
    over = rule.over(text)
    assert over is None or 0 <= over <= len(text)
    offered = rule.ends(text, complete=complete)
    assert len(set(offered)) == len(offered)
    for filling in offered:
        assert filling.strip()
        assert filling.strip() in text
        assert sum(bool(line.strip()) for line in filling.split("\n")) <= longest
        if not rule.hole.whole_lines:
            assert "\n" not in filling
    if over is not None:  # more text changes nothing
        assert rule.over(text + "zz\n") == over


@law
@given(holes, texts.filter(bool), st.sampled_from(["", "\n", " "]))
def test_a_batch_ends_rows_where_their_text_is_over(around, text, forced):
    """The decoder's view: no part of the filling is cut off, and what is cut off is not part of it."""
    rule = HoleEnd(Hole(prefix=around[0], suffix=around[1], language=around[2]), longest_lines=3)
    prompt = [5, 6, 7]
    answer = TOKENIZER.encode(forced + text)
    tokens = torch.tensor([[*prompt, *answer, 0, 0], [*prompt, *[0] * (len(answer) + 2)]])
    ends = Ends(rule, TOKENIZER, begin=len(prompt), forced=forced)(tokens)
    assert not ends[1].any()
    over = rule.over(TOKENIZER.decode(answer)[len(forced) :]) if len(TOKENIZER.decode(answer)) > len(forced) else None
    if over is None:
        assert not ends.any()
        return
    marked = ends[0].nonzero()[:, 0].tolist()
    assert len(marked) <= 1
    kept = TOKENIZER.decode(answer[: marked[0] - len(prompt)] if marked else answer)
    assert len(kept) - len(forced) >= over - 1  # a token that is cut inside a character shows it later

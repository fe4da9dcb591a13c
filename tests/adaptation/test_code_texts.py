"""Texts to learn from: their forms, what is taught where, how they are mixed, and what a broken file is told."""

import json

import pytest

from agentic_diffusion.adaptation.code_texts import (
    TextSettings,
    TrainingText,
    make_texts,
    mix,
    read_answers,
    read_texts,
    summary,
    write_texts,
)
from agentic_diffusion.domains.code.corpus_rows import Example
from agentic_diffusion.domains.code.infill_form import end_of_middle
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from tiny_coder import stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())
PROGRAM = "def f(x):\n    y = 2 * x\n    return y\n"
EXAMPLE = Example(
    id="own:1", source="own", language="python", licence="MIT", solution=PROGRAM, description="Doubles x.",
    signature="def f(x)",
)  # fmt: skip
SETTINGS = TextSettings(longest=400)


def test_a_described_example_gives_a_solution_and_holes():
    solution, *holes = make_texts([EXAMPLE], TOKENIZER, TextSettings(longest=400, holes=3))
    assert (solution.kind, [hole.kind for hole in holes]) == ("solution", ["hole"] * 3)
    asked = TOKENIZER.decode(solution.tokens[: solution.begin])
    assert "Doubles x.\ndef f(x)" in asked
    assert TOKENIZER.decode(solution.tokens[solution.begin :]) == PROGRAM + "```"
    assert solution.taught == len(solution.tokens)
    for hole in holes:
        assert hole.tokens[-1] == end_of_middle(TOKENIZER)
        assert hole.taught == len(hole.tokens) - 1, "the parent does not teach where a middle ends"
        assert TOKENIZER.decode(hole.tokens[hole.begin :]) in PROGRAM


def test_texts_depend_on_the_example_and_the_seed_alone():
    other = Example(id="own:2", source="own", language="go", licence="MIT", solution="a\nb := 1\nc := 2\n")
    alone = make_texts([EXAMPLE], TOKENIZER, SETTINGS)
    assert make_texts([other, EXAMPLE], TOKENIZER, SETTINGS)[-len(alone) :] == alone
    many = {tuple(make_texts([EXAMPLE], TOKENIZER, TextSettings(longest=400, seed=s))[-1].tokens) for s in range(9)}
    assert len(many) > 1


def test_other_languages_are_asked_for_by_name_and_keep_their_tabs():
    go = Example(
        id="g",
        source="own",
        language="go",
        licence="MIT",
        solution="func F() int {\n\treturn 1\n}\n",
        description="One.",
    )
    text = make_texts([go], TOKENIZER, SETTINGS)[0]
    assert "Write it in Go." in TOKENIZER.decode(text.tokens)
    assert "\treturn 1" in TOKENIZER.decode(text.tokens)


def test_no_text_is_longer_than_allowed():
    long = Example(
        id="l", source="own", language="python", licence="MIT", description="d" * 40,
        solution="def f():\n" + "".join(f"    x{place} = {place}\n" for place in range(60)),
    )  # fmt: skip
    texts = make_texts([long], TOKENIZER, TextSettings(longest=256, holes=8))
    assert {text.kind for text in texts} == {"solution", "hole"}
    assert all(len(text.tokens) <= 256 and 1 <= text.begin < len(text.tokens) for text in texts)


def test_the_mixture_has_its_shares_of_answer_tokens():
    texts = [
        TrainingText(tokens=[1] * (5 + size), begin=5, taught=5 + size, kind=kind)
        for kind, size, count in (("answer", 30, 40), ("hole", 10, 60), ("solution", 20, 5))
        for _ in range(count)
    ]
    mixed = mix(texts, {"answer": 0.5, "hole": 0.5}, seed=3)
    tokens = {kind: sum(text.answer for text in mixed if text.kind == kind) for kind in ("answer", "hole", "solution")}
    assert tokens == {"answer": 600, "hole": 600, "solution": 0}
    assert mixed == mix(texts, {"answer": 0.5, "hole": 0.5}, seed=3)
    assert summary(mixed) == "20 of kind answer (600 answer tokens), 60 of kind hole (600 answer tokens)"
    with pytest.raises(UsageError, match="no texts of kind 'hole'"):
        mix(texts[:3], {"hole": 0.5})


def test_texts_and_answers_come_back_from_their_files(tmp_path):
    texts = make_texts([EXAMPLE], TOKENIZER, SETTINGS)
    write_texts(tmp_path / "t.jsonl.gz", texts)
    assert read_texts(tmp_path / "t.jsonl.gz") == texts
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps([[5, 6], [7, 8, 9, 10]]) + "\n" + json.dumps([[5, 6], [7]]) + "\n")
    found = read_answers(path, 5)
    assert [(text.tokens, text.begin, text.kind) for text in found] == []
    assert [text.tokens for text in read_answers(path, 64)] == [[5, 6, 7, 8, 9, 10]]


@pytest.mark.parametrize("line", ["{", "[]", "[[1], 5]", '{"a": 1}', '[["x"], [1]]'])
def test_a_broken_line_of_answers_is_told(tmp_path, line):
    path = tmp_path / "answers.jsonl"
    path.write_text(f"[[1, 2], [3, 4, 5, 6]]\n{line}\n")
    with pytest.raises(UsageError, match=r"Line 2 of .* is no prompt with its answer"):
        read_answers(path, 64)
    with pytest.raises(UsageError, match="cannot be read"):
        read_answers(tmp_path / "none", 64)


@pytest.mark.parametrize(
    "row", [{"tokens": [1, 2]}, {"tokens": [1], "begin": 1, "taught": 1, "kind": "hole"}, {"a": 1}]
)
def test_a_row_that_is_no_text_is_told(tmp_path, row):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(UsageError, match=r"Line 1 of .* is no training text"):
        read_texts(path)
    path.write_text("")
    with pytest.raises(UsageError, match="is empty"):
        read_texts(path)


@pytest.mark.parametrize(
    "wrong", [{"longest": 10}, {"hole_tokens": 300}, {"solutions": 2}, {"holes": -1}, {"kinds": ()}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        TextSettings(**wrong)

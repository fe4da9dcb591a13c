"""Likeness of programs: what equals itself, what is symmetric, what renaming and cutting do."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import CLEAN, FAULTY, NAMES

from agentic_diffusion.domains.code.similarity import bleu, dice, similarity
from agentic_diffusion.foundation.errors import UsageError

PROGRAMS = [(name, source) for name in NAMES for source in (CLEAN[name], FAULTY[name])]
lexemes = st.lists(st.sampled_from(["if", "x", "y", "(", ")", "1"]), max_size=12)


@given(st.sampled_from(PROGRAMS), st.data())
@settings(max_examples=60, deadline=None)
def test_laws_of_likeness(program, data):
    """Parts of a program, cut anywhere: shares in [0, 1], 1 with itself, trees and data flow symmetric."""
    name, source = program
    one = source[: data.draw(st.integers(0, len(source)))]
    other = source[data.draw(st.integers(0, len(source))) :]
    found, back = similarity(one, other, name), similarity(other, one, name)
    for part in (found.ngram, found.weighted_ngram, found.subtree, found.data_flow, found.code_bleu):
        assert 0 <= part <= 1 + 1e-12
    assert found.subtree == back.subtree
    assert found.data_flow == back.data_flow
    assert similarity(one, one, name).code_bleu == pytest.approx(1)


@given(lexemes, lexemes)
def test_bleu_is_1_for_the_same_and_0_without_a_common_word(one, other):
    keywords = frozenset({"if"})
    assert bleu(one, one, keywords) == pytest.approx(1)
    assert 0 <= bleu(one, other, keywords) <= 1 + 1e-12
    if not set(one) & set(other) and (one or other):
        assert bleu(one, other, keywords) == 0


@pytest.mark.parametrize("name", NAMES)
def test_renamed_variables_cost_n_grams_and_neither_tree_nor_data_flow(name):
    renamed = re.sub(r"\bfound\b", "subtotal", CLEAN[name])
    assert renamed != CLEAN[name]
    found = similarity(renamed, CLEAN[name], name)
    assert found.ngram < 1
    assert found.weighted_ngram < 1
    assert (found.subtree, found.data_flow) == (1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_another_value_in_the_sum_changes_the_data_flow(name):
    other = CLEAN[name].replace("found += value", "found += start")
    found = similarity(other, CLEAN[name], name)
    assert found.data_flow < 1
    assert found.subtree == 1


@pytest.mark.parametrize("name", NAMES)
def test_comments_and_layout_do_not_count(name):
    sparse = CLEAN[name].replace("\n", "\n\n")
    assert similarity(sparse, CLEAN[name], name).code_bleu == pytest.approx(1)
    assert similarity(CLEAN[name], FAULTY[name], name).code_bleu < 0.7


def test_a_keyword_weighs_more_than_a_name():
    keywords = frozenset({"if", "while"})
    right = ["if", "a", "b", "c"]
    assert bleu(["while", "a", "b", "c"], right, keywords) < bleu(["while", "a", "b", "c"], right, frozenset())
    assert bleu(["if", "x", "b", "c"], right, keywords) > bleu(["if", "x", "b", "c"], right, frozenset())


def test_dice_counts_multisets():
    from collections import Counter

    assert dice(Counter("aab"), Counter("ab")) == 0.8
    assert dice(Counter(), Counter()) == 1
    assert dice(Counter("a"), Counter()) == 0


def test_a_language_without_a_table_is_named():
    with pytest.raises(UsageError, match="Programs in cobol cannot be measured"):
        similarity("x", "x", "cobol")

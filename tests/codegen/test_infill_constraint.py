"""The constraint of a hole: answers begin with the open end of the prefix, and stay completable."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.codegen.constraint import Constraint
from agentic_diffusion.codegen.infill_constraint import HoleConstraint
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from tiny_coder import END, stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())
TEXTS = [TOKENIZER.decode([token]) for token in range(stock_tokenizer().get_vocab_size())]
law = settings(deadline=None, max_examples=40)
texts = st.text(st.sampled_from("ab (=\n\té数🙂"), max_size=40)


@law
@given(texts.filter(bool), texts)
def test_an_answer_begins_with_the_open_end(forced, more):
    constraint = HoleConstraint(TEXTS, forced, None, frozenset({END}))
    assert constraint.accepts([END]) == 0
    assert not constraint.allowed_tokens()[END]
    tokens = TOKENIZER.encode(forced + more)
    whole = [token for token in tokens if "\ufffd" not in TEXTS[token]]
    if whole != tokens:  # a character that is split over tokens has no text of its own
        return
    assert constraint.accepts([*tokens, END, 5]) == len(tokens) + 1
    for token in tokens:
        assert constraint.allowed_tokens()[token]
        constraint.commit([token])
    assert constraint.allowed_tokens().all()
    assert constraint.finish(100) == (len(tokens), [])
    assert constraint.whole(len(tokens))
    wrong = "b" if forced[0] == "a" else "a"
    assert HoleConstraint(TEXTS, forced, None, frozenset({END})).accepts(TOKENIZER.encode(wrong)) == 0


def test_the_grammar_holds_what_follows_and_an_answer_may_end_anywhere():
    enders = frozenset({END, TOKENIZER.fence_id})
    grammar = Constraint("python", TOKENIZER, vocabulary=len(TEXTS), enders=sorted(enders))
    constraint = HoleConstraint(TEXTS, "\n", grammar.start("def f(x):"), enders)
    body = TOKENIZER.encode("\n    return (x")
    assert constraint.accepts([*body, END]) == len(body) + 1, "the suffix may close the bracket"
    wrong = TOKENIZER.encode("\n    return )")
    assert 0 < constraint.accepts(wrong) < len(wrong)
    assert constraint.accepts(TOKENIZER.encode("\nx = 1")) < len(TOKENIZER.encode("\nx = 1")), "the body is missing"
    constraint.commit(body)
    assert constraint.allowed_tokens()[END]
    assert not constraint.allowed_tokens()[TOKENIZER.encode("]")[0]]
    assert constraint.finish(100) == (len(body), []), "a cut answer stays as it is"

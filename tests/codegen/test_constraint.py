"""The constraint's laws: the longest prefix, no forbidden token, always completable, cut texts that parse."""

from __future__ import annotations

import ast
import functools
import random

import pytest
import torch

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.constraint import Constraint
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from tiny_coder import END, random_adapter, random_llama, stock_tokenizer

STARTS = {
    "python": "def f(", "javascript": "function f(", "typescript": "function f(",
    "java": "class A {\n    static int f(", "go": "package main\n\nfunc f(",
}  # fmt: skip


@functools.cache
def tokenizer() -> CodeTokenizer:
    return CodeTokenizer(stock_tokenizer())


@functools.cache
def constraint(language: str) -> Constraint:
    size = stock_tokenizer().get_vocab_size()
    return Constraint(language, tokenizer(), vocabulary=size, enders=(END, tokenizer().fence_id))


def parses(language: str, text: str) -> bool:
    if language == "python":
        try:
            ast.parse(text)
        except SyntaxError:
            return False
        return True
    return languages.get(language).parse_error(text) is None


def walked(language: str, seed: int, steps: int):
    """A random walk over allowed tokens, ending tokens left out."""
    rng = random.Random(seed)
    owner = constraint(language)
    row, tokens = owner.start(STARTS[language]), []
    for _ in range(steps):
        allowed = [t for t in row.allowed_tokens().nonzero()[:, 0].tolist() if t not in owner.enders]
        passing = next((t for t in rng.sample(allowed, len(allowed)) if row.accepts([t]) == 1), None)
        if passing is None:
            break
        row.commit([passing])
        tokens.append(passing)
    return row, tokens


@pytest.mark.parametrize("language", STARTS)
def test_a_cut_walk_is_completed_and_parses(language):
    owner = constraint(language)
    for seed in range(6):
        row, tokens = walked(language, seed, 5 + 6 * seed)
        kept, tail = row.finish(len(tokens) + 20)
        assert 0 <= kept <= len(tokens)
        assert kept + len(tail) <= len(tokens) + 20
        text = STARTS[language] + owner.bytes_of(tokens[:kept] + tail).decode()
        assert parses(language, text), text


def test_the_longest_prefix_is_accepted_and_nothing_is_committed_by_asking():
    row = constraint("python").start("def f(")
    good = tokenizer().encode("x):\n    return x")
    bad = tokenizer().encode(" return")
    assert row.accepts([*good, *bad]) == len(good)
    assert row.accepts([*good, *bad]) == len(good)
    row.commit(good)
    assert row.accepts(bad) < len(bad)
    assert row.accepts([]) == 0


def test_mask_and_acceptance_agree():
    row = constraint("python").start("x = ")
    allowed = row.allowed_tokens()
    for token in range(len(allowed)):
        assert bool(allowed[token]) == (row.accepts([token]) == 1), tokenizer().decode([token])


def test_ending_tokens_are_allowed_where_the_program_is_whole_and_only_there():
    row = constraint("python").start("def f(x):")
    fence = tokenizer().fence_id
    assert row.accepts([fence]) == 0
    assert not row.allowed_tokens()[fence]
    body = tokenizer().encode(" return x\n")
    assert row.accepts([*body, fence, 5]) == len(body) + 1
    row.commit([*body, END])
    assert row.accepts(body) == 0
    assert row.whole(len(body))
    assert not row.whole(0)


def test_bytes_of_a_character_may_come_one_by_one():
    row = constraint("python").start("x = '")
    for token in tokenizer().encode("é'"):
        assert row.accepts([token]) == 1
        row.commit([token])
    assert row.whole(3)


def test_a_hole_ends_only_where_the_suffix_fits():
    prefix, suffix = "def f(x):\n    y = ", "\n    return y\n"
    row = constraint("python").start(prefix, suffix)
    fence = tokenizer().fence_id
    assert row.accepts([fence]) == 0
    opened = tokenizer().encode("(x")
    row.commit(opened)
    assert row.accepts([fence]) == 0
    assert row.accepts([*tokenizer().encode(" + 1)"), fence]) == len(tokenizer().encode(" + 1)")) + 1
    kept, tail = row.finish(20)
    middle = constraint("python").bytes_of(opened[:kept] + tail).decode()
    ast.parse(prefix + middle + suffix)


def test_a_prefix_that_nothing_can_mend_is_refused():
    with pytest.raises(UsageError, match="No python program"):
        constraint("python").start("def f(:")
    with pytest.raises(UsageError, match="forbidden"):
        constraint("python").start("def f(").commit(tokenizer().encode(":"))


def test_a_name_is_not_declared_twice():
    row = constraint("javascript").start("let x = 1; let x")
    assert row.accepts(tokenizer().encode(";")) == 0
    assert row.accepts(tokenizer().encode("y;")) == 2


@pytest.mark.parametrize("mode", ["denoise", "verify", "ar"])
def test_random_models_write_programs_in_every_mode_and_batch(mode):
    parent = random_llama(3)
    settings = DecodeSettings(
        mode=mode,
        block=1 if mode == "ar" else 4,
        temperature=1.0,
        max_new_tokens=24,
        stop_tokens=(tokenizer().fence_id,),
    )
    coder = Coder(parent, random_adapter(parent), tokenizer(), weights="0" * 64)
    prompt = tokenizer().encode("a def f(")

    def decoded(streams):
        rows = [constraint("python").start("def f(") for _ in streams]
        decoder = BlockDecoder(coder.parent, coder.adapter, settings)
        with torch.random.fork_rng():
            return {s.stream: s for s in decoder.decode([prompt] * len(streams), streams, constraints=rows)}

    together = decoded([0, 1, 2])
    for sample in together.values():
        assert len(sample.tokens) <= 24
        ast.parse("def f(" + constraint("python").bytes_of(sample.tokens).decode())
    assert decoded([1])[1].tokens == together[1].tokens


def test_a_constraint_that_is_never_needed_changes_nothing():
    class Anything:
        """Lets every token pass."""

        def accepts(self, tokens):
            return len(tokens)

        def commit(self, tokens):
            pass

        def allowed_tokens(self):
            raise AssertionError("nothing was forbidden")

        def whole(self, count):
            return True

        def finish(self, limit):
            return limit, []

    parent = random_llama(3)
    settings = DecodeSettings(temperature=1.0, max_new_tokens=20)
    decoder = BlockDecoder(parent, random_adapter(parent), settings)
    prompts = [tokenizer().encode("a b")] * 2
    free = decoder.decode(prompts, [0, 1])
    held = decoder.decode(prompts, [0, 1], constraints=[Anything(), None])
    assert [s.tokens for s in free] == [s.tokens for s in held]

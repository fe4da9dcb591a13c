"""Where an answer is over although the model goes on: after the function that the prompt opened.

Small models repeat the function under other names, or write examples, until they are cut; every such token costs a
forward. A language says what closes a function (`body_ends`): in Python a line at the margin, which pairs of tokens
tell; elsewhere the brace that closes what the prompt opened, which is counted in the text of the rows that hold one.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer

# Comments and strings first: a bracket inside them is none. A slash opens a regular expression only where no value
# can stand before it.
_LEXEMES = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)"
    r'|"""(?:\\.|(?!""").)*(?:"""|\Z)|"(?:\\.|[^"\\\n])*(?:"|\Z)'
    r"|'(?:\\.|[^'\\\n])*(?:'|\Z)|`(?:\\.|[^`\\])*(?:`|\Z)"
    r"|(?<=[(,=:\[!&|?;]) ?/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/"
    r"|[][(){}]",
    re.DOTALL,
)
_REST_OF_LINE = re.compile(r"[ \t;]*(?://[^\n]*)?\n")


class AnswerEnd(Protocol):
    """Says of every token of the rows of a batch whether an answer ends before it."""

    def __call__(self, tokens: Int[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        """Whether an answer ends before each token."""


class TopLevelLine:
    """True for a token that begins an unindented line with a word, a decorator or a comment.

    Meant for answers whose function is already open: brackets and quotes that close at the margin go on with it. Text
    at the margin inside a multi-line string is taken for a new line of code.
    """

    def __init__(self, tokenizer: CodeTokenizer, vocabulary: int) -> None:
        """Look at the text of every token once."""
        texts = [tokenizer.decode([token]) for token in range(vocabulary)]
        self._breaks = torch.tensor([text.endswith("\n") for text in texts])
        self._begins = torch.tensor([text[:1].isalpha() or text[:1] in ("_", "@", "#") for text in texts])

    def __call__(self, tokens: Int[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        """Whether an answer ends before each token."""
        ends = torch.zeros_like(tokens, dtype=torch.bool)
        ends[:, 1:] = self._breaks[tokens[:, :-1]] & self._begins[tokens[:, 1:]]
        return ends


class ClosedBrace:
    """True for the token behind the line whose brace closes the last bracket of the program.

    A row is read only once there is a closing brace in it.
    """

    def __init__(self, tokenizer: CodeTokenizer, braces: Bool[Tensor, " V"], *, opening: str, begin: int) -> None:
        """Answers follow `opening`, which the prompt holds, from place `begin` of every row on.

        `braces` are the tokens of the vocabulary (V) with a closing brace in them, see `brace_tokens`.
        """
        self._tokenizer, self._opening, self._begin, self._braces = tokenizer, opening, begin, braces

    def __call__(self, tokens: Int[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        """Whether an answer ends before each token."""
        ends = torch.zeros_like(tokens, dtype=torch.bool)
        answers = tokens[:, self._begin :]
        for row in self._braces[answers].any(1).nonzero()[:, 0].tolist():
            answer = answers[row].tolist()
            length = closed_at(self._opening + self._tokenizer.decode(answer))
            if length is None:
                continue
            shown = accumulate(len(piece) for piece in self._tokenizer.pieces(answer))
            place = next(i for i, end in enumerate(shown, start=1) if end >= length - len(self._opening))
            if place < len(answer):
                ends[row, self._begin + place] = True
        return ends


def brace_tokens(tokenizer: CodeTokenizer, vocabulary: int) -> Bool[Tensor, " V"]:
    """Which tokens have a closing brace in their text."""
    return torch.tensor(["}" in tokenizer.decode([token]) for token in range(vocabulary)])


def bracket_depth(text: str) -> int:
    """How many brackets the text opens more than it closes; those in strings and comments are none."""
    return sum((mark in "([{") - (mark in ")]}") for mark in (found[0] for found in _LEXEMES.finditer(text)))


def closed_at(text: str) -> int | None:
    """Characters of a program up to the brace that closes its last open bracket and ends a line; None while it is open.

    Strings, comments and regular expressions are stepped over. A brace that has more behind it on its line, as that of
    a result's type in TypeScript or Go, closes nothing.
    """
    depth = 0
    for lexeme in _LEXEMES.finditer(text):
        mark = lexeme[0]
        if mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
            if depth <= 0 and mark == "}" and _REST_OF_LINE.match(text, lexeme.end()):
                return lexeme.end()
    return None

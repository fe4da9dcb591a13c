"""Where an answer is over although the model goes on: at the first top-level line after the function.

Small models repeat the function under other names, or write examples, until they are cut; every such token costs a
forward. The rule looks at pairs of tokens only, so a whole batch is checked at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer


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

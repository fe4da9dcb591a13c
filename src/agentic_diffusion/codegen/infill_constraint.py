"""Holding the answers of a hole to its open end and to the grammar.

An answer begins with the text that the prompt lacks (see `infill_prompt`), and prefix + answer stays the beginning of a
program. Whether prefix + filling + suffix is a program is not asked here: an Earley parser says of a text whether it
can be completed, but not whether it can be completed so that a given suffix fits. Fillings are parsed when they are
whole. So an answer may end anywhere, and one that is cut stays as it is.   V vocabulary
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool
    from torch import Tensor

    from agentic_diffusion.diffusion.constraint import RowConstraint


class HoleConstraint:
    """The constraint on one answer; see `diffusion.constraint.RowConstraint`."""

    def __init__(
        self, texts: Sequence[str], forced: str, grammar: RowConstraint | None, enders: frozenset[int]
    ) -> None:
        """Hold answers to `forced` first; `texts` are those of all tokens, `grammar` has read the prompt's prefix."""
        self._texts, self._grammar, self._enders = texts, grammar, enders
        self._open = forced
        self._count = 0

    def accepts(self, tokens: Sequence[int]) -> int:
        """See `RowConstraint`."""
        plain = next((i for i, token in enumerate(tokens) if token in self._enders), len(tokens))
        left, count = self._open, 0
        while count < plain and left is not None:
            rest = _after(left, self._texts[tokens[count]])
            if rest is None:
                break
            left, count = rest, count + 1
        if self._grammar is not None and count:
            count = min(count, self._grammar.accepts(tokens[:count]))
        if count == plain and plain < len(tokens) and not left:
            return count + 1
        return count

    def commit(self, tokens: Sequence[int]) -> None:
        """See `RowConstraint`."""
        for token in tokens:
            if token in self._enders:
                continue
            rest = _after(self._open, self._texts[token])
            assert rest is not None, "only what `accepts` let pass is committed"
            self._open = rest
            if self._grammar is not None:
                self._grammar.commit([token])
        self._count += len(tokens)

    def allowed_tokens(self) -> Bool[Tensor, " V"]:
        """See `RowConstraint`."""
        if self._open:
            fits = torch.tensor([_after(self._open, text) is not None for text in self._texts])
        else:
            fits = torch.ones(len(self._texts), dtype=torch.bool)
        if self._grammar is not None:
            fits &= self._grammar.allowed_tokens()
        fits[list(self._enders)] = not self._open
        return fits

    def whole(self, count: int) -> bool:
        """See `RowConstraint`; the rules of the hole say where an answer ends."""
        return count <= self._count

    def finish(self, limit: int) -> tuple[int, list[int]]:
        """See `RowConstraint`; nothing is added to an answer that is cut."""
        return min(self._count, limit), []


def _after(left: str, text: str) -> str | None:
    """What of `left` still has to be written after `text`; None where `text` does not fit."""
    if not left:
        return ""
    if text and left.startswith(text):
        return left[len(text) :]
    return "" if text.startswith(left) else None

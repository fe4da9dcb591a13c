"""What a decoder asks of a constraint on its text; it knows nothing of what the text means.

A constraint belongs to one row. It holds the tokens committed so far and answers for the next ones. V vocabulary
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool
    from torch import Tensor


class RowConstraint(Protocol):
    """The constraint on one row's answer."""

    def accepts(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, from the first, may follow what was committed; what follows an ending token may not."""

    def commit(self, tokens: Sequence[int]) -> None:
        """Take over tokens that `accepts` let pass."""

    def allowed_tokens(self) -> Bool[Tensor, " V"]:
        """The tokens that the grammar lets follow; one of them may still fail `accepts` for what it would mean."""

    def whole(self, count: int) -> bool:
        """Whether the answer may end after its first `count` committed tokens."""

    def finish(self, limit: int) -> tuple[int, list[int]]:
        """How to end within `limit` tokens: how many committed tokens stay, and those that then complete the answer."""

"""From committed tokens to pieces of text: what may be sent now, what has to wait, and where a stop sequence ends it.

A character that is split over tokens waits for its last one, and what may be the beginning of a stop sequence waits
until it is known to be none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer


class TextStream:
    """The text of one row while it grows."""

    def __init__(self, tokenizer: CodeTokenizer, *, stops: Sequence[str] = (), enders: Sequence[int] = ()) -> None:
        """`stops` end the text and are no part of it; so are the tokens `enders`."""
        self._tokenizer, self._enders = tokenizer, frozenset(enders)
        self._stops = [stop for stop in stops if stop]
        self.text = ""
        """What was handed out so far."""
        self.stopped = False
        """Whether a stop sequence was met; nothing follows."""

    def feed(self, tokens: Sequence[int]) -> str:
        """The new piece of text, given all tokens that are committed."""
        end = next((place for place, token in enumerate(tokens) if token in self._enders), len(tokens))
        return self._take(self._tokenizer.decode(tokens[:end]).rstrip("\ufffd"), whole=False)

    def finish(self, tokens: Sequence[int]) -> str:
        """The rest of the text, given all tokens without the one that ended it."""
        return self._take(self._tokenizer.decode(tokens), whole=True)

    def _take(self, text: str, *, whole: bool) -> str:
        if self.stopped:
            return ""
        found = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
        free = len(text) if whole else len(text) - self._held(text)
        # A longer stop sequence may have begun before the one that is there; then it is too early to say.
        if found and min(found) <= free:
            text, self.stopped = text[: min(found)], True
        else:
            text = text[:free]
        piece = text[len(self.text) :]
        self.text += piece
        return piece

    def _held(self, text: str) -> int:
        """Characters at the end that may begin a stop sequence."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[len(text) - length :]) for stop in self._stops):
                return length
        return 0

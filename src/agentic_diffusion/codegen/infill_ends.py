"""Where a filling may end: the form of its hole and the text behind it say so, the model chooses among these places.

    inside a line    where the rest of the line begins to be reproduced, and at the line's end
    whole lines      after every line, up to a line that belongs to the suffix: one that is the suffix's first line, one
                     that is indented less than the block, one that closes a bracket which the suffix closes already

Indentation is counted in characters, so lines are compared with lines that are indented alike.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from agentic_diffusion.codegen.endings import bracket_depth
from agentic_diffusion.domains.code import languages

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

    from agentic_diffusion.codegen.hole import Hole
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer


class HoleEnd:
    """The rule of one hole; see `codegen.endings.AnswerEnd` for how a decoder asks it."""

    def __init__(self, hole: Hole, *, longest_lines: int) -> None:
        """Read what the text around the hole asks for."""
        self.hole, self.longest_lines = hole, longest_lines
        self._after = next((line.rstrip() for line in hole.suffix.split("\n") if line.strip()), "")
        ends = languages.get(hole.language).body_ends
        self._least = _least_indentation(hole, self._after) if ends == "dedent" else 0
        self._braces = ends == "brace"
        # The net depth that a filling must have; while it is being written it may be deeper, never shallower.
        self._depth = min(0, -bracket_depth(hole.prefix + hole.suffix)) if self._braces else 0

    def over(self, text: str) -> int | None:
        """Characters of `text` (what an answer put into the hole so far) that are the filling at most.

        None while it may go on. A line is judged as soon as enough of it is there.
        """
        if not self.hole.whole_lines:
            place = text.find("\n")
            return place if place >= 0 else None
        place = written = 0
        for line in _lines(self.hole.indentation + text):
            if line.strip():
                if written == self.longest_lines or self._foreign(line, text, place):
                    return place
                written += 1
            place += len(line) - (len(self.hole.indentation) if place == 0 else 0)
        return place if written == self.longest_lines and text.endswith("\n") else None

    def ends(self, text: str, *, complete: bool) -> list[str]:
        """The distinct fillings that `text` offers, the shortest first; its last line counts only where `complete`."""
        over = self.over(text)
        if over is not None:
            text, complete = text[:over], True
        if not self.hole.whole_lines:
            return self._within(text)
        lines = text.split("\n")
        if not complete and len(lines) > 1:
            lines = lines[:-1]
        while lines and not lines[0].strip() and not self.hole.indentation:
            lines = lines[1:]
        close = "\n" if self.hole.ends_line else ""
        return ["\n".join(lines[: n + 1]).rstrip() + close for n, line in enumerate(lines) if line.strip()]

    def _within(self, text: str) -> list[str]:
        rest = self.hole.rest.rstrip()
        places = [i for i in range(len(text)) if rest and text.startswith(rest, i)]
        found = dict.fromkeys([*(text[:i] for i in places), text.rstrip() if not rest else text])
        return [end for end in found if end.strip()]

    def _foreign(self, line: str, text: str, place: int) -> bool:
        """Whether a line belongs to the suffix; it begins at `place` of the text."""
        whole = line.endswith("\n")
        if whole and self._after and line.rstrip() == self._after:
            return True
        if self._braces:
            return whole and bracket_depth(text[: place + len(line)]) < self._depth
        return _width(line) < self._least


class Ends:
    """A hole's rule over the rows of a batch; an answer begins at place `begin`, and with the text `forced`."""

    def __init__(self, rule: HoleEnd, tokenizer: CodeTokenizer, *, begin: int, forced: str) -> None:
        """Hold the rule."""
        self._rule, self._tokenizer, self._begin, self._forced = rule, tokenizer, begin, forced

    def __call__(self, tokens: Int[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        """Whether an answer ends before each token; places that are not known yet hold 0 and mean nothing."""
        ends = torch.zeros_like(tokens, dtype=torch.bool)
        for row, answer in enumerate(tokens[:, self._begin :].tolist()):
            while answer and answer[-1] == 0:
                answer.pop()
            shown = self._tokenizer.decode(answer)
            over = self._rule.over(shown[len(self._forced) :]) if len(shown) > len(self._forced) else None
            if over is None:
                continue
            over += len(self._forced)
            reached = list(accumulate(len(piece) for piece in self._tokenizer.pieces(answer)))
            place = next((i for i, end in enumerate(reached) if end > over), len(answer) - 1)
            # A token that holds the end of the filling belongs to it; the text is cut inside it later.
            place += (reached[place - 1] if place else 0) < over
            if place < len(answer):
                ends[row, self._begin + place] = True
        return ends


def _least_indentation(hole: Hole, after: str) -> int:
    """Least characters of indentation that keep a line in the block of the hole; 0 at the margin."""
    before = next((line for line in reversed(hole.prefix.split("\n")) if line.strip()), "")
    inside = _width(before) + before.rstrip().endswith(":")
    if not after or not _width(after):
        return min(inside, 1)
    return min(_width(after), inside)


def _lines(text: str) -> list[str]:
    """The lines of a text with their line breaks; other characters that may break lines are none."""
    *whole, last = text.split("\n")
    return [*(f"{line}\n" for line in whole), last]


def _width(line: str) -> int:
    return len(line) - len(line.lstrip())

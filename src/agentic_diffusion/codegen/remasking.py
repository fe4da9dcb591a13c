"""From evidence to a remasking plan: which part of a failed candidate stays, and from where it is denoised again.

A kind of evidence names a line (see `evidence`): a parse, compile or type error or a stack trace where there is one;
where none is (a wrong answer without an exception in the candidate) the model's own doubt decides.
Everything from the start of that line on goes back to [MASK]: what follows it was written in its light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.evidence import Attempt, blame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.codegen.evidence import Evidence
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
    from agentic_diffusion.testing.verdicts import Verdict


@dataclass(frozen=True)
class RemaskPlan:
    """What of a candidate is kept."""

    kept: list[int]
    """Answer tokens before the remasked part."""
    line: int
    """First remasked line of the candidate's program, from 1."""
    reason: str
    """Which evidence chose the line."""


def plan_remask(
    tokens: Sequence[int],
    confidences: Sequence[float],
    opening: str,
    tokenizer: CodeTokenizer,
    failure_line: int | None,
    *,
    verdict: Verdict | None = None,
    parses: bool = True,
    undefined: int | None = None,
    asked: Sequence[Evidence] | None = None,
) -> RemaskPlan | None:
    """The plan for one candidate, or None when nothing could be kept (the first line is at fault).

    `opening` is the beginning of the program that the prompt holds; `failure_line` counts from 1 in the program, or is
    None when parser and tests name no line; `undefined` is the line of a name that nothing declares. `asked` are the
    kinds of evidence in the place of all installed ones.
    """
    lines = _lines_of(tokenizer.pieces(tokens), opening)
    attempt = Attempt(
        lines=lines,
        confidences=confidences,
        head=1 + opening.count("\n"),
        parses=parses,
        line=failure_line,
        verdict=verdict,
        undefined=undefined,
    )
    found = blame(attempt, asked)
    if found is None:
        return None
    kept = [token for token, line in zip(tokens, lines, strict=True) if line < found.line]
    if not kept or len(kept) == len(tokens):
        return None
    return RemaskPlan(kept, found.line, found.reason)


def _lines_of(pieces: Sequence[str], opening: str) -> list[int]:
    """The line on which the visible part of each token stands; a token that ends a line belongs to that line."""
    line = 1 + opening.count("\n")
    found = []
    for piece in pieces:
        # "\n    " opens the next line with its indentation; it is remasked together with what it indents.
        found.append(line + (piece.rstrip("\n").count("\n") if piece.startswith("\n") else 0))
        line += piece.count("\n")
    return found

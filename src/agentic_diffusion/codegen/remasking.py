"""From evidence to a remasking plan: which part of a failed candidate stays, and from where it is denoised again.

A parse, compile or type error or a stack trace names a line; where none does (a wrong answer without an exception in
the candidate) the model's own doubt decides: the line that holds the token committed with the least confidence.
Everything from the start of that line on goes back to [MASK]: what follows it was written in its light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
    from agentic_diffusion.testing.verdicts import Verdict


def evidence_of(verdict: Verdict | None, *, parses: bool) -> str:
    """What tells that a candidate is wrong: a parse, compile or type error, a stack trace, or a failed assertion."""
    if not parses:
        return "parse error"
    bad = [item for item in verdict.outcomes if item.status != "passed"] if verdict is not None else []
    if not bad:
        return "no evidence"
    # the line of a verdict is the first one that an outcome names
    first = next((item for item in bad if item.line is not None), bad[0])
    if first.error_type == "SyntaxError" and first.message.startswith("SyntaxError: line "):
        return "compile error"
    if "(type error in line " in first.message:
        return "type error"
    return "failed assertion" if first.status == "failed" else "stack trace"


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
    evidence: str,
) -> RemaskPlan | None:
    """The plan for one candidate, or None when nothing could be kept (the first line is at fault).

    `opening` is the beginning of the program that the prompt holds; `failure_line` counts from 1 in the program, or is
    None when the evidence names no line.
    """
    pieces = tokenizer.pieces(tokens)
    lines = _lines_of(pieces, opening)
    reason = evidence
    if failure_line is None:
        head = 1 + opening.count("\n")
        body = [place for place in range(len(lines)) if lines[place] > head]
        if not body:
            return None
        failure_line = lines[min(body, key=lambda place: confidences[place])]
        reason = "the model's own doubt"
    kept = [token for token, line in zip(tokens, lines, strict=True) if line < failure_line]
    if not kept or len(kept) == len(tokens):
        return None
    return RemaskPlan(kept, failure_line, reason)


def _lines_of(pieces: Sequence[str], opening: str) -> list[int]:
    """The line on which the visible part of each token stands; a token that ends a line belongs to that line."""
    line = 1 + opening.count("\n")
    found = []
    for piece in pieces:
        # "\n    " opens the next line with its indentation; it is remasked together with what it indents.
        found.append(line + (piece.rstrip("\n").count("\n") if piece.startswith("\n") else 0))
        line += piece.count("\n")
    return found

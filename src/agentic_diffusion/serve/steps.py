"""Denoising steps as JSON: what is new, and what is provisional, of every row.

    {"index", "step", "committed": [texts], "certainty": [0..1], "from": place of the first of them,
     "positions": [places of provisional tokens], "tokens": [texts], "confidence": [0..1]}

Places count from the beginning of the answer. A token that is only half a character is shown as the replacement mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.diffusion.block_state import StepView
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer


class StepEvents:
    """The steps of one job, each told against the one before."""

    def __init__(self, tokenizer: CodeTokenizer, *, rows: Sequence[int] | None = None) -> None:
        """`rows` are the streams that are told, their index being their place there; None tells all by stream."""
        self._tokenizer = tokenizer
        self._index = None if rows is None else {stream: place for place, stream in enumerate(rows)}
        self._seen: dict[int, int] = {}
        self._steps: dict[int, int] = {}

    def of(self, view: StepView) -> list[dict[str, Any]]:
        """One event a row."""
        return [self._event(view, row) for row in range(len(view.streams))]

    def _event(self, view: StepView, row: int) -> dict[str, Any]:
        stream, committed = view.streams[row], view.committed[row]
        seen = min(self._seen.get(stream, 0), len(committed))
        self._seen[stream] = len(committed)
        self._steps[stream] = self._steps.get(stream, 0) + 1
        open_places = [(place, token) for place, token in enumerate(view.window[row]) if token is not None]
        return {
            "index": stream if self._index is None else self._index[stream],
            "step": self._steps[stream],
            "from": seen,
            "committed": [self._tokenizer.decode([token]) for token in committed[seen:]],
            "certainty": [round(chance, 4) for chance in view.sure[row][seen:]],
            "positions": [len(committed) + place for place, _ in open_places],
            "tokens": [self._tokenizer.decode([token]) for _, token in open_places],
            "confidence": [round(view.confidence[row][place], 4) for place, _ in open_places],
        }

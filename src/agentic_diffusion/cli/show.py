"""The denoising, drawn while it happens: committed tokens coloured by confidence, masked ones as blocks.

`frame` makes one picture of one sample; the live view and the picture in the README are both made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

    from agentic_diffusion.codegen.result import Candidate
    from agentic_diffusion.diffusion.block_state import StepView
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer

MASK = "▒▒▒"
"""How a masked token is drawn."""
_SHOWN_ROWS = 2
_SHADES = ((0.9, "bold green"), (0.6, "yellow"), (0.3, "dark_orange"), (0.0, "red"))


def shade(confidence: float) -> str:
    """The colour of a confidence in [0, 1]."""
    return next(style for least, style in _SHADES if confidence >= least)


def frame(view: StepView, row: int, tokenizer: CodeTokenizer) -> Text:
    """One sample after one forward: its text, then the open block."""
    text = Text(tokenizer.decode(view.committed[row]), style="white")
    for token, confidence in zip(view.window[row], view.confidence[row], strict=True):
        if token is None:
            text.append(MASK, style="bright_black")
        else:
            text.append(tokenizer.decode([token]), style=shade(confidence))
    return text


class LiveView:
    """Draws the first rows of the batch on stderr, and the verdict of every candidate above them."""

    def __init__(self, tokenizer: CodeTokenizer) -> None:
        """Nothing is drawn before the view is entered."""
        self._tokenizer = tokenizer
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, refresh_per_second=12)
        self._steps = 0

    def __enter__(self) -> LiveView:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def step(self, view: StepView) -> None:
        """Draw one step."""
        self._steps += 1
        panels = [
            Panel(frame(view, row, self._tokenizer), title=f"candidate {view.streams[row]}", title_align="left")
            for row in range(min(_SHOWN_ROWS, len(view.streams)))
        ]
        more = len(view.streams) - len(panels)
        note = f"forward {self._steps}" + (f", {more} more candidates in the same forward" if more else "")
        self._live.update(Group(*panels, Text(note, style="bright_black")))

    def candidate(self, candidate: Candidate) -> None:
        """Print the verdict of one candidate above the drawing."""
        verdict = candidate.verdict
        if verdict is None:
            return
        mark = "[green]passed[/]" if verdict.ok else "[red]failed[/]"
        self._console.print(f"candidate {candidate.number}: {mark} {verdict.passed} of {verdict.total} tests")

"""What a block decoding holds while it runs and what it gives back: rows in flight, samples, counts, views of a step.

B rows (samples), T tokens of a row, K block length
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from agentic_diffusion.diffusion.block_decoder import DecodeSettings
    from agentic_diffusion.diffusion.constraint import RowConstraint

TENSORS = (
    "tokens", "known", "cached", "prompt", "window", "is_masked", "shown", "probability", "drafts", "done", "steps",
)  # fmt: skip
"""The fields of `Rows` that have one entry a row."""


@dataclass(frozen=True)
class Sample:
    """A decoded text."""

    stream: int
    """The sample's random stream."""
    tokens: list[int]
    """New tokens, without the token that ends the text."""
    finished: bool
    """True when the model ended the text; False when it was cut at max_new_tokens; a constraint then completed it."""
    confidence: float
    """Mean log-probability of the committed tokens, in nats."""
    confidences: list[float]
    """Probability of each committed token when it was committed; 0 for those that a constraint completed it with."""


@dataclass
class DecodeCounts:
    """What a decoding cost."""

    forwards: int = 0
    """Forwards of the whole batch, the prompt's included."""
    row_forwards: int = 0
    """Denoising steps summed over the rows that took part; the prompts' own forwards are not among them."""
    new_tokens: int = 0
    """Committed tokens, the ending one included, prompt excluded."""
    constraint_seconds: float = 0.0
    """Time that the rows' constraints took, drawing among allowed tokens and completing cut texts included."""


@dataclass(frozen=True)
class StepView:
    """What an observer sees after each forward: copies, safe to keep."""

    streams: list[int]
    """Stream of each row that took part."""
    committed: list[list[int]]
    """All new tokens of each row that are known without a gap."""
    window: list[list[int | None]]
    """Tokens of the open block after them; None is still masked."""
    confidence: list[list[float]]
    """Latest confidence of each place of the window, in [0, 1]."""
    sure: list[list[float]] = field(default_factory=list)
    """Probability of each committed token when it was committed."""


@dataclass
class Rows:
    """State of the rows in flight; those of a running batch have settings of their own, of one mode and block."""

    keys: np.ndarray
    """What the rows are told apart by."""
    streams: np.ndarray
    """Each row's random stream; rows of different seeds may share a number."""
    settings: list[DecodeSettings]
    tokens: Int[Tensor, "B T"]
    known: Int[Tensor, " B"]
    cached: Int[Tensor, " B"]
    prompt: Int[Tensor, " B"]
    window: Int[Tensor, "B K"]
    is_masked: Bool[Tensor, "B K"]
    shown: Float[Tensor, "B K"]
    probability: Float[Tensor, "B T"]
    drafts: Int[Tensor, " B"]
    done: Bool[Tensor, " B"]
    steps: Int[Tensor, " B"]
    """Forwards that each row has taken part in."""
    constraints: dict[int, RowConstraint] = field(default_factory=dict)
    """Constraint of each row that has one, by its key."""
    stuck: set[int] = field(default_factory=set)
    """Keys of rows whose constraint lets no token follow; they are cut and completed."""

    def numbers(self, name: Literal["threshold", "max_new_tokens"]) -> Float[Tensor, " B"] | Int[Tensor, " B"]:
        """One setting of every row."""
        return torch.tensor([getattr(one, name) for one in self.settings], device=self.known.device)

    def enders(self, eos_id: int) -> Bool[Tensor, "B T"]:
        """Which tokens end the text of their row: the model's own end, and the row's stop tokens."""
        kinds = {one.stop_tokens for one in self.settings}
        ends = torch.zeros_like(self.tokens, dtype=torch.bool)
        for stops in kinds:
            rows = [row for row, one in enumerate(self.settings) if one.stop_tokens == stops]
            ends[rows] = torch.isin(self.tokens[rows], torch.tensor([eos_id, *stops], device=ends.device))
        return ends

    def constraint(self, row: int) -> RowConstraint | None:
        """The constraint of a row."""
        return self.constraints.get(int(self.keys[row]))

    def are_stuck(self) -> Bool[Tensor, " B"]:
        """Which rows can go on with no token."""
        return torch.tensor([int(key) in self.stuck for key in self.keys], device=self.known.device)

    def may_end(self, ends: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        """Where answers may end among the places `ends`: a constraint says whether the text before is whole."""
        allowed = torch.ones_like(ends)
        for row, place in ends.nonzero().tolist() if self.constraints else ():
            constraint = self.constraint(row)
            count = place - int(self.prompt[row])
            if constraint is not None and count >= 0 and place < int(self.known[row]) and not bool(self.done[row]):
                allowed[row, place] = constraint.whole(count)
        return allowed

    def keep(self, keep: Int[Tensor, " R"]) -> None:
        """Drop all rows but `keep`, and put those in that order."""
        places = keep.tolist()
        self.keys, self.streams = self.keys[places], self.streams[places]
        self.settings = [self.settings[place] for place in places]
        for name in TENSORS:
            setattr(self, name, getattr(self, name)[keep])


def view_of(rows: Rows) -> StepView:
    committed = [
        row[begin:end].tolist()
        for row, begin, end in zip(rows.tokens, rows.prompt.tolist(), rows.known.tolist(), strict=True)
    ]
    window = [
        [None if masked else token for token, masked in zip(tokens, masks, strict=True)]
        for tokens, masks in zip(rows.window.tolist(), rows.is_masked.tolist(), strict=True)
    ]
    sure = [
        row[begin:end].tolist()
        for row, begin, end in zip(rows.probability, rows.prompt.tolist(), rows.known.tolist(), strict=True)
    ]
    return StepView([int(s) for s in rows.streams], committed, window, rows.shown.tolist(), sure)

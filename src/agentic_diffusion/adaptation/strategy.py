"""What the self-improvement loop asks of a domain, and of the way in which weights are adapted.

    LoopDomain   proposes tasks, attempts them, and measures the weights on held-out tasks
    Strategy     turns what was kept into new weights
    Attempt      one try at a task with its measured reward; what is worth keeping is a sample of the buffer

Code and trajectories are served by the same loop: a task is a request or a start and goal, a reward comes from tests or
from the simulator, and weights are anything that can be written down and put back to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.diffusion.buffer import BufferSample

if TYPE_CHECKING:
    from agentic_diffusion.foundation.store.store import Domain


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at one task."""

    sample: BufferSample
    """What was made, with its task, its measured reward and its provenance."""
    baseline: float
    """What the weights achieve on this task without guidance; the discriminator compares with it."""
    solved: bool
    """Whether the task was solved at all."""


@runtime_checkable
class LoopDomain(Protocol):
    """A data domain as the loop sees it. The denoiser's live weights belong to it."""

    @property
    def name(self) -> Domain:
        """Which of the two domains."""
        ...

    def attempt(self, round_number: int) -> Sequence[Attempt]:
        """Propose this round's tasks, sample guided candidates, run them, and give the best attempt of each task."""
        ...

    def evaluate(self) -> NDArray[np.float64]:
        """[tasks] the reward of the live weights on the gate's held-out tasks, always the same ones."""
        ...

    def weights(self) -> bytes:
        """The live weights, written down."""
        ...

    def restore(self, weights: bytes) -> None:
        """Put written weights back."""
        ...


@runtime_checkable
class Strategy(Protocol):
    """How evidence changes the live weights."""

    def adapt(self, evidence: Sequence[BufferSample], round_number: int) -> Mapping[str, float]:
        """Adapt the live weights to the kept samples, old rounds' included; gives what is worth logging."""
        ...

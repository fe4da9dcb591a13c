"""Fine-tuning on old and kept data together: the strategy of AdaptDiffuser (Liang et al. 2023, section 4.2).

Each batch holds a share of what the loop has kept and, for the rest, the data of the first training, so that nothing is
forgotten while the better is learned. The strategy knows no domain: what turns evidence into batches, and what trains,
is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from torch import nn

from agentic_diffusion.diffusion.batches import BatchSource
from agentic_diffusion.diffusion.buffer import BufferSample
from agentic_diffusion.diffusion.training import LossFunction, StepReport, TrainingSettings, train
from agentic_diffusion.foundation.randomness import derive

Batch = TypeVar("Batch")


@dataclass(kw_only=True)
class FineTune(Generic[Batch]):
    """Satisfies `Strategy`."""

    model: nn.Module
    """The live weights, trained in place."""
    batches: Callable[[Sequence[BufferSample], int], BatchSource[Batch]]
    """Batches of old and kept data from the kept samples and a seed."""
    loss: LossFunction[Batch]
    """The loss of the first training."""
    settings: TrainingSettings
    """How long and how fast; its seed is varied by round."""
    callbacks: Sequence[Callable[[StepReport], None]] = ()
    """See each step."""

    def adapt(self, evidence: Sequence[BufferSample], round_number: int) -> Mapping[str, float]:
        """Fine-tune; the model ends with the average of its weights where one is kept."""
        seed = derive(self.settings.seed, "round", round_number)
        settings = replace(self.settings, seed=seed)
        result = train(
            self.model, self.batches(evidence, seed), self.loss, settings, checkpoint=None, callbacks=self.callbacks
        )
        if result.ema is not None:
            result.ema.copy_to(self.model)
        self.model.eval()
        loss = result.last.loss if result.last is not None else float("nan")
        return {"fine_tune_steps": float(result.step), "fine_tune_loss": loss, "evidence": float(len(evidence))}

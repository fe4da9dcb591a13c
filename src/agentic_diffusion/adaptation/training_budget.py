"""One dial: from a time budget and a device to a plan. The time of a step is measured, not guessed.

    budget, device -> sizes of a step -> two steps are timed -> steps that fit -> the plan, told before it starts

Nine tenths of the budget are planned; the rest is for checkpoints. A plan never goes over the data more than
`EPOCHS` times: with little data a longer training only learns them by heart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from agentic_diffusion.adaptation.adapter_training import AdapterPlan, Group, group_loss, grouped, starting_adapter
from agentic_diffusion.adaptation.code_texts import TrainingText
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.foundation.errors import ConfigError, SetupError

Device = Literal["cpu", "cuda"]
EPOCHS = 12
"""Most times that a plan goes over the data."""
_PLANNED = 0.9
_FEWEST_STEPS = 20
_LEAST_TOKENS = 32


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a step holds on a device."""

    tokens: int
    """Answer tokens of a micro-batch."""
    longest: int
    """Tokens of a text."""
    accumulation: int
    """Micro-batches a step."""
    checkpoint_seconds: float
    """Seconds between checkpoints."""


SIZES: dict[Device, Size] = {
    "cpu": Size(tokens=110, longest=256, accumulation=1, checkpoint_seconds=120),
    "cuda": Size(tokens=8192, longest=1024, accumulation=1, checkpoint_seconds=300),
}
"""The sizes that suit a device. A CPU's step should not take longer than a coffee, a GPU's should keep it busy."""


def device_of(name: str) -> torch.device:
    """The device of a name; ConfigError for an unknown one, SetupError where it is not here."""
    if name not in SIZES:
        raise ConfigError(f"There is no device {name!r} to train on.", hint=f"Use {' or '.join(SIZES)}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise SetupError(
            "There is no CUDA device that torch can use.", hint="Use --device cpu, or set up torch for CUDA."
        )
    return torch.device(name)


def plan_for(
    seconds: float, texts: Sequence[TrainingText], parent: Llama, *, device: Device, seed: int = 0
) -> tuple[AdapterPlan, str]:
    """The plan that fits a budget of `seconds`, and the sentence that tells it.

    Takes the time of two or three steps to measure one. Raises ConfigError for a budget that is not above 0.
    """
    if not seconds > 0:
        raise ConfigError(f"A budget of {seconds:g} seconds leaves no time to train.", hint="Use --budget 20m.")
    size = SIZES[device]
    plan = AdapterPlan(
        steps=_FEWEST_STEPS,
        tokens=size.tokens,
        accumulation=size.accumulation,
        checkpoint_seconds=size.checkpoint_seconds,
        ema_decay=0.98,
        seed=seed,
    )
    a_step = seconds_a_step(parent, texts, plan)
    while a_step * _FEWEST_STEPS > _PLANNED * seconds and plan.tokens > _LEAST_TOKENS:
        plan = replace(plan, tokens=max(_LEAST_TOKENS, plan.tokens // 2))
        a_step = seconds_a_step(parent, texts, plan)
    fits = max(1, int(_PLANNED * seconds / a_step))
    most = EPOCHS * max(1, len(grouped(texts, plan.tokens)) // plan.accumulation)
    plan = replace(plan, steps=min(fits, most))
    return plan, _told(plan, a_step, device, by_data=most < fits)


def seconds_a_step(parent: Llama, texts: Sequence[TrainingText], plan: AdapterPlan) -> float:
    """Seconds of one step of a plan: of its middle group, forward and backward, after one that warms up."""
    groups = grouped(texts, plan.tokens)
    module = starting_adapter(parent, plan, None).to(parent.device)
    loss_fn = group_loss(parent, plan.noise)
    generator = torch.Generator().manual_seed(plan.seed)

    def once(group: Group) -> float:
        begun = time.monotonic()
        loss, figures = loss_fn(module, group, generator)
        loss.backward()
        if parent.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.monotonic() - begun) / max(float(figures["targets"]), 1.0)

    middle = groups[len(groups) // 2]
    once(middle)
    # Seconds a target: groups at the end of the data may be smaller than the others.
    targets = plan.tokens * plan.noise.copies * 0.8
    return once(middle) * targets * plan.accumulation


def _told(plan: AdapterPlan, a_step: float, device: str, *, by_data: bool) -> str:
    why = "as the data allow" if by_data else "as fit the budget"
    return (
        f"{plan.steps} steps, {why}, of about {plan.tokens * plan.accumulation} answer tokens in {plan.noise.copies}"
        f" noised copies on {device}, {a_step:.1f} s each: about {plan.steps * a_step / 60:.1f} minutes;"
        f" blocks of {plan.noise.block}, rank {plan.rank}, learning rate {plan.learning_rate:g}"
    )

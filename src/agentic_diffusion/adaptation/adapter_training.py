"""Training the block adapter of a code model on texts: one recipe for the shipped one and for a user's own data.

    texts -> groups of about as many answer tokens -> noised copies -> loss -> AdamW on the adapter alone

What a training leaves in its folder, all of it written atomically or line by line:

    adapter.safetensors   the adapter, its matrices in 8 bits; the average of the weights where one is kept
    state.safetensors     all that a resume needs, to the bit
    log.jsonl             one line a step
    loss.svg              the curve of the loss
    plan.json             the plan, as it was made before the first step; a resume follows it

The parent is frozen: it is never among the weights that are trained, averaged or saved.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agentic_diffusion.adaptation.code_texts import TrainingText
from agentic_diffusion.adaptation.loss_curve import loss_svg, read_log
from agentic_diffusion.diffusion.backbones.adapter import Adapter, TrainableAdapter, load_adapter, save_adapter
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.batches import ShuffledBatches
from agentic_diffusion.diffusion.block_training import NoiseSettings, block_loss
from agentic_diffusion.diffusion.checkpoint import load_checkpoint, require_shapes
from agentic_diffusion.diffusion.processes import ALONE, Processes
from agentic_diffusion.diffusion.training import StepReport, TrainingResult, TrainingSettings, train
from agentic_diffusion.diffusion.training_state import KIND as STATE_KIND
from agentic_diffusion.foundation.errors import ConfigError, ModelFileError, UsageError
from agentic_diffusion.foundation.resources import atomic_write

ADAPTER, STATE, LOG, PLAN = "adapter.safetensors", "state.safetensors", "log.jsonl", "plan.json"
CURVE = "loss.svg"
"""Names of the files in a training's folder."""
_CLEAN_SHARE = 16
"""Clean tokens that a group may have for each answer token that it should have."""


@dataclass(frozen=True, kw_only=True)
class AdapterPlan:
    """Everything that decides what a training does, beside the texts and the parent."""

    steps: int
    """Optimizer steps."""
    tokens: int = 110
    """Answer tokens of a micro-batch, about."""
    accumulation: int = 1
    """Micro-batches a step."""
    rank: int = 32
    """Rank of the adapter's matrices."""
    learning_rate: float = 1e-3
    """The highest learning rate."""
    warmup_steps: int = 20
    """Steps of rising learning rate, at most a fifth of all."""
    ema_decay: float | None = None
    """Decay of the average of the weights; None: none is kept."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints."""
    seed: int = 0
    """Seed of the order, the noise and the first weights."""
    noise: NoiseSettings = field(default_factory=lambda: NoiseSettings(copies=3, complementary=True, force_one=True))
    """How texts are noised."""

    def __post_init__(self) -> None:
        """Check what no later check finds; raises ConfigError."""
        if self.tokens < 1 or self.rank < 1:
            raise ConfigError(
                f"{self.tokens} tokens a batch and a rank of {self.rank} are out of range.", hint="Both are 1 or more."
            )

    @property
    def settings(self) -> TrainingSettings:
        """The settings of the training loop."""
        return TrainingSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup_steps=min(self.warmup_steps, self.steps // 5),
            accumulation=self.accumulation,
            ema_decay=self.ema_decay,
            checkpoint_seconds=self.checkpoint_seconds,
            seed=self.seed,
        )

    def as_json(self) -> dict[str, Any]:
        """The plan, ready for JSON."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> AdapterPlan:
        """The plan in a training's folder; UsageError where it is damaged or of another version."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))["plan"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"The plan {path} cannot be read: {error}.", hint="Start anew in another folder."
            ) from error
        return cls.from_json(fields)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> AdapterPlan:
        """The plan that `as_json` wrote; UsageError for anything else."""
        try:
            return cls(**{**fields, "noise": NoiseSettings(**fields["noise"])})
        except (TypeError, KeyError) as error:
            raise UsageError(
                f"The plan is none of this version: {error}.", hint="Start anew in another folder."
            ) from error


Group = list[TrainingText]


def grouped(texts: Sequence[TrainingText], tokens: int) -> list[Group]:
    """Groups of texts of similar length with about `tokens` answer tokens each, so that little is padding."""
    groups: list[Group] = []
    answers = clean = 0
    for text in sorted(texts, key=lambda text: (len(text.tokens), text.begin)):
        if not groups or answers >= tokens or clean + len(text.tokens) > _CLEAN_SHARE * tokens:
            groups.append([])
            answers = clean = 0
        groups[-1].append(text)
        answers, clean = answers + text.answer, clean + len(text.tokens)
    return groups


def group_loss(parent: Llama, noise: NoiseSettings) -> Callable[[nn.Module, Group, torch.Generator], Any]:
    """The loss of a group of texts as the training loop asks for it."""

    def loss(module: nn.Module, group: Group, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if not isinstance(module, TrainableAdapter):
            raise UsageError("Only an adapter can be trained so.", hint="Hand in a TrainableAdapter.")

        def compute(weights: TrainableAdapter) -> tuple[Tensor, dict[str, float]]:
            return block_loss(
                parent,
                weights.adapter(parent.shape),
                [text.tokens for text in group],
                [text.begin for text in group],
                settings=noise,
                generator=generator,
                taught=[text.taught for text in group],
            )

        found: tuple[Tensor, dict[str, float]] = module(compute)  # by the call, where sharded weights are gathered
        return found

    return loss


def starting_adapter(parent: Llama, plan: AdapterPlan, start: Path | None) -> TrainableAdapter:
    """The adapter before the first step: a fresh one, or that of a file.

    `start` is an adapter's file, or the state of another training, which has its weights unrounded. Raises
    ModelFileError for a file of another parent, ConfigError for one of another rank.
    """
    fresh = TrainableAdapter(Adapter.start(parent, rank=plan.rank, generator=torch.Generator().manual_seed(plan.seed)))
    if start is None:
        return fresh
    if _kind_of(start) == STATE_KIND:
        saved = load_checkpoint(start, kind=STATE_KIND).tensors
        weights = {name.removeprefix("model/"): value for name, value in saved.items() if name.startswith("model/")}
        require_shapes(weights, {name: tuple(value.shape) for name, value in fresh.state_dict().items()}, start)
        fresh.load_state_dict(weights)
        return fresh
    adapter, _ = load_adapter(start, parent)
    rank = adapter.layers[0].qkv.a.shape[0]
    if rank != plan.rank:
        raise ConfigError(f"The adapter {start} has rank {rank}, not {plan.rank}.", hint=f"Use a rank of {rank}.")
    return TrainableAdapter(adapter.to(dtype=torch.float32, device=torch.device("cpu")))


def train_adapter(
    parent: Llama,
    texts: Sequence[TrainingText],
    plan: AdapterPlan,
    folder: Path,
    *,
    parent_sha256: str,
    start: Path | None = None,
    max_seconds: float | None = None,
    callbacks: Sequence[Callable[[StepReport], None]] = (),
    processes: Processes = ALONE,
) -> TrainingResult:
    """Train an adapter in `folder`, going on where an earlier call was stopped.

    Of several `processes` (`joined`) each one calls this; the first one writes and calls back. Raises UsageError where
    the folder holds a training by another plan, or `texts` are too few; NegativeResultError where the loss is no
    number: the files then hold the last good weights.
    """
    groups = grouped(texts, plan.tokens)
    settings = plan.settings
    if max_seconds is not None:
        settings = replace(settings, max_seconds=max_seconds)
    batches: ShuffledBatches[Group] = ShuffledBatches(len(groups), 1, plan.seed, lambda index: groups[int(index[0])])
    folder.mkdir(parents=True, exist_ok=True)
    if processes.first:
        hold_to_plan(folder / PLAN, plan, texts)
    state = folder / STATE
    module = starting_adapter(parent, plan, None if state.exists() else start).to(parent.device)
    processes.shard(module)
    header = {"block": plan.noise.block, "rank": plan.rank, "parent_sha256": parent_sha256, "noise": asdict(plan.noise)}
    saver = _Saver(folder, parent, header)
    with (folder / LOG).open("a") as log:
        told: list[Callable[[StepReport], None]] = [
            _Logger(log),
            *([] if processes.count > 1 else [saver.during(module)]),
            *callbacks,
        ]
        result = train(
            module,
            batches,
            group_loss(parent, plan.noise),
            settings,
            checkpoint=state,
            callbacks=told if processes.first else [],
            processes=processes,
        )
    if processes.first and state.exists():
        saver.finish(state, rank=plan.rank)
    processes.wait()
    return result


class _Logger:
    """Writes each step's report as a JSON line."""

    def __init__(self, log: Any) -> None:
        self._log, self._begun = log, time.monotonic()

    def __call__(self, report: StepReport) -> None:
        line = {
            "step": report.step,
            "seconds": round(time.monotonic() - self._begun, 1),
            "loss": round(report.loss, 4),
            "learning_rate": report.learning_rate,
            "gradient_norm": round(report.gradient_norm, 4),
        }
        self._log.write(json.dumps(line | {name: round(value, 4) for name, value in report.metrics.items()}) + "\n")
        self._log.flush()


class _Saver:
    """Writes the adapter's file now and then, so that it can be tried while the training goes on, and at the end."""

    EVERY = 25

    def __init__(self, folder: Path, parent: Llama, header: Mapping[str, object]) -> None:
        self._path, self._parent, self._header = folder / ADAPTER, parent, dict(header)

    def during(self, module: TrainableAdapter) -> Callable[[StepReport], None]:
        """A callback that writes the weights of `module` every so many steps."""

        def write(report: StepReport) -> None:
            if report.step % self.EVERY == 0:
                self._write(module, report.step)

        return write

    def finish(self, state: Path, *, rank: int) -> None:
        """Write the weights of the last checkpoint, or their average where there is one."""
        saved = load_checkpoint(state, kind=STATE_KIND)
        averaged = any(name.startswith("ema/") for name in saved.tensors)
        start = Adapter.start(self._parent, rank=rank, generator=torch.Generator())
        module = TrainableAdapter(start)
        prefix = "ema/" if averaged else "model/"
        module.load_state_dict(
            {name.removeprefix(prefix): value for name, value in saved.tensors.items() if name.startswith(prefix)}
        )
        self._write(module, int(str(saved.config["step"])))

    def _write(self, module: TrainableAdapter, step: int) -> None:
        save_adapter(self._path, module.adapter(self._parent.shape), config={**self._header, "step": step})
        reports = read_log(self._path.with_name(LOG))
        atomic_write(self._path.with_name(CURVE), loss_svg(reports, title=f"Training loss, {step} steps"))


def hold_to_plan(path: Path, plan: AdapterPlan, texts: Sequence[TrainingText]) -> None:
    """Write the plan into its file, or refuse to go on by another one (UsageError)."""
    wanted = {"plan": plan.as_json(), "texts": len(texts), "answer_tokens": sum(text.answer for text in texts)}
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != wanted:
            raise UsageError(
                f"The folder {path.parent} holds a training by another plan or on other texts.",
                hint="Go on with the same settings and data, or name another folder.",
            )
        return
    atomic_write(path, json.dumps(wanted, indent=1) + "\n")


def _kind_of(path: Path) -> str:
    """The kind of a model file, or "" where it is none of ours."""
    try:
        load_checkpoint(path, kind=STATE_KIND)
    except ModelFileError:
        return ""
    return STATE_KIND

"""The plan denoiser: a transformer over a plan's tokens that reads the layout's cells by cross-attention.

Time: t in [0, 1]; 0 clean, 1 noise.
Shapes: B batch, H tokens, C numbers a token, M cells, W features of a cell, D width.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from agentic_diffusion.diffusion.checkpoint import load_checkpoint, load_into, save_checkpoint
from agentic_diffusion.diffusion.denoiser import draw_weights
from agentic_diffusion.diffusion.gaussian import GaussianProcess
from agentic_diffusion.diffusion.gaussian_denoisers import StateTransformer, StateTransformerSettings
from agentic_diffusion.foundation.errors import ModelFileError
from agentic_diffusion.foundation.resources import home
from agentic_diffusion.planning.plan_format import CELL_FEATURES, PlanFormat

KIND = "maze planner"
PROCESS = GaussianProcess(prediction="x_0", weighting="min-snr")
"""x_0 is predicted, on the cosine schedule; the published Maze2D planners do the same."""


@dataclass(frozen=True, kw_only=True)
class PlannerModelSettings:
    """Sizes of a plan denoiser."""

    plan: PlanFormat = field(default_factory=PlanFormat)
    """How plans are written."""
    width: int = 128
    """Width D of the transformer and of the encoded cells."""
    layers: int = 2
    """Layers, each with self-attention, cross-attention and MLP."""
    heads: int = 4
    """Heads of both attentions."""
    mlp: int = 256
    """Inner width of the gated MLP."""
    horizons: tuple[tuple[str, int], ...] = ()
    """Fixed plan lengths in environment steps by maze, for a planner in the manner of Diffuser; none: they vary."""

    def transformer(self) -> StateTransformerSettings:
        """The sizes of the transformer."""
        return StateTransformerSettings(
            channels=self.plan.channels,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            mlp=self.mlp,
            context_width=self.width,
        )


class PlannerModel(nn.Module):
    """Cells' encoder and transformer; satisfies `Denoiser` with the cells' features as its context."""

    def __init__(self, settings: PlannerModelSettings, generator: torch.Generator) -> None:
        """Make the network and draw its weights from `generator`."""
        super().__init__()
        self.settings = settings
        self.cell_in = nn.Linear(CELL_FEATURES, settings.width)
        self.cell_out = nn.Linear(settings.width, settings.width)
        self.transformer = StateTransformer(settings.transformer(), generator)
        draw_weights(self.cell_in, generator)
        draw_weights(self.cell_out, generator)

    def encode_cells(self, context: Float[Tensor, "B M W"]) -> Float[Tensor, "B M D"]:
        """What cross-attention reads of each cell; it does not depend on t or the plan."""
        encoded: Tensor = self.cell_out(F.silu(self.cell_in(context)))
        return encoded

    def forward(
        self,
        x_t: Float[Tensor, "B H C"],
        t: Float[Tensor, " B"],
        context: Float[Tensor, "B M W"] | None = None,
        context_mask: Bool[Tensor, "B M"] | None = None,
        attention_mask: Bool[Tensor, "H H"] | Bool[Tensor, "B H H"] | None = None,
    ) -> Float[Tensor, "B H C"]:
        """The estimate of the clean plan."""
        encoded = None if context is None else self.encode_cells(context)
        predicted: Tensor = self.transformer(x_t, t, encoded, context_mask, attention_mask)
        return predicted


def make_model(settings: PlannerModelSettings, seed: int) -> PlannerModel:
    """A model with fresh weights."""
    return PlannerModel(settings, torch.Generator().manual_seed(seed))


def save_model(path: Path, model: PlannerModel, **facts: object) -> str:
    """Write weights, sizes and `facts` (JSON-ready) atomically; gives the file's SHA-256."""
    config = {"model": settings_as_json(model.settings), "facts": facts}
    return save_checkpoint(path, model.state_dict(), kind=KIND, config=config)


def load_model(path: Path, *, sha256: str | None = None) -> PlannerModel:
    """Read a model of `save_model`; raises ModelFileError for a missing, truncated, corrupt or foreign file."""
    checkpoint = load_checkpoint(path, kind=KIND, sha256=sha256)
    config: Any = checkpoint.config
    try:
        sizes = dict(config["model"])
        sizes["plan"] = PlanFormat(**sizes["plan"])
        sizes["horizons"] = tuple((str(name), int(length)) for name, length in sizes["horizons"])
        settings = PlannerModelSettings(**sizes)
    except (KeyError, TypeError) as error:
        raise ModelFileError(
            f"The model file {path} does not say its sizes as this version reads them.", hint="Train it again."
        ) from error
    model = make_model(settings, 0)
    load_into(model, checkpoint, path)
    return model.eval()


def settings_as_json(settings: PlannerModelSettings) -> dict[str, Any]:
    """The sizes as JSON would give them back."""
    return asdict(settings) | {"horizons": [list(pair) for pair in settings.horizons]}


def installed_weights() -> Path | None:
    """The planner that ships, or the newest that was trained here; None where there is neither."""
    shipped = Path(__file__).parents[1] / "diffusion" / "weights" / "maze-planner.safetensors"
    if shipped.is_file():
        return shipped
    trained = sorted((home() / "maze").glob("*/evolved.safetensors"), key=lambda path: path.stat().st_mtime)
    return trained[-1] if trained else None

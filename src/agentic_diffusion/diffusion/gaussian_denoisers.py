"""Networks for continuous data: a transformer over states, and a residual MLP over the whole sample.

Time: t in [0, 1]; 0 clean, 1 noise.
Shapes: B batch, H horizon (states, rows of a picture), C numbers a state, M context length, K context width, D width.

Both satisfy `Denoiser`, give numbers of the shape of x_t (what they mean is the process's `prediction`), begin as the
zero function and read a context of any length; a context whose mask is False everywhere counts as none, which is what
classifier-free guidance asks for (`guidance.drop_context`).

    StateTransformer    self-attention over H, cross-attention to the context; any horizon
    ResidualMLP         all numbers of a sample at once, the context as one vector: the mean of what may be read of it;
                        one shape of data, and several times faster
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from agentic_diffusion.diffusion.denoiser import Layer, StackSettings, draw_weights, sinusoids
from agentic_diffusion.foundation.errors import ConfigError, UsageError

_TIME_UNITS = 1000


@dataclass(frozen=True, kw_only=True)
class StateTransformerSettings(StackSettings):
    """Sizes of a `StateTransformer`."""

    channels: int
    """Numbers C of a state."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        super().__post_init__()
        _check_sizes(channels=self.channels)


class StateTransformer(nn.Module):
    """A pre-norm transformer over the states of a trajectory, or the rows of a picture; satisfies `Denoiser`."""

    def __init__(self, settings: StateTransformerSettings, generator: torch.Generator) -> None:
        """Make the network and draw its weights from `generator`."""
        super().__init__()
        self.settings = settings
        width = settings.width
        self.entry = nn.Linear(settings.channels, width)
        self.time = TimeEmbedding(width)
        self.layers = nn.ModuleList(Layer(settings, timed=True) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, settings.channels)
        draw_weights(self, generator)
        nn.init.zeros_(self.head.weight)

    def forward(
        self,
        x_t: Float[Tensor, "B H C"],
        t: Float[Tensor, " B"],
        context: Float[Tensor, "G M K"] | None = None,
        context_mask: Bool[Tensor, "G M"] | None = None,
        attention_mask: Bool[Tensor, "H H"] | Bool[Tensor, "B H H"] | None = None,
    ) -> Float[Tensor, "B H C"]:
        """The prediction; a context may serve several neighbouring samples (G divides B).

        Raises UsageError for states of another width or a context that it was not made for.
        """
        _check_context(context, self.settings.context_width)
        if x_t.ndim != 3 or x_t.shape[2] != self.settings.channels:
            raise UsageError(
                f"The data have shape {tuple(x_t.shape)} and must be [batch, horizon, {self.settings.channels}].",
                hint="Give the data that the denoiser was made for, or make it with other `channels`.",
            )
        places = torch.arange(x_t.shape[1], device=x_t.device, dtype=x_t.dtype)
        x = self.entry(x_t) + sinusoids(places, self.settings.width)
        time = self.time(t)[:, None]
        for layer in self.layers:
            x = layer(
                x, time, context=context, context_mask=context_mask, attention_mask=attention_mask, positions=None
            )
        predicted: Tensor = self.head(self.norm(x))
        return predicted


@dataclass(frozen=True, kw_only=True)
class ResidualMLPSettings:
    """Sizes of a `ResidualMLP`."""

    shape: tuple[int, ...]
    """Shape of one sample: (2,) for a point, (H, C) for a trajectory."""
    width: int = 512
    """Width D of the residual stream and of each block."""
    blocks: int = 3
    """Residual blocks, two matrices each."""
    embedding: int = 128
    """Width of what time and context are turned into, an even number."""
    context_width: int | None = None
    """Width K of the context; None: no context."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        context = {} if self.context_width is None else {"context_width": self.context_width}
        _check_sizes(width=self.width, blocks=self.blocks, embedding=self.embedding, numbers=self.numbers, **context)
        if self.embedding % 2:
            raise ConfigError(f"embedding is {self.embedding} and must be even.", hint="Leave it out for the default.")

    @property
    def numbers(self) -> int:
        """Numbers of one sample."""
        return torch.Size(self.shape).numel()

    def as_json(self) -> dict[str, object]:
        """The settings as a JSON-ready mapping, for a checkpoint."""
        return asdict(self) | {"shape": list(self.shape)}


class ResidualBlock(nn.Module):
    """x + W_2 silu(W_1 norm(x) + E e): one step of the stream, shifted by time and context e."""

    def __init__(self, width: int, embedding: int) -> None:
        """Make the parts."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.shift = nn.Linear(embedding, width, bias=False)
        self.outer = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B D"], embedded: Float[Tensor, "B E"]) -> Float[Tensor, "B D"]:
        """One block."""
        mixed: Tensor = x + self.outer(F.silu(self.inner(self.norm(x)) + self.shift(embedded)))
        return mixed


class ResidualMLP(nn.Module):
    """A residual MLP over all numbers of a sample, of any fixed shape; satisfies `Denoiser`."""

    def __init__(self, settings: ResidualMLPSettings, generator: torch.Generator) -> None:
        """Make the network and draw its weights from `generator`."""
        super().__init__()
        self.settings = settings
        self.entry = nn.Linear(settings.numbers, settings.width)
        self.time = TimeEmbedding(settings.embedding)
        self.reader: nn.Linear | None = None
        self.absent: nn.Parameter | None = None
        if settings.context_width is not None:
            self.reader = nn.Linear(settings.context_width, settings.embedding)
            self.absent = nn.Parameter(torch.zeros(settings.embedding))
        self.blocks = nn.ModuleList(ResidualBlock(settings.width, settings.embedding) for _ in range(settings.blocks))
        self.norm = nn.LayerNorm(settings.width)
        self.head = nn.Linear(settings.width, settings.numbers)
        draw_weights(self, generator)
        with torch.no_grad():
            self.head.weight.zero_()
            for part in self.modules():
                if isinstance(part, ResidualBlock):
                    part.outer.weight.mul_(settings.blocks**-0.5)  # so that the stream does not grow with the depth

    def forward(
        self,
        x_t: Float[Tensor, " B *data"],
        t: Float[Tensor, " B"],
        context: Float[Tensor, "B M K"] | None = None,
        context_mask: Bool[Tensor, "B M"] | None = None,
        attention_mask: Tensor | None = None,  # noqa: ARG002 - one signature for all denoisers
    ) -> Float[Tensor, " B *data"]:
        """The prediction; raises UsageError for data of another shape or a context that it was not made for."""
        _check_context(context, self.settings.context_width)
        if tuple(x_t.shape[1:]) != tuple(self.settings.shape):
            raise UsageError(
                f"A sample has shape {tuple(x_t.shape[1:])} and must have {tuple(self.settings.shape)}.",
                hint="Give the data that the denoiser was made for, or make it with another `shape`.",
            )
        embedded = self.time(t)
        if self.reader is not None and self.absent is not None:
            embedded = embedded + self._read(context, context_mask, self.reader, self.absent)
        x = self.entry(x_t.flatten(1))
        for block in self.blocks:
            x = block(x, F.silu(embedded))
        predicted: Tensor = self.head(self.norm(x))
        return predicted.view(x_t.shape)

    @staticmethod
    def _read(context: Tensor | None, context_mask: Tensor | None, reader: nn.Linear, absent: Tensor) -> Tensor:
        """[B or 1, E]: the mean of the context that may be read, through a matrix; `absent` where there is none."""
        if context is None:
            return absent[None]
        if context_mask is None:
            mean: Tensor = reader(context.mean(dim=1))
            return mean
        count = context_mask.sum(dim=1, keepdim=True)
        mean = (context * context_mask[:, :, None]).sum(dim=1) / count.clamp(min=1)
        return torch.where(count > 0, reader(mean), absent)


class TimeEmbedding(nn.Module):
    """Sinusoids of t through two matrices."""

    def __init__(self, width: int) -> None:
        """Make the matrices; `width` is even."""
        super().__init__()
        self.width = width
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, t: Float[Tensor, " B"]) -> Float[Tensor, "B E"]:
        """t spans 1000 units of the sinusoids."""
        embedded: Tensor = self.outer(F.silu(self.inner(sinusoids(t * _TIME_UNITS, self.width))))
        return embedded


def _check_sizes(**sizes: int) -> None:
    """Raise ConfigError unless every size is 1 or more."""
    for name, value in sizes.items():
        if value < 1:
            raise ConfigError(f"{name} is {value} and must be 1 or more.", hint="Leave it out for the default.")


def _check_context(context: Tensor | None, width: int | None) -> None:
    """Raise UsageError for a context that the network cannot read."""
    if context is None:
        return
    if width is None:
        raise UsageError(
            "The denoiser was made without a context and was given one.", hint="Make it with a `context_width`."
        )
    if context.ndim != 3 or context.shape[2] != width:
        raise UsageError(
            f"The context has shape {tuple(context.shape)} and must be [batch, length, {width}].",
            hint="A single vector is a context of length 1: context[:, None].",
        )

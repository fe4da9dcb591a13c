"""The denoiser as a process sees it, and a small transformer of our own for tokens with both attentions.

Time: t in [0, 1]; 0 clean, 1 noise.
Shapes: B batch, L length, V vocabulary (MASK included), D width, M context length, C context width.

A denoiser is any callable (x_t, t, context, context_mask, attention_mask) -> logits of x_0, or for continuous data
(`gaussian_denoisers`) numbers of the shape of x_t. The transformer is a pre-norm stack; time enters by adaptive layer
norm whose gates start at 0 (Peebles and Xie 2023, "DiT", adaLN-Zero), so every layer begins as the identity:

    x = embed(x_t) + place          for each layer:   x += gate_1 * self_attention(norm_1(x))
                                                      x += cross_attention(norm(x), context)     (if there is a context)
                                                      x += gate_2 * swiglu(norm_2(x))
    logits = subs(head(norm(x)))
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from agentic_diffusion.diffusion.attention import AttentionSettings, CrossAttention, SelfAttention
from agentic_diffusion.foundation.errors import ConfigError


@runtime_checkable
class Denoiser(Protocol):
    """Predicts from noised data: the clean tokens for the masked process, `gaussian.Prediction` for the Gaussian."""

    def __call__(
        self,
        x_t: Int[Tensor, "B L"] | Float[Tensor, " B *data"],
        t: Float[Tensor, " B"] | Float[Tensor, "B L"],
        context: Float[Tensor, "B M C"] | None = None,
        context_mask: Bool[Tensor, "B M"] | None = None,
        attention_mask: Bool[Tensor, "L L"] | Bool[Tensor, "B L L"] | None = None,
    ) -> Float[Tensor, "B L V"] | Float[Tensor, " B *data"]:
        """Logits of x_0 at every position, or numbers of the shape of x_t; masks say True where one may look."""
        ...


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Sizes of a stack of layers, whatever enters and leaves it."""

    width: int = 64
    """Width D of the residual stream."""
    layers: int = 2
    """Number of layers."""
    heads: int = 4
    """Query heads."""
    kv_heads: int | None = None
    """Key and value heads; None: as many as `heads`."""
    mlp: int = 128
    """Inner width of the gated MLP."""
    context_width: int | None = None
    """Width C of the context for cross-attention; None: no cross-attention."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        sizes = {"layers": self.layers, "mlp": self.mlp}
        if self.context_width is not None:
            sizes["context_width"] = self.context_width
        for name, value in sizes.items():
            if value < 1:
                raise ConfigError(f"{name} is {value} and must be 1 or more.", hint="Leave it out for the default.")
        self.attention()

    def attention(self) -> AttentionSettings:
        """The sizes of one attention layer."""
        return AttentionSettings(width=self.width, heads=self.heads, kv_heads=self.kv_heads)

    def as_json(self) -> dict[str, object]:
        """The settings as a JSON-ready mapping, for a checkpoint."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TransformerSettings(StackSettings):
    """Sizes of a `TransformerDenoiser`."""

    vocabulary: int
    """Number of token ids V, MASK included."""
    mask_id: int
    """The id of MASK."""
    time_conditioning: bool = True
    """Whether the network reads t. Masked models work without: the share of masks tells it (Sahoo et al. 2024)."""
    subs: bool = True
    """Whether the output obeys `substitute`; False gives raw logits, as an autoregressive loss needs them."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if not 0 <= self.mask_id < self.vocabulary:
            raise ConfigError(
                f"The mask id {self.mask_id} is outside the vocabulary of {self.vocabulary} tokens.",
                hint="Count [MASK] as one of the tokens.",
            )
        super().__post_init__()


class SwiGLU(nn.Module):
    """The gated MLP down(silu(gate(x)) * up(x)); Shazeer 2020, "GLU variants improve transformer"."""

    def __init__(self, width: int, inner: int) -> None:
        """Make the three projections."""
        super().__init__()
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Apply the MLP to each token."""
        mixed: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return mixed


class Layer(nn.Module):
    """Self-attention, optional cross-attention and MLP, each added to the stream."""

    def __init__(self, settings: StackSettings, *, timed: bool) -> None:
        """Make the parts; shift, scale and gate of both norms come from the time, or are weights when not `timed`."""
        super().__init__()
        width = settings.width
        self.norm_1 = nn.LayerNorm(width, elementwise_affine=False)
        self.self_attention = SelfAttention(settings.attention())
        self.cross_norm: nn.LayerNorm | None = None
        self.cross_attention: CrossAttention | None = None
        if settings.context_width is not None:
            self.cross_norm = nn.LayerNorm(width)
            self.cross_attention = CrossAttention(settings.attention(), settings.context_width)
        self.norm_2 = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = SwiGLU(width, settings.mlp)
        self.modulation: nn.Linear | None = nn.Linear(width, 6 * width) if timed else None
        self.still = None if timed else nn.Parameter(torch.zeros(6 * width))

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        time: Float[Tensor, "B _ D"] | None,
        *,
        context: Float[Tensor, "G M C"] | None,
        context_mask: Bool[Tensor, "G M"] | None,
        attention_mask: Tensor | None,
        positions: Tensor | None,
    ) -> Float[Tensor, "B L D"]:
        """One layer; `time` is the embedding of one time a sequence or one a token."""
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self._modulate(time).chunk(6, dim=-1)
        seen = self.norm_1(x) * (1 + scale_1) + shift_1
        x = x + gate_1 * self.self_attention(seen, attention_mask=attention_mask, positions=positions)
        if context is not None and self.cross_attention is not None and self.cross_norm is not None:
            x = x + self.cross_attention(self.cross_norm(x), context, context_mask=context_mask)
        mixed: Tensor = x + gate_2 * self.mlp(self.norm_2(x) * (1 + scale_2) + shift_2)
        return mixed

    def _modulate(self, time: Tensor | None) -> Tensor:
        """[B, 1 or L, 6 D] from the time, or the layer's own [6 D]."""
        if self.modulation is None or time is None:
            assert self.still is not None, "a timed layer needs the time"
            return self.still
        modulated: Tensor = self.modulation(F.silu(time))
        return modulated


class TransformerDenoiser(nn.Module):
    """A small transformer denoiser; satisfies `Denoiser`."""

    def __init__(self, settings: TransformerSettings, generator: torch.Generator) -> None:
        """Make the network and draw its weights from `generator`."""
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(settings.vocabulary, settings.width)
        self.time: nn.Sequential | None = None
        if settings.time_conditioning:
            self.time = nn.Sequential(
                nn.Linear(settings.width, settings.width), nn.SiLU(), nn.Linear(settings.width, settings.width)
            )
        self.layers = nn.ModuleList(Layer(settings, timed=settings.time_conditioning) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.width)
        self.head = nn.Linear(settings.width, settings.vocabulary, bias=False)
        draw_weights(self, generator)
        with torch.no_grad():
            # The denoiser starts by saying that all tokens are equally likely.
            self.head.weight.zero_()

    def forward(
        self,
        x_t: Int[Tensor, "B L"],
        t: Float[Tensor, " B"] | Float[Tensor, "B L"],
        context: Float[Tensor, "B M C"] | None = None,
        context_mask: Bool[Tensor, "B M"] | None = None,
        attention_mask: Bool[Tensor, "L L"] | Bool[Tensor, "B L L"] | None = None,
        *,
        positions: Int[Tensor, " L"] | Int[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L V"]:
        """Logits of x_0. `t` may differ by token (block diffusion); `positions` default to 0 .. L - 1.

        Raises ConfigError for a context that the network has no cross-attention for.
        """
        if context is not None and self.settings.context_width is None:
            raise ConfigError(
                "A context was given to a denoiser without cross-attention.",
                hint="Set context_width in its settings.",
            )
        places = torch.arange(x_t.shape[1], device=x_t.device) if positions is None else positions
        x = self.embedding(x_t) + sinusoids(places.to(self.head.weight.dtype), self.settings.width)
        time = self._embed_time(t)
        for layer in self.layers:
            x = layer(
                x, time, context=context, context_mask=context_mask, attention_mask=attention_mask, positions=positions
            )
        logits: Tensor = self.head(self.norm(x))
        return substitute(logits, x_t, self.settings.mask_id) if self.settings.subs else logits

    def _embed_time(self, t: Tensor) -> Tensor | None:
        """[B, 1, D] for one time a sequence, [B, L, D] for one a token; t spans 1000 units of the sinusoids."""
        if self.time is None:
            return None
        time = t[:, None] if t.ndim == 1 else t
        embedded: Tensor = self.time(sinusoids(time.to(self.head.weight.dtype) * 1000, self.settings.width))
        return embedded


class ContextEncoder(nn.Module):
    """Turns context tokens into vectors for cross-attention: embedding, places, bidirectional layers without time."""

    def __init__(self, settings: TransformerSettings, generator: torch.Generator) -> None:
        """Use the sizes of `settings`; its width is the context's width."""
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(settings.vocabulary, settings.width)
        self.layers = nn.ModuleList(Layer(settings, timed=False) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.width)
        draw_weights(self, generator)

    def forward(
        self, tokens: Int[Tensor, "B M"], *, context_mask: Bool[Tensor, "B M"] | None = None
    ) -> Float[Tensor, "B M D"]:
        """The context; masked tokens influence no other."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens) + sinusoids(places.to(self.norm.weight.dtype), self.settings.width)
        allowed = None if context_mask is None else context_mask[:, None, :].expand(-1, tokens.shape[1], -1)
        for layer in self.layers:
            x = layer(x, None, context=None, context_mask=None, attention_mask=allowed, positions=None)
        encoded: Tensor = self.norm(x)
        return encoded


def substitute(logits: Float[Tensor, "B L V"], x_t: Int[Tensor, "B L"], mask_id: int) -> Float[Tensor, "B L V"]:
    """The SUBS parameterisation (Sahoo et al. 2024, section 3): x_0 is never MASK; unmasked tokens are carried over.

    MASK gets -inf everywhere; at an unmasked position the token itself keeps the logit 0 and all others get -inf.
    """
    tokens = torch.arange(logits.shape[-1], device=logits.device)
    carried = torch.where(tokens == x_t[:, :, None], 0.0, -math.inf).to(logits.dtype)
    predicted = logits.masked_fill(tokens == mask_id, -math.inf)
    return torch.where((x_t == mask_id)[:, :, None], predicted, carried)


def sinusoids(x: Float[Tensor, "*shape"], width: int) -> Float[Tensor, "*shape D"]:
    """cos and sin of x at width / 2 wavelengths from 2 pi to 10000 * 2 pi; Vaswani et al. 2017, section 3.5."""
    half = width // 2
    rate = torch.exp(-math.log(10_000.0) * torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angles = x[..., None] * rate
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every matrix from N(0, 1 / fan_in) and embeddings from N(0, 1) with `generator`; biases and modulation 0.

    The layers of torch draw from the global generator when they are made; nothing of that is left.
    """
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.weight.normal_(0.0, part.in_features**-0.5, generator=generator)
                if part.bias is not None:
                    part.bias.zero_()
            elif isinstance(part, nn.Embedding):
                part.weight.normal_(0.0, 1.0, generator=generator)
        for part in module.modules():
            if isinstance(part, Layer) and part.modulation is not None:
                part.modulation.weight.zero_()

"""The Llama backbone: our own attention and a lean forward over the stock class' weights.

One forward takes any mixture of clean and noised tokens from any rows of a batch, packed without padding:

    N tokens of a forward, the first `noised` of them noised     B rows (samples)     S cache slots a row     D width

Clean tokens run through the parent alone and see the clean past causally, so their keys and values are the exact
incremental cache. Noised tokens run through the parent plus the low-rank adapter and see what `Packing` allows them.
Logits are shifted by one: the output at a position predicts the next position, as in the autoregressive parent, so a
forward of one clean token a row is the parent itself (block size 1).

The stock Llama class needs about ten kernel launches more a layer, which on a CPU costs more than the arithmetic of a
small block; a test holds this forward against the stock class.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch.nn import functional as F

from agentic_diffusion.foundation.errors import ModelFileError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from agentic_diffusion.diffusion.backbones.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class LlamaShape:
    """The numbers that define a Llama-type model."""

    layers: int
    """Number of transformer layers."""
    width: int
    """Width D of the residual stream."""
    heads: int
    """Query heads."""
    kv_heads: int
    """Key and value heads; divides `heads`."""
    mlp: int
    """Width of the gated MLP."""
    vocabulary: int
    """Number of token ids V."""
    context: int
    """Longest text in tokens."""
    rope_theta: float
    """Base of the rotary embedding."""
    epsilon: float
    """Constant of the root-mean-square norms."""
    eos_id: int
    """The token that ends a text."""

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @classmethod
    def read(cls, folder: Path) -> LlamaShape:
        """Read `config.json` of a converted or downloaded model folder."""
        try:
            raw = json.loads((folder / "config.json").read_text())
            shape = cls(
                layers=int(raw["num_hidden_layers"]),
                width=int(raw["hidden_size"]),
                heads=int(raw["num_attention_heads"]),
                kv_heads=int(raw["num_key_value_heads"]),
                mlp=int(raw["intermediate_size"]),
                vocabulary=int(raw["vocab_size"]),
                context=int(raw["max_position_embeddings"]),
                rope_theta=float(raw["rope_theta"]),
                epsilon=float(raw["rms_norm_eps"]),
                eos_id=int(raw["eos_token_id"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise ModelFileError(
                f"The folder {folder} holds no readable config.json of a Llama-type model: {problem}.",
                hint="run `agd setup` to fetch the default model, or name a folder that has config.json.",
            ) from problem
        foreign = _foreign(raw, shape)
        if foreign:
            raise ModelFileError(
                f"The model in {folder} cannot be read as a Llama: {foreign}.",
                hint="use a model of the plain Llama type, such as the default one (`agd models list`).",
            )
        return shape


def _foreign(raw: dict[str, Any], shape: LlamaShape) -> str | None:
    """What the configuration asks for that this forward does not do; None when nothing."""
    counts = (shape.layers, shape.width, shape.heads, shape.kv_heads, shape.mlp, shape.vocabulary, shape.context)
    if min(counts) < 1 or shape.width % shape.heads or shape.heads % shape.kv_heads:
        return f"{shape.heads} heads, {shape.kv_heads} key-value heads and a width of {shape.width} do not fit"
    if raw.get("rope_scaling") is not None:
        return "it scales its rotary embedding"
    if raw.get("hidden_act", "silu") != "silu":
        return f"its activation is {raw['hidden_act']!r}"
    if raw.get("head_dim", shape.head) not in (None, shape.head):
        return f"its heads are {raw['head_dim']} wide"
    return None


@dataclass(frozen=True)
class Packing:
    """Which rows, slots and neighbours the N packed tokens of one forward have."""

    noised: int
    """The first `noised` tokens are noised (adapter on), the others clean."""
    rows: Int[Tensor, " N"]
    """Row of each token in the cache."""
    slots: Int[Tensor, " N"]
    """Cache slot that each token's key and value are written to."""
    positions: Int[Tensor, " N"]
    """Position in the text, for the rotary embedding."""
    padded: Int[Tensor, " N"]
    """Index of each token in the padded [B, Q] layout that attention uses."""
    allowed: Bool[Tensor, "B Q S"]
    """Which slots each query may look at; S may be shorter than the cache."""


class Memory(Protocol):
    """Where a forward puts its keys and values and what its queries read."""

    def exchange(
        self, index: int, packing: Packing, key: Float[Tensor, "N kv"], value: Float[Tensor, "N kv"]
    ) -> tuple[Float[Tensor, "B S kv"], Float[Tensor, "B S kv"]]:
        """Take keys and values of layer `index` from the packed tokens; return those that attention reads."""
        ...


class Cache:
    """Keys and values of B rows and S slots for every layer, written in place."""

    def __init__(self, shape: LlamaShape, *, rows: int, slots: int, dtype: torch.dtype, device: torch.device) -> None:
        """Reserve zeros: layers x rows x slots x (key + value) numbers."""
        self.shape = shape
        self.rows, self.slots = rows, slots
        size = (shape.layers, rows * slots, shape.kv_heads * shape.head)
        self.keys = torch.zeros(size, dtype=dtype, device=device)
        self.values = torch.zeros(size, dtype=dtype, device=device)

    def exchange(
        self, index: int, packing: Packing, key: Float[Tensor, "N kv"], value: Float[Tensor, "N kv"]
    ) -> tuple[Float[Tensor, "B S kv"], Float[Tensor, "B S kv"]]:
        """Write this forward's keys and values of layer `index`; return what its queries may read."""
        written = packing.rows * self.slots + packing.slots
        self.keys[index].index_copy_(0, written, key)
        self.values[index].index_copy_(0, written, value)
        seen = packing.allowed.shape[2]
        shape = (self.rows, self.slots, -1)
        return self.keys[index].view(shape)[:, :seen], self.values[index].view(shape)[:, :seen]

    def repeat_row(self, length: int, rows: int) -> Cache:
        """A cache of `rows` rows that all start with the first `length` slots of row 0 (one prompt, many samples)."""
        other = Cache(self.shape, rows=rows, slots=self.slots, dtype=self.keys.dtype, device=self.keys.device)
        for target, source in ((other.keys, self.keys), (other.values, self.values)):
            view = target.view(self.shape.layers, rows, self.slots, -1)
            view[:, :, :length] = source.view(self.shape.layers, self.rows, self.slots, -1)[:, :1, :length]
        return other

    def keep_rows(self, keep: Int[Tensor, " R"]) -> Cache:
        """A cache with the rows `keep` only, in that order (finished samples leave the batch)."""
        other = Cache(self.shape, rows=len(keep), slots=0, dtype=self.keys.dtype, device=self.keys.device)
        other.slots = self.slots
        for name in ("keys", "values"):
            rows = getattr(self, name).view(self.shape.layers, self.rows, self.slots, -1)[:, keep]
            setattr(other, name, rows.reshape(self.shape.layers, len(keep) * self.slots, -1))
        return other


@dataclass(frozen=True)
class _Layer:
    """Fused weights of one layer."""

    attention_norm: Float[Tensor, " D"]
    qkv: Float[Tensor, "rows D"]
    out: Float[Tensor, "D D"]
    mlp_norm: Float[Tensor, " D"]
    gate_up: Float[Tensor, "rows D"]
    down: Float[Tensor, "D mlp"]


class Llama:
    """A frozen Llama-type parent with an optional adapter for noised tokens."""

    def __init__(self, shape: LlamaShape, weights: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> None:
        """Fuse `weights` (stock names, any dtype) into one matrix for query-key-value and one for gate-up a layer."""
        self.shape = shape
        self.embedding = weights["model.embed_tokens.weight"].to(dtype)
        self.head = weights["lm_head.weight"].to(dtype) if "lm_head.weight" in weights else self.embedding
        self.norm = weights["model.norm.weight"].to(dtype)
        self.layers = [_fuse(weights, f"model.layers.{i}.", dtype) for i in range(shape.layers)]
        self.dtype, self.device = self.embedding.dtype, self.embedding.device
        frequency = torch.arange(0, shape.head, 2, device=self.device, dtype=torch.float32) / shape.head
        self._inverse_frequency = shape.rope_theta**-frequency

    @classmethod
    def load(cls, folder: Path, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Llama:
        """Load `config.json` and `model.safetensors` of `folder`; no other file is read and no code is run."""
        shape = LlamaShape.read(folder)
        path = folder / "model.safetensors"
        try:
            with safe_open(path, framework="pt", device=device) as file:
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no iterator
        except (OSError, SafetensorError) as problem:
            raise ModelFileError(
                f"The weights {path} cannot be read: {problem}.", hint="run `agd models verify`, then `agd setup`."
            ) from problem
        _check_shapes(shape, weights, path)
        return cls(shape, weights, dtype)

    def new_cache(self, *, rows: int, slots: int) -> Cache:
        """An empty cache for `rows` samples of at most `slots` tokens."""
        return Cache(self.shape, rows=rows, slots=slots, dtype=self.dtype, device=self.device)

    def embed(self, tokens: Int[Tensor, " N"]) -> Float[Tensor, "N D"]:
        """Token embeddings."""
        return F.embedding(tokens, self.embedding)

    def forward(
        self, hidden: Float[Tensor, "N D"], packing: Packing, memory: Memory, adapter: Adapter | None = None
    ) -> Float[Tensor, "N D"]:
        """Run all layers over packed embeddings, exchanging keys and values with `memory`; the normed last state."""
        cosine, sine = self.rotary(packing.positions)
        noised = packing.noised if adapter is not None else 0
        for index, layer in enumerate(self.layers):
            low_rank = adapter.layers[index] if adapter is not None and noised else None
            normed = F.rms_norm(hidden, (self.shape.width,), layer.attention_norm, self.shape.epsilon)
            qkv = F.linear(normed, layer.qkv)
            if low_rank is not None:
                low_rank.qkv.add_to(qkv, normed, noised)
            query, key, value = self._rotate(qkv, cosine, sine)
            attended = self._attend(query, packing, *memory.exchange(index, packing, key, value))
            out = F.linear(attended, layer.out)
            if low_rank is not None:
                low_rank.out.add_to(out, attended, noised)
            hidden = hidden + out
            normed = F.rms_norm(hidden, (self.shape.width,), layer.mlp_norm, self.shape.epsilon)
            gate_up = F.linear(normed, layer.gate_up)
            if low_rank is not None:
                low_rank.gate_up.add_to(gate_up, normed, noised)
            gated = F.silu(gate_up[:, : self.shape.mlp]) * gate_up[:, self.shape.mlp :]
            down = F.linear(gated, layer.down)
            if low_rank is not None:
                low_rank.down.add_to(down, gated, noised)
            hidden = hidden + down
        return F.rms_norm(hidden, (self.shape.width,), self.norm, self.shape.epsilon)

    def logits(self, hidden: Float[Tensor, "M D"]) -> Float[Tensor, "M V"]:
        """Next-token logits of chosen states."""
        return F.linear(hidden, self.head)

    def rotary(self, positions: Int[Tensor, " N"]) -> tuple[Float[Tensor, "N 1 H"], Float[Tensor, "N 1 H"]]:
        """Cosine and sine of the rotary embedding, halves repeated; Su et al. 2021, eq. 34."""
        angle = positions[:, None].float() * self._inverse_frequency
        angle = torch.cat((angle, angle), dim=-1)[:, None, :]
        return angle.cos().to(self.dtype), angle.sin().to(self.dtype)

    def _rotate(
        self, qkv: Float[Tensor, "N rows"], cosine: Float[Tensor, "N 1 H"], sine: Float[Tensor, "N 1 H"]
    ) -> tuple[Float[Tensor, "N h H"], Float[Tensor, "N kv"], Float[Tensor, "N kv"]]:
        shape, half = self.shape, self.shape.head // 2
        turned = shape.heads + shape.kv_heads
        both = qkv[:, : turned * shape.head].view(-1, turned, shape.head)
        swapped = torch.cat((-both[..., half:], both[..., :half]), dim=-1)
        both = both * cosine + swapped * sine
        key = both[:, shape.heads :].reshape(-1, shape.kv_heads * shape.head)
        return both[:, : shape.heads], key, qkv[:, turned * shape.head :]

    def _attend(
        self,
        query: Float[Tensor, "N h H"],
        packing: Packing,
        keys: Float[Tensor, "B S kv"],
        values: Float[Tensor, "B S kv"],
    ) -> Float[Tensor, "N D"]:
        """Grouped-query attention: the queries of a group are folded into the query length, keys are never repeated."""
        shape = self.shape
        rows, length, _ = packing.allowed.shape
        group = shape.heads // shape.kv_heads
        padded = query.new_zeros(rows * length, shape.heads, shape.head).index_copy_(0, packing.padded, query)
        folded = padded.view(rows, length, shape.kv_heads, group, shape.head).permute(0, 2, 3, 1, 4)
        folded = folded.reshape(rows, shape.kv_heads, group * length, shape.head)
        mask = packing.allowed[:, None].repeat(1, 1, group, 1)
        out = F.scaled_dot_product_attention(
            folded,
            keys.view(*keys.shape[:2], shape.kv_heads, shape.head).transpose(1, 2),
            values.view(*values.shape[:2], shape.kv_heads, shape.head).transpose(1, 2),
            attn_mask=mask,
            scale=1 / math.sqrt(shape.head),
        )
        out = out.view(rows, shape.kv_heads, group, length, shape.head).permute(0, 3, 1, 2, 4)
        return out.reshape(rows * length, shape.width).index_select(0, packing.padded)


def _fuse(weights: dict[str, Tensor], prefix: str, dtype: torch.dtype) -> _Layer:
    def of(*names: str) -> Tensor:
        # Joined in the stored dtype: that halves what is copied when bfloat16 weights become float32.
        parts = [weights[f"{prefix}{name}.weight"] for name in names]
        return (torch.cat(parts) if len(parts) > 1 else parts[0]).to(dtype)

    return _Layer(
        attention_norm=of("input_layernorm"),
        qkv=of("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        out=of("self_attn.o_proj"),
        mlp_norm=of("post_attention_layernorm"),
        gate_up=of("mlp.gate_proj", "mlp.up_proj"),
        down=of("mlp.down_proj"),
    )


def _check_shapes(shape: LlamaShape, weights: dict[str, Tensor], path: Path) -> None:
    expected = {"model.embed_tokens.weight": (shape.vocabulary, shape.width), "model.norm.weight": (shape.width,)}
    kv = shape.kv_heads * shape.head
    parts = {
        "input_layernorm": (shape.width,),
        "post_attention_layernorm": (shape.width,),
        "self_attn.q_proj": (shape.width, shape.width),
        "self_attn.k_proj": (kv, shape.width),
        "self_attn.v_proj": (kv, shape.width),
        "self_attn.o_proj": (shape.width, shape.width),
        "mlp.gate_proj": (shape.mlp, shape.width),
        "mlp.up_proj": (shape.mlp, shape.width),
        "mlp.down_proj": (shape.width, shape.mlp),
    }
    for index in range(shape.layers):
        expected |= {f"model.layers.{index}.{name}.weight": size for name, size in parts.items()}
    if "lm_head.weight" in weights:
        expected["lm_head.weight"] = (shape.vocabulary, shape.width)
    # Biases and the like would change what the model says; the table of the rotary embedding is computed here.
    foreign = [name for name in weights if name not in expected and not name.endswith(".rotary_emb.inv_freq")]
    if foreign:
        raise ModelFileError(
            f"The weights {path} hold {foreign[0]}, which this Llama class does not have.",
            hint="use a model of the plain Llama type, such as the default one (`agd models list`).",
        )
    for name, size in expected.items():
        found = tuple(weights[name].shape) if name in weights else None
        if found != size:
            raise ModelFileError(
                f"The weights {path} do not fit their config.json: {name} is {found}, expected {size}.",
                hint="the folder mixes two models; fetch the model again with `agd setup`.",
            )

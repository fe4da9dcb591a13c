"""The low-rank adapter that turns a frozen autoregressive parent into a block denoiser.

It holds a learned [MASK] embedding and, for each fused linear map of each layer, x -> x + (x A^T) B^T
(Hu et al. 2021, eq. 3), applied to noised tokens only: clean tokens keep the parent's exact keys and values.
Shapes: A [R, in], B [out, R], R the rank. On disk each matrix is int8 with one fp16 scale a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from agentic_diffusion.diffusion.checkpoint import load_checkpoint, pack_int8, save_checkpoint, unpack_int8
from agentic_diffusion.foundation.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from jaxtyping import Float
    from torch import Tensor

    from agentic_diffusion.diffusion.backbones.llama import Llama, LlamaShape

T = TypeVar("T")

KIND = "block-adapter"
"""Kind of the adapter's file."""

PARTS = ("qkv", "out", "gate_up", "down")
"""The fused linear maps of a layer, in forward order."""


@dataclass
class LowRank:
    """One low-rank map A, B."""

    a: Float[Tensor, "R in"]
    b: Float[Tensor, "out R"]

    def add_to(self, output: Float[Tensor, "N out"], value: Float[Tensor, "N in"], noised: int) -> None:
        """Add the low-rank term to the first `noised` rows of `output`, in place."""
        low = value[:noised] @ self.a.t()
        output[:noised].addmm_(low, self.b.t())


@dataclass
class AdapterLayer:
    """The four low-rank maps of one layer."""

    qkv: LowRank
    out: LowRank
    gate_up: LowRank
    down: LowRank


class Adapter:
    """All low-rank maps and the [MASK] embedding of a block denoiser."""

    def __init__(self, layers: list[AdapterLayer], mask_embedding: Float[Tensor, " D"]) -> None:
        """Hold `layers` (one entry a layer of the parent) and the embedding of a masked token."""
        self.layers = layers
        self.mask_embedding = mask_embedding

    @classmethod
    def start(cls, parent: Llama, *, rank: int, generator: torch.Generator) -> Adapter:
        """A fresh adapter that changes nothing: A uniform, B zero, [MASK] the mean token embedding."""
        layers = []
        for _ in range(parent.shape.layers):
            maps = {}
            for part, (rows, columns) in part_shapes(parent.shape).items():
                bound = math.sqrt(3.0 / columns)
                a = torch.empty(rank, columns).uniform_(-bound, bound, generator=generator)
                maps[part] = LowRank(a, torch.zeros(rows, rank))
            layers.append(AdapterLayer(**maps))
        return cls(layers, parent.embedding.float().mean(0))

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor with a stable name."""
        yield "mask_embedding", self.mask_embedding
        for index, layer in enumerate(self.layers):
            for part in PARTS:
                low_rank = getattr(layer, part)
                yield f"layers.{index}.{part}.a", low_rank.a
                yield f"layers.{index}.{part}.b", low_rank.b

    @classmethod
    def from_tensors(cls, shape: LlamaShape, tensors: dict[str, Tensor], *, origin: str) -> Adapter:
        """Build from named tensors; raises ModelFileError when one is missing or does not fit the parent."""
        layers = []
        depth = 1 + max((int(name.split(".")[1]) for name in tensors if name.startswith("layers.")), default=-1)
        if depth > shape.layers:
            raise ModelFileError(
                f"The adapter {origin} is for {depth} layers, this parent has {shape.layers}.",
                hint="use the adapter together with the model that it was trained on.",
            )
        for index in range(shape.layers):
            maps = {}
            for part, (rows, columns) in part_shapes(shape).items():
                a, b = tensors.get(f"layers.{index}.{part}.a"), tensors.get(f"layers.{index}.{part}.b")
                if a is None or b is None or a.shape != (len(a), columns) or b.shape != (rows, len(a)):
                    raise ModelFileError(
                        f"The adapter {origin} does not fit this parent: layer {index}, part {part}.",
                        hint="use the adapter together with the model that it was trained on.",
                    )
                maps[part] = LowRank(a, b)
            layers.append(AdapterLayer(**maps))
        mask = tensors.get("mask_embedding")
        if mask is None or mask.shape != (shape.width,):
            raise ModelFileError(
                f"The adapter {origin} has no [MASK] embedding of width {shape.width}.",
                hint="use the adapter together with the model that it was trained on.",
            )
        return cls(layers, mask)

    def to(self, *, dtype: torch.dtype, device: torch.device) -> Adapter:
        """A copy in another dtype on another device."""
        tensors = {name: tensor.to(dtype=dtype, device=device) for name, tensor in self.named_tensors()}
        layers = [
            AdapterLayer(**{p: LowRank(tensors[f"layers.{i}.{p}.a"], tensors[f"layers.{i}.{p}.b"]) for p in PARTS})
            for i in range(len(self.layers))
        ]
        return Adapter(layers, tensors["mask_embedding"])


class TrainableAdapter(nn.Module):
    """The adapter as a module with parameters in fp32, for training.

    The [MASK] embedding is stored divided by `MASK_RATE`, so that one learning rate moves it `MASK_RATE` times faster
    than the matrices: it starts as a mean of words and has the longest way to go.
    """

    MASK_RATE = 10.0

    def __init__(self, start: Adapter) -> None:
        """Take the starting values of `start`."""
        super().__init__()
        self._names = [name for name, _ in start.named_tensors()]
        for name, tensor in start.named_tensors():
            value = tensor / self.MASK_RATE if name == "mask_embedding" else tensor
            self.register_parameter(name.replace(".", "_"), nn.Parameter(value.detach().clone()))

    def forward(self, compute: Callable[[TrainableAdapter], T]) -> T:
        """What `compute` makes of this module; where the weights are sharded, they are whole meanwhile."""
        return compute(self)

    def adapter(self, shape: LlamaShape) -> Adapter:
        """The adapter whose tensors are these parameters, gradients included."""
        tensors = {name: self.get_parameter(name.replace(".", "_")) for name in self._names}
        mask = tensors["mask_embedding"] * self.MASK_RATE
        return Adapter.from_tensors(shape, {**tensors, "mask_embedding": mask}, origin="in training")


def save_adapter(path: Path, adapter: Adapter, *, config: Mapping[str, object]) -> str:
    """Write an adapter: matrices as int8 with a scale a row, the [MASK] embedding in fp16; return the file's SHA-256.

    `config` says what it was trained on and how; `block`, the length of its blocks, belongs into it.
    """
    tensors: dict[str, Tensor] = {"mask_embedding": adapter.mask_embedding.detach().to(torch.float16)}
    for name, tensor in adapter.named_tensors():
        if name != "mask_embedding":
            tensors[name], tensors[f"{name}.scale"] = pack_int8(tensor.detach())
    return save_checkpoint(path, tensors, kind=KIND, config=config)


def load_adapter(path: Path, parent: Llama) -> tuple[Adapter, Mapping[str, object]]:
    """Read an adapter for `parent`, in the parent's dtype and on its device, with its configuration.

    Raises ModelFileError for a missing, corrupt or foreign file.
    """
    file = load_checkpoint(path, kind=KIND)
    tensors = {
        name: unpack_int8(tensor, file.tensors[f"{name}.scale"]) if f"{name}.scale" in file.tensors else tensor.float()
        for name, tensor in file.tensors.items()
        if not name.endswith(".scale")
    }
    adapter = Adapter.from_tensors(parent.shape, tensors, origin=str(path))
    return adapter.to(dtype=parent.dtype, device=parent.device), file.config


def part_shapes(shape: LlamaShape) -> dict[str, tuple[int, int]]:
    """Output and input width of each fused linear map."""
    heads = shape.heads + 2 * shape.kv_heads
    return {
        "qkv": (heads * shape.head, shape.width),
        "out": (shape.width, shape.width),
        "gate_up": (2 * shape.mlp, shape.width),
        "down": (shape.width, shape.mlp),
    }

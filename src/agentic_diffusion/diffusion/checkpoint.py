"""Model files: safetensors with their configuration inside, never pickle, checked on load.

A file holds tensors by name and, as one JSON text under "checkpoint" in the safetensors header (one, because the
order of several is not fixed and the same content shall give the same bytes):

    kind      what sort of file it is, for example "adapter"; a foreign kind is refused
    config    free to its kind
    sha256    over names, types, shapes, bytes, kind and config, so that a flipped bit is found without a second file

Writing is atomic. Reading raises ModelFileError in one sentence that names the file and what differs.
Shapes: R rows, C columns of a packed matrix.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float16, Int8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from agentic_diffusion.foundation.errors import ModelFileError, UsageError
from agentic_diffusion.foundation.resources import atomic_write, sha256_of

_FETCH = "Fetch or make the file again."
_HEADER = "checkpoint"
_LEVELS = 127


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content of a file."""

    tensors: Mapping[str, Tensor]
    """The tensors by name."""
    config: Mapping[str, object]
    """The configuration."""
    kind: str
    """What sort of file it is."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], *, kind: str, config: Mapping[str, object]) -> str:
    """Write a file atomically and give its SHA-256 (of the whole file, as `checksum` does).

    Tensors are copied to memory of their own, since safetensors refuses tied weights and views. Raises what
    `resources.atomic_write` raises for a place that cannot be written.
    """
    ready = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    header = {"kind": kind, "config": config, "sha256": _content_checksum(ready, kind, config)}
    data = save(ready, metadata={_HEADER: json.dumps(header, sort_keys=True, allow_nan=False)})
    atomic_write(Path(path), data)
    return hashlib.sha256(data).hexdigest()


def load_checkpoint(path: Path, *, kind: str, sha256: str | None = None) -> Checkpoint:
    """Read and check a file.

    `sha256`, where given, is what the whole file must hash to. Raises ModelFileError for a missing, truncated,
    corrupt or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"The model file {path} does not exist.", hint=_FETCH)
    if sha256 is not None and (found := checksum(path)) != sha256:
        raise ModelFileError(
            f"The model file {path} is corrupt: its SHA-256 is {found} and must be {sha256}.", hint=_FETCH
        )
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_HEADER, "null")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise ModelFileError(
            f"The model file {path} is truncated or is no safetensors file ({error}).", hint=_FETCH
        ) from error
    header = _parse_header(text, path)
    if header["kind"] != kind:
        raise ModelFileError(
            f"The model file {path} is of kind {header['kind']!r} and {kind!r} is needed.", hint="Give another file."
        )
    if _content_checksum(tensors, kind, header["config"]) != header["sha256"]:
        raise ModelFileError(f"The model file {path} is corrupt: its content does not match its checksum.", hint=_FETCH)
    return Checkpoint(tensors=tensors, config=header["config"], kind=kind)


def load_into(module: nn.Module, checkpoint: Checkpoint, path: Path) -> None:
    """Copy tensors into a module's parameters and buffers; all must be there, with the same shapes.

    Raises ModelFileError that names the first differences; the module is then unchanged.
    """
    target = module.state_dict()
    require_shapes(checkpoint.tensors, {name: tuple(value.shape) for name, value in target.items()}, path)
    module.load_state_dict(dict(checkpoint.tensors))


def require_shapes(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise ModelFileError unless `tensors` are exactly those of `shapes`; names up to three differences."""
    missing = [f"{name} is missing" for name in shapes if name not in tensors]
    foreign = [f"{name} is not of this model" for name in tensors if name not in shapes]
    other = [
        f"{name} has shape {tuple(tensors[name].shape)} and must have {shape}"
        for name, shape in shapes.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    differences = missing + foreign + other
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise ModelFileError(
            f"The model file {path} belongs to another model: {'; '.join(differences[:3])}{more}.",
            hint="Give the file of this model, or make it again with these settings.",
        )


def checksum(path: Path) -> str:
    """The SHA-256 of a whole file in hexadecimal; reads it in pieces. Raises ModelFileError where it cannot be read."""
    try:
        return sha256_of(Path(path))
    except OSError as error:
        raise ModelFileError(f"The model file {path} cannot be read: {error.strerror}.", hint=_FETCH) from error


def pack_int8(matrix: Float[Tensor, "R C"]) -> tuple[Int8[Tensor, "R C"], Float16[Tensor, " R"]]:
    """A matrix in one byte a number: round(x / scale) with scale = max |row| / 127, kept in half precision.

    The error is at most half a scale. Raises UsageError for numbers that are not finite or too large for the scale.
    """
    peak = matrix.float().abs().amax(dim=1)
    scales = (peak / _LEVELS).to(torch.float16)
    # Half precision may round the scale down to where the peak no longer fits; the next number up always holds it.
    scales = torch.where(scales.float() * _LEVELS < peak, torch.nextafter(scales, scales.new_tensor(torch.inf)), scales)
    if not bool(torch.isfinite(scales).all()):
        raise UsageError(
            "A matrix with numbers that are not finite, or above 8 million, cannot be packed in 8 bits.",
            hint="Pack trained weights; look for a diverged training.",
        )
    divisor = scales.float().where(scales > 0, torch.ones_like(peak))[:, None]
    return (matrix.float() / divisor).round().clamp(-_LEVELS, _LEVELS).to(torch.int8), scales


def unpack_int8(packed: Int8[Tensor, "R C"], scales: Float16[Tensor, " R"]) -> Float[Tensor, "R C"]:
    """The matrix of `pack_int8` in single precision."""
    return packed.float() * scales.float()[:, None]


def _parse_header(text: str, path: Path) -> dict[str, Any]:
    """The header's mapping of kind, config and sha256; ModelFileError for any other text."""
    try:
        header = json.loads(text)
    except json.JSONDecodeError:
        header = None
    if not isinstance(header, dict) or not {"kind", "config", "sha256"} <= set(header):
        raise ModelFileError(
            f"The model file {path} was not written by this package: its header lacks kind, config or sha256.",
            hint="Give a file that `agd` made.",
        )
    return header


def _content_checksum(tensors: Mapping[str, Tensor], kind: str, config: Mapping[str, object]) -> str:
    """SHA-256 over everything that means something, in the order of the names."""
    digest = hashlib.sha256()
    for text in (kind, json.dumps(config, sort_keys=True, allow_nan=False)):
        digest.update(f"{len(text)}:{text}".encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{len(name)}:{name}|{value.dtype}|{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

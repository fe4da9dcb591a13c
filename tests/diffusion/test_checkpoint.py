"""Model files: what is written comes back, and whatever is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from agentic_diffusion.diffusion.checkpoint import (
    checksum,
    load_checkpoint,
    load_into,
    pack_int8,
    save_checkpoint,
    unpack_int8,
)
from agentic_diffusion.foundation.errors import ModelFileError, SetupError, UsageError

law = settings(deadline=None, max_examples=50, derandomize=True)


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(3, 4, generator=generator),
        "half": torch.randn(5, generator=generator).bfloat16(),
        "bytes": torch.arange(7, dtype=torch.int8),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(3.0, dtype=torch.float64),
        "empty": torch.zeros(0, 4),
        "turned": torch.randn(4, 3, generator=generator).T,
    }


def test_round_trip(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "model.safetensors"
    digest = save_checkpoint(path, tensors, kind="adapter", config={"rank": 8, "name": "größe"})
    loaded = load_checkpoint(path, kind="adapter", sha256=digest)
    assert digest == checksum(path)
    assert loaded.config == {"rank": 8, "name": "größe"}
    assert set(loaded.tensors) == set(tensors)
    for name, value in tensors.items():
        assert loaded.tensors[name].dtype == value.dtype
        assert torch.equal(loaded.tensors[name], value)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    first = save_checkpoint(tmp_path / "a", tensors, kind="adapter", config={"a": 1, "b": 2})
    second = save_checkpoint(tmp_path / "b", dict(reversed(tensors.items())), kind="adapter", config={"b": 2, "a": 1})
    assert first == second


def test_tied_weights_and_views_are_saved(tmp_path: Path) -> None:
    whole = torch.arange(6.0).view(2, 3)
    save_checkpoint(tmp_path / "m", {"a": whole, "b": whole, "row": whole[1]}, kind="adapter", config={})
    loaded = load_checkpoint(tmp_path / "m", kind="adapter").tensors
    assert torch.equal(loaded["a"], whole)
    assert torch.equal(loaded["b"], whole)
    assert torch.equal(loaded["row"], whole[1])


def test_every_truncation_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, tensors, kind="adapter", config={})
    whole = path.read_bytes()
    for length in (0, 4, 8, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="truncated or is no safetensors file") as caught:
            load_checkpoint(path, kind="adapter")
        assert str(path) in caught.value.message


def test_every_flipped_data_byte_is_found(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, tensors, kind="adapter", config={})
    whole = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in range(start, len(whole)):
        broken = bytearray(whole)
        # 1 stays 1 as a bool whatever its other bits say, so flip the lowest.
        broken[place] ^= 1
        path.write_bytes(broken)
        with pytest.raises(ModelFileError, match="content does not match its checksum"):
            load_checkpoint(path, kind="adapter")


def test_foreign_files_are_named(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelFileError, match=r"model\.safetensors does not exist"):
        load_checkpoint(path, kind="adapter")
    with pytest.raises(ModelFileError, match="cannot be read"):
        checksum(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ModelFileError, match="its header lacks kind, config or sha256"):
        load_checkpoint(path, kind="adapter")
    save_checkpoint(path, tensors, kind="training state", config={})
    with pytest.raises(ModelFileError, match="is of kind 'training state' and 'adapter' is needed"):
        load_checkpoint(path, kind="adapter")
    with pytest.raises(ModelFileError, match=f"its SHA-256 is {checksum(path)} and must be {'0' * 64}"):
        load_checkpoint(path, kind="training state", sha256="0" * 64)


def test_load_into_names_what_differs_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    small, large = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), nn.Sequential(nn.Linear(4, 3))
    save_checkpoint(path, large.state_dict(), kind="adapter", config={})
    before = {name: value.clone() for name, value in small.state_dict().items()}
    with pytest.raises(ModelFileError) as caught:
        load_into(small, load_checkpoint(path, kind="adapter"), path)
    assert f"{path} belongs to another model: 1.weight is missing; 1.bias is missing; " in caught.value.message
    assert "0.weight has shape (3, 4) and must have (3, 2)" in caught.value.message
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())
    save_checkpoint(path, {name: value + 1 for name, value in before.items()}, kind="adapter", config={})
    load_into(small, load_checkpoint(path, kind="adapter"), path)
    assert all(torch.equal(value, before[name] + 1) for name, value in small.state_dict().items())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "model.safetensors"
    digest = save_checkpoint(path, tensors, kind="adapter", config={})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(path, tensors, kind="adapter", config={"loss": float("nan")})
    assert checksum(path) == digest
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(SetupError, match="cannot be written"):
        save_checkpoint(tmp_path / "nowhere" / "model", tensors, kind="adapter", config={})


@law
@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_int8_error_is_at_most_half_a_scale(rows: list[list[float]]) -> None:
    matrix = torch.tensor(rows)
    packed, scales = pack_int8(matrix)
    error = (unpack_int8(packed, scales) - matrix).abs()
    assert packed.dtype == torch.int8
    assert bool((error <= scales.float()[:, None] * 0.5 * (1 + 1e-5)).all())
    assert bool((scales.float() <= matrix.abs().amax(1) / 127 * (1 + 2e-3) + 6e-8).all())


def test_int8_refuses_what_it_cannot_hold() -> None:
    for wrong in (float("nan"), float("inf"), 1e9):
        with pytest.raises(UsageError, match="cannot be packed in 8 bits"):
            pack_int8(torch.tensor([[1.0, wrong]]))

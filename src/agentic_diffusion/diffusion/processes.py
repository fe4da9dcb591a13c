"""Several processes that train one model, each on a device of its own: started by torchrun, sharded by torch's FSDP.

    torchrun --nproc-per-node 2 -m agentic_diffusion train ... --device cuda

Every process takes its share of the micro-batches of a step; gradients are averaged, trained weights, their averages
and the optimizer's state are sharded (`fully_shard`, FSDP2). A frozen parent is held whole by each. Checkpoints hold
whole tensors and are written by process 0. Gradients of one step are the same as those of one process that accumulates
as many micro-batches; the noise is drawn by each process for itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agentic_diffusion.foundation.errors import SetupError, UsageError


@dataclass(frozen=True, kw_only=True)
class Processes:
    """How many there are, and which one this is."""

    rank: int = 0
    """Number of this process, from 0."""
    count: int = 1
    """How many there are."""

    @property
    def first(self) -> bool:
        """Whether this one writes files and talks."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """The mean of a number over all processes; not a number where it is none in one of them."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=_device())
        torch.distributed.all_reduce(total)
        return float(total) / self.count

    def together(self, tensor: Tensor) -> Tensor:
        """The tensor of each process in one, [count, ...]; of a single process the tensor itself."""
        if self.count == 1:
            return tensor
        parts = [torch.empty_like(tensor, device=_device()) for _ in range(self.count)]
        torch.distributed.all_gather(parts, tensor.to(_device()))
        return torch.stack(parts).cpu()

    def own(self, tensor: Tensor) -> Tensor:
        """This process's part of what `together` gave."""
        return tensor if self.count == 1 else tensor[self.rank]

    def wait(self) -> None:
        """Wait for all."""
        if self.count > 1:
            torch.distributed.barrier()

    def shard(self, model: nn.Module) -> None:
        """Shard the trained weights of a model over the processes, in place; nothing for a single one."""
        if self.count > 1:
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            fully_shard(model, mesh=init_device_mesh(_device().type, (self.count,)))


ALONE = Processes()
"""A single process."""


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started, joined for the time of the block; `ALONE` without torchrun.

    Raises UsageError for a broken environment, SetupError where the processes do not find one another.
    """
    if "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    try:
        rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local = int(os.environ.get("LOCAL_RANK", "0"))
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"WORLD_SIZE is set, and RANK is not a number: {error}.",
            hint="Start it with torchrun, or unset WORLD_SIZE.",
        ) from error
    if count == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(local)
    try:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise SetupError(
            f"The {count} processes did not find one another: {error}.", hint="Start them with torchrun."
        ) from error
    try:
        yield Processes(rank=rank, count=count)
    finally:
        torch.distributed.destroy_process_group()


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor in one piece, to be called by every process; another tensor as it is."""
    gather = getattr(tensor, "full_tensor", None)
    return gather() if gather is not None else tensor


def shard_of(tensor: Tensor) -> Tensor:
    """This process's shard of a sharded tensor, to be changed in place element by element; another tensor as it is."""
    shard = getattr(tensor, "to_local", None)
    return shard() if shard is not None else tensor


def put(source: Tensor, target: Tensor) -> None:
    """Copy a whole tensor into a live one, sharded or not."""
    if hasattr(target, "full_tensor") and not hasattr(source, "full_tensor"):
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(target, DTensor)
        source = distribute_tensor(source.to(target.device), target.device_mesh, target.placements, src_data_rank=None)
    target.copy_(source)


def _device() -> torch.device:
    """Where tensors that are exchanged must be."""
    if torch.distributed.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")

"""One run in several processes: each has the model, or its part of it, and a share of every step. Read with lesson 16.

torchrun starts the processes, and tells each its number in the environment; the exchange is torch's own.
"""

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from minigpt.cli.processes import processes
from minigpt.errors import Interrupted, OfOneProcess, UserError

T = TypeVar("T")
PATIENCE = timedelta(hours=2)  # how long a process waits for the others, the first of which may be evaluating


class Replica(DistributedDataParallel):
    """A whole model in each process, whose gradients are averaged over all in the backward pass."""

    @property
    def is_explicit(self) -> bool:
        return self.module.is_explicit


@dataclass(frozen=True)
class Team:
    """The processes of a run, and this one's number among them. One alone is a team too."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the first process, which alone writes, prints, evaluates and downloads."""
        return self.rank == 0

    def sum(self, x: Tensor) -> Tensor:
        """x added up over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(x)
        return x

    def any(self, number: int) -> int:
        """The largest number that a process gives, so that all of them leave a loop together."""
        if self.size == 1:
            return number
        largest = torch.tensor(number)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return int(largest)

    def once(self, work: Callable[[], T]) -> T:
        """What the first process gets from `work`, for all; its UserError or Interrupted is raised in all."""
        if self.size == 1:
            return work()
        found: list = [None, None]
        error = None
        if self.leads:
            try:
                found[0] = work()
            except Interrupted as interrupted:
                error = found[1] = interrupted
            except UserError as mistake:
                error, found[1] = mistake, UserError(str(mistake))
        dist.broadcast_object_list(found)
        if error or found[1]:
            raise error or found[1]
        return found[0]

    def in_turn(self, work: Callable[[], T]) -> T:
        """`work` by the first process and then by each of the others, for whom what it downloads or stores is there.

        What the first cannot do, none can, and it says so; OfOneProcess is what another one alone cannot do.
        """
        if self.leads:
            own: list[T] = []
            self.once(lambda: own.append(work()))
            return own[0]
        self.once(lambda: None)
        try:
            return work()
        except UserError as error:
            raise OfOneProcess(str(error), self.rank, self.size) from None

    def spread(self, model: nn.Module, sharded: bool) -> nn.Module:
        """The module to call in training in the place of `model`: itself alone, a replica, or in parts (`shard`)."""
        if sharded:
            return shard(model)
        return model if self.size == 1 else Replica(model, gradient_as_bucket_view=True)


ALONE = Team()


def is_lost(error: BaseException | None) -> bool:
    """Whether this error is that another process has gone, in the middle of an exchange."""
    words = ("gloo", "Connection closed by peer", "Connection reset by peer", "NCCL")
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def exchange(model: nn.Module, now: bool) -> None:
    """Whether the next backward pass exchanges the gradients of a replica; a sharded model always does, as its
    gradients would be whole in each process until then."""
    if isinstance(model, Replica):
        model.require_backward_grad_sync = now


def shard(model: nn.Module) -> nn.Module:
    """Spread weights, and with them gradients and moments, over all processes, each block and the rest for itself: a
    block is gathered when it is used. The tied head is `wte`, in the group of the whole model."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(model.device.type, (dist.get_world_size(),))
    model.whole = without_memory(model)
    for block in model.h:
        fully_shard(block, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def without_memory(model: nn.Module) -> list[nn.Module]:
    """A copy whose parameters have shapes but no numbers; in a list, so that it is no part of the model."""
    shapes = {id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in model.parameters()}
    return [copy.deepcopy(model, shapes)]


def gathered(model: nn.Module) -> nn.Module | None:
    """The model as one process alone would hold it. Of a sharded one every process must ask; the first is given it."""
    if not hasattr(model, "whole"):
        return model
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if dist.get_rank():
        return None
    whole = copy.deepcopy(model.whole[0])
    whole.load_state_dict(state, assign=True)
    return whole.to(model.device).eval()


def full(x: Tensor) -> Tensor:
    """A plain tensor of one that is spread over the processes, all of which must ask."""
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def join(device: str) -> Team:
    """The team of this process: as torchrun's environment says, else itself alone.

    To be left by `cli.processes.ending_at_once`. UserError for more processes on a machine than it has GPUs.
    """
    if processes() == 1:
        return ALONE
    here, own = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "LOCAL_RANK"))
    if device == "cuda":
        if here > (gpus := torch.cuda.device_count()):
            raise UserError(
                f"There are {here} processes here and {gpus} GPU{'s' * (gpus != 1)}; start one process a GPU, or add "
                "--device cpu."
            )
        torch.cuda.set_device(own)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    return Team(dist.get_rank(), dist.get_world_size())

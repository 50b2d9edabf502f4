"""The processes of one training: one alone, or those that torchrun started.

Each takes its share of every batch. Gradients are averaged in one all_reduce after the backward
pass, not by DistributedDataParallel: that must be made anew when a frozen body thaws, and hides
what for resnet152 is 0.24 GB a step between GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor


@dataclass(frozen=True)
class Team:
    """This process's place among `size`; the first alone writes and prints."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of a batch, whose length the size divides."""
        return rows.chunk(self.size)[self.rank]

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replaces tensors by their means over all processes."""
        if self.size > 1:
            for tensor, total in self._reduced(list(tensors)):
                tensor.copy_(total / self.size)

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def copy_firsts(self, tensors: Iterable[Tensor]) -> None:
        """Replaces tensors by the first process's."""
        if self.size > 1:
            for tensor in tensors:
                # A copy, because the tensor may be channels_last.
                sent = tensor.contiguous()
                torch.distributed.broadcast(sent, 0)
                tensor.copy_(sent)

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            torch.distributed.barrier()

    def _reduced(self, tensors: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            yield tensor, part.view(tensor.shape)


ALONE = Team()


@contextmanager
def joined(device: str) -> Iterator[Team]:
    """The team that torchrun's environment describes, over NCCL on GPUs and gloo on CPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Team(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()

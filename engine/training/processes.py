"""The processes that train together, as torchrun starts them: gloo between CPUs, NCCL between GPUs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that share a run.

    Attributes:
        rank: 0 is the one that logs, validates and writes.
        count: how many there are.
    """

    rank: int
    count: int

    @property
    def first(self) -> bool:
        """Whether this process logs, validates and writes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any of the processes, all of which must call this."""
        raised = torch.tensor([float(flag)])
        self.average([raised])
        return bool(raised > 0)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors, the same ones in every process, by their means over the processes."""
        if self.count == 1 or not tensors:
            return
        whole = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(whole)
        whole /= self.count
        start = 0
        for tensor in tensors:
            tensor.copy_(whole[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()


def leave_signals(_: int) -> None:
    """Makes a process that prepares examples ignore signals: Ctrl-C reaches every process of a terminal, and
    `timeout` every one of a group, but only the one that trains may act on it, after a step. When that one
    ends, the others do."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def joined(on_gpu: bool) -> Iterator[Processes]:
    """The group that torchrun's environment names, left at the end; one process where there is none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(0, 1)
        return
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()

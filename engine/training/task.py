"""What a trainer adds to the loop (a Task), and what every run has (a Schedule)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from engine.models.audiosr.precision import fast_half
from engine.training.logbook import Shown
from presets.errors import UsageError

Batch = Any
"""What a task's `collate` makes; tensors, alone, in dictionaries or in named tuples, go to the device."""


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every run has; the configuration of a trainer adds to it.

    Attributes:
        seed: of examples, initial weights and noise.
        batch, steps: examples a step, all processes and parts together; steps in all.
        accumulation: parts that each process makes of its share of a batch, for less memory.
        warmup_steps, decay_share: steps to the full rate; the final share of the steps, over which it falls
            to nothing.
        rate, betas, weight_decay: of AdamW; only kernels and matrices decay.
        greatest_gradient: norm to which each network's gradient is clipped.
        mean_decay: of the running mean of the weights, which is what is validated and kept.
        precision: auto (bf16 where the device multiplies it faster than fp32), bf16, fp32.
        device: auto (a CUDA device, or else the CPU), or as torch names it.
        checkpoint_steps, validation_steps, validation_examples: how often, and on how many.
        threads, workers: CPU threads of the networks; processes that prepare examples (0: none).
        tensorboard: whether losses, pictures and sounds also go to TensorBoard's files in the run's folder.
    """

    seed: int = 0
    batch: int = 16
    accumulation: int = 1
    steps: int
    warmup_steps: int = 200
    decay_share: float = 0.3
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.02
    greatest_gradient: float = 1.0
    mean_decay: float = 0.999
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    device: str = "cpu"
    checkpoint_steps: int = 200
    validation_steps: int = 500
    validation_examples: int = 96
    threads: int = 2
    workers: int = 1
    tensorboard: bool = False


class Task(ABC):
    """What a trainer adds to the loop.

    Attributes:
        schedule: how to train.
        networks: everything that is trained, by name.
        averaged: the networks of which a running mean is kept.
        examples_an_item: how many examples one item of a dataset holds.
        hours: that the run has taken so far, in all its sessions; the loop counts them, exports state them.
    """

    schedule: Schedule
    networks: nn.ModuleDict
    averaged: tuple[str, ...]
    examples_an_item: int = 1
    hours: float = 0.0

    @abstractmethod
    def examples(self, validation: bool) -> Dataset[Any]:
        """The training or the validation set; item k depends on k and the configuration alone."""

    @abstractmethod
    def losses(self, networks: Mapping[str, nn.Module], batch: Batch, step: int) -> dict[str, Tensor]:
        """Scalars, always under the same names: `total`, which is minimised, and its parts."""

    @abstractmethod
    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """Writes the trained model; called with every checkpoint."""

    def collate(self, items: Sequence[Any]) -> Batch:
        """A batch of items."""
        return default_collate(list(items))

    def shown(self, networks: Mapping[str, nn.Module]) -> Shown:
        """Pictures and sounds that show how far the run has come, for TensorBoard."""
        return Shown()

    def cast(self) -> AbstractContextManager[Any]:
        """The context in which `losses` calls the networks: 16-bit products where the schedule says so."""
        kind = device_of(self.schedule).type
        half = self.schedule.precision == "bf16" or (
            self.schedule.precision == "auto" and fast_half(kind) == torch.bfloat16
        )
        return torch.autocast(kind, torch.bfloat16, enabled=half)


def device_of(schedule: Schedule) -> torch.device:
    """Where to train; of several GPUs the one of this process."""
    if schedule.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(schedule.device)
    except RuntimeError as error:
        raise UsageError(f"device = {schedule.device!r}: {str(error).splitlines()[0]}", "device") from None


def rate_at(step: int, schedule: Schedule) -> float:
    """The learning rate of a step: a ramp, a plateau, and a straight line down to zero."""
    rising = (step + 1) / max(schedule.warmup_steps, 1)
    falling = (schedule.steps - step) / max(schedule.decay_share * schedule.steps, 1.0)
    return schedule.rate * min(1.0, rising, falling)

"""One loop for every trainer: a Task says what is trained, and by which losses.

A run is a function of its configuration. It keeps a checkpoint (networks, their running means, optimizer,
step, hours) in its folder and goes on from it when started again, even after kill -9, with the losses it
would have had: example k depends on the seed and on k alone, and randomness within a step on the seed, the
step and the part of the batch. Under torchrun, processes share the parts of a batch; the result is that of
one process with as many parts, up to rounding.
"""

from __future__ import annotations

import copy
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from engine.training.logbook import Logbook
from engine.training.processes import Processes, leave_signals
from engine.training.task import Batch, Schedule, Task, device_of, rate_at
from presets.errors import UsageError

CHECKPOINT = "checkpoint.pt"


class Run:
    """A training run in a folder.

    Args:
        task: what to train.
        folder: where checkpoint, log and the trained model go; made when missing.
        processes: that share each batch; one, unless torchrun started several.

    Raises:
        UsageError: a batch that the processes and parts cannot share evenly, or a checkpoint of another
            configuration in the folder.
    """

    def __init__(self, task: Task, folder: Path, processes: Processes | None = None) -> None:
        schedule = task.schedule
        self.task, self.folder, self.schedule = task, folder, schedule
        self.processes = processes or Processes(0, 1)
        self.device = device_of(schedule)
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True  # examples are of one length
        folder.mkdir(parents=True, exist_ok=True)
        self.parts = schedule.accumulation * self.processes.count
        items = schedule.batch // task.examples_an_item
        self.items_a_part = items // self.parts
        if self.items_a_part == 0 or items * task.examples_an_item != schedule.batch or items % self.parts:
            raise UsageError(
                f"batch = {schedule.batch} does not divide into {self.parts} parts of whole items of "
                f"{task.examples_an_item}; take a multiple of {self.parts * task.examples_an_item}",
                "batch",
            )
        self.networks = task.networks.to(self.device)
        self.means = nn.ModuleDict({name: copy.deepcopy(self.networks[name]) for name in task.averaged})
        self.means.requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(
            [group for network in self.networks.children() for group in _decays(network, schedule)],
            lr=schedule.rate,
            betas=schedule.betas,
        )
        self.step = 0
        self.stopped = False
        self._resume()
        self.logbook = Logbook(folder, self.step, schedule.tensorboard) if self.processes.first else None

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        try:
            self.networks.load_state_dict(state["networks"])
            self.means.load_state_dict(state["means"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"{path} is from a run with other networks ({str(error).splitlines()[0]}); give the run "
                "another folder, or the configuration it had",
                "out",
            ) from None
        self.step = int(state["step"])
        self.task.hours = float(state.get("hours", 0.0))

    def checkpoint(self) -> None:
        """Writes the model as it is now, then the checkpoint, whole or not at all."""
        if not self.processes.first:
            return
        self.task.export(self._smoothed(), self.folder)
        part = self.folder / "checkpoint.part"
        state = {
            "networks": self.networks.state_dict(),
            "means": self.means.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "hours": self.task.hours,
        }
        torch.save(state, part)
        os.replace(part, self.folder / CHECKPOINT)

    def train(self, stop: int | None = None) -> None:
        """Trains up to `stop` steps (or all); SIGINT or SIGTERM ends it after a step, with a checkpoint."""
        schedule = self.schedule
        stop = schedule.steps if stop is None else stop
        began_s, before_hours, clock = time.monotonic(), self.task.hours, self._clock()
        clock_s = clock()
        with self._stops_on_signals():
            batches = self._parts_of(self.step, stop)
            while self.step < stop and not self.stopped:
                found = self._descend(batches)
                self.stopped = self.processes.any(self.stopped)
                self.step += 1
                self.task.hours = before_hours + self.processes.count * (clock() - clock_s) / 3600
                self._log("train", found, time.monotonic() - began_s)
                last = self.step == stop or self.stopped
                if self.step % schedule.validation_steps == 0 or self.step == stop:
                    self._validate_and_log(time.monotonic() - began_s)
                if self.step % schedule.checkpoint_steps == 0 or last:
                    self.checkpoint()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The mean networks' losses on a fixed set of held-out examples."""
        networks = self._smoothed()
        examples = self.task.examples(validation=True)
        count = max(1, self.schedule.validation_examples // self.task.examples_an_item)
        indices = [
            list(range(first, min(first + self.items_a_part, count)))
            for first in range(0, count, self.items_a_part)
        ]
        loader = DataLoader(examples, batch_sampler=indices, collate_fn=self.task.collate)
        sums: dict[str, float] = {}
        training = {name: network.training for name, network in self.networks.items()}
        self.networks.eval()
        for index, batch in enumerate(loader):
            torch.manual_seed(self.schedule.seed + index)
            losses = self.task.losses(networks, _moved(batch, self.device), self.step)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value) / len(indices)
        for name, network in self.networks.items():
            network.train(training[name])
        return sums

    def rehearse(self) -> float:
        """Seconds of the last step, which is taken and discarded: the second of two, as the first also warms
        up.

        It is the last step because discriminators that come in late cost most of a run. Every process calls
        this; where all steps are done it returns 0.
        """
        seconds, stands = 0.0, self.step
        if self.step >= self.schedule.steps:
            return seconds
        self.step = self.schedule.steps - 1
        for _ in range(2):
            began_s = time.monotonic()
            self._gradients(self._parts_of(self.step, self.step + 1))
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.monotonic() - began_s
        self.optimizer.zero_grad(set_to_none=True)
        self.step = stands
        return seconds

    def _descend(self, batches: Iterator[Batch]) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.step, self.schedule)
        found = self._gradients(batches)
        for network in self.networks.children():
            nn.utils.clip_grad_norm_(network.parameters(), self.schedule.greatest_gradient)
        self.optimizer.step()
        decay = min(self.schedule.mean_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, mean in self.means.items():
                for kept, now in zip(mean.parameters(), self.networks[name].parameters(), strict=True):
                    kept.lerp_(now, 1 - decay)
                for buffer, current in zip(mean.buffers(), self.networks[name].buffers(), strict=True):
                    buffer.copy_(current)
        return found

    def _gradients(self, batches: Iterator[Batch]) -> dict[str, float]:
        """Leaves the gradient of one batch in the networks; returns its losses, means over parts and
        processes."""
        self.networks.train()
        self.optimizer.zero_grad(set_to_none=True)
        names: list[str] = []
        sums = torch.zeros(())
        accumulation = self.schedule.accumulation
        for turn in range(accumulation):
            place = (self.step * accumulation + turn) * self.processes.count + self.processes.rank
            batch = _moved(next(batches), self.device)  # before seeding: a loader's first draws numbers
            torch.manual_seed(self.schedule.seed * 1_000_003 + place)
            losses = self.task.losses(dict(self.networks.items()), batch, self.step)
            torch.autograd.backward(losses["total"] / accumulation)
            names = list(losses)
            values = torch.stack([value.detach().float() for value in losses.values()]) / accumulation
            sums = values if turn == 0 else sums + values
        self.processes.average([p.grad for p in self.networks.parameters() if p.grad is not None])
        found = sums.cpu()  # the one time in a step that the device is waited for
        self.processes.average([found])
        return dict(zip(names, found.tolist(), strict=True))

    def _parts_of(self, start: int, stop: int) -> Iterator[Batch]:
        """This process's parts of the batches of steps `start` to `stop`, in order."""
        schedule, size = self.schedule, self.items_a_part
        turns = range(start * schedule.accumulation, stop * schedule.accumulation)
        places = [turn * self.processes.count + self.processes.rank for turn in turns]
        indices = [list(range(place * size, (place + 1) * size)) for place in places]
        yield from DataLoader(
            self.task.examples(validation=False),
            batch_sampler=indices,
            collate_fn=self.task.collate,
            num_workers=schedule.workers,
            prefetch_factor=4 if schedule.workers else None,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=leave_signals,
        )

    def _clock(self) -> Callable[[], float]:
        """Seconds of the processor, or of the clock where a GPU works: what `Task.hours` counts."""
        return time.process_time if self.device.type == "cpu" else time.monotonic

    def _smoothed(self) -> dict[str, nn.Module]:
        """The networks, with running means in place of those that have one: these are validated and kept."""
        return {**dict(self.networks.items()), **dict(self.means.items())}

    def _log(self, part: str, found: dict[str, float], seconds: float) -> None:
        if not math.isfinite(found["total"]):
            raise UsageError(
                f"the loss of step {self.step} is {found['total']}; lower `rate` (now {self.schedule.rate})",
                "rate",
            )
        if self.logbook is not None:
            self.logbook.write(part, self.step, seconds, found)

    def _validate_and_log(self, seconds: float) -> None:
        if self.logbook is not None:
            self._log("held-out", self.validate(), seconds)
            if self.schedule.tensorboard:
                self.logbook.show(self.step, self.task.shown(self._smoothed()))

    @contextmanager
    def _stops_on_signals(self) -> Iterator[None]:
        def stop(*_: object) -> None:
            self.stopped = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _decays(network: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _moved(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, Mapping):
        return {name: _moved(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple):
        return type(batch)(*(_moved(value, device) for value in batch))
    return batch.to(device, non_blocking=True) if isinstance(batch, Tensor) else batch

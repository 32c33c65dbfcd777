"""Brings windows to AudioSR's networks as rows, one a channel, in batches; and reports when a window is
done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from render.upscaler import Audio, Step, StepHook, Window


@dataclass(frozen=True)
class Row:
    """One channel of a window on its way through the networks.

    Attributes:
        waveform: (samples,) at the model's level.
        cutoff_hz: the window's.
        group: the window's, whose noise it takes.
        first: its first latent cell, counted from the clip's start.
        voice: its number among the rows of that group and place: the channel.
    """

    waveform: Audio
    cutoff_hz: float
    group: int
    first: int
    voice: int


def rows_of(windows: Sequence[Window], cell_frames: int, joint: bool) -> tuple[list[Row], list[list[int]]]:
    """The channels of all windows as rows, and for each window the indices of its channels' rows.

    Args:
        windows: any number.
        cell_frames: frames of a latent cell.
        joint: whether each channel needs a row of its own; else equal channels in one place share one.
    """
    voices: Counter[tuple[int, int]] = Counter()
    seen: dict[tuple[bytes, float, int, int], int] = {}
    rows: list[Row] = []
    places = []
    for window in windows:
        of_window = []
        for channel in window.samples * np.float32(window.gain):
            place = window.group, window.start // cell_frames
            key = channel.tobytes(), window.cutoff_hz, *place
            if joint or key not in seen:
                seen[key] = len(rows)
                rows.append(Row(channel, window.cutoff_hz, *place, voices[place]))
                voices[place] += 1
            of_window.append(seen[key])
        places.append(of_window)
    return rows, places


class RowProgress:
    """Reports every step of every window as soon as all its channels have taken it.

    Args:
        places: the rows of each window.
        of: the steps of a window.
        on_step: called with each step; cancels by raising.
    """

    def __init__(self, places: list[list[int]], of: int, on_step: StepHook) -> None:
        self._places, self._of, self._on_step = places, of, on_step
        self._step = 0

    def of_stage(self, stage: str, steps: int = 1) -> Callable[[list[int]], None]:
        """Begins the next `steps` steps of all windows; the function it returns is called with rows that
        have taken them."""
        self._step += steps
        step = Step(stage, self._step, self._of, steps)
        waiting = [set(place) for place in self._places]

        def done(rows: list[int]) -> None:
            for place in [place for place in waiting if not place.isdisjoint(rows)]:
                place -= set(rows)
                if not place:
                    self._on_step(step)

        return done


class Batches:
    """Takes rows through a network, several at once where they are of equal shape.

    Args:
        rows: how many at once, at most; halves itself when memory runs out.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __call__(
        self,
        network: Callable[..., Tensor | tuple[Tensor, ...]],
        on_done: Callable[[list[int]], None],
        *arguments: list[Tensor],
    ) -> list[list[Tensor]]:
        """The results of `network` for every row, in one list for each of its results.

        Args:
            network: takes and returns tensors whose first axis is the rows of a batch.
            on_done: called with the indices of the rows done, batch by batch.
            *arguments: the network's, each a list of (1, C, T, F), one a row.

        Raises:
            RuntimeError: the network's own, also where memory runs out with a single row.
        """
        results: dict[int, list[Tensor]] = {}
        waiting = sorted(range(len(arguments[0])), key=lambda index: arguments[0][index].shape[2])
        while waiting:
            length = arguments[0][waiting[0]].shape[2]
            chunk = [index for index in waiting[: self.rows] if arguments[0][index].shape[2] == length]
            batch = [
                torch.cat([argument[index] for index in chunk]).contiguous(memory_format=torch.channels_last)
                for argument in arguments
            ]
            try:
                made = network(*batch)
            except RuntimeError as error:
                if not _ran_out_of_memory(error) or len(chunk) == 1:
                    raise
                self.rows = len(chunk) // 2
                continue
            # A copy: the next replay of a CUDA graph writes where this one did.
            copies = [each[:, None].clone() for each in (made if isinstance(made, tuple) else (made,))]
            results.update((item, [each[at] for each in copies]) for at, item in enumerate(chunk))
            waiting = waiting[len(chunk) :]
            on_done(chunk)
        return [list(of_rows) for of_rows in zip(*(results[item] for item in sorted(results)), strict=True)]


def _ran_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch could not allocate, on a GPU or on the CPU (which has no class of its own for it)."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)

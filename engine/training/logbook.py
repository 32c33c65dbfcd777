"""The log of a run: a table of losses in log.csv, and TensorBoard's files where they are wanted."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets.errors import UsageError
from presets.schema import RATE_HZ


@dataclass(frozen=True, slots=True)
class Shown:
    """Pictures and sounds that show how far a run has come.

    Attributes:
        pictures: by name, (rows, columns) float32 of any range; row 0 is drawn at the bottom.
        sounds: by name, (frames,) float32 at 48 kHz.
    """

    pictures: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    sounds: dict[str, NDArray[np.float32]] = field(default_factory=dict)


class Logbook:
    """The log of a run in its folder.

    Args:
        folder: of the run.
        step: where the run stands; lines of later steps, which a killed run left, are removed.
        tensorboard: whether TensorBoard's files are written too.

    Raises:
        UsageError: `tensorboard` is set, and TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool) -> None:
        self.path = folder / "log.csv"
        self._forget_after(step)
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise UsageError(
                    "tensorboard = true, but TensorBoard is not installed; pip install 'airband[train]'",
                    "tensorboard",
                ) from None
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def write(self, part: str, step: int, seconds: float, losses: dict[str, float]) -> None:
        """Adds a line: the losses of `part` (train or held-out) after `step` steps."""
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["part", "step", "seconds", *losses])
            writer.writerow([part, step, f"{seconds:.1f}", *(f"{value:.6f}" for value in losses.values())])
        if self._board is not None:
            for name, value in losses.items():
                self._board.add_scalar(f"{part}/{name}", value, step)

    def show(self, step: int, shown: Shown) -> None:
        """Adds pictures and sounds to TensorBoard's files."""
        if self._board is None:
            return
        for name, picture in shown.pictures.items():
            low, high = float(picture.min()), float(picture.max())
            scaled = (picture[::-1] - low) / max(high - low, 1e-9)
            self._board.add_image(name, scaled.copy(), step, dataformats="HW")
        for name, sound in shown.sounds.items():
            self._board.add_audio(name, sound[None], step, sample_rate=RATE_HZ)
        self._board.flush()

    def _forget_after(self, step: int) -> None:
        if not self.path.exists():
            return
        lines = self.path.read_text().splitlines(keepends=True)
        kept = [
            line
            for index, line in enumerate(lines)
            if line.endswith("\n") and (index == 0 or int(line.split(",")[1]) <= step)
        ]
        part = self.path.with_suffix(".part")
        part.write_text("".join(kept))
        os.replace(part, self.path)

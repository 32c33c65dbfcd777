"""How loud a clip is: the first pass over a source, which also holds every sample to the limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from render.clip import Clip
from render.limits import check_samples

BLOCK_FRAMES = 1 << 17


@dataclass(frozen=True, slots=True)
class Levels:
    """What the pass finds.

    Attributes:
        peak: the largest sample of all.
        power: (channels, bins) energy of each channel by frequency, 0 to half the rate; its sum is the sum
            of squares.
        rate: of the clip.
    """

    peak: float
    power: NDArray[np.float64]
    rate: int

    def energy_below(self, hz: float) -> NDArray[np.float64]:
        """(channels,) sum of squares of the band below `hz`."""
        below: NDArray[np.float64] = self.power[:, : round(BLOCK_FRAMES * hz / self.rate)].sum(axis=1)
        return below


def measure_levels(clip: Clip, on_share: Callable[[float], None]) -> Levels:
    """Read the whole clip.

    Args:
        clip: any clip.
        on_share: told which share of it has been read.

    Raises:
        InputError: it breaks off, or a sample is not finite or beyond +-16.
    """
    peak = 0.0
    power = np.zeros((clip.channels, BLOCK_FRAMES // 2 + 1))
    for start in range(0, clip.frames, BLOCK_FRAMES):
        block = clip.read(start, min(BLOCK_FRAMES, clip.frames - start))
        check_samples(block, start, "the source")
        peak = max(peak, float(block.max()), -float(block.min()))
        for channel, total in zip(block, power, strict=True):
            bins = scipy.fft.rfft(channel, BLOCK_FRAMES)
            total += bins.real.astype(np.float64) ** 2 + bins.imag**2
        on_share((start + block.shape[1]) / clip.frames)
    power[:, 1:-1] *= 2
    return Levels(peak, power / BLOCK_FRAMES, clip.rate)

"""Measures the levels of a clip, in the first pass over a source; it also checks every sample's limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from render.clip import Clip, read_padded
from render.filters import fast_length
from render.limits import check_samples
from render.upscaler import Audio

BLOCK_FRAMES = 1 << 17
"""Frames read at once."""
TRANSFORM_FRAMES = 1 << 15
"""Frames transformed at once, in a third of the time that transforming a whole block takes; a shorter last
block is transformed at its own length."""


@dataclass(frozen=True, slots=True)
class Levels:
    """What the pass finds.

    Attributes:
        peak: the largest sample of all.
        power: by length of transform, (channels, bins) energy of each channel by frequency, 0 to half the
            rate; over all lengths it adds up to the sum of squares.
        rate: of the clip.
    """

    peak: float
    power: Mapping[int, NDArray[np.float64]]
    rate: int

    def energy_below(self, hz: float) -> NDArray[np.float64]:
        """(channels,) sum of squares of the band below `hz`."""
        sums = (power[:, : round(size * hz / self.rate)].sum(axis=1) for size, power in self.power.items())
        below: NDArray[np.float64] = sum(sums, np.zeros(1))
        return below


class LevelMeter:
    """Measures a clip's levels while another reads the clip through it, so that one pass serves both.

    Reads that go forwards are served from blocks that the meter has measured; blocks that they skip are
    measured too. A read further back goes to the clip again.

    Args:
        clip: any clip.
        on_share: called with the share of the clip that has been measured.
    """

    def __init__(self, clip: Clip, on_share: Callable[[float], None]) -> None:
        self.rate, self.channels, self.frames = clip.rate, clip.channels, clip.frames
        self._clip, self._on_share = clip, on_share
        self._blocks: deque[Audio] = deque()
        self._held = range(0)
        """The frames in `_blocks`; all those before `stop` have been measured."""
        self._peak = 0.0
        self._power: dict[int, NDArray[np.float64]] = {}

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`.

        Raises:
            InputError: the clip breaks off, or a sample is not finite or beyond +-16.
        """
        return read_padded(self._read, self, start, frames)

    def levels(self) -> Levels:
        """The levels of the whole clip; reads the rest of it, and raises as `read` does."""
        while self._held.stop < self.frames:
            self._take(self._held.stop)
        return Levels(self._peak, self._power, self.rate)

    def _read(self, lo: int, hi: int) -> Audio:
        if lo < self._held.start:
            return self._clip.read(lo, hi - lo)
        while self._held.stop < hi:
            self._take(lo)
        first = self._held.start
        return np.concatenate(self._blocks, axis=1)[:, lo - first : hi - first]

    def _take(self, keep_from: int) -> None:
        """Measures the next block, and drops those that end before frame `keep_from`."""
        start = self._held.stop
        block = self._clip.read(start, min(BLOCK_FRAMES, self.frames - start))
        check_samples(block, start, "the source")
        self._peak = max(self._peak, float(block.max()), -float(block.min()))
        is_whole = block.shape[1] == BLOCK_FRAMES
        size = TRANSFORM_FRAMES if is_whole else fast_length(block.shape[1])
        if size not in self._power:
            self._power[size] = np.zeros((self.channels, size // 2 + 1))
        for channel, total in zip(block, self._power[size], strict=True):
            rows = channel.reshape(-1, size) if is_whole else channel[None]
            bins = np.fft.rfft(rows, size, norm="forward")
            power = (bins.real**2 + bins.imag**2) * np.float32(2 * size)
            power[:, 0] /= 2
            if size % 2 == 0:
                power[:, -1] /= 2
            total += power.sum(axis=0)
        first = self._held.start
        self._blocks.append(block)
        while self._blocks and first + self._blocks[0].shape[1] <= keep_from:
            first += self._blocks.popleft().shape[1]
        self._held = range(first, start + block.shape[1])
        self._on_share(self._held.stop / self.frames)

"""Any rate to any other with soxr VHQ: exact lengths, no lag, and every stretch the same however it is read.

A VHQ resampler is one long linear-phase filter, so a stretch of its output needs only a little input around
it. Between rates r and s the phases of both grids coincide every r / gcd(r, s) input frames; a stretch that
starts there comes out like that part of the whole.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from math import gcd

import numpy as np
import soxr

from render.clip import Clip, read_padded
from render.upscaler import Audio

CONTEXT_FRAMES = 512
"""Context on each side of a block, in frames of the lower rate. Measured: 256 and more add no error at
all."""

INPUT_FRAMES = 1 << 15
"""Least input frames resampled at once: such blocks take as long as one stream does, blocks of 8192 frames
twice as long (measured from 44.1 to 48 kHz)."""

KEPT_FRAMES = 1 << 19
"""Resampled frames kept, 11 s at 48 kHz: those that a model read ahead are still there for the original."""


def resampled_frames(frames: int, rate_in: int, rate_out: int) -> int:
    """ceil(frames * rate_out / rate_in): the length of `frames` at another rate, in integers."""
    return -(-frames * rate_out // rate_in)


def resampled(clip: Clip, rate_hz: int) -> Clip:
    """`clip` at `rate_hz`: itself when that is its rate already."""
    return clip if clip.rate == rate_hz else ResampledClip(clip, rate_hz)


class ResampledClip:
    """A clip at another rate, resampled as it is read.

    The source is cut into blocks on an absolute grid, each resampled with context on both sides, so a sample
    never depends on where a read began. The blocks used last are kept, so that several threads may read the
    clip, each from its own place. The difference from one stream over the whole clip is below -160 dB, except
    in soxr's first samples, which are off by up to 5 % where no zeros precede them. At rates without a small
    common ratio (44,099 Hz) it is -100 dB, because there a stream's phase drifts; in blocks it cannot drift
    for long.

    Args:
        source: the clip to resample; it counts as surrounded by zeros.
        rate_hz: the rate wanted.
    """

    def __init__(self, source: Clip, rate_hz: int) -> None:
        self.rate = rate_hz
        self.channels = source.channels
        self.frames = resampled_frames(source.frames, source.rate, rate_hz)
        common = gcd(source.rate, rate_hz)
        unit_in, unit_out = source.rate // common, rate_hz // common
        units = -(-INPUT_FRAMES // unit_in)
        self._source = source
        self._block_in, self._block_out = units * unit_in, units * unit_out
        context_units = -(-CONTEXT_FRAMES // min(unit_in, unit_out))
        self._context_in, self._context_out = context_units * unit_in, context_units * unit_out
        self._blocks: OrderedDict[int, Audio] = OrderedDict()
        """The most recently used come last."""
        self._kept = max(2, KEPT_FRAMES // self._block_out)
        self._lock = threading.Lock()

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        return read_padded(self._read, self, start, frames)

    def _read(self, lo: int, hi: int) -> Audio:
        first, end = lo // self._block_out, -(-hi // self._block_out)
        with self._lock:
            blocks = [self._block(index) for index in range(first, end)]
        stretch = np.concatenate(blocks, axis=1)
        offset = first * self._block_out
        return stretch[:, lo - offset : hi - offset]

    def _block(self, index: int) -> Audio:
        if index not in self._blocks:
            self._blocks[index] = self._resample(index)
        self._blocks.move_to_end(index)
        if len(self._blocks) > self._kept:
            self._blocks.popitem(last=False)
        return self._blocks[index]

    def _resample(self, index: int) -> Audio:
        first = index * self._block_in
        length = min(self._block_in, self._source.frames - first) + 2 * self._context_in
        block = self._source.read(first - self._context_in, length)
        stream = soxr.ResampleStream(
            self._source.rate, self.rate, self.channels, dtype="float32", quality="VHQ"
        )
        out = stream.resample_chunk(np.ascontiguousarray(block.T), last=True)
        frames = min(self._block_out, self.frames - index * self._block_out)
        return np.ascontiguousarray(out[self._context_out : self._context_out + frames].T)

"""Bare samples as the wire carries them: planar little-endian, channel after channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bridge.wire.messages import Audio
from presets.errors import InputError
from render.clip import Clip, read_padded
from render.limits import check_samples
from render.upscaler import Audio as Samples

FULL_SCALE_I2 = 32768.0
WRITE_FRAMES = 1 << 18


class PlanarClip:
    """A file of planar PCM as a clip.

    Args:
        path: the file.
        audio: its layout.

    Raises:
        InputError: the size does not match the layout; from `read`: a sample that is not finite, or beyond
            +-16.
    """

    def __init__(self, path: Path, audio: Audio) -> None:
        if path.stat().st_size != audio.nbytes:
            raise InputError(
                f"{path.stat().st_size} bytes of samples, but the layout says {audio.nbytes}", "source"
            )
        self.rate, self.channels, self.frames = audio.rate, audio.channels, audio.frames
        self._path = path
        self._dtype = np.dtype("<" + audio.dtype)

    def read(self, start: int, frames: int) -> Samples:
        """See `render.clip.Clip.read`."""
        return read_padded(self._read, self, start, frames)

    def _read(self, lo: int, hi: int) -> Samples:
        samples = np.empty((self.channels, hi - lo), np.float32)
        for channel, row in enumerate(samples):
            offset = (channel * self.frames + lo) * self._dtype.itemsize
            row[:] = np.fromfile(self._path, self._dtype, hi - lo, offset=offset)
        if self._dtype.kind == "i":
            samples /= FULL_SCALE_I2
        check_samples(samples, lo, "the samples")
        return samples


def write_planar(clip: Clip, path: Path) -> None:
    """Writes a clip as planar little-endian float32, one block at a time."""
    with open(path, "wb") as file:
        for start in range(0, clip.frames, WRITE_FRAMES):
            block = clip.read(start, min(WRITE_FRAMES, clip.frames - start)).astype("<f4", copy=False)
            for channel, row in enumerate(block):
                file.seek(4 * (channel * clip.frames + start))
                file.write(np.ascontiguousarray(row).data)

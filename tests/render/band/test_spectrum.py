"""The measured spectrum of a clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render.band.spectrum import MAX_FRAMES, measure

RATE = 48000


def test_a_long_clip_is_looked_at_from_end_to_end_in_bounded_memory() -> None:
    seconds = 900
    rng = np.random.default_rng(3)

    class Long:
        rate, channels, frames = RATE, 1, seconds * RATE
        read_to, taken, largest = 0, 0, 0

        def read(self, start: int, frames: int) -> NDArray[np.float32]:
            self.read_to, self.taken = max(self.read_to, start + frames), self.taken + frames
            self.largest = max(self.largest, frames)
            return rng.standard_normal((1, frames), dtype=np.float32) * np.float32(0.1)

    clip = Long()
    spectrum = measure(clip)
    assert len(spectrum.powers) == MAX_FRAMES
    assert seconds * RATE - 2048 < clip.read_to <= seconds * RATE
    assert clip.largest < 2 * RATE
    assert clip.taken < 300 * RATE

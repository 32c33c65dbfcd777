"""Noise keyed by position: the same place of a clip gets the same noise, whatever was rendered before it.

Philox is a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
Seed and draw name make its 128-bit key, group and cell the upper half of its 256-bit counter, so every cell
has a stream of 2^128 values of its own.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from render.upscaler import Audio


class PhiloxNoise:
    """The `NoiseField` of a seed.

    Args:
        seed: 0 to 2^63 - 1.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._philox = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._philox)
        self._state = self._philox.state

    def __call__(self, name: str, group: int, start: int, count: int, shape: tuple[int, ...]) -> Audio:
        """See `NoiseField`."""
        key = np.frombuffer(blake2b(f"{self._seed}:{name}".encode(), digest_size=16).digest(), "<u8")
        cells = np.empty((count, *shape), np.float32)
        for index in range(count):
            self._seek(key, group, start + index)
            self._generator.standard_normal(dtype=np.float32, out=cells[index, ...])
        return cells

    def _seek(self, key: np.typing.NDArray[np.uint64], group: int, cell: int) -> None:
        # Setting the state is four times faster than a new generator, which matters where cells are small.
        counter = (0, 0, group % 2**64, cell % 2**64)
        self._state["state"] = {"counter": np.array(counter, np.uint64), "key": key}
        self._state["buffer_pos"] = 4
        self._state["has_uint32"] = 0
        self._philox.state = self._state

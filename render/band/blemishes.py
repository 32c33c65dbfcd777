"""Frames whose highs are not the sound's own: edges of digital silence, and ticks.

A cut and a splice are broad-band: a few of them hide where the band of a clip ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLICES = 8
"""A frame is looked at in so many slices: one of digital silence beside ones that sound is an edge."""
TICK_ORDER, TICK_SHARE = 16, 0.9
"""A frame whose differences of this order, which stress the highest of the highs, have such a share of their
energy in twice as few samples holds a tick. Drums and consonants last; 32 samples are 0.7 ms at 48 kHz."""
SILENT_ENERGY = 1e-14


def has_edge(framed: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether sound starts or stops within a frame, at digital silence.

    Args:
        framed: (channels, frames, size); size is a multiple of SLICES.

    Returns:
        (frames,).
    """
    peaks = np.abs(framed).max(axis=0)
    silent = peaks.reshape(len(peaks), SLICES, -1).max(axis=2) == 0
    return np.asarray(silent.any(axis=1) & ~silent.all(axis=1))


def has_tick(block: NDArray[np.float32], size: int, hop: int) -> NDArray[np.bool_]:
    """Whether two cells of TICK_ORDER samples, side by side, have nearly all of a frame's highest highs.

    Args:
        block: (channels, samples).
        size, hop: of the frames, multiples of TICK_ORDER.

    Returns:
        (frames,).
    """
    before = np.zeros((len(block), TICK_ORDER), np.float32)
    steep = (np.diff(block, n=TICK_ORDER, axis=1, prepend=before) ** 2).sum(axis=0)
    cells = np.add.reduceat(steep, np.arange(0, len(steep), TICK_ORDER), dtype=np.float64)
    framed = np.lib.stride_tricks.sliding_window_view(cells, size // TICK_ORDER)[:: hop // TICK_ORDER]
    most = (framed[:, 1:] + framed[:, :-1]).max(axis=1)
    return np.asarray(most > TICK_SHARE * np.maximum(framed.sum(axis=1), SILENT_ENERGY))

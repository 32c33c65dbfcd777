"""Finds frames whose highs are not the sound's own: edges of digital silence, and ticks.

Cuts and splices are broad-band: a few of them hide where the band of a clip ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLICES = 8
"""A frame is split into this many slices: where some are digital silence and some sound, it holds an edge."""
TICK_ORDER, TICK_SHARE = 16, 0.9
"""A frame has ticks where they hold this share of the energy of its differences of this order, which stress
the very highest frequencies. Energy is summed over cells of TICK_ORDER samples, 0.3 ms at 48 kHz: ticks fill
few of them, drums and consonants many."""
TICK_CELLS, ALONE_CELLS = 4, 8
"""Two ticks of two cells each hold TICK_SHARE of the energy of their surroundings: ALONE_CELLS cells on
either side, 2.7 ms at 48 kHz."""
FAINT_SHARE = 0.02
"""A cell with less than this share of the energy around it belongs to no tick."""
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
    """Whether ticks hold nearly all of the energy of a frame's very highest frequencies.

    Args:
        block: (channels, samples).
        size, hop: of the frames in samples, multiples of TICK_ORDER.

    Returns:
        (frames,).
    """
    before = np.zeros((len(block), TICK_ORDER), np.float32)
    steep = (np.diff(block, n=TICK_ORDER, axis=1, prepend=before) ** 2).sum(axis=0)
    cells = np.add.reduceat(steep, np.arange(0, len(steep), TICK_ORDER), dtype=np.float64)
    padded = np.pad(cells, (ALONE_CELLS, ALONE_CELLS + 1))
    about = np.lib.stride_tricks.sliding_window_view(padded, len(cells))  # (cells about each, cells)
    all_about = about.sum(axis=0)
    stands_out = about.max(axis=0) > TICK_SHARE / TICK_CELLS * all_about  # else TICK_CELLS cannot hold it
    most = np.partition(about[:, stands_out], -TICK_CELLS, axis=0)[-TICK_CELLS:].sum(axis=0)
    stands_out[stands_out] = most > TICK_SHARE * all_about[stands_out]
    ticks = cells * (stands_out & (cells > FAINT_SHARE * all_about))
    in_ticks, in_all = (
        np.lib.stride_tricks.sliding_window_view(energy, size // TICK_ORDER)[:: hop // TICK_ORDER].sum(axis=1)
        for energy in (ticks, cells)
    )
    return np.asarray(in_ticks > TICK_SHARE * np.maximum(in_all, SILENT_ENERGY))

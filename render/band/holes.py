"""Holes: what a lossy codec short of bits left out below its own shelf.

A codec works in frames and bands. Where bits run out it drops whole bands of a frame, from the top down.
What it dropped decodes to next to nothing, as empty as what is above the shelf, right beside bands that
sound. No instrument, voice or room makes that step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.band.cliff import SIXTH, THIRD, Powers, loudest

HOLE_DB = 45.0
"""A cell this far below the band a third of an octave further down is empty."""
FLOOR_MARGIN_DB, CLEAR_DB = 6.0, 25.0
"""So is one as empty as what is above the shelf, where the sound stands this clear of it."""
SOUNDING_DB = 30.0
"""Frames this far below the loud ones do not count: there a codec rightly saves."""
NEARLY_ALL, MOST = 0.85, 0.5
"""Shares of the frames: a band empty in more is no part of the file's band; of the sound's."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Holes:
    """What was left out below a shelf.

    Attributes:
        shelf_hz: where the file's band ends: what is above, nearly all frames leave out.
        from_hz: where most frames end: what is between here and the shelf, most of them leave out; the shelf
            itself where they reach it.
        lowest_hz: the lowest band with holes in a tenth of the frames or more, None where there is none.
        share: of the cells (frame by band) in the octave below the shelf, how many are empty; 0 to 1.
    """

    shelf_hz: float
    from_hz: float
    lowest_hz: float | None
    share: float


def find_holes(powers: Powers, edges_hz: Floats, edge_hz: float) -> Holes:
    """The holes below the end of a band.

    Args:
        powers: (frames, bands) mean power per bin, frames that sound only.
        edges_hz: (bands + 1,) the bands' edges.
        edge_hz: where the loudest moments end.
    """
    end = max(1, int(np.searchsorted(edges_hz, edge_hz)) - 1)
    empty = _empty(powers, end).mean(axis=0)

    def lowered(share: float) -> int:
        top = end
        while top > max(4, end - THIRD) and empty[top - 1] > share:
            top -= 1
        return top

    shelf, most = lowered(NEARLY_ALL), lowered(MOST)
    octave = slice(max(4, shelf - 3 * THIRD), max(5, shelf))
    holed = octave.start + np.flatnonzero(empty[octave] >= 0.1)
    return Holes(
        shelf_hz=float(edges_hz[shelf]) if shelf < end else edge_hz,
        from_hz=float(edges_hz[most]) if most < end else edge_hz,
        lowest_hz=float(edges_hz[holed[0]]) if len(holed) else None,
        share=float(empty[octave].mean()),
    )


def _empty(powers: Powers, end: int) -> NDArray[np.bool_]:
    """(sounding frames, bands): which cells are empty although the frame sounds below them."""
    under = np.median(powers[:, max(0, end - 2 * THIRD) : max(4, end - THIRD)], axis=1)
    sounding = under > under[loudest(under)].mean() * 10 ** (-SOUNDING_DB / 10)
    cells, level = powers[sounding], under[sounding, None]
    empty = cells < level * 10 ** (-HOLE_DB / 10)
    if powers.shape[1] - end > 2 * SIXTH:
        floor = np.median(cells[:, end + SIXTH :], axis=1, keepdims=True) * 10 ** (FLOOR_MARGIN_DB / 10)
        empty |= (cells < floor) & (floor < level * 10 ** (-CLEAR_DB / 10))
    return np.asarray(empty)

"""Holes: what a lossy codec short of bits left out below its shelf, the low-pass of the whole file.

A codec works in frames and bands. Where bits run out it drops whole bands of a frame, from the top down.
A dropped band decodes to next to nothing, as empty as the range above the shelf, right beside bands that
sound. No instrument, voice or room makes that step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.band.cliff import loudest, median, middle
from render.band.spectrum import SIXTH, THIRD, Powers, decibels

HOLE_DB = 45.0
"""A cell is empty where it is this many dB below a sounding band further down (`level` of `is_empty`)."""
FLOOR_MARGIN_DB, CLEAR_DB = 6.0, 25.0
"""A cell is also empty within this many dB of the level above the shelf, where the sounding band is CLEAR_DB
above that."""
SOUNDING_DB = 30.0
"""Frames this many dB below the loud ones do not count: there a codec rightly saves bits."""
MOST = 0.5
"""A band that more than this share of the frames leave out lies above the end of most frames."""
EDGE_DB = 6.0
"""A band in which all frames together lack more dB than this is above the shelf: what is left in it is
attacks, whose short blocks reach above an encoder's low-pass."""

NEARLY_ALL = 0.85
"""A band that more than this share of the frames leave out is above the shelf, however loud in the others."""
LOUD_MOST = 0.7
"""A band that more than this share of the loudest frames leave out is above the shelf, though others keep it:
short of bits, an encoder drops in loud moments what it has room for in quiet ones. Where three quarters of
those frames leave it out, together they lack EDGE_DB."""
STEP, STEP_DB = 0.3, 4.5
"""A step is a band from which on the share of frames that leave bands out is this much greater, and all
frames together lack this many dB. Above 16 kHz MP3 has no scale factor of its own, and that range gets the
bits that are left. Of 189 coded recordings that `draft` was trained on, two shelves are more than 250 Hz too
high; with 0.5 three are, with 6 dB four."""
STEP_BANDS = 3
"""Levels and shares on both sides of a step are taken over this many bands: 0.7 kHz at 16 kHz."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Holes:
    """What was left out below a shelf.

    Attributes:
        shelf_hz: the -6 dB edge of the file's band, over all frames together.
        from_hz: where most frames end: most of them leave out the range from here to the shelf; equal to the
            shelf where most frames reach it.
        kept_hz: the shelf, or a step below it, above which an encoder short of bits kept only a part.
        lowest_hz: the lowest band, within an octave below the shelf, with holes in at least a tenth of the
            frames; None without one.
        share: of empty cells among those in the octave below the shelf, 0 to 1.
    """

    shelf_hz: float
    from_hz: float
    kept_hz: float
    lowest_hz: float | None
    share: float


def find_holes(powers: Powers, edges_hz: Floats, edge_hz: float, full_hz: float = np.inf) -> Holes:
    """The holes below the end of a band.

    Args:
        powers: (frames, bands) mean power per bin of the frames that sound.
        edges_hz: (bands + 1,) the bands' edges.
        edge_hz: where the loudest moments end.
        full_hz: a shelf at or above this is full, and stays where it is whatever loud moments lack.
    """
    end = max(1, int(np.searchsorted(edges_hz, edge_hz)) - 1)
    cells, holed, loud = _empty(powers, end)
    empty = holed.mean(axis=0)
    most = end
    while most > max(4, end - THIRD) and empty[most - 1] > MOST:
        most -= 1
    shelf, missing_db = end, _missing_db(cells, most)
    while shelf > most and missing_db[shelf - 1] > EDGE_DB:
        shelf -= 1
    if 4 < shelf == most < end and _missing_db(cells, most - 1)[most - 1] > EDGE_DB:
        shelf -= 1  # the edge lies within this band, so most frames hold a part of it
    while shelf > max(4, end - THIRD) and empty[shelf - 1] > NEARLY_ALL:
        shelf -= 1
    if edges_hz[shelf] < full_hz:
        while shelf > max(4, end - THIRD) and holed[loud, shelf - 1].mean() > LOUD_MOST:
            shelf -= 1
    most = min(most, shelf)
    octave = slice(max(4, shelf - 3 * THIRD), max(5, shelf))
    holed_bands = octave.start + np.flatnonzero(empty[octave] >= 0.1)
    shelf_hz = float(edges_hz[shelf]) if shelf < end else edge_hz
    step = _step(cells, empty[: end + 1], max(4, end - THIRD), shelf if shelf < end else end + 1)
    return Holes(
        shelf_hz=shelf_hz,
        from_hz=float(edges_hz[most]) if most < end else edge_hz,
        kept_hz=shelf_hz if step is None else float(edges_hz[step]),
        lowest_hz=float(edges_hz[holed_bands[0]]) if len(holed_bands) else None,
        share=float(empty[octave].mean()),
    )


def _step(cells: Powers, empty: Floats, lowest: int, end: int) -> int | None:
    """The lowest band of `lowest` to `end` at which there is a step, see STEP; None without one."""
    below = np.lib.stride_tricks.sliding_window_view(empty, STEP_BANDS).mean(axis=1)
    for band in range(max(lowest, STEP_BANDS + 1), end):
        above = empty[min(band + 1, len(empty) - 1) : band + 1 + STEP_BANDS]
        if median(above) - below[band - STEP_BANDS - 1] < STEP:
            continue
        missing_db = np.pad(_missing_db(cells, band)[band:end], STEP_BANDS // 2, "edge")
        about = np.lib.stride_tricks.sliding_window_view(missing_db, STEP_BANDS)
        if middle(about).min() > STEP_DB:
            return band
    return None


def _missing_db(cells: Powers, start: int) -> Floats:
    """(bands,): how many dB the mean of all frames lies below the straight line through the third of an
    octave before band `start`; a line that rises is replaced by a flat one."""
    level = decibels(cells.mean(axis=0))
    before = np.arange(max(0, start - THIRD), start)
    slope = min(0.0, float(np.polyfit(before, level[before], 1)[0]))
    return np.asarray(level[before].mean() + slope * (np.arange(len(level)) - before.mean()) - level)


def _empty(powers: Powers, end: int) -> tuple[Powers, NDArray[np.bool_], NDArray[np.intp]]:
    """The frames that sound, (frames, bands); which of their cells are empty; and which of them are
    loudest."""
    under = middle(powers[:, max(0, end - 2 * THIRD) : max(4, end - THIRD)])
    sounding = under > under[loudest(under)].mean() * 10 ** (-SOUNDING_DB / 10)
    cells, level = powers[sounding], under[sounding, None]
    floor = None
    if powers.shape[1] - end > 2 * SIXTH:
        floor = middle(cells[:, end + SIXTH :])[:, None]
    return cells, is_empty(cells, level, floor), loudest(level[:, 0])


def is_empty(cells: Floats, level: Floats, floor: Floats | None) -> NDArray[np.bool_]:
    """Which cells hold next to nothing.

    Args:
        cells: (frames, bands) mean power per bin.
        level: (frames, 1) of a sounding band below.
        floor: (frames, 1) of the range above the shelf; None where there is none.
    """
    empty = cells < level * 10 ** (-HOLE_DB / 10)
    if floor is not None:
        at_most = floor * 10 ** (FLOOR_MARGIN_DB / 10)
        empty |= (cells < at_most) & (at_most < level * 10 ** (-CLEAR_DB / 10))
    return np.asarray(empty)

"""What the input's own low-pass took where its band ends.

From the cut-off on the original falls, and what is left of it is worth more than anything generated: raised
by what the filter took, it is the original. The loss is taken to be that of a Butterworth low-pass,
1 / (1 + 3 (f / edge)^(2 order)), which fits others as well once order and edge are free: order 31 is within
1 dB of an eighth-order Chebyshev at 4 kHz run forwards and backwards, from -6 to -48 dB. Both are fitted to
the clip's long-term spectrum, against its own trend below the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.band.cliff import Powers, decibels

Floats = NDArray[np.floating[Any]]

MOST_DB = 42.0
"""The greatest loss that is made good. Beyond, filters fall otherwise than a Butterworth low-pass, and the
input's own errors are raised with it: up to 60 dB, one in ten clips at 12 kHz is 17 dB off."""
ABOVE_FLOOR_DB = 12.0
"""How far the signal must stand above what lies beyond the slope: noise then adds 0.3 dB to its power."""
BITES_OCTAVES = 1 / 10
"""How far below its -6 dB edge a filter bites. The eighth-order Chebyshev of evaluations does so from 0.094
octaves on; a Butterworth of order 8 run forwards and backwards has taken 3 dB there."""
TREND_OCTAVES, LEVEL_OCTAVES = 1.0, 1 / 4
"""The sound's trend takes its slope from the octave below, its level from the last quarter of it. On the 88
evaluation clips at 4, 8 and 12 kHz that is 2 to 3 dB off a quarter of an octave above the edge in the median,
8 dB in one of ten clips; slope and level from half an octave are off by up to 11."""
LEAST_OCTAVES = 1 / 48
"""A slope shorter than a band is an edge: nothing is left on it."""
SILENT_DB = -150.0
"""Power per bin below which what lies beyond is the rounding of 32-bit floats, not a noise."""
BELOW_OCTAVES = 1 / 3
"""Where the signal's level below the edge is taken, for the noise to be weighed against."""
HANN_BINS = 1.5
OUTLIER_DB = 12.0
"""Errors of a band count up to here: a partial that stands out is no part of the filter."""
ORDERS = np.round(np.geomspace(6, 240, 38))
OFFSETS = np.arange(-12, 7) / 96


@dataclass(frozen=True, slots=True)
class Slope:
    """The fall of the input's filter.

    Attributes:
        edge_hz: where it has taken 6 dB.
        order: of the Butterworth low-pass that falls alike.
        end_hz: as far as the input is more than noise; above it nothing can be made good.
        noise_density: mean square per Hz of what lies beyond the slope, of all channels, raised by what is
            made good at its end, as it weighs against the signal below the edge; 0 where there is silence.
    """

    edge_hz: float
    order: float
    end_hz: float
    noise_density: float

    def loss_db(self, hz: Floats) -> Floats:
        """How much the filter took at `hz`."""
        return fall_db(np.log2(np.maximum(hz, 1.0) / self.edge_hz), self.order)


def fall_db(octaves: Floats, order: Any) -> Floats:
    """The loss of a Butterworth low-pass, octaves above its -6 dB edge."""
    # 10 log10(1 + 3 * 4^(octaves * order)), which a steep filter would take beyond what a float holds.
    return np.asarray(10 / np.log(10) * np.logaddexp(0.0, np.log(3.0) + np.log(4.0) * octaves * order))


def find_slope(powers: Powers, edges_hz: Floats, edge_hz: float, bin_hz: float) -> Slope | None:
    """The slope at a cliff's edge, or None where nothing of the input is left above it.

    Args:
        powers: (frames, bands) mean power per bin of the frames that sound; a full-scale sine peaks at 1.
        edges_hz: (bands + 1,) the bands' edges.
        edge_hz: the cliff's.
        bin_hz: width of a bin.
    """
    octaves = np.log2(np.sqrt(edges_hz[1:] * edges_hz[:-1]) / edge_hz)
    level: Floats = decibels(powers.mean(axis=0).astype(np.float64))
    beyond = level[octaves > 0.5]
    floor_db = float(np.percentile(beyond, 75)) if beyond.size else -200.0
    bitten: Floats = np.zeros(len(level))
    for _ in range(2):
        trend = _trend(octaves, level, bitten)
        lost = trend - level
        over = np.flatnonzero((octaves > 0) & ((level < floor_db + ABOVE_FLOOR_DB) | (lost > MOST_DB)))
        end = int(over[0]) if over.size else len(octaves)
        fitted = np.flatnonzero((octaves > -2 * BITES_OCTAVES) & (np.arange(len(octaves)) < end))
        if not fitted.size or octaves[fitted[-1]] < LEAST_OCTAVES:
            return None
        offset, order = _fit(octaves[fitted], lost[fitted])
        bitten = fall_db(octaves - offset, order)
    reached = offset + np.log2((10 ** (MOST_DB / 10) - 1) / 3) / (2 * order)
    last = min(float(octaves[fitted[-1]]), reached)
    noise_density = 0.0
    if floor_db > SILENT_DB:
        raised_db = floor_db + float(fall_db(np.array(last - offset), order))
        tilt_db = float(np.interp(last, octaves, trend) - np.interp(-BELOW_OCTAVES, octaves, trend))
        noise_density = 10 ** ((raised_db - tilt_db) / 10) / (2 * HANN_BINS * bin_hz)
    return Slope(edge_hz * 2**offset, order, edge_hz * 2**last, noise_density)


def _fit(octaves: Floats, lost_db: Floats) -> tuple[float, float]:
    """The edge, in octaves, and the order of the low-pass that took `lost_db`."""
    falls = fall_db(octaves - OFFSETS[:, None, None], ORDERS[:, None])
    cost = np.minimum(np.abs(lost_db - falls), OUTLIER_DB).sum(axis=2)
    at, order = np.unravel_index(int(cost.argmin()), cost.shape)
    return float(OFFSETS[at]), float(ORDERS[order])


def _trend(octaves: Floats, level: Floats, bitten: Floats) -> Floats:
    """What the level would be without the filter, which took `bitten`: a straight line over octaves."""
    near = (octaves > -BITES_OCTAVES - LEVEL_OCTAVES) & (octaves < -BITES_OCTAVES)
    wide = (octaves > -BITES_OCTAVES - TREND_OCTAVES) & (octaves < -BITES_OCTAVES)
    slope = np.polyfit(octaves[wide], (level + bitten / 2)[wide], 1)[0]
    return np.asarray(np.mean((level + bitten - slope * octaves)[near]) + slope * octaves)

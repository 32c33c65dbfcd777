"""Cells, each one band of one frame: which of them a codec left out, and how a report lists those."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from presets.limits import CUTOFF_MIN_HZ
from presets.report import FilledCell
from presets.schema import RATE_HZ
from render.band.cutoff import Cutoff
from render.band.holes import is_empty
from render.band.spectrum import BANDS_PER_OCTAVE, SIXTH, THIRD, Powers, power_below
from render.upscaler import Audio

HOP, SIZE = 1024, 2048
"""Frame k is SIZE samples at 48 kHz from HOP k - HOP / 2 on: HOP of its own, and HOP / 2 more on each
side."""
CELLS_PER_OCTAVE = 12
CROSSOVER_OCTAVES = 1 / 24
"""Width of the transition between two bands, which belongs to the cells of both."""
HIGHEST_SHARE = 0.95
"""The floor above a shelf is measured up to this share of the source's Nyquist frequency."""
LEAST_FRAMES = 8
"""A band that is kept in fewer frames than this has no usual level."""
UNLIMITED, SILENT_POWER = 1e20, 1e-20
MOST_LISTED = 700
"""The most cells that a report lists, as a message has room for; with more, neighbours in time are merged."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Cells:
    """The cells of a stretch of spectrum.

    Args:
        edges_hz: (bands + 1,) rising.
        nyquist_hz: of the source.

    Attributes:
        edges_hz: as given.
        bounds_hz: (low, high) of each band, including the transitions on both sides.
    """

    def __init__(self, edges_hz: Floats, nyquist_hz: float) -> None:
        self.edges_hz = edges_hz
        half = 2 ** (CROSSOVER_OCTAVES / 2)
        self.bounds_hz = [(float(low / half), float(high * half)) for low, high in pairwise(edges_hz)]
        per_bin = SIZE / RATE_HZ
        self._window = np.hanning(SIZE + 1)[:-1].astype(np.float32)
        self._places = np.array(self.bounds_hz).T * per_bin + 0.5
        steps = 2.0 ** (np.arange(THIRD + 1) / BANDS_PER_OCTAVE)
        self._under = edges_hz[0] / 2 ** (1 / 3) * steps * per_bin + 0.5
        above_hz = edges_hz[-1] * 2 ** (SIXTH / BANDS_PER_OCTAVE)
        highest_hz = HIGHEST_SHARE * min(nyquist_hz, RATE_HZ / 2)
        self._above = above_hz * steps[above_hz * steps < highest_hz] * per_bin + 0.5

    def heard(self, samples: Audio, start: int) -> Heard:
        """What the cells of a stretch of the clip hold, for the frames that lie wholly inside it.

        Args:
            samples: (channels, frames) at 48 kHz.
            start: position of the first sample in the clip.
        """
        powers, first = self._powers(samples, start)
        power = self._in_cells(powers)
        level = _median(powers, self._under)
        floor = _median(powers, self._above) if len(self._above) > SIXTH else None
        empty = is_empty(power, level, floor)
        return Heard(first, empty, level * _usually_kept(power / np.maximum(level, SILENT_POWER), empty))

    def power(self, samples: Audio, start: int) -> tuple[Floats, int]:
        """(channels, frames, bands) mean power per bin of a stretch's cells, and the first frame's number."""
        powers, first = self._powers(samples, start)
        return self._in_cells(powers), first

    def _powers(self, samples: Audio, start: int) -> tuple[Powers, int]:
        """(channels, frames, bins)."""
        from scipy import fft

        first = -(-(start + HOP // 2) // HOP)
        count = (start + samples.shape[1] + HOP // 2 - SIZE) // HOP - first + 1
        framed = np.lib.stride_tricks.sliding_window_view(samples, SIZE, axis=1)
        framed = framed[:, first * HOP - HOP // 2 - start :: HOP][:, :count]
        bins = fft.rfft(framed * self._window, axis=2)
        return bins.real**2 + bins.imag**2, first

    def _in_cells(self, powers: Powers) -> Floats:
        low, high = (_each(powers, places) for places in self._places)
        return (high - low) / np.diff(self._places, axis=0)


@dataclass(frozen=True, slots=True)
class Heard:
    """What cells hold.

    Attributes:
        first: number of the first frame.
        empty: (channels, frames, bands) True where a codec left next to nothing though a band below sounds.
        most: (channels, frames, bands) upper bound of the mean power per bin that the codec left out.
    """

    first: int
    empty: Mask
    most: Floats


def _usually_kept(share: Floats, empty: Mask) -> Floats:
    """(channels, 1, bands): median power of each band where it is kept, as a share of the band below;
    UNLIMITED where it is kept too rarely to tell.

    A codec leaves out what is weak, so what it left out was no louder than what it keeps. (19 clips through
    LAME at 64 and 128 kbit/s: with this bound, `draft` fills cells on average 4 dB below and 1 dB above the
    original's level; without it, 1 and 9 dB above.)
    """
    few = (~empty).sum(axis=1, keepdims=True) < LEAST_FRAMES
    usual = np.nanmedian(np.where(empty & ~few, np.nan, share), axis=1, keepdims=True)
    return np.where(few, UNLIMITED, usual)


def holed_cells(cutoff: Cutoff) -> Cells | None:
    """The cells between the lowest hole of a clip and the end of its band; None where there are none."""
    holes = cutoff.holes
    if holes is None or holes.lowest_hz is None:
        return None
    top_hz = cutoff.hz or holes.from_hz
    bands = int(CELLS_PER_OCTAVE * np.log2(top_hz / max(holes.lowest_hz, CUTOFF_MIN_HZ)))
    if bands < 1:
        return None
    return Cells(top_hz * 2.0 ** (np.arange(-bands, 1) / CELLS_PER_OCTAVE), cutoff.nyquist_hz)


def _median(powers: Powers, places: Floats) -> Floats:
    """(channels, frames, 1): the median of the mean powers per bin of the bands between places."""
    bands = np.diff(_each(powers, places), axis=2) / np.diff(places)
    return np.asarray(np.median(bands, axis=2, keepdims=True))


def _each(powers: Powers, places: Floats) -> Floats:
    """`power_below` of each channel."""
    return np.stack([power_below(channel, places) for channel in powers])


def filled_stretches(
    cells: Cells, empty: Mask, first: int, reach: int, lo: int, hi: int
) -> tuple[tuple[FilledCell, ...], float]:
    """The cells that were filled, as stretches of a result.

    Args:
        cells: where they lie.
        empty: (channels, frames, bands) True for the cells that were filled.
        first: number of the first frame.
        reach: samples at 48 kHz by which a filter spreads a cell on each side.
        lo, hi: the result, in samples of the clip at 48 kHz.

    Returns:
        At most MOST_LISTED stretches; and the longest pause, in seconds, over which neighbours were merged,
        0 where none were.
    """
    gap = 0
    while len(runs := list(_runs(empty, gap))) > MOST_LISTED:
        gap = 2 * gap + 1
    stretches = []
    for channel, band, begin, end in runs:
        from_ = max((first + begin) * HOP - HOP // 2 - reach, lo) - lo
        to = min((first + end - 1) * HOP - HOP // 2 + SIZE + reach, hi) - lo
        if from_ < to:
            low_hz, high_hz = cells.bounds_hz[band]
            stretches.append(FilledCell(channel, from_ / RATE_HZ, to / RATE_HZ, low_hz, high_hz))
    return tuple(sorted(stretches, key=lambda cell: cell.start_s)), gap * HOP / RATE_HZ


def _runs(empty: Mask, gap: int) -> Iterator[tuple[int, int, int, int]]:
    """(channel, band, first frame, frame after the last) of the stretches more than `gap` frames apart."""
    for channel, frames in enumerate(empty):
        for band in range(frames.shape[1]):
            at = np.flatnonzero(frames[:, band])
            if not len(at):
                continue
            breaks = np.flatnonzero(np.diff(at) > gap + 1)
            begins, ends = at[np.r_[0, breaks + 1]], at[np.r_[breaks, len(at) - 1]] + 1
            yield from (
                (channel, band, int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)
            )

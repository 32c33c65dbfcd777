"""The short-time spectrum that `draft` works on, and the bands that its envelope is drawn in.

One grid for everything: 2048 points every 512 samples at 48 kHz (bins of 23.4 Hz, frames of 10.7 ms). The
cells of the window grid are 60 frames, so a frame and its phase mean the same in whatever window they lie.
Levels are 10 log10 of |STFT|^2 as it comes (a full-scale sine reads 54 dB). The level of a band is that of
the mean power around it: what is drawn at that level is as loud as it should be, however peaked it is, and
partials further apart than a band is wide stay partials.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bins = NDArray[np.complex64]

RATE_HZ = 48000
N_FFT = 2048
HOP = 512
BINS = N_FFT // 2 + 1
BIN_HZ = RATE_HZ / N_FFT
BAND_BINS = 8
BANDS = (BINS - 1) // BAND_BINS
"""Bands of the envelope: 128 of 187.5 Hz, band b holds bins 8 b + 1 to 8 b + 8."""
SPAN = 4
"""Bands from the middle of the triangle to its end: 750 Hz."""
PARTS = N_FFT // HOP
_CLOCKED = [(first, part, (first + part) % PARTS) for first in range(PARTS) for part in range(PARTS)]
"""Of every PARTS-th frame from `first` on, hop `part` lies at `place` in what is transformed."""
CLOCK_FRAMES = PARTS * HOP
"""Samples that begin so far apart have the same phases (a cell of the window grid is 15 of them)."""
POWER_FLOOR = 1e-12
FLOOR_DB = 10 * math.log10(POWER_FLOOR)
NEPER_TO_DB = 10 / math.log(10)
"""What one unit of the natural logarithm of a power is worth."""
BANDS_A_PRODUCT = 12
"""Bands that `over_bins` draws at a time."""


def spectrum(samples: Array) -> Bins:
    """The STFT: (..., frames) -> (..., frames // HOP + 1, BINS) complex64; frame t is centred on t * HOP.

    Phases are those of one clock for all frames, which stands at 0 where frame 0 begins (a plain STFT counts
    from each frame's own beginning): hop h of the signal lies at place h % PARTS of every frame it is in. So
    a partial at a bin's centre keeps its phase, and what is moved to other bins fits where frames overlap.
    """
    count = samples.shape[-1] // HOP + 1
    hops = np.zeros((*samples.shape[:-1], count + PARTS - 1, HOP), np.float32)
    inside = hops.reshape(*samples.shape[:-1], -1)[..., N_FFT // 2 :][..., : samples.shape[-1]]
    inside[:] = samples[..., : inside.shape[-1]]
    frames = np.empty((*samples.shape[:-1], count, PARTS, HOP), np.float32)
    window = _window() * np.float32(N_FFT)  # of which a forward transform in float32 takes the mean
    for first, part, place in _CLOCKED:
        ours = slice(first + part, count + part, PARTS)
        np.multiply(hops[..., ours, :], window[part], out=frames[..., first::PARTS, place, :])
    return np.asarray(np.fft.rfft(frames.reshape(*frames.shape[:-2], N_FFT), norm="forward"), np.complex64)


def samples_of(bins: Bins, frames: int) -> Array:
    """The inverse of `spectrum`: (..., T, BINS) complex64 -> (..., frames) float32.

    Overlap-add of windowed frames (Griffin and Lim 1984, equation 6), a hop of all frames at a time.
    """
    count = bins.shape[-2]
    parts = np.fft.irfft(bins, N_FFT).reshape(*bins.shape[:-1], PARTS, HOP)
    hops = np.zeros((*bins.shape[:-2], count + PARTS - 1, HOP), np.float32)
    window = _window()
    for first, part, place in _CLOCKED:
        ours = slice(first + part, count + part, PARTS)
        hops[..., ours, :] += parts[..., first::PARTS, place, :] * window[part]
    hops *= _unweighted(count)
    samples: Array = hops.reshape(*bins.shape[:-2], -1)[..., N_FFT // 2 : N_FFT // 2 + frames]
    return samples


@cache
def _window() -> Array:
    """(PARTS, HOP): Hann's."""
    turn = np.arange(N_FFT) * (2 * np.pi / N_FFT)
    window: Array = (0.5 - 0.5 * np.cos(turn)).astype(np.float32).reshape(PARTS, HOP)
    return window


@lru_cache(maxsize=16)
def _unweighted(count: int) -> Array:
    """(count + PARTS - 1, HOP): one over the sum of the squared windows of `count` frames."""
    squares = np.zeros((count + PARTS - 1, HOP), np.float32)
    for part, window in enumerate(_window()):
        squares[part : part + count] += window * window
    return np.asarray(1 / np.maximum(squares, np.finfo(np.float32).tiny), np.float32)


def power_of(bins: Bins) -> Array:
    """|bins|^2."""
    power: Array = np.square(bins.real)
    power += np.square(bins.imag)
    return power


def level_db(power: Array) -> Array:
    """10 log10 of `power`, floored at FLOOR_DB; by the natural logarithm, which NumPy takes twice as fast."""
    level: Array = np.asarray(power + np.float32(POWER_FLOOR))
    np.log(level, out=level)
    level *= np.float32(NEPER_TO_DB)
    return level


def group_means(values: Array, size: int) -> Array:
    """Means of groups of neighbours, as a product: (..., size n) -> (..., n)."""
    means = values.reshape(-1, size) @ np.full(size, 1 / size, np.float32)
    return means.reshape(*values.shape[:-1], -1)


def band_power(power: Array) -> Array:
    """Mean power around each band, weighted by a triangle of SPAN bands: (..., 8 n) -> (..., n).

    Bands that hold nothing at all in any frame, as those below the cut-off of a generated spectrum, and what
    lies beyond the first and the last, are left out of the mean.

    Args:
        power: of the bins of n neighbouring bands, the first of them bin 8 b + 1.
    """
    bands = group_means(power, BAND_BINS)
    count = bands.shape[-1]
    held = np.any(bands.reshape(-1, count), axis=0)
    place = np.arange(count)
    around = np.maximum(SPAN - np.abs(place[:, None] - place), 0) * held[:, None]
    weights = (around / np.maximum(around.sum(0), 1)).astype(np.float32)
    return np.asarray(bands @ weights)


def over_bins(bands: Array) -> Array:
    """Band values drawn over their bins, linear between the bands' centres: (..., n) -> (..., 8 n).

    A product with a small matrix for some bands at a time, which takes a tenth of what broadcasting does.
    """
    count = bands.shape[-1]
    held = np.concatenate([bands[..., :1], bands, bands[..., -1:]], -1)
    drawn = np.empty((*bands.shape[:-1], count * BAND_BINS), np.float32)
    for first in range(0, count, BANDS_A_PRODUCT):
        end = min(first + BANDS_A_PRODUCT, count)
        between = _between()[: end - first + 2, : (end - first) * BAND_BINS]
        np.matmul(held[..., first : end + 2], between, out=drawn[..., first * BAND_BINS : end * BAND_BINS])
    return drawn


@cache
def _between() -> Array:
    """(BANDS_A_PRODUCT + 2, 8 BANDS_A_PRODUCT): what each band, and the one on each side, counts in a bin."""
    bins = np.arange(BANDS_A_PRODUCT * BAND_BINS)
    place = (bins + 0.5) / BAND_BINS + 0.5
    before = place.astype(np.intp)
    weights = np.zeros((BANDS_A_PRODUCT + 2, len(bins)), np.float32)
    weights[before, bins] = 1 - (place - before)
    weights[before + 1, bins] = place - before
    return weights


def moving_mean(values: Array, width: int) -> Array:
    """The mean of what there is of `width` values (odd) around each: along the first dimension.

    The sums are of runs that double in length.
    """
    count, half = len(values), width // 2
    runs = np.pad(values, [(half, half)] + [(0, 0)] * (values.ndim - 1))
    total, taken = np.zeros_like(values), 0
    for length in (1 << bit for bit in range(width.bit_length())):
        if width & length:
            total += runs[taken : taken + count]
            taken += length
        runs = runs[:-length] + runs[length:]
    place = np.arange(count)
    there = np.minimum(place + half, count - 1) - np.maximum(place - half, 0) + 1
    total /= there.astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return total


def first_bin(cutoff_hz: float) -> int:
    """The first bin that a model has to fill: the first one above the -6 dB edge."""
    return min(math.ceil(cutoff_hz / BIN_HZ), BINS)


def first_drawn(cutoff_hz: float) -> int:
    """Where a drawn spectrum begins: with the first bin of the band below the one that has to be filled, so
    that it is whole bands, and the first one's level is drawn from its lower neighbour's on."""
    return max((first_bin(cutoff_hz) - 1) // BAND_BINS - 1, 0) * BAND_BINS + 1


def band_centres_hz() -> Array:
    """(BANDS,) float32: the centre of each band, Hz."""
    return ((np.arange(BANDS) * BAND_BINS + (BAND_BINS + 1) / 2) * BIN_HZ).astype(np.float32)

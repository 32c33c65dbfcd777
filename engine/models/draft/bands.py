"""The short-time spectrum that `draft` works on, and the bands that its envelope is drawn in.

One grid for everything: 2048 points every 512 samples at 48 kHz (bins of 23.4 Hz, frames of 10.7 ms). The
cells of the window grid are 60 frames, so a frame and its phase mean the same in every window that holds it.
Levels are 10 log10 of the unnormalised |STFT|^2 (a full-scale sine reads 54 dB). The level of a band is that
of the mean power around it: a spectrum drawn at that level is as loud as it should be, however peaked it is,
and partials further apart than a band is wide stay partials.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

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
"""Half width, in bands, of the triangle that weights the power around a band: 750 Hz."""
PARTS = N_FFT // HOP
CLOCK_FRAMES = PARTS * HOP
"""Frames that begin this many samples apart have the same phases; a cell of the window grid is 15 times
this."""
_TURNS = [(late, 0, slice(late, PARTS)) for late in range(PARTS)]
_TURNS += [(late, 1, slice(0, late)) for late in range(1, PARTS)]
"""A turn of the clock has PARTS places of one hop. A frame that begins `late` hops into a turn holds the
places from there on of that turn (0), and those before of the next one (1)."""
POWER_FLOOR = 1e-12
FLOOR_DB = 10 * math.log10(POWER_FLOOR)
NEPER_TO_DB = 10 / math.log(10)
"""dB in one unit of the natural logarithm of a power."""
BANDS_A_PRODUCT = 32
"""Bands that `over_bins` interpolates at a time."""


def spectrum(samples: Array) -> Bins:
    """The STFT: (..., frames) -> (..., frames // HOP + 1, BINS) complex64; frame t is centred on t * HOP.

    Phases refer to one clock for all frames, which is at 0 where frame 0 begins (a plain STFT counts from
    each frame's own beginning): hop h of the signal lies at place h % PARTS of every frame that holds it. So
    a partial at a bin's centre keeps its phase, and bins that are moved elsewhere agree where frames overlap.
    """
    count = samples.shape[-1] // HOP + 1
    turns = np.zeros((*samples.shape[:-1], _turns(count), PARTS, HOP), np.float32)
    inside = turns.reshape(*samples.shape[:-1], -1)[..., N_FFT // 2 :][..., : samples.shape[-1]]
    inside[:] = samples[..., : inside.shape[-1]]
    windowed = np.empty((*samples.shape[:-1], count, PARTS, HOP), np.float32)
    window = _clocked_window() * np.float32(N_FFT)  # a forward transform in float32 divides by N_FFT
    for late, turn, places in _TURNS:
        frames = windowed[..., late::PARTS, places, :]
        ours = turns[..., turn : turn + frames.shape[-3], places, :]
        np.multiply(ours, window[late, places], out=frames)
    bins = np.fft.rfft(windowed.reshape(*windowed.shape[:-2], N_FFT), norm="forward")
    return np.asarray(bins, np.complex64)


def samples_of(bins: Bins, frames: int) -> Array:
    """The inverse of `spectrum`: (..., T, BINS) complex64 -> (..., frames) float32."""
    return np.asarray(overlapped(np.fft.irfft(bins), frames), np.float32)


def overlapped(frames: NDArray[Any], count: int) -> NDArray[Any]:
    """Overlap-add of windowed frames (Griffin and Lim 1984, equation 6): (..., T, size) -> (..., count).

    Args:
        frames: of N_FFT samples at 48 kHz, or fewer at a rate that is lower by the same factor; overwritten.
        count: of samples.
    """
    *shape, size = frames.shape
    window = _clocked_window()[..., :: N_FFT // size]
    parts = frames.reshape(*shape, PARTS, size // PARTS)
    turns = np.zeros((*shape[:-1], _turns(shape[-1]), PARTS, size // PARTS), frames.dtype)
    for late, turn, places in _TURNS:
        ours = parts[..., late::PARTS, places, :]
        ours *= window[late, places]
        turns[..., turn : turn + ours.shape[-3], places, :] += ours
    turns *= _unweighted(shape[-1])[..., :: N_FFT // size]
    return turns.reshape(*shape[:-1], -1)[..., size // 2 : size // 2 + count]


def _turns(count: int) -> int:
    """How many turns of the clock `count` frames reach over."""
    return -(-count // PARTS) + 1


@cache
def _clocked_window() -> Array:
    """(PARTS, PARTS, HOP): by how many hops into a turn a frame begins, the Hann window over the clock's
    places."""
    turn = np.arange(N_FFT) * (2 * np.pi / N_FFT)
    window = (0.5 - 0.5 * np.cos(turn)).astype(np.float32)
    return np.stack([np.roll(window, late * HOP) for late in range(PARTS)]).reshape(PARTS, PARTS, HOP)


@lru_cache(maxsize=16)
def _unweighted(count: int) -> Array:
    """(turns, PARTS, HOP): one over the sum of the squared windows of `count` frames."""
    squares = np.zeros((_turns(count), PARTS, HOP), np.float32)
    for late, turn, places in _TURNS:
        frames = len(range(late, count, PARTS))
        squares[turn : turn + frames, places] += np.square(_clocked_window()[late, places])
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
    """Means of groups of `size` neighbours, computed as a product: (..., size n) -> (..., n)."""
    means = values.reshape(-1, size) @ np.full(size, 1 / size, np.float32)
    return means.reshape(*values.shape[:-1], -1)


def band_power(power: Array, empty: int = 0) -> Array:
    """Mean power around each band, weighted by a triangle of SPAN bands: (..., 8 n) -> (..., n).

    The mean leaves out what lies beyond the first and the last band.

    Args:
        power: of the bins of n neighbouring bands, the first of them bin 8 b + 1.
        empty: how many of the first bands are empty; the mean leaves them out too.
    """
    bands = group_means(power, BAND_BINS)
    return np.asarray(bands @ _around(bands.shape[-1], empty))


@lru_cache(maxsize=64)
def _around(count: int, empty: int) -> Array:
    """(count, count): the weight of each band in the power around each."""
    place = np.arange(count)
    around = np.maximum(SPAN - np.abs(place[:, None] - place), 0) * (place >= empty)[:, None]
    return np.asarray(around / np.maximum(around.sum(0), 1), np.float32)


def over_bins(bands: Array) -> Array:
    """Band values interpolated over their bins, linearly between bands' centres: (..., n) -> (..., 8 n).

    Products with a small matrix, some bands at a time, take a tenth of the time of broadcasting.
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
    """(BANDS_A_PRODUCT + 2, 8 BANDS_A_PRODUCT): the weight in a bin of each band, and of one on each side."""
    bins = np.arange(BANDS_A_PRODUCT * BAND_BINS)
    place = (bins + 0.5) / BAND_BINS + 0.5
    before = place.astype(np.intp)
    weights = np.zeros((BANDS_A_PRODUCT + 2, len(bins)), np.float32)
    weights[before, bins] = 1 - (place - before)
    weights[before + 1, bins] = place - before
    return weights


def exp_over_bins(bands: Array) -> Array:
    """exp(over_bins(bands)), within 1e-6: between two centres each value is the one before times a constant.

    It takes a quarter of the exponentials; each costs NumPy as much time as 20 products where there is AVX2.
    """
    held = np.concatenate([bands[..., :1], bands, bands[..., -1:]], -1)
    drawn = np.empty((*bands.shape[:-1], bands.shape[-1] + 1, BAND_BINS), np.float32)
    half_step = np.exp(np.diff(held) * np.float32(0.5 / BAND_BINS))
    step = np.square(half_step)
    np.multiply(np.exp(held[..., :-1]), half_step, out=drawn[..., 0])
    for place in range(1, BAND_BINS):
        np.multiply(drawn[..., place - 1], step, out=drawn[..., place])
    return drawn.reshape(*bands.shape[:-1], -1)[..., BAND_BINS // 2 : -BAND_BINS // 2]


def moving_mean(values: Array, width: int) -> Array:
    """The mean of the `width` values (odd) around each, fewer at the ends, along the first dimension.

    Sums are made of runs that double in length.
    """
    count, half = len(values), width // 2
    runs = np.zeros((count + 2 * half, *values.shape[1:]), np.float32)
    runs[half : half + count] = values
    total, taken = np.zeros_like(values), 0
    for length in (1 << bit for bit in range(width.bit_length())):
        if length > 1:
            runs = runs[: -length // 2] + runs[length // 2 :]
        if width & length:
            total += runs[taken : taken + count]
            taken += length
    total /= _held(count, half).reshape(-1, *[1] * (values.ndim - 1))
    return total


@lru_cache(maxsize=64)
def _held(count: int, half: int) -> Array:
    """(count,): how many of `count` values are at most `half` places from each."""
    place = np.arange(count)
    held = np.minimum(place + half, count - 1) - np.maximum(place - half, 0) + 1
    return held.astype(np.float32)


def first_bin(cutoff_hz: float) -> int:
    """The first bin that a model has to fill: the first one above the -6 dB edge."""
    return min(math.ceil(cutoff_hz / BIN_HZ), BINS)


def first_drawn(cutoff_hz: float) -> int:
    """The first bin of a drawn spectrum: that of the band below the first one to be filled. So it holds whole
    bands, and the first level to be filled is interpolated from its lower neighbour on."""
    return max((first_bin(cutoff_hz) - 1) // BAND_BINS - 1, 0) * BAND_BINS + 1


def band_centres_hz() -> Array:
    """(BANDS,) float32: the centre of each band, Hz."""
    return ((np.arange(BANDS) * BAND_BINS + (BAND_BINS + 1) / 2) * BIN_HZ).astype(np.float32)

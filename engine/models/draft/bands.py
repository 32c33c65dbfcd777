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

import scipy.fft
import torch
from torch import Tensor
from torch.nn import functional

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


def spectrum(samples: Tensor) -> Tensor:
    """The STFT: (..., frames) -> (..., frames // HOP + 1, BINS) complex64; frame t is centred on t * HOP.

    Phases are those of one clock for all frames, which stands at 0 where frame 0 begins (torch.stft counts
    from each frame's own beginning): hop h of the signal lies at place h % PARTS of every frame it is in. So
    a partial at a bin's centre keeps its phase, and what is moved to other bins fits where frames overlap.
    """
    count = samples.shape[-1] // HOP + 1
    padded = functional.pad(samples, (N_FFT // 2, N_FFT // 2))[..., : (count + PARTS - 1) * HOP]
    hops = padded.reshape(*samples.shape[:-1], -1, HOP)
    frames = samples.new_empty(*samples.shape[:-1], count, PARTS, HOP)
    window = _window()
    for first, part, place in _CLOCKED:
        ours = slice(first + part, count + part, PARTS)
        torch.mul(hops[..., ours, :], window[part], out=frames[..., first::PARTS, place, :])
    return torch.from_numpy(scipy.fft.rfft(frames.flatten(-2).numpy()))


def samples_of(bins: Tensor, frames: int) -> Tensor:
    """The inverse of `spectrum`: (..., T, BINS) complex64 -> (..., frames) float32.

    Overlap-add of windowed frames (Griffin and Lim 1984, equation 6), a hop of all frames at a time.
    """
    count = bins.shape[-2]
    parts = torch.fft.irfft(bins, N_FFT).reshape(*bins.shape[:-1], PARTS, HOP)
    hops = bins.real.new_zeros(*bins.shape[:-2], count + PARTS - 1, HOP)
    window = _window()
    for first, part, place in _CLOCKED:
        ours = slice(first + part, count + part, PARTS)
        hops[..., ours, :].addcmul_(parts[..., first::PARTS, place, :], window[part])
    hops *= _unweighted(count)
    return hops.flatten(-2)[..., N_FFT // 2 : N_FFT // 2 + frames]


@cache
def _window() -> Tensor:
    """(PARTS, HOP): Hann's."""
    return torch.hann_window(N_FFT).reshape(PARTS, HOP)


@lru_cache(maxsize=16)
def _unweighted(count: int) -> Tensor:
    """(count + PARTS - 1, HOP): one over the sum of the squared windows of `count` frames."""
    squares = torch.zeros(count + PARTS - 1, HOP)
    for part, window in enumerate(_window()):
        squares[part : part + count] += window * window
    return 1 / squares.clamp(min=torch.finfo(torch.float32).tiny)


def power_of(bins: Tensor) -> Tensor:
    """|bins|^2; with NumPy, which takes a third of torch's time over numbers that do not lie side by side."""
    real, imag = bins.numpy().real, bins.numpy().imag
    power = real * real
    power += imag * imag
    return torch.from_numpy(power)


def level_db(power: Tensor) -> Tensor:
    """10 log10 of `power`, floored at FLOOR_DB."""
    return 10 * torch.log10(power + POWER_FLOOR)


def band_power(power: Tensor) -> Tensor:
    """Mean power around each band, weighted by a triangle of SPAN bands: (..., 8 n) -> (..., n).

    Bands that hold nothing at all in any frame, as those below the cut-off of a generated spectrum, and what
    lies beyond the first and the last, are left out of the mean.

    Args:
        power: of the bins of n neighbouring bands, the first of them bin 8 b + 1.
    """
    count = power.shape[-1] // BAND_BINS
    bands = power.reshape(*power.shape[:-1], count, BAND_BINS).mean(-1)
    held = (bands.reshape(-1, count).amax(0) > 0).float()
    place = torch.arange(count)
    around = (SPAN - (place[:, None] - place).abs().float()).clamp(min=0) * held[:, None]
    return torch.matmul(bands, around / around.sum(0).clamp(min=1))


def over_bins(bands: Tensor) -> Tensor:
    """Band values drawn over their bins, linear between the bands' centres: (..., n) -> (..., 8 n)."""
    return line_through(bands, BAND_BINS)


def line_through(values: Tensor, points: int) -> Tensor:
    """A line through values, each at the centre of so many points (even): (..., n) -> (..., n points)."""
    held = torch.cat([values[..., :1], values, values[..., -1:]], -1)
    ramp = (torch.arange(points) + 0.5) / points
    drawn = torch.lerp(held[..., :-1, None], held[..., 1:, None], ramp)
    return drawn.flatten(-2)[..., points // 2 : -points // 2]


def moving_mean(values: Tensor, width: int) -> Tensor:
    """The mean of what there is of `width` values (odd) around each: along the first dimension.

    The sums are of runs that double in length, which takes a third of what torch's pooling does.
    """
    count, half = len(values), width // 2
    runs = functional.pad(values, (0, 0) * (values.ndim - 1) + (half, half))
    total, taken = torch.zeros_like(values), 0
    for length in (1 << bit for bit in range(width.bit_length())):
        if width & length:
            total += runs[taken : taken + count]
            taken += length
        runs = runs[:-length] + runs[length:]
    place = torch.arange(count)
    there = (place + half).clamp(max=count - 1) - (place - half).clamp(min=0) + 1
    return total / there.reshape(-1, *[1] * (values.ndim - 1))


def first_bin(cutoff_hz: float) -> int:
    """The first bin that a model has to fill: the first one above the -6 dB edge."""
    return min(math.ceil(cutoff_hz / BIN_HZ), BINS)


def first_drawn(cutoff_hz: float) -> int:
    """Where a drawn spectrum begins: with the first bin of the band below the one that has to be filled, so
    that it is whole bands, and the first one's level is drawn from its lower neighbour's on."""
    return max((first_bin(cutoff_hz) - 1) // BAND_BINS - 1, 0) * BAND_BINS + 1


def band_centres_hz() -> Tensor:
    """(BANDS,) float32: the centre of each band, Hz."""
    return (torch.arange(BANDS) * BAND_BINS + (BAND_BINS + 1) / 2) * BIN_HZ

"""The short-time spectrum that `draft` works on, and the bands that its envelope is drawn in.

One grid for everything: 2048 points every 512 samples at 48 kHz (bins of 23.4 Hz, frames of 10.7 ms). The
cells of the window grid are 60 frames, so a frame and its phase mean the same in whatever window they lie.
Levels are 10 log10 of |STFT|^2 as it comes (a full-scale sine reads 54 dB). The level of a band is that of
the mean power around it: what is drawn at that level is as loud as it should be, however peaked it is, and
partials further apart than a band is wide stay partials.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
POWER_FLOOR = 1e-12
FLOOR_DB = 10 * math.log10(POWER_FLOOR)


def spectrum(samples: Tensor) -> Tensor:
    """The STFT: (..., frames) -> (..., frames // HOP + 1, BINS) complex64; frame t is centred on t * HOP."""
    shape = samples.shape[:-1]
    bins = torch.stft(
        samples.reshape(-1, samples.shape[-1]),
        N_FFT,
        HOP,
        window=torch.hann_window(N_FFT, device=samples.device),
        pad_mode="constant",
        return_complex=True,
    )
    return bins.transpose(-1, -2).reshape(*shape, -1, BINS)


def samples_of(bins: Tensor, frames: int) -> Tensor:
    """The inverse of `spectrum`: (..., T, BINS) complex64 -> (..., frames) float32.

    Overlap-add of windowed frames (Griffin and Lim 1984, equation 6) in four shifted additions: torch.istft
    takes two and a half times as long.
    """
    window = torch.hann_window(N_FFT, device=bins.device)
    added = _overlapped(torch.fft.irfft(bins, N_FFT) * window)
    squares = _overlapped((window * window).expand(bins.shape[-2], N_FFT))
    kept = slice(N_FFT // 2, N_FFT // 2 + frames)
    return added[..., kept] / squares[kept]


def _overlapped(frames: Tensor) -> Tensor:
    """The sum of frames that begin HOP apart: (..., T, N_FFT) -> (..., (T + 3) HOP)."""
    count = frames.shape[-2]
    parts = frames.reshape(*frames.shape[:-1], N_FFT // HOP, HOP)
    added = frames.new_zeros(*frames.shape[:-2], count + N_FFT // HOP - 1, HOP)
    for part in range(N_FFT // HOP):
        added[..., part : part + count, :] += parts[..., part, :]
    return added.flatten(-2)


def level_db(power: Tensor) -> Tensor:
    """10 log10 of `power`, floored at FLOOR_DB."""
    return 10 * torch.log10(power + POWER_FLOOR)


def band_power(power: Tensor) -> Tensor:
    """Mean power around each band, weighted by a triangle of SPAN bands: (..., BINS) -> (..., BANDS).

    Bands that hold nothing at all in any frame, as those below the cut-off of a generated spectrum, and what
    lies beyond 24 kHz, are left out of the mean.
    """
    bands = power[..., 1:].reshape(*power.shape[:-1], BANDS, BAND_BINS).mean(-1).reshape(-1, BANDS)
    held = (bands.amax(0) > 0).float()
    around = SPAN - (torch.arange(BANDS)[:, None] - torch.arange(BANDS)).abs().float()
    around = around.clamp(min=0) * held[:, None]
    around = around / around.sum(0).clamp(min=1)
    return (bands @ around).reshape(*power.shape[:-1], BANDS)


def over_bins(bands: Tensor) -> Tensor:
    """Band values drawn over the bins, linear between the bands' centres: (..., BANDS) -> (..., BINS)."""
    held = torch.cat([bands[..., :1], bands, bands[..., -1:]], -1)
    low, high = held[..., :-1, None], held[..., 1:, None]
    ramp = (torch.arange(BAND_BINS, device=bands.device) + 0.5) / BAND_BINS
    drawn = (low + (high - low) * ramp).flatten(-2)
    half = BAND_BINS // 2
    return torch.cat([bands[..., :1], drawn[..., half : half + BINS - 1]], -1)


def first_bin(cutoff_hz: float) -> int:
    """The first bin that a model has to fill: the first one above the -6 dB edge."""
    return min(math.ceil(cutoff_hz / BIN_HZ), BINS)


def band_centres_hz() -> Tensor:
    """(BANDS,) float32: the centre of each band, Hz."""
    return (torch.arange(BANDS) * BAND_BINS + (BAND_BINS + 1) / 2) * BIN_HZ

"""What lies under the envelope: the fine structure of the high band.

Two sources are mixed. Copy-up: the band below the cut-off, whitened, repeated upwards, so that partials and
onsets stay the input's own. Noise: keyed by position and shaped in time by the input's own envelope, so that
it is as sharp as the input is. Both are white over every band of the envelope.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.bands import (
    BAND_BINS,
    BANDS,
    BIN_HZ,
    BINS,
    HOP,
    N_FFT,
    level_db,
    over_bins,
    samples_of,
    spectrum,
)

SOURCE_TOP = 0.95
"""The copied band ends here, as a share of the cut-off: above it the input's filter already bites."""
BLOCK = 32
"""Samples of one value of the temporal envelope: 0.67 ms."""
SLOW_BLOCKS = 75
"""50 ms: what is slower is drawn by the envelope in frames."""
NOISE_SCALE = math.exp(0.5772 / 2) / math.sqrt(3 / 8 * N_FFT)
"""Brings the bins of unit noise to a mean level of 0 dB: their power is 3/8 N_FFT through a Hann window, and
the mean of its logarithm lower by Euler's constant."""
DB_TO_NEPER = math.log(10) / 20


def copied_up(bins: Tensor, cutoff_hz: float) -> Tensor:
    """The band [cut-off / 2, cut-off), whitened and repeated up to 24 kHz.

    A partial moved up by s bins advances by s * HOP / N_FFT more turns a frame than its copy does: without
    that rotation overlapping frames cancel (about -8 dB).

    Args:
        bins: (..., T, BINS) complex64; T counts from a cell's start.
        cutoff_hz: the -6 dB edge of `bins`.

    Returns:
        (..., T, BINS) complex64 with mean level 0 dB, zero below the cut-off.
    """
    top = max(int(SOURCE_TOP * cutoff_hz / BIN_HZ), 2)
    bottom = top // 2
    width = top - bottom
    white = whitened(bins[..., : (top // BAND_BINS + 1) * BAND_BINS + 1])
    target = torch.arange(top, BINS, device=bins.device)
    shift = (target - bottom).div(width, rounding_mode="floor") * width
    frame = torch.arange(bins.shape[-2], device=bins.device)
    turns = (frame[:, None] * HOP * (torch.arange(0, BINS, width, device=bins.device))[None]) % N_FFT
    rotation = torch.polar(torch.ones(()), turns * (2 * math.pi / N_FFT))
    copied = white[..., target - shift] * rotation[:, shift.div(width, rounding_mode="floor")]
    return functional.pad(copied, (top, 0))


def whitened(bins: Tensor) -> Tensor:
    """`bins` (a whole number of bands and bin 0) divided by its envelope in bands."""
    bins_db = level_db(bins.real.square() + bins.imag.square())[..., 1:]
    bands_db = bins_db.reshape(*bins_db.shape[:-1], -1, BAND_BINS).mean(-1)
    padded = functional.pad(bands_db, (0, BANDS - bands_db.shape[-1]), mode="constant")
    return bins * torch.exp(over_bins(padded)[..., : bins.shape[-1]] * -DB_TO_NEPER)


def modulated_noise(noise: Tensor, bins: Tensor, cutoff_hz: float) -> Tensor:
    """Noise with the fast part of the input's temporal envelope: what is quicker than the envelope's frames.

    Args:
        noise: (frames,) float32, standard normal; frames is a multiple of BLOCK.
        bins: (channels, T, BINS) complex64, the input; the modulator is the envelope of its upper octave.
        cutoff_hz: the -6 dB edge of `bins`.

    Returns:
        (channels, T, BINS) complex64 with mean level 0 dB.
    """
    hz = torch.arange(BINS, device=bins.device) * BIN_HZ
    upper = samples_of(bins * ((hz > cutoff_hz / 2) & (hz < cutoff_hz)), noise.shape[-1])
    fast = upper.square().reshape(len(bins), -1, BLOCK).mean(-1)
    slow = functional.avg_pool1d(fast, SLOW_BLOCKS, 1, SLOW_BLOCKS // 2, count_include_pad=False)
    gain = torch.sqrt((fast + 1e-14) / (slow + 1e-14)).clamp(max=8.0)
    each_sample = functional.interpolate(gain[:, None], scale_factor=float(BLOCK), mode="linear")[:, 0]
    return spectrum(noise * each_sample) * NOISE_SCALE

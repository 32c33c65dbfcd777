"""What lies under the envelope: the fine structure of the high band.

Two sources are mixed. Copy-up: the band below the cut-off, whitened, repeated upwards in steps of its own
partials' distance, so that partials stay in tune and onsets the input's own. Noise: keyed by position and
shaped in time by the input's own envelope, so that it is as sharp as the input is. Both are white over every
band of the envelope.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.draft.bands import (
    BAND_BINS,
    BIN_HZ,
    BINS,
    HOP,
    N_FFT,
    band_power,
    level_db,
    over_bins,
    samples_of,
    spectrum,
)

SOURCE_TOP = 0.95
"""The copied band ends here, as a share of the cut-off: above it the input's filter already bites."""
PERIOD_FRAMES = 17
"""Frames over which the distance of partials is sought: 0.18 s."""
LEVEL_RANGE_DB = (-10.0, 20.0)
"""Levels beyond these, relative to the envelope, count no more for that."""
REGULAR = 0.25
"""Likeness of a spectrum to itself, moved, from which on its partials count as regular."""
BLOCK = 32
"""Samples of one value of the temporal envelope: 0.67 ms."""
SLOW_BLOCKS = 75
"""50 ms: what is slower is drawn by the envelope in frames."""
FOLLOWING = 0.6
"""How far a generated band's fast envelope goes to the one it is drawn towards."""
NOISE_SCALE = 1 / math.sqrt(3 / 8 * N_FFT)
"""Brings the bins of unit noise to a mean power of 1: it is 3/8 N_FFT through a Hann window."""
DB_TO_NEPER = math.log(10) / 20


def copied_up(bins: Tensor, cutoff_hz: float) -> Tensor:
    """The upper part of the band below the cut-off, whitened and repeated up to 24 kHz.

    Where partials stand at regular distances (it takes about five to tell), copies are moved by multiples of
    that distance, so that they go on in tune. A partial moved up by s bins advances by s * HOP / N_FFT more
    turns a frame than its copy does: without that rotation overlapping frames cancel (about -8 dB).

    Args:
        bins: (T, BINS) complex64; T counts from a cell's start.
        cutoff_hz: the -6 dB edge of `bins`.

    Returns:
        (T, BINS) complex64 with mean power 1 in every band, zero below the cut-off.
    """
    top = int(SOURCE_TOP * cutoff_hz / BIN_HZ)
    white = whitened(bins[:, : (top // BAND_BINS + 1) * BAND_BINS + 1])
    period = copy_distance(white[:, :top])[:, None]
    target = torch.arange(top, BINS, device=bins.device)
    copies = torch.ceil((target - top + 1) / period)
    shift = torch.round(copies * period).long()
    frame = torch.arange(len(bins), device=bins.device)[:, None]
    turns = (frame * HOP * shift) % N_FFT
    rotation = torch.polar(torch.ones(()), turns * (2 * math.pi / N_FFT))
    return functional.pad(torch.gather(white, 1, target - shift) * rotation, (top, 0))


def copy_distance(white: Tensor) -> Tensor:
    """By how many bins to move a copy: the distance at which the spectrum is most like itself, from the
    autocorrelation of its levels over 0.18 s; half of it where it is like itself nowhere.

    Args:
        white: (T, top) complex64, whitened, up to the cut-off.

    Returns:
        (T,) float32, between a fifth and five eighths of `top`.
    """
    top = white.shape[1]
    level = level_db(white.real.square() + white.imag.square()).clamp(*LEVEL_RANGE_DB)
    level = level[:, top // 8 :] - level[:, top // 8 :].mean(-1, keepdim=True)
    size = level.shape[1]
    spectrum_of_level = torch.fft.rfft(level, 2 * size)
    products = torch.fft.irfft(spectrum_of_level.abs().square(), 2 * size)[:, :size]
    products = functional.avg_pool1d(
        products.T[None], PERIOD_FRAMES, 1, PERIOD_FRAMES // 2, count_include_pad=False
    )[0].T
    lags = torch.arange(top // 5, 5 * top // 8, device=white.device)
    likeness = products[:, lags] / (products[:, :1] * (size - lags) / size + 1e-9)
    best, at = likeness[:, 1:-1].max(-1)
    before, here, after = (torch.gather(likeness, 1, (at + k)[:, None])[:, 0] for k in range(3))
    peak = (0.5 * (before - after) / (before - 2 * here + after - 1e-9)).clamp(-0.5, 0.5)
    return torch.where(best > REGULAR, lags[at + 1] + peak, float(top // 2))


def whitened(bins: Tensor) -> Tensor:
    """`bins` (a whole number of bands and bin 0) divided by its envelope in bands."""
    power = functional.pad(bins.real.square() + bins.imag.square(), (0, BINS - bins.shape[-1]))
    return bins * torch.exp(over_bins(level_db(band_power(power)))[..., : bins.shape[-1]] * -DB_TO_NEPER)


def upper_octave(bins: Tensor, cutoff_hz: float, frames: int) -> Tensor:
    """What sounds in the octave below the cut-off: (T, BINS) complex64 -> (frames,) float32."""
    hz = torch.arange(BINS, device=bins.device) * BIN_HZ
    return samples_of(bins * ((hz > cutoff_hz / 2) & (hz < cutoff_hz)), frames)


def modulated_noise(noise: Tensor, upper: Tensor) -> Tensor:
    """Noise with the fast part of the input's temporal envelope: what is quicker than the envelope's frames.

    Args:
        noise: (frames,) float32, standard normal; frames is a multiple of BLOCK.
        upper: (frames,) float32, the input's upper octave.

    Returns:
        (T, BINS) complex64 with mean power 1.
    """
    gain = torch.sqrt(flutter(upper, 1)).clamp(max=8.0)
    return spectrum(noise * over_samples(gain)) * NOISE_SCALE


def following(band: Tensor, upper: Tensor) -> Tensor:
    """A generated band whose fast envelope is drawn towards that of the input's upper octave: noise has one
    of its own, by chance, that blurs attacks. MPEG-D USAC does so (ISO/IEC 23003-3, inter-TES).

    Args:
        band, upper: (frames,) float32; frames is a multiple of BLOCK.
    """
    wanted = torch.sqrt(flutter(upper, 3))
    gain = (wanted / flutter(band, 3)) ** (FOLLOWING / 2)
    return band * over_samples(gain.clamp(0.2, 5.0))


def flutter(samples: Tensor, blocks: int) -> Tensor:
    """Power over `blocks` blocks (odd) in relation to that over 50 ms: (frames,) -> (frames / BLOCK,)."""
    power = samples.square().reshape(1, -1, BLOCK).mean(-1)

    def around(width: int) -> Tensor:
        return functional.avg_pool1d(power, width, 1, width // 2, count_include_pad=False)[0]

    return (around(blocks) + 1e-14) / (around(SLOW_BLOCKS) + 1e-14)


def over_samples(blocks: Tensor) -> Tensor:
    """Values of blocks as a line through their centres: (n,) -> (n * BLOCK,)."""
    return functional.interpolate(blocks[None, None], scale_factor=float(BLOCK), mode="linear")[0, 0]

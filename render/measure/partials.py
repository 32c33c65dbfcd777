"""How much of a tonal sound goes on as partials: the energy on the harmonic grid, over the reference's."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from presets.schema import RATE_HZ
from render.measure.metrics import ACTIVE_DB, Signal

FFT, HOP = 4096, 1024
"""85 ms: long enough to separate partials 150 Hz apart, short enough for a voice to hold its pitch."""
BIN_HZ = RATE_HZ / FFT
LOWEST_HZ, HIGHEST_HZ, STEPS_PER_OCTAVE = 150.0, 1500.0, 700
"""The pitches looked for; 0.1 % apart, a quarter of the half width of a tooth at the 60th partial."""
TOOTH_BINS = 2.0
"""Half width of a partial under the Hann window."""
LEVEL_BINS = 128
"""Energy counts relative to the local level over 3 kHz, two partials of the highest pitch: what matters is
whether there are partials, not how loud their band is."""
TONAL_SHARE = 0.2
"""A frame is tonal above this share. White noise, at the best of 2300 pitches, reaches at most 0.06 above 4
kHz and 0.14 above 16 kHz; steady partials 220 Hz apart reach 0.78."""
FEWEST_FRAMES = 10
BLOCK_SPECTRA = 64


def partial_share(full: Signal, made: Signal, cutoff_hz: float, end_hz: float) -> float:
    """The share of the energy above the cut-off that lies on the partials of the reference's pitch, less what
    noise has there: that of `made` over that of `full`.

    The pitch of a frame is the one whose harmonic grid holds the largest share of the reference above the
    cut-off; frames whose grid holds less than TONAL_SHARE do not count.

    Args:
        full, made: the reference and the render, of equal length.
        cutoff_hz, end_hz: the band that is measured.

    Returns:
        1 for partials like the reference's, 0 for noise; NaN where fewer than 10 frames are tonal.
    """
    band = slice(int(cutoff_hz // BIN_HZ) + 1, int(end_hz // BIN_HZ) + 1)
    if band.stop - band.start < LEVEL_BINS:
        return float("nan")
    teeth = _teeth()[:, band]
    by_chance = teeth.mean(axis=1)
    shares: list[tuple[float, float]] = []
    ref, est = _power(full), _power(made)
    sounds = ref.mean(axis=1) > 2 * 10 ** (ACTIVE_DB / 10)
    ref, est = (_levelled(power[sounds], band) for power in (ref, est))
    for at in range(0, len(ref), BLOCK_SPECTRA):
        frames = slice(at, at + BLOCK_SPECTRA)
        excess = ref[frames] @ teeth.T - by_chance
        best = excess.argmax(axis=1)
        made_excess = np.einsum("fb,fb->f", est[frames], teeth[best]) - by_chance[best]
        shares += zip(excess.max(axis=1), made_excess, strict=True)
    tonal = [pair for pair in shares if pair[0] > TONAL_SHARE]
    if len(tonal) < FEWEST_FRAMES:
        return float("nan")
    of_full, of_made = np.sum(tonal, axis=0)
    return float(of_made / of_full)


@lru_cache(maxsize=1)
def _teeth() -> NDArray[np.float32]:
    """(pitches, bins): 1 on the partials of a pitch, 0 between them, a fraction at the sides of a tooth."""
    octaves = np.log2(HIGHEST_HZ / LOWEST_HZ)
    pitches_hz = LOWEST_HZ * 2.0 ** (np.arange(int(STEPS_PER_OCTAVE * octaves)) / STEPS_PER_OCTAVE)
    places = np.arange(FFT // 2 + 1) * BIN_HZ / pitches_hz[:, None]
    away = np.abs(places - np.round(places)) * pitches_hz[:, None] / BIN_HZ
    return np.asarray(np.clip(TOOTH_BINS + 0.5 - away, 0, 1), np.float32)


def _power(signal: Signal) -> NDArray[np.float32]:
    """(frames, bins)."""
    from scipy import fft

    window = np.hanning(FFT + 1)[:-1].astype(np.float32)
    padded = np.pad(np.asarray(signal, np.float32), FFT // 2)
    framed = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    bins = fft.rfft(framed * window, axis=1)
    return np.asarray(bins.real**2 + bins.imag**2)


def _levelled(power: NDArray[np.float32], band: slice) -> NDArray[np.float32]:
    """(frames, bins of the band): each bin over the mean of its neighbourhood; a frame's sum is 1."""
    from scipy.ndimage import uniform_filter1d

    level = uniform_filter1d(power, LEVEL_BINS, axis=1)
    levelled = power[:, band] / (level[:, band] + 1e-12)
    return np.asarray(levelled / (levelled.sum(axis=1, keepdims=True) + 1e-12), np.float32)

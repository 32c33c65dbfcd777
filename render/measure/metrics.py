"""How far a super-resolved clip is from the full-band one: one function for each figure.

All signals are mono, (frames,), 48 kHz. Spectra are unnormalised STFTs of 2048 under a Hann window with hop
512, centred, as librosa's: white noise of RMS r has a mean bin power of 768 r^2. Which figures to judge by,
and why no single one will do, stands in bridge/evaluation/README.md.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets.schema import RATE_HZ

Signal = NDArray[np.floating[Any]]
"""(frames,) mono, full scale +-1, 48 kHz."""
Spectrogram = NDArray[np.float64]
"""(frames, 1025) power."""
Levels = NDArray[np.float64]

FFT, HOP = 2048, 512
EPSILON = 1e-12
ACTIVE_DB = -70.0
TOP_HZ = 20000.0
"""Bias and power are measured up to here: above, recordings differ by their converters, and ears hardly
hear."""
END_FROM_HZ, END_TO_HZ, END_STEP_HZ, END_DB = 10000.0, 21000.0, 250.0, 15.0
SHELF_BELOW_HZ, SHELF_ABOVE_HZ = (13000.0, 15500.0), (17000.0, 19500.0)
POWER_FROM = 1.1
TEXTURE_FRAMES, TEXTURE_BINS = 5, 32
ENVELOPE_FRAMES = RATE_HZ // 1000


def spectrogram(signal: Signal) -> Spectrogram:
    """(frames, 1025) power: Hann 2048, hop 512, frames centred on multiples of the hop, zeros outside."""
    from scipy import fft

    padded = np.pad(np.asarray(signal, np.float64), FFT // 2)
    window = np.hanning(FFT + 1)[:-1]
    framed = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    bins = fft.rfft(framed * window, axis=1)
    return np.asarray(bins.real**2 + bins.imag**2)


def active(ref: Spectrogram) -> NDArray[np.bool_]:
    """(frames,): which frames of the reference sound: a mean bin power above -70 dB."""
    return np.asarray(ref.mean(axis=1) > 10 ** (ACTIVE_DB / 10))


def lsd(ref: Spectrogram, est: Spectrogram, from_hz: float, to_hz: float) -> float:
    """Log-spectral distance over the bins above `from_hz` up to `to_hz`, ssr_eval's formula: per frame
    sqrt(mean over bins of log10(ref^2 / (est^2 + eps) + eps)^2), averaged over the active frames.

    0 for equal signals, 2 for one 20 dB too quiet or too loud; NaN where no frame sounds.
    """
    band = _bins(from_hz, to_hz)
    ratio = ref[:, band] / (est[:, band] + EPSILON) + EPSILON
    return _mean(np.sqrt(np.mean(np.log10(ratio) ** 2, axis=1))[active(ref)])


def end_hz(ref: Spectrogram, limit_hz: float) -> float:
    """Where the reference itself ends: a coded one has a shelf, which a render should not aim at.

    The lowest f from 10 kHz on, in steps of 250 Hz, where the mean of the decibels over f + 250 to f + 1000
    Hz is more than 15 dB below that over f - 1000 to f - 250 Hz; else 21 kHz or `limit_hz`, the lower one.
    """
    levels = _decibels(ref[active(ref)]).mean(axis=0) if active(ref).any() else np.zeros(ref.shape[1])
    last_hz = min(END_TO_HZ, limit_hz)
    for hz in np.arange(END_FROM_HZ, last_hz, END_STEP_HZ):
        before, after = levels[_bins(hz - 1000, hz - 250)], levels[_bins(hz + 250, hz + 1000)]
        if before.mean() - after.mean() > END_DB:
            return float(hz)
    return last_hz


def lsd_in(ref: Spectrogram, est: Spectrogram, cutoff_hz: float, limit_hz: float) -> float:
    """LSD above the cut-off as far as the reference itself goes; NaN where it ends below the cut-off."""
    to_hz = end_hz(ref, limit_hz)
    return lsd(ref, est, cutoff_hz, to_hz) if to_hz > cutoff_hz else float("nan")


def power_errors_db(ref: Spectrogram, est: Spectrogram, cutoff_hz: float, limit_hz: float) -> Levels:
    """Power of est over ref in dB in each third of an octave, over the whole clip: (bands,).

    As many bands as fit between 1.1 x cut-off and the reference's end or 20 kHz; where none fits, one band of
    that width. Power is compared, not the mean of decibels, which steady and fluctuating noise may share.
    """
    from_hz, to_hz = POWER_FROM * cutoff_hz, min(end_hz(ref, limit_hz), TOP_HZ)
    thirds = max(0, int(3 * np.log2(to_hz / from_hz) + 1e-9))
    edges_hz = [from_hz * 2 ** (k / 3) for k in range(thirds + 1)] if thirds else [from_hz, to_hz]
    bands = [_bins(low, high) for low, high in pairwise(edges_hz)]
    levels = [[power[:, band].sum() for band in bands if band.start < band.stop] for power in (est, ref)]
    return np.asarray(_decibels(np.array(levels[0])) - _decibels(np.array(levels[1])))


def power_db(ref: Spectrogram, est: Spectrogram, cutoff_hz: float, limit_hz: float) -> float:
    """Mean of `power_errors_db`: negative is too quiet; NaN where there is no band."""
    return _mean(power_errors_db(ref, est, cutoff_hz, limit_hz))


def power_abs_db(ref: Spectrogram, est: Spectrogram, cutoff_hz: float, limit_hz: float) -> float:
    """Mean of the absolute values of `power_errors_db`."""
    return _mean(np.abs(power_errors_db(ref, est, cutoff_hz, limit_hz)))


def shelf_db(ref: Spectrogram, est: Spectrogram, limit_hz: float) -> float:
    """The step of est across 16 kHz less that of ref: 17 to 19.5 kHz over 13 to 15.5 kHz, mean decibels of
    the active frames. Negative is a shelf that est invented. NaN where ref ends below 19.5 kHz."""
    if end_hz(ref, limit_hz) < SHELF_ABOVE_HZ[1]:
        return float("nan")
    sounds = active(ref)
    steps = [
        _mean(_decibels(power[sounds, _bins(*SHELF_ABOVE_HZ)]).ravel())
        - _mean(_decibels(power[sounds, _bins(*SHELF_BELOW_HZ)]).ravel())
        for power in (est, ref)
    ]
    return steps[0] - steps[1]


def bias_db(ref: Spectrogram, est: Spectrogram, cutoff_hz: float, limit_hz: float) -> float:
    """Level of est over ref in dB, mean over the active frames and the bins from the cut-off to 20 kHz."""
    band = _bins(cutoff_hz, min(TOP_HZ, limit_hz))
    return _mean((_decibels(est[:, band]) - _decibels(ref[:, band]))[active(ref)])


def texture(ref: Spectrogram, est: Spectrogram, cutoff_hz: float, limit_hz: float) -> float:
    """How fine-grained the band above the cut-off is: the standard deviation of the dB spectrogram around its
    local mean (32 bins x 5 frames), est over ref. Below 1 is smeared, above 1 noisy."""
    band, sounds = _bins(cutoff_hz, limit_hz), active(ref)
    if not sounds.any():
        return float("nan")
    return grain(est[:, band], sounds) / grain(ref[:, band], sounds)


def grain(power: Spectrogram, sounds: NDArray[np.bool_]) -> float:
    """The standard deviation of a band's decibels, (frames, bins), around their local mean."""
    from scipy.ndimage import uniform_filter

    level = _decibels(power)
    return float(np.std((level - uniform_filter(level, (TEXTURE_FRAMES, TEXTURE_BINS)))[sounds]))


def envelope(full: Signal, made: Signal, cutoff_hz: float, limit_hz: float) -> float:
    """Correlation of the 1 ms RMS envelopes of both bands above the cut-off; NaN where one does not move."""
    blocks = len(full) // ENVELOPE_FRAMES
    levels = [
        np.sqrt(
            np.mean(
                _band_pass(x, cutoff_hz, limit_hz)[: blocks * ENVELOPE_FRAMES].reshape(blocks, -1) ** 2, 1
            )
        )
        for x in (full, made)
    ]
    if min(float(np.std(level)) for level in levels) == 0:
        return float("nan")
    return float(np.corrcoef(levels[0], levels[1])[0, 1])


def null_db(given: Signal, made: Signal, cutoff_hz: float) -> float:
    """Level of (made - given) over that of given, dB, both through one linear-phase low-pass: pass 0.85, stop
    0.9 x cut-off, 130 dB. -inf for a low band that is the input's own."""
    from scipy.signal import fftconvolve, firwin, kaiserord

    taps, beta = kaiserord(130, 0.05 * cutoff_hz / (RATE_HZ / 2))
    low_pass = firwin(taps | 1, 0.875 * cutoff_hz, window=("kaiser", beta), fs=RATE_HZ)
    source = np.asarray(given, np.float64)
    error = fftconvolve(np.asarray(made, np.float64) - source, low_pass)
    level = fftconvolve(source, low_pass)
    if not np.any(made != given):
        return float("-inf")
    return float(10 * np.log10(np.sum(error**2) / max(float(np.sum(level**2)), 1e-30)))


def lag(given: Signal, made: Signal) -> int:
    """By how many samples `made` lags behind `given`, where the two match best."""
    from scipy import fft

    size = fft.next_fast_len(len(given) + len(made), real=True)
    match = fft.irfft(fft.rfft(made, size) * np.conj(fft.rfft(given, size)), size)
    best = int(np.argmax(match))
    return best if best < len(made) else best - size


def _bins(from_hz: float, to_hz: float) -> slice:
    width_hz = RATE_HZ / FFT
    first = int(from_hz // width_hz) + 1 if from_hz > 0 else 0
    return slice(first, int(to_hz // width_hz) + 1)


def _decibels(power: Spectrogram) -> Spectrogram:
    return np.asarray(10 * np.log10(power + EPSILON))


def _band_pass(signal: Signal, from_hz: float, to_hz: float) -> NDArray[np.float64]:
    """`signal` within the band; the edges rise over 1/24 octave, without any lag."""
    from scipy import fft

    size = fft.next_fast_len(2 * len(signal), real=True)
    octaves = np.log2(np.maximum(fft.rfftfreq(size, 1 / RATE_HZ), 1e-3))
    rise = np.clip(24 * (octaves - np.log2(from_hz)) + 0.5, 0, 1)
    fall = np.clip(24 * (np.log2(to_hz) - octaves) + 0.5, 0, 1)
    gain = np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2
    return np.asarray(fft.irfft(fft.rfft(np.asarray(signal, np.float64), size) * gain, size)[: len(signal)])


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values)) if values.size else float("nan")

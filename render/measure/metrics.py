"""How far a super-resolved clip is from the full-band one: a figure a function, and the protocol around them.

All signals are mono, (frames,), 48 kHz. Spectra are unnormalised STFTs of 2048 under a Hann window with hop
512, centred, as librosa's: white noise of RMS r has a mean bin power of 768 r^2. LSD alone rewards smearing:
quote texture, envelope and bias beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets.errors import InputError
from presets.schema import RATE_HZ
from render.clip import ArrayClip
from render.resample import resampled

Signal = NDArray[np.floating[Any]]
"""(frames,) mono, full scale +-1, 48 kHz."""
Spectrogram = NDArray[np.float64]
"""(frames, 1025) power."""

CLIP_S = 5.12
FFT, HOP = 2048, 512
EPSILON = 1e-12
ACTIVE_DB = -70.0
NYQUIST_SHARE = 0.97
BIAS_TOP_HZ = 20000.0
TEXTURE_FRAMES, TEXTURE_BINS = 5, 32
ENVELOPE_FRAMES = RATE_HZ // 1000


@dataclass(frozen=True, slots=True)
class Figures:
    """What `measure` finds; see the function of each name."""

    lsd: float
    lsd_hf: float
    bias_db: float
    texture: float
    envelope: float
    null_db: float
    lag: int
    length: int


def reference(samples: NDArray[np.floating[Any]], rate: int) -> tuple[Signal, float]:
    """The protocol's full-band clip.

    Args:
        samples: (channels, frames) at `rate`.
        rate: frames per second.

    Returns:
        The first 5.12 s, mean of the channels, at 48 kHz, float64; and the frequency in Hz up to which it
        says anything: 0.97 of its own Nyquist frequency, or 24 kHz.
    """
    mono = np.asarray(samples, np.float32)[:, : round(CLIP_S * rate)].mean(axis=0, keepdims=True)
    clip = resampled(ArrayClip(mono, rate), RATE_HZ)
    limit_hz = NYQUIST_SHARE * rate / 2 if rate < RATE_HZ else RATE_HZ / 2
    return clip.read(0, clip.frames)[0].astype(np.float64), limit_hz


def degrade(signal: Signal, cutoff_hz: float) -> NDArray[np.float32]:
    """The protocol's input: a Chebyshev-I low-pass (order 8, 0.05 dB ripple) run forwards and backwards.

    Raises:
        InputError: a signal too short to filter.
    """
    from scipy.signal import cheby1, sosfiltfilt

    if len(signal) < 64:
        raise InputError(f"{len(signal)} frames are too few to measure; give at least 64")
    sections = cheby1(8, 0.05, cutoff_hz, fs=RATE_HZ, output="sos")
    return np.asarray(sosfiltfilt(sections, signal.astype(np.float64)), np.float32)


def measure(full: Signal, given: Signal, made: Signal, cutoff_hz: float, limit_hz: float) -> Figures:
    """Every figure of one render.

    Args:
        full: the reference.
        given: the degraded input.
        made: the output; cut or filled with zeros to the reference's length, but for `length`.
        cutoff_hz: where `given` ends.
        limit_hz: where `full` ends; bins above are left out.
    """
    fitted = np.zeros(len(full))
    fitted[: len(made)] = made[: len(full)]
    ref, est = spectrogram(full), spectrogram(fitted)
    return Figures(
        lsd=lsd(ref, est, 0, limit_hz),
        lsd_hf=lsd(ref, est, cutoff_hz, limit_hz),
        bias_db=bias_db(ref, est, cutoff_hz, limit_hz),
        texture=texture(ref, est, cutoff_hz, limit_hz),
        envelope=envelope(full, fitted, cutoff_hz, limit_hz),
        null_db=null_db(given, fitted, cutoff_hz),
        lag=lag(given, fitted),
        length=len(made) - len(given),
    )


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


def bias_db(ref: Spectrogram, est: Spectrogram, cutoff_hz: float, limit_hz: float) -> float:
    """Level of est over ref in dB, mean over the active frames and the bins from the cut-off to 20 kHz."""
    band = _bins(cutoff_hz, min(BIAS_TOP_HZ, limit_hz))
    return _mean((_decibels(est[:, band]) - _decibels(ref[:, band]))[active(ref)])


def texture(ref: Spectrogram, est: Spectrogram, cutoff_hz: float, limit_hz: float) -> float:
    """How fine-grained the band above the cut-off is: the standard deviation of the dB spectrogram around its
    local mean (32 bins x 5 frames), est over ref. Below 1 is smeared, above 1 noisy."""
    band, sounds = _bins(cutoff_hz, limit_hz), active(ref)
    if not sounds.any():
        return float("nan")
    return _grain(est[:, band], sounds) / _grain(ref[:, band], sounds)


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
    """By how many samples `made` comes after `given`, at the best match of the two."""
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


def _grain(power: Spectrogram, sounds: NDArray[np.bool_]) -> float:
    from scipy.ndimage import uniform_filter

    level = _decibels(power)
    return float(np.std((level - uniform_filter(level, (TEXTURE_FRAMES, TEXTURE_BINS)))[sounds]))


def _band_pass(signal: Signal, from_hz: float, to_hz: float) -> NDArray[np.float64]:
    """`signal` without what lies outside the band; the edges rise over 1/24 octave, without any lag."""
    from scipy import fft

    size = fft.next_fast_len(2 * len(signal), real=True)
    octaves = np.log2(np.maximum(fft.rfftfreq(size, 1 / RATE_HZ), 1e-3))
    rise = np.clip(24 * (octaves - np.log2(from_hz)) + 0.5, 0, 1)
    fall = np.clip(24 * (np.log2(to_hz) - octaves) + 0.5, 0, 1)
    gain = np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2
    return np.asarray(fft.irfft(fft.rfft(np.asarray(signal, np.float64), size) * gain, size)[: len(signal)])


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values)) if values.size else float("nan")

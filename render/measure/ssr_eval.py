"""The log-spectral distance of AudioSR's paper, as the package ssr_eval (Liu et al. 2022) takes it.

It differs from `render.measure.metrics.lsd`: its window is 46 ms, its hop 10 ms, its floor is added to the
amplitude and not to the power, and it counts every frame. So digital silence in the reference, where each
frame is 12 away from anything that sounds, soon dominates it. It is measured to compare with the figures of
the paper, and is no figure to aim at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from presets.schema import RATE_HZ
from render.measure.metrics import Signal

FFT, HOP = 2048 * RATE_HZ // 44100, RATE_HZ // 100
"""2229 and 480: what 2048 and 441 are at 44.1 kHz."""

EPSILON = 1e-12


def lsd(full: Signal, made: Signal) -> float:
    """Mean over all frames of sqrt(mean over all bins of log10(X^2 / (Y + eps)^2 + eps)^2).

    X and Y are the magnitudes of the reference's and the render's STFT: Hann of 2229, hop 480, frames
    centred, zeros outside. 0 for equal signals that sound, 2 for one 20 dB too quiet or too loud.

    Args:
        full, made: the reference and the render, (frames,) at 48 kHz, of equal length.
    """
    ratio = _magnitudes(full) ** 2 / (_magnitudes(made) + EPSILON) ** 2
    return float(np.mean(np.sqrt(np.mean(np.log10(ratio + EPSILON) ** 2, axis=1))))


def _magnitudes(signal: Signal) -> NDArray[np.float64]:
    from scipy import fft

    padded = np.pad(np.asarray(signal, np.float64), FFT // 2)
    window = np.hanning(FFT + 1)[:-1]
    framed = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    return np.asarray(np.abs(fft.rfft(framed * window, axis=1)))

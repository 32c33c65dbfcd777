"""The protocol of an evaluation: the clip that is measured, how it is degraded, and a render's figures.

What each figure means stands at its function in render/measure/metrics.py and render/measure/partials.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets.errors import InputError
from presets.schema import RATE_HZ
from render.clip import ArrayClip
from render.measure import metrics
from render.measure.metrics import Signal
from render.measure.partials import partial_share
from render.resample import resampled

CLIP_S = 5.12
NYQUIST_SHARE = 0.97
"""A source below 48 kHz is a reference up to this share of its Nyquist frequency."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What `measure` finds; see the function of each name."""

    lsd: float
    lsd_hf: float
    lsd_in: float
    bias_db: float
    power_db: float
    power_abs_db: float
    shelf_db: float
    texture: float
    partials: float
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
        The first 5.12 s, mean of the channels, at 48 kHz, float64; and the frequency in Hz up to which it is
        a reference: 0.97 of its own Nyquist frequency, or 24 kHz.
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


def subsampled(full: Signal, cutoff_hz: float) -> tuple[NDArray[np.float32], int]:
    """The paper's input for speech: `full` at a rate of twice the cut-off, by soxr VHQ.

    Args:
        full: (frames,) at 48 kHz.
        cutoff_hz: half of the rate wanted, 2 to 24 kHz.

    Returns:
        (frames,) float32, and its rate in Hz.
    """
    rate = round(2 * cutoff_hz)
    clip = resampled(ArrayClip(np.asarray(full, np.float32)[None], RATE_HZ), rate)
    return clip.read(0, clip.frames)[0], rate


def measure(full: Signal, given: Signal, made: Signal, cutoff_hz: float, limit_hz: float) -> Figures:
    """Every figure of one render.

    Args:
        full: the reference.
        given: the degraded input.
        made: the output; cut or filled with zeros to the reference's length, except for the figure `length`.
        cutoff_hz: where `given` ends.
        limit_hz: where `full` ends; bins above are left out.
    """
    length = len(made) - len(given)
    made = fitted(made, len(full))
    ref, est = metrics.spectrogram(full), metrics.spectrogram(made)
    above = (ref, est, cutoff_hz, limit_hz)
    return Figures(
        lsd=metrics.lsd(ref, est, 0, limit_hz),
        lsd_hf=metrics.lsd(*above),
        lsd_in=metrics.lsd_in(*above),
        bias_db=metrics.bias_db(*above),
        power_db=metrics.power_db(*above),
        power_abs_db=metrics.power_abs_db(*above),
        shelf_db=metrics.shelf_db(ref, est, limit_hz),
        texture=metrics.texture(*above),
        partials=partial_share(full, made, cutoff_hz, metrics.end_hz(ref, limit_hz)),
        envelope=metrics.envelope(full, made, cutoff_hz, limit_hz),
        null_db=metrics.null_db(given, made, cutoff_hz),
        lag=metrics.lag(given, made),
        length=length,
    )


def fitted(signal: Signal, frames: int) -> Signal:
    """`signal` cut, or filled with zeros, to `frames`."""
    return np.pad(signal[:frames], (0, max(0, frames - len(signal))))

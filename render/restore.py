"""The low band put back: what of a generated signal reaches the output, y = x + h * (g - x) + k * x.

h is a linear-phase high-pass, so below the cut-off nothing of g arrives and nothing of x changes. Where the
input's own filter falls so gently that something of the original is left above the cut-off, h begins only
where that ends, and k makes good what the filter took until then (render/filters.py). What changes with time
(level match, gate, fades) is applied before h and k: after them, it would spread below the cut-off.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from presets.schema import RATE_HZ, Preset
from render.stereo import StereoPolicy
from render.upscaler import Audio

FRAME = 2400
"""Gate and level match look at the signal in frames of 50 ms on an absolute grid."""

KNEE_DB = 6.0
"""The gate opens over this range below its threshold: a small change of level makes a small change of it."""

MATCH_BAND = (0.5**0.5, 0.9)
"""Levels are compared in the half octave below h's transition, as parts of the cut-off."""

MATCH_SPAN = 11
"""Frames a level is taken over: 0.55 s, Hann-weighted."""

MATCH_FLOOR = 1e-11
"""Mean square below which a level is none: -110 dBFS."""


class Restorer:
    """From a window and what was generated for it to the difference that the high-pass will let through.

    Args:
        preset: gate, gain of the generated band, and which stem is wanted.
        cutoff_hz: the -6 dB edge of the band that is there.
        policy: how the model saw the channels.
        noise_density: of the slope of the input's filter, see `Slope`.
    """

    def __init__(
        self, preset: Preset, cutoff_hz: float, policy: StereoPolicy, noise_density: float = 0.0
    ) -> None:
        self._policy = policy
        self._gate_db = None if preset.gate_db == "off" else preset.gate_db
        self._gain = np.float32(10 ** (preset.high_gain_db / 20))
        self._stem = preset.stem
        self._slope_noise = noise_density * cutoff_hz * (MATCH_BAND[1] - MATCH_BAND[0])
        first, last = (np.array(MATCH_BAND) * cutoff_hz * FRAME / RATE_HZ).round().astype(int)
        self._match_bins = slice(first, last + 1)

    def difference(self, samples: Audio, generated: Audio | None, start: int, lo: int, hi: int) -> Audio:
        """gate (gain g - x), the stretch of it that a window is kept for.

        Args:
            samples: (channels, frames) of the window at 48 kHz, context included.
            generated: (encoded channels, frames) that the model made of it; None for nothing at all, which
                is what the `low` stem needs.
            start: the window's first frame.
            lo, hi: the frames of the clip wanted.

        Returns:
            (channels, hi - lo) float32; `high` leaves x out of it, so that `full` = `low` + `high`.
        """
        kept = slice(lo - start, hi - start)
        gate = self.gate(samples, start, lo, hi)
        if generated is None:
            added = -samples[:, kept]
        else:
            if self._policy.recodes:
                encoded = self._policy.encode(samples)
                generated = generated * self.gate(encoded, start, start, start + encoded.shape[1])
            generated = self._policy.decode(generated)
            added = generated[:, kept] * (self._gain * self.level_match(samples, generated, start, lo, hi))
            if self._stem != "high":
                added -= samples[:, kept]
        added[self._policy.spared] = 0
        return added * gate

    def gate(self, samples: Audio, start: int, lo: int, hi: int) -> Audio:
        """1 where a channel sounds, 0 where it is silent: (channels, hi - lo), or (1, 1) when all sound.

        A frame sounds when its RMS (less its mean, for the sake of DC) is above the threshold. The gate opens
        in the frame before and closes in the one after, so an attack is never cut.
        """
        if self._gate_db is None:
            return np.ones((1, 1), np.float32)
        framed, first = frames_of(samples, start)
        level_db = 10 * np.log10(framed.var(axis=2) + 1e-20)
        opening = np.clip((level_db - self._gate_db) / KNEE_DB + 1, 0, 1)
        opening = np.pad(opening, ((0, 0), (1, 1)))
        opening = np.maximum(opening[:, 1:-1], np.maximum(opening[:, :-2], opening[:, 2:]))
        return over_samples(opening.astype(np.float32), first, lo, hi)

    def level_match(self, samples: Audio, generated: Audio, start: int, lo: int, hi: int) -> Audio:
        """The gain that brings g to x's level just below the cut-off, so that no step is left there.

        It follows the signal over half a second. Up to +12 dB are made good; a model that leaves its low
        band empty (30 dB and more below x) says nothing about its level and is taken at its word.
        """
        levels, first = [], 0
        for signal in (samples, generated):
            framed, first = frames_of(signal, start)
            levels.append(np.stack([self._band_levels(channel) for channel in framed]))
        short_db = 10 * np.log10((levels[0] + MATCH_FLOOR) / (levels[1] + MATCH_FLOOR))
        gain_db = np.interp(short_db, (-40, 12, 30), (-40, 12, 0))
        return over_samples((10 ** (gain_db / 20)).astype(np.float32), first, lo, hi)

    def original(self, samples: Audio, start: int, lo: int, hi: int) -> Audio:
        """x, the stretch of it that a window is kept for, quieter where what its filter left is mere noise.

        Raised by what the filter took, noise would be heard in pauses: x is weighed by signal / (signal +
        noise), both as they come out (Wiener 1949), following the signal as the level match does.

        Args:
            samples, start, lo, hi: as for `difference`.
        """
        kept = samples[:, lo - start : hi - start]
        if not self._slope_noise:
            return kept
        framed, first = frames_of(samples, start)
        signal = np.stack([self._band_levels(channel) for channel in framed])
        share = signal / (signal + self._slope_noise + MATCH_FLOOR)
        return kept * over_samples(share.astype(np.float32), first, lo, hi)

    def _band_levels(self, framed: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean square in the match band: (frames, FRAME) -> (frames,), smoothed over MATCH_SPAN frames."""
        spectrum = scipy.fft.rfft(framed * HANN, axis=1)[:, self._match_bins]
        power = (spectrum.real.astype(np.float64) ** 2 + spectrum.imag**2).sum(axis=1) * (
            2 / FRAME / HANN_POWER
        )
        weights = np.hanning(MATCH_SPAN + 2)[1:-1]
        return np.convolve(power, weights / weights.sum(), mode="same")


HANN = np.hanning(FRAME + 1)[:-1].astype(np.float32)
HANN_POWER = float(np.square(HANN, dtype=np.float64).sum())


def frames_of(samples: Audio, start: int) -> tuple[NDArray[np.float32], int]:
    """The whole frames of the absolute grid in a window, (channels, count, FRAME), and the first's index."""
    first, end = -(-start // FRAME), (start + samples.shape[1]) // FRAME
    inside = samples[:, first * FRAME - start : end * FRAME - start]
    return inside.reshape(len(samples), end - first, FRAME), first


def over_samples(values: NDArray[np.float32], first: int, lo: int, hi: int) -> Audio:
    """Values per frame, standing at the frames' centres, as a smooth curve over [lo, hi).

    Args:
        values: (channels, count).
        first: index of the first frame; before its centre and after the last one's the curve is flat.
        lo, hi: the frames of the clip wanted.

    Returns:
        (channels, hi - lo), or (1, 1) where everything is 1.
    """
    if (values == 1).all():
        return np.ones((1, 1), np.float32)
    left, right = (lo - FRAME // 2) // FRAME, (hi - 1 - FRAME // 2) // FRAME + 1
    at = np.clip(np.arange(left, right + 1) - first, 0, values.shape[1] - 1)
    points = values[:, at]
    rise = (np.sin((np.arange(FRAME) + 0.5) * np.pi / 2 / FRAME) ** 2).astype(np.float32)
    curve = points[:, :-1, None] + np.diff(points, axis=1)[:, :, None] * rise
    offset = lo - left * FRAME - FRAME // 2
    return curve.reshape(len(values), -1)[:, offset : offset + hi - lo]

"""Puts the low band back: of the original x and the generated g, the output is
y = x + h * (g - x) + k * x + s * (m - 1) g.

h is a linear-phase high-pass, so below the cut-off nothing of g passes and nothing of x changes. Where the
input's own filter falls so gently that something of the original is left above the cut-off, h begins only
where that ends, and k makes good what the filter took up to there. m brings the level at which the generated
band begins to the level at which the original ends, and s fades that match out within an octave
(render/filters.py). Gains that change with time (level match, m, gate, fades) are applied before the filters:
after them, they would spread below the cut-off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets.schema import RATE_HZ, Preset
from render.band.slope import Slope
from render.segments import raised_cosine
from render.stereo import StereoPolicy
from render.upscaler import Audio

FRAME = 2400
"""Gate and level match look at the signal in frames of 50 ms on an absolute grid."""

KNEE_DB = 6.0
"""The gate opens over this range below its threshold, so that a small change of level changes it little."""

MATCH_BAND = (0.5**0.5, 0.9)
"""Levels are compared in the half octave below h's transition; shares of the cut-off."""

SEAM_BELOW, SEAM_ABOVE = (2 ** (-1 / 3), 2 ** (-1 / 12)), (2 ** (1 / 24), 2 ** (7 / 24))
"""Where the end of the original and the start of the generated band are measured, as shares of the crossover:
a quarter of an octave each, clear of what a steep filter takes (from 0.955 of its edge on) and of the
crossover itself."""

SEAM_TILT_DB = -1.9
"""Level from the first of these to the second: 3/8 of an octave, and sound falls by 5 dB an octave on
average."""

SEAM_OWN_DB, SEAM_WEIGHT = 3.0, 0.7
"""A step of up to SEAM_OWN_DB may be the sound's own (levels of full-band recordings 3/8 of an octave apart
differ by about 3.5 dB beside the tilt); the share SEAM_WEIGHT of what goes beyond is removed."""

SEAM_MOST_DB = 12.0
"""The most a seam match changes, up or down: as much as the level match may raise."""

MATCH_SPAN = 11
"""Frames that a level is averaged over: 0.55 s, Hann-weighted."""

MATCH_FLOOR = 1e-11
"""Mean square below which nothing counts as a level: -110 dBFS."""


class Restorer:
    """Computes, from a window and what was generated for it, the differences that the filters then let
    through.

    Args:
        preset: gate, gain of the generated band, and which stem is wanted.
        cutoff_hz: the -6 dB edge of the original band.
        policy: how the model saw the channels.
        slope: of the input's filter, where there is one.
        crossover_hz: where the generated band begins; None where its level there is not to be matched.
    """

    def __init__(
        self,
        preset: Preset,
        cutoff_hz: float,
        policy: StereoPolicy,
        slope: Slope | None = None,
        crossover_hz: float | None = None,
    ) -> None:
        self._policy = policy
        self._gate_db = None if preset.gate_db == "off" else preset.gate_db
        self._gain = np.float32(10 ** (preset.high_gain_db / 20))
        self._stem = preset.stem
        noise_density = slope.noise_density if slope else 0.0
        self._slope_noise = noise_density * cutoff_hz * (MATCH_BAND[1] - MATCH_BAND[0])
        self._match_bins = _bins(MATCH_BAND, cutoff_hz)
        self._last: tuple[Audio, list[NDArray[np.float32]], int] | None = None
        self._seam: tuple[slice, slice] | None = None
        if crossover_hz is not None and SEAM_ABOVE[1] * crossover_hz < RATE_HZ / 2:
            self._seam = _bins(SEAM_BELOW, crossover_hz), _bins(SEAM_ABOVE, crossover_hz)
            hz = np.arange(FRAME // 2 + 1)[self._seam[0]] * RATE_HZ / FRAME
            self._lost = 10 ** (slope.loss_db(hz) / 10) if slope else np.ones(len(hz))

    def difference(
        self, samples: Audio, generated: Audio | None, start: int, lo: int, hi: int, gate: Audio
    ) -> tuple[Audio, Audio | None]:
        """gate (gain g - x) and gate gain (m - 1) g, over the frames that a window is kept for.

        Args:
            samples: (channels, frames) of the window at 48 kHz, context included.
            generated: (encoded channels, frames) that the model made of it; None for nothing at all, which
                is what the `low` stem needs.
            start: the window's first frame.
            lo, hi: the frames of the clip wanted.
            gate: of these frames, see `gate`.

        Returns:
            (channels, hi - lo) float32 each; the stem `high` leaves x out, so that `full` = `low` + `high`.
            The second is None where nothing is generated, or no seam is to be matched. Channels that the
            policy spares hold what a model that made nothing would leave.
        """
        kept = slice(lo - start, hi - start)
        seam: Audio | None = None
        if generated is None:
            added = -samples[:, kept]
        else:
            if self._policy.recodes:
                encoded = self._policy.encode(samples)
                generated = generated * self.gate(encoded, start, start, start + encoded.shape[1])
            generated = self._policy.decode(generated)
            gain_db, seam_db, first = self.gains_db(samples, generated, start)
            added = generated[:, kept] * (self._gain * _gain(gain_db, first, lo, hi))
            if seam_db is not None and seam_db.any():
                seam = added * (_gain(seam_db, first, lo, hi) - 1)
                seam *= gate
            if self._stem != "high":
                added -= samples[:, kept]
        return added * gate, seam

    def gate(self, samples: Audio, start: int, lo: int, hi: int) -> Audio:
        """1 where a channel sounds, 0 where it is silent: (channels, hi - lo), or (1, 1) when all sound.

        A frame sounds when its RMS (without its mean, so that DC does not count) is above the threshold. The
        gate opens in the frame before and closes in the one after, so an attack is never cut.
        """
        if self._gate_db is None:
            return np.ones((1, 1), np.float32)
        framed, first = frames_of(samples, start)
        level_db = 10 * np.log10(framed.var(axis=2) + 1e-20)
        opening = np.clip((level_db - self._gate_db) / KNEE_DB + 1, 0, 1)
        opening = np.pad(opening, ((0, 0), (1, 1)))
        opening = np.maximum(opening[:, 1:-1], np.maximum(opening[:, :-2], opening[:, 2:]))
        return over_samples(opening.astype(np.float32), first, lo, hi)

    def gains_db(self, samples: Audio, generated: Audio, start: int) -> tuple[Levels, Levels | None, int]:
        """The gains that bring g to x, both following the signal over half a second.

        Args:
            samples, start: as for `difference`.
            generated: what the model made of them, decoded.

        Returns:
            The level match, (channels, frames) in dB: it brings g to x's level just below the cut-off. It
            raises by up to 12 dB; a model that leaves its low band empty (30 dB or more below x) has no level
            to compare there and is not changed.
            The seam match, (channels, frames) in dB, or None where there is no seam: after the level match,
            it brings the level at which g begins to that at which x ends once its filter's loss is made good.
            The index of the first frame.
        """
        x, first = self._powers_of(samples, start)
        g = [_powers(channel) for channel in frames_of(generated, start)[0]]
        levels = [np.stack([_level(each[:, self._match_bins]) for each in powers]) for powers in (x, g)]
        short_db = 10 * np.log10((levels[0] + MATCH_FLOOR) / (levels[1] + MATCH_FLOOR))
        gain_db = np.interp(short_db, (-40, 12, 30), (-40, 12, 0))
        if self._seam is None:
            return gain_db, None, first
        below, above = self._seam
        ends = np.stack([_level(each[:, below] * self._lost) for each in x]) * self._share(levels[0]) ** 2
        begins = np.stack([_level(each[:, above]) for each in g]) * 10 ** (gain_db / 10)
        width = (above.stop - above.start) / (below.stop - below.start)
        step_db = 10 * np.log10((ends * width + MATCH_FLOOR) / (begins + MATCH_FLOOR)) + SEAM_TILT_DB
        seam_db = SEAM_WEIGHT * (step_db - step_db.clip(-SEAM_OWN_DB, SEAM_OWN_DB))
        return gain_db, seam_db.clip(-SEAM_MOST_DB, SEAM_MOST_DB), first

    def _powers_of(self, samples: Audio, start: int) -> tuple[list[NDArray[np.float32]], int]:
        """The powers of a window's channels and the index of the first frame, kept until the next window."""
        if self._last is None or self._last[0] is not samples:
            framed, first = frames_of(samples, start)
            self._last = samples, [_powers(channel) for channel in framed], first
        return self._last[1:]

    def _share(self, signal: Levels) -> Levels:
        """signal / (signal + noise), of levels in the match band."""
        if not self._slope_noise:
            return np.ones(1)
        return np.asarray(signal / (signal + self._slope_noise + MATCH_FLOOR))

    def original(self, samples: Audio, start: int, lo: int, hi: int) -> Audio:
        """x over the frames that a window is kept for, attenuated where its filter left only noise.

        Raised by what the filter took, that noise would be heard in pauses. So x is weighted by signal /
        (signal + noise), both at the level of the output (Wiener 1949), as fast as the level match follows.

        Args:
            samples, start, lo, hi: as for `difference`.
        """
        kept = samples[:, lo - start : hi - start]
        if not self._slope_noise:
            return kept
        x, first = self._powers_of(samples, start)
        signal = np.stack([_level(powers[:, self._match_bins]) for powers in x])
        return kept * over_samples(self._share(signal).astype(np.float32), first, lo, hi)


HANN = np.hanning(FRAME + 1)[:-1].astype(np.float32)
HANN_POWER = float(np.square(HANN, dtype=np.float64).sum())
Levels = NDArray[np.float64]


def _bins(band: tuple[float, float], hz: float) -> slice:
    """The bins of a frame between the two shares of `hz`."""
    first, last = (np.array(band) * hz * FRAME / RATE_HZ).round().astype(int)
    return slice(int(first), int(last) + 1)


def _powers(framed: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean square of each bin: (frames, FRAME) -> (frames, FRAME // 2 + 1)."""
    powers = np.zeros((len(framed), FRAME // 2 + 1), np.float32)
    sounds = framed.any(axis=1)  # much of a short clip's window is the silence around it
    spectrum = np.fft.rfft(framed[sounds] * HANN, axis=1, norm="forward")
    power = spectrum.real**2
    power += spectrum.imag**2
    power *= np.float32(2 * FRAME / HANN_POWER)
    powers[sounds] = power
    return powers


def _level(powers: NDArray[np.floating[Any]]) -> Levels:
    """Mean square of a band: (frames, bins) -> (frames,), smoothed over MATCH_SPAN frames."""
    weights = np.hanning(MATCH_SPAN + 2)[1:-1]
    return np.asarray(np.convolve(powers.sum(axis=1, dtype=np.float64), weights / weights.sum(), mode="same"))


def _gain(gain_db: Levels, first: int, lo: int, hi: int) -> Audio:
    return over_samples((10 ** (gain_db / 20)).astype(np.float32), first, lo, hi)


def frames_of(samples: Audio, start: int) -> tuple[NDArray[np.float32], int]:
    """The whole frames of the absolute grid in a window, (channels, count, FRAME), and the first's index."""
    first, end = -(-start // FRAME), (start + samples.shape[1]) // FRAME
    inside = samples[:, first * FRAME - start : end * FRAME - start]
    return inside.reshape(len(samples), end - first, FRAME), first


def over_samples(values: NDArray[np.float32], first: int, lo: int, hi: int, frame: int = FRAME) -> Audio:
    """Interpolates one value per frame, at the frames' centres, to a smooth curve over [lo, hi).

    Args:
        values: (channels, count).
        first: index of the first frame; before its centre and after the last one's the curve is flat.
        lo, hi: the frames of the clip wanted.
        frame: length of a frame.

    Returns:
        (channels, hi - lo), or (1, 1) where everything is 1.
    """
    if (values == 1).all():
        return np.ones((1, 1), np.float32)
    left, right = (lo - frame // 2) // frame, (hi - 1 - frame // 2) // frame + 1
    at = np.clip(np.arange(left, right + 1) - first, 0, values.shape[1] - 1)
    points = values[:, at]
    curve = points[:, :-1, None] + np.diff(points, axis=1)[:, :, None] * raised_cosine(frame)
    offset = lo - left * frame - frame // 2
    return curve.reshape(len(values), -1)[:, offset : offset + hi - lo]

"""Loudness and true peak after ITU-R BS.1770-4, and the gain that brings a stem to the values asked for.

Integrated loudness: K-weighting (Annex 1, figures 2 to 4), mean squares over 400 ms blocks that overlap by
three quarters, gated at -70 LUFS and at 10 LU below what remains. True peak: Annex 2, four times oversampled.
Both read the clip piece by piece.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presets.delivery import Delivery
from presets.report import LoudnessReport
from render.clip import Clip
from render.upscaler import Audio

Floats = NDArray[np.float64]

PIECE_FRAMES = 1 << 17
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
TRUE_PEAK_RATE_HZ = 176400
"""The lowest rate to oversample to: four times 44.1 kHz, by Annex 2."""
TAPS_PER_PHASE, KAISER_BETA = 48, 7.0
"""The oversampling filter: 0.04 dB down at 0.46 of the rate (20.3 kHz at 44.1 kHz), images 72 dB down. The
example of Annex 2 has 12 taps a phase."""

SURROUND = 1.41
WEIGHTS = {
    5: (1, 1, 1, SURROUND, SURROUND),
    6: (1, 1, 1, 0, SURROUND, SURROUND),
    8: (1, 1, 1, 0, 1, 1, SURROUND, SURROUND),
}
"""Channel weights of Annex 3 in the WAV order: the LFE does not count, the sides (60 to 120 degrees) count
more, the back of 7.1 counts like the front. All ones for other layouts."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A clip after its delivery gain, and the figures for the sidecar; None when nothing was asked."""

    clip: Clip
    report: LoudnessReport | None


def deliver(
    clip: Clip, source: Clip, delivery: Delivery, on_share: Callable[[float], None] = lambda _: None
) -> Delivered:
    """The clip with one gain for all of it, so that it measures what `delivery` asks.

    The true-peak ceiling wins over the loudness: nothing is limited or clipped, so a target that would break
    the ceiling is missed, and the report says by how much.

    Args:
        clip: the finished stem.
        source: the original, for `match-input`.
        delivery: what is asked.
        on_share: called with the share of the clip whose true peak is known: eight ninths of the work.
    """
    if delivery.loudness == "as-is" and delivery.true_peak_dbtp is None:
        return Delivered(clip, None)
    gain_db, held_back_db = 0.0, 0.0
    target_lufs, lufs = None, None
    if delivery.loudness != "as-is":
        before = integrated_lufs(clip)
        target = integrated_lufs(source) if delivery.loudness == "match-input" else float(delivery.loudness)
        if math.isfinite(before) and math.isfinite(target):
            gain_db = target - before
        target_lufs, lufs = _finite(target), _finite(before + gain_db)
    peak_dbtp = true_peak_dbtp(_Followed(clip, on_share))
    if delivery.true_peak_dbtp is not None and peak_dbtp + gain_db > delivery.true_peak_dbtp:
        held_back_db = peak_dbtp + gain_db - delivery.true_peak_dbtp
        gain_db -= held_back_db
        lufs = None if lufs is None else lufs - held_back_db
    report = LoudnessReport(gain_db, _finite(peak_dbtp + gain_db), target_lufs, lufs, held_back_db)
    return Delivered(_Gained(clip, gain_db) if gain_db else clip, report)


def integrated_lufs(clip: Clip) -> float:
    """Integrated loudness, LUFS; minus infinity for silence. A clip under 400 ms is one block, not gated."""
    from scipy.signal import sosfilt

    edges = np.round(np.arange(0, clip.frames * 10 // clip.rate + 1) * clip.rate / 10).astype(np.int64)
    weights = np.array(WEIGHTS.get(clip.channels, (1,) * clip.channels), np.float64)
    sections = k_weighting(clip.rate)
    memory = np.zeros((len(sections), clip.channels, 2))
    powers = np.zeros(max(len(edges), 1))
    for start in range(0, clip.frames, PIECE_FRAMES):
        piece = clip.read(start, min(PIECE_FRAMES, clip.frames - start)).astype(np.float64)
        weighted, memory = sosfilt(sections, piece, axis=1, zi=memory)
        power = weights @ weighted**2
        tenth = np.searchsorted(edges, np.arange(start, start + len(power)), side="right") - 1
        powers += np.bincount(tenth, power, len(powers))
    if len(edges) < 5:
        return _lufs(float(powers.sum()) / clip.frames)
    tenths = powers[:-1]  # what follows the last whole tenth fills no block
    sums = np.convolve(tenths, np.ones(4), "valid")
    return _gated(sums / (edges[4:] - edges[:-4]))


def true_peak_dbtp(clip: Clip) -> float:
    """The highest level between and at the samples, dBTP; minus infinity for silence."""
    from scipy.signal import firwin, upfirdn

    factor = max(2, math.ceil(TRUE_PEAK_RATE_HZ / clip.rate))
    taps = factor * firwin(TAPS_PER_PHASE * factor + 1, 1 / factor, window=("kaiser", KAISER_BETA))
    reach = TAPS_PER_PHASE // 2
    most = np.abs(taps[:-1]).reshape(-1, factor).sum(axis=0).max() + abs(taps[-1])
    highest = 0.0
    for start in range(0, clip.frames, PIECE_FRAMES):
        frames = min(PIECE_FRAMES, clip.frames - start)
        piece = clip.read(start - reach, frames + 2 * reach + 1)
        sample_peak = float(np.abs(piece).max())
        highest = max(highest, float(np.abs(piece[:, reach : reach + frames]).max()))
        if sample_peak * most > highest:  # else nothing between the samples can be higher
            between = upfirdn(taps, piece, factor, axis=1)[:, 2 * reach * factor :]
            highest = max(highest, float(np.abs(between[:, : frames * factor]).max()))
    return 20 * math.log10(highest) if highest else -math.inf


def k_weighting(rate_hz: int) -> Floats:
    """The two filters of Annex 1 as second-order sections.

    The Recommendation gives their coefficients at 48 kHz only. Here they come, for any rate, from the
    analogue
    prototypes that the bilinear transform turns into those: a shelf of +4 dB above 1682 Hz and a high-pass at
    38 Hz.
    """
    k = math.tan(math.pi * 1681.974450955533 / rate_hz)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [
        (high + band * k / q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - band * k / q + k * k) / a0,
        1,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    k, q = math.tan(math.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    a0 = 1 + k / q + k * k
    high_pass = [1, -2, 1, 1, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    return np.array([shelf, high_pass])


class _Followed:
    """A clip that tells how much of it has been read, front to back."""

    def __init__(self, clip: Clip, on_share: Callable[[float], None]) -> None:
        self.rate, self.channels, self.frames = clip.rate, clip.channels, clip.frames
        self._clip, self._on_share = clip, on_share

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        samples = self._clip.read(start, frames)
        self._on_share(min(1.0, (start + frames) / self.frames))
        return samples


class _Gained:
    """A clip times one gain."""

    def __init__(self, clip: Clip, gain_db: float) -> None:
        self.rate, self.channels, self.frames = clip.rate, clip.channels, clip.frames
        self._clip = clip
        self._gain = np.float32(10 ** (gain_db / 20))

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        return self._clip.read(start, frames) * self._gain


def _gated(powers: Floats) -> float:
    """Equations 5 to 7 of Annex 1: the mean of what passes the absolute, then the relative gate."""
    loud = powers[powers > _power(ABSOLUTE_GATE_LUFS)]
    if not len(loud):
        return -math.inf
    relative = _power(_lufs(float(loud.mean())) + RELATIVE_GATE_LU)
    return _lufs(float(loud[loud > relative].mean()))


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power) if power else -math.inf


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

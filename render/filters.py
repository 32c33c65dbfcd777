"""The filters at the seam between the original and the generated band: linear phase, no delay.

Transforms are NumPy's: loading SciPy's takes a fifth of an engine's start. NumPy's stay in float32 where they
scale by 1 / size, which is the forward one with `norm="forward"` and the inverse one by default; others go
through double precision and take four times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from presets.schema import RATE_HZ
from render.band.slope import Slope
from render.upscaler import Audio

STOP_DB = 115.0
BETA = 0.1102 * (STOP_DB - 8.7)
"""Kaiser's beta for that stop band."""
BESSEL_TERMS = 30
"""Terms of the series of the Bessel function I0; at BETA the last one is below 1e-20 of the sum."""
STOP_EDGE = 0.9
"""Nothing is let through below this share of the cut-off, however wide the crossover is to be."""
SEAM_OCTAVES = 1.0
"""Width above a crossover over which the level of the generated band is matched to the end of the
original."""
SHAPE_REACH = 1024
"""Frames on each side of a filter of any shape: it follows features wider than 100 Hz."""


@dataclass(frozen=True, eq=False)
class Filter:
    """A linear-phase FIR filter at 48 kHz, applied by overlap-add.

    Attributes:
        taps: (2 reach + 1,); a signal is spread by `reach` frames on each side and not delayed.
    """

    taps: NDArray[np.float64]

    @property
    def reach(self) -> int:
        """Frames by which it spreads a signal on each side."""
        return len(self.taps) // 2

    @property
    def size(self) -> int:
        """Length of a transform; a block of signal is shorter by twice the reach."""
        return max(1 << 14, 1 << (8 * self.reach - 1).bit_length())

    @cached_property
    def response(self) -> NDArray[np.complex64]:
        """The transform of the taps."""
        return np.fft.rfft(self.taps, self.size).astype(np.complex64)

    @lru_cache(maxsize=16)  # noqa: B019 - keeps the response too, for clips of a batch that end alike
    def reaching(self, reach: int) -> Filter:
        """The same filter, padded with zero taps to `reach`."""
        return self if reach == self.reach else Filter(np.pad(self.taps, reach - self.reach))

    def __call__(self, samples: Audio) -> Audio:
        """(channels, n) -> (channels, n + 2 reach): sample 0 moves to `reach`."""
        return added([(self, samples)])


def added(signals: Sequence[tuple[Filter, Audio]]) -> Audio:
    """The sum of signals, each through its own filter, with no more inverse transforms than one signal takes.

    Args:
        signals: filters of the same reach, each with its (channels, n).

    Returns:
        (channels, n + 2 reach): sample 0 moves to `reach`.
    """
    # One channel after the other: in a transform of several rows, rounding may depend on a row's place.
    filters = [through for through, _ in signals]
    rows = zip(*(samples for _, samples in signals), strict=True)
    return np.stack([_added(filters, channel) for channel in rows])


def _added(filters: Sequence[Filter], signals: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    size, tail, frames = filters[0].size, 2 * filters[0].reach, len(signals[0])
    block = size - tail
    whole, rest = divmod(frames, block)
    rows = np.zeros((whole + bool(rest), size), np.float32)  # a transform that pads takes twice as long
    total = np.zeros((len(rows), size // 2 + 1), np.complex64)
    for through, samples in zip(filters, signals, strict=True):
        rows[:whole, :block] = samples[: whole * block].reshape(whole, block)
        rows[whole:, :rest] = samples[whole * block :]
        bins = np.fft.rfft(rows, norm="forward")
        bins *= through.response
        total += bins
    spread = np.fft.irfft(total, size)
    spread *= np.float32(size)
    spread[1:, :tail] += spread[:-1, block:]
    out = np.concatenate([spread[:, :block].reshape(-1), spread[-1, block:]])[: frames + tail]
    if not any(samples.all() for samples in signals):
        sounds = np.any(signals, axis=0)
        # Silence stays silence: a transform leaves rounding noise even where no sound is within reach.
        sounding = np.pad(np.cumsum(sounds), (tail + 1, tail), "edge")
        sounding[: tail + 1] = 0
        out[sounding[tail + 1 :] == sounding[: -tail - 1]] = 0
    return out


@lru_cache(maxsize=8)
def highpass(cutoff_hz: float, crossover_octaves: float) -> Filter:
    """The high-pass of a cut-off: -6 dB there, at least 110 dB down below 0.9 of it.

    A unit impulse minus a Kaiser-windowed sinc (Kaiser 1974; Oppenheim and Schafer, section 7.5). Its
    transition reaches half of `crossover_octaves` below the cut-off and as many Hz above it: at most 0.1 of
    the cut-off, and not past 24 kHz.

    Args:
        cutoff_hz: 1000 to 23000.
        crossover_octaves: width of the transition.
    """
    return Filter(_highpass(cutoff_hz, crossover_octaves))


@lru_cache(maxsize=8)
def made_good(slope: Slope, cutoff_hz: float, crossover_hz: float, crossover_octaves: float) -> Filter:
    """Applied to the input, gives what its own filter took between the cut-off and a crossover.

    It is E K - (1 - H): E undoes the input's filter, H is the high-pass of the crossover and K its complement
    in power, K^2 + H^2 = 1. The restored input and the generated band are uncorrelated, so it is their powers
    that must add up. A further high-pass lets nothing through below 0.9 of the cut-off.

    Args:
        slope: of the input's filter.
        cutoff_hz: its -6 dB edge.
        crossover_hz: from here on the band is generated.
        crossover_octaves: width of the crossover.
    """
    upper = _highpass(crossover_hz, crossover_octaves)
    reach = 2 * (len(upper) // 2)
    size = 1 << (16 * reach - 1).bit_length()
    passed = _passed(crossover_hz, crossover_octaves, size)
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    lost = 10 ** (slope.loss_db(np.append(hz[hz < slope.end_hz], slope.end_hz)) / 20)
    lost = np.pad(lost, (0, len(hz) - len(lost)), "edge")
    added = lost * np.sqrt(1 - passed**2) - (1 - passed)
    taps = np.roll(np.fft.irfft(added, size), reach)[: 2 * reach + 1] * _kaiser(reach)
    middle = (1 + STOP_EDGE) / 2
    lower = _highpass(middle * cutoff_hz, 2 * np.log2(middle / STOP_EDGE))
    return Filter(_in_turn(taps, lower))


@lru_cache(maxsize=8)
def seam(crossover_hz: float, crossover_octaves: float) -> Filter:
    """The high-pass of a crossover times a low-pass that falls from 1 there to 0 at SEAM_OCTAVES above it."""
    upper = _highpass(crossover_hz, crossover_octaves)
    reach = 2 * (len(upper) // 2)
    size = 1 << (8 * reach - 1).bit_length()
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / RATE_HZ), 1.0) / crossover_hz)
    fading = np.cos(np.pi / 2 * (octaves / SEAM_OCTAVES).clip(0, 1)) ** 2
    taps = np.roll(np.fft.irfft(fading, size), reach // 2)[: reach + 1] * _kaiser(reach // 2)
    return Filter(_in_turn(upper, taps))


def band_passes(edges_hz: NDArray[np.float64], crossover_octaves: float) -> list[Filter]:
    """Adjacent band-passes that add up to one: -6 dB at the edges, all of the same reach.

    Args:
        edges_hz: (bands + 1,) rising; the transition at each is that of `highpass`.
        crossover_octaves: width of the transitions.
    """
    passes = [_highpass(float(hz), crossover_octaves) for hz in edges_hz]
    reach = max(len(taps) // 2 for taps in passes)
    passes = [np.pad(taps, reach - len(taps) // 2) for taps in passes]
    return [Filter(low - high) for low, high in pairwise(passes)]


def shaped(hz: NDArray[np.float64], gain_db: NDArray[np.float64]) -> Filter:
    """A filter of any gain: `gain_db` at `hz`, interpolated linearly over octaves, 0 dB below the first.

    Args:
        hz: (n,) rising.
        gain_db: (n,).
    """
    size = 1 << 14
    at = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / RATE_HZ), 1.0))
    gain = 10 ** (np.interp(at, np.log2(hz), gain_db, left=0.0) / 20)
    taps = np.roll(np.fft.irfft(gain, size), SHAPE_REACH)[: 2 * SHAPE_REACH + 1]
    return Filter(taps * np.hanning(2 * SHAPE_REACH + 3)[1:-1])


@lru_cache(maxsize=64)
def fast_length(frames: int) -> int:
    """The least product of 2s, 3s and 5s that is at least `frames`: a transform of that length is fast."""
    odd: list[int] = [3**three * 5**five for three in range(12) for five in range(9)]
    return min(each << (-(-frames // each) - 1).bit_length() for each in odd)


def _in_turn(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The taps of two filters in series; by transforms, in a fifth of the time that np.convolve takes
    here."""
    count = len(first) + len(second) - 1
    size = fast_length(count)
    taps: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(first, size) * np.fft.rfft(second, size), size)[
        :count
    ]
    return taps


@lru_cache(maxsize=8)
def _highpass(cutoff_hz: float, crossover_octaves: float) -> NDArray[np.float64]:
    lower = max(2 ** (-crossover_octaves / 2), STOP_EDGE)
    half_width_hz = min(cutoff_hz * (1 - lower), RATE_HZ / 2 - cutoff_hz)
    reach = int(np.ceil((STOP_DB - 7.95) / (2.285 * 2 * np.pi * 2 * half_width_hz / RATE_HZ) / 2))
    n = np.arange(-reach, reach + 1)
    taps = -2 * cutoff_hz / RATE_HZ * np.sinc(2 * cutoff_hz / RATE_HZ * n) * _kaiser(reach)
    taps[reach] += 1
    return np.asarray(taps)


@lru_cache(maxsize=8)
def _passed(cutoff_hz: float, crossover_octaves: float, size: int) -> NDArray[np.float64]:
    """The magnitude response of `_highpass`, on a transform of `size`."""
    response = np.fft.rfft(_highpass(cutoff_hz, crossover_octaves), size)
    return np.asarray(np.abs(response).clip(0, 1))


@lru_cache(maxsize=8)
def _kaiser(reach: int) -> NDArray[np.float64]:
    """np.kaiser(2 reach + 1, BETA) by the series; NumPy's Bessel function takes several times as long."""
    quarter = (BETA / 2) ** 2 * (1 - np.linspace(-1, 1, 2 * reach + 1) ** 2)
    term, window = np.ones_like(quarter), np.ones_like(quarter)
    for count in range(1, BESSEL_TERMS):
        term *= quarter / count**2
        window += term
    return np.asarray(window / window[reach])

"""The two ends of a clip, where a generated band that begins or stops abruptly spills below the cut-off.

A high band d that is cut to the clip has energy below the cut-off again: -65 to -85 dB for a loud recording
that starts in full swing. Fading d in over 5 ms would remove it, and blunt every tightly cut drum hit.
Instead, the least change c that empties the low band is added over a short stretch at each end. Conjugate
gradients on the energy of d + c below the cut-off find it: they start at c = 0 and stop once the spill is
small enough, after about 10 steps. The change of the first 5 ms is then 13 to 30 dB below their own level.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.clip import Clip, read_padded
from render.filters import STOP_EDGE, fast_length
from render.upscaler import Audio

SPILL_DB = -100.0
"""What each end may spill below the cut-off, relative to the clip's low band: 10 dB better than promised."""

LOW_EDGE = 0.85
"""Upper end of that low band, as a share of the cut-off."""

STRETCH_PERIODS = 8
"""Length of the stretch that may change, in periods of a tenth of the cut-off: 20 ms at 4 kHz."""

FADE_BETA = 12.6
"""Kaiser beta of the fade beyond that stretch: at its length, a transition of a tenth of the cut-off reaches
123 dB (Kaiser 1974)."""

MAX_STEPS = 64
ROUNDING = 1e-13
"""A direction that spills at most this share of its energy cannot be told from one that spills nothing."""

Samples = NDArray[np.float64]


class Contained:
    """A high band that ends with its clip and spills nothing below the cut-off.

    Args:
        band: what is added to a clip; a frame beyond the clip, which resampling twice can give, is left out.
        frames: of the clip.
        cutoff_hz: the -6 dB edge below which it is empty.
        energy: (channels,) sum of squares of each channel's low band over the whole clip, at the band's rate.
    """

    def __init__(self, band: Clip, frames: int, cutoff_hz: float, energy: NDArray[np.float64]) -> None:
        self.rate = band.rate
        self.channels = band.channels
        self.frames = frames
        self._band = band
        self._edge = STOP_EDGE * cutoff_hz / band.rate
        self._spill = energy * 10 ** (SPILL_DB / 10)
        stretch = round(STRETCH_PERIODS * band.rate / (0.1 * cutoff_hz))
        if frames <= 4 * stretch:
            self._ends = [range(frames)]
        else:
            self._ends = [range(stretch), range(frames - stretch, frames)]
        self._changes: dict[int, Audio] = {}

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        return read_padded(self._read, self, start, frames)

    def _read(self, lo: int, hi: int) -> Audio:
        samples = self._band.read(lo, hi - lo).copy()
        for end in self._ends:
            left, right = max(lo, end.start), min(hi, end.stop)
            if left < right:
                if end.start not in self._changes:
                    self._changes[end.start] = self._change(end)
                samples[:, left - lo : right - lo] += self._changes[end.start][
                    :, left - end.start : right - end.start
                ]
        return samples

    def _change(self, end: range) -> Audio:
        """What to add over the stretch `end`: (channels, len(end))."""
        lo, hi = max(end.start - len(end), 0), min(end.stop + len(end), self.frames)
        near = self._band.read(lo, hi - lo).astype(np.float64)
        # Beyond the stretch the band goes on; it is faded out so that cutting it here spills nothing.
        fade = faded_out(len(end))
        if hi > end.stop:
            near[:, end.stop - lo :] *= fade
        if lo < end.start:
            near[:, : end.start - lo] *= fade[::-1]
        free = slice(end.start - lo, end.stop - lo)
        changes = [
            least_change(row, free, self._edge, spill) for row, spill in zip(near, self._spill, strict=True)
        ]
        return np.stack(changes).astype(np.float32)


@lru_cache(maxsize=8)
def faded_out(frames: int) -> Samples:
    """(frames,) from 1 to 0, as the integral of a Kaiser window.

    A cosine fade of a band raised by 24 dB spills more than is allowed, and the change would compensate it.
    """
    window = np.cumsum(np.kaiser(frames, FADE_BETA))
    return np.asarray(1 - window / window[-1])


def least_change(samples: Samples, free: slice, edge: float, spill: float) -> Samples:
    """The change within `free` that brings the energy of `samples` below a frequency down to `spill`.

    The energy of v below frequency f is v' G v with G[i, j] = 2f sinc(2f (i - j)) (Slepian 1978), a
    convolution. Conjugate gradients (Hestenes and Stiefel 1952) on (d + c)' G (d + c) first change the
    directions that spill the most, so stopping early leaves the others alone. Outside `free` c is 0: the
    whole of G is applied once, to d, and then only its block within `free`. Nearly all eigenvalues of G are
    close to 0 or 1, and rounding would soon decide the directions: each residual is made orthogonal to the
    earlier ones again, twice (Golub and Van Loan 2013, 10.3.4). The last step is cut short where `spill` is
    reached, so that a slightly different d has a slightly different c, even where it takes one step more.

    Args:
        samples: (n,) d.
        free: where c may differ from 0.
        edge: the frequency, in cycles per sample.
        spill: the energy at which to stop.

    Returns:
        (free,) c.
    """
    low = _Low(len(samples), edge)(samples)
    below = _Low(free.stop - free.start, edge)
    energy, low = samples @ low, low[free]
    change = np.zeros_like(low)
    residual = direction = -low
    power = residual @ residual
    earlier = np.empty((MAX_STEPS, len(low)))
    for count in range(MAX_STEPS):
        if energy <= spill:
            break
        spread = below(direction)
        curvature = direction @ spread
        if curvature <= ROUNDING * (direction @ direction):
            break
        step = power / curvature
        if step * power > energy - spill:
            part = 1 - np.sqrt(1 - (energy - spill) / (step * power))
            return change + part * step * direction
        change = change + step * direction
        energy -= step * power
        earlier[count] = residual / np.sqrt(power)
        residual = residual - step * spread
        for _ in range(2):
            residual -= (earlier[: count + 1] @ residual) @ earlier[: count + 1]
        left = residual @ residual
        direction, power = residual + (left / power) * direction, left
    return change


class _Low:
    """G, applied to (n,) samples: their part below `edge` cycles per sample."""

    def __init__(self, n: int, edge: float) -> None:
        self._n = n
        self._padded = np.zeros(fast_length(2 * n))  # a transform that pads by itself takes twice as long
        self._response = _low_response(len(self._padded), edge)

    def __call__(self, samples: Samples) -> Samples:
        # NumPy's transforms: these are short, and half the time of SciPy's would go into the call.
        self._padded[: self._n] = samples
        bins = np.fft.rfft(self._padded)
        bins *= self._response
        filtered: Samples = np.fft.irfft(bins, len(self._padded))[: self._n]
        return filtered


@lru_cache(maxsize=8)
def _low_response(size: int, edge: float) -> Samples:
    lags = np.minimum(np.arange(size), size - np.arange(size))
    response: Samples = np.fft.rfft(2 * edge * np.sinc(2 * edge * lags)).real
    return response

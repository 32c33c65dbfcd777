"""The spectrum of a clip over time: the power of its frames, in bands of a 48th of an octave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets.limits import CUTOFF_MIN_HZ
from render.band.blemishes import has_edge, has_tick
from render.clip import Clip

BANDS_PER_OCTAVE = 48
THIRD, SIXTH = BANDS_PER_OCTAVE // 3, BANDS_PER_OCTAVE // 6
FRAME_S = 0.0427
MAX_FRAMES = 8192
BLOCK_SPECTRA = 64
FINE_EVERY = 8
"""One frame in this many is kept bin by bin: images are in every frame, so a few show them."""
CLEAN_SHARE = 0.1
"""Frames with a blemish are left out where at least this share of the frames have none: a quarter have none
under crackle of 30 ticks a second, an eighth under 50. Where fewer have none, the blemishes are the sound."""
SILENT_POWER = 1e-14

Powers = NDArray[np.float32]
"""(frames, bands) mean power per bin; bands are BANDS_PER_OCTAVE to the octave."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What a clip's frames hold.

    Attributes:
        powers: (frames, bands) mean power per bin of the frames that sound, without those that hold an edge
            or a tick (render/band/blemishes.py) where enough are left; a full-scale sine is 0 dB.
        edges_hz: (bands + 1,).
        magnitude: (bins,) mean over all frames.
        bin_hz: width of a bin.
        at_s: (frames,) where in the clip each of the frames that sound begins.
        fine: (frames, bins) power of every FINE_EVERYth frame, whatever it holds.
        changes_hz: (frames,) how many times a second, in each of the frames that sound, a sample differs from
            the one before.
    """

    powers: Powers
    edges_hz: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    bin_hz: float
    at_s: NDArray[np.float64]
    fine: NDArray[np.float32]
    changes_hz: NDArray[np.float64]

    def below(self, top_hz: float) -> Spectrum:
        """The same without the range above `top_hz`."""
        bands, bins = int(np.searchsorted(self.edges_hz, top_hz)), int(top_hz / self.bin_hz) + 1
        return replace(
            self,
            powers=self.powers[:, : bands - 1],
            edges_hz=self.edges_hz[:bands],
            magnitude=self.magnitude[:bins],
            fine=self.fine[:, :bins],
        )


def measure(clip: Clip, top_hz: float = 24000.0) -> Spectrum:
    """Band powers and mean magnitudes of the clip's frames, channels added; bounded in memory and time.

    Args:
        clip: any rate.
        top_hz: the bands end here, or at half the rate where that is lower.
    """
    size = 2 ** round(np.log2(FRAME_S * clip.rate))
    hop = size // 2
    span_s = (size - 1) / clip.rate
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    edges_hz = _band_edges(min(clip.rate / 2, top_hz))
    places = edges_hz * size / clip.rate + 0.5
    bins_kept = int(min(top_hz, clip.rate / 2) * size / clip.rate) + 1
    powers, magnitude, places_s, counted = [], np.zeros(size // 2 + 1), [], []
    fine, changes_hz = [], []
    for start, frames in _blocks(max(1, (clip.frames - size) // hop + 1)):
        block = clip.read(start * hop, (frames - 1) * hop + size)
        framed = np.lib.stride_tricks.sliding_window_view(block, size, axis=1)[:, ::hop]
        bins = np.fft.rfft(framed * window, axis=2, norm="forward")
        power = ((bins.real**2 + bins.imag**2) * (4 * size**2 / window.sum() ** 2)).sum(axis=0)
        magnitude += np.sqrt(power).sum(axis=0)
        powers.append(_in_bands(power, places))
        fine.append(power[::FINE_EVERY, :bins_kept].astype(np.float32))
        changed = np.cumsum((block[:, 1:] != block[:, :-1]).any(axis=0))
        changes_hz.append(
            (changed[size - 2 :: hop] - np.append(0, changed[hop - 1 :: hop])[:frames]) / span_s
        )
        places_s.append((start + np.arange(frames)) * hop / clip.rate)
        counted.append(~(has_edge(framed) | has_tick(block, size, hop)))
    stacked, at_s, counts = np.concatenate(powers), np.concatenate(places_s), np.concatenate(counted)
    sounds = stacked.sum(axis=1) > SILENT_POWER
    if np.count_nonzero(sounds & counts) >= CLEAN_SHARE * np.count_nonzero(sounds):
        sounds &= counts
    magnitude /= len(stacked)
    bin_hz = clip.rate / size
    return Spectrum(
        stacked[sounds],
        edges_hz,
        magnitude,
        bin_hz,
        at_s[sounds],
        np.concatenate(fine),
        np.concatenate(changes_hz)[sounds],
    )


def _band_edges(top_hz: float) -> NDArray[np.float64]:
    bands = int(BANDS_PER_OCTAVE * np.log2(top_hz / (0.6 * CUTOFF_MIN_HZ)))
    return np.asarray(top_hz * 2.0 ** (np.arange(-bands, 1) / BANDS_PER_OCTAVE))


def _blocks(frames: int) -> list[tuple[int, int]]:
    """(first, count) of the frames to look at: all, or MAX_FRAMES in blocks spread evenly."""
    count = min(-(-frames // BLOCK_SPECTRA), MAX_FRAMES // BLOCK_SPECTRA)
    if frames <= MAX_FRAMES:
        return [(k * BLOCK_SPECTRA, min(BLOCK_SPECTRA, frames - k * BLOCK_SPECTRA)) for k in range(count)]
    return [(round(k * (frames - BLOCK_SPECTRA) / (count - 1)), BLOCK_SPECTRA) for k in range(count)]


def _in_bands(power: NDArray[np.float32], places: NDArray[np.float64]) -> Powers:
    """(frames, bins) to (frames, bands): the mean power per bin between places, fractions of bins shared."""
    return np.asarray(np.diff(power_below(power, places), axis=1) / np.diff(places), np.float32)


def power_below(power: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames, bins) to (frames, places): the power up to each place; bin n spans n to n + 1."""
    sums = np.zeros((power.shape[0], power.shape[1] + 2))
    np.cumsum(power, axis=1, dtype=np.float64, out=sums[:, 1:-1])
    sums[:, -1] = sums[:, -2]
    whole = places.astype(int)
    part = places - whole
    return np.asarray(sums[:, whole] * (1 - part) + sums[:, whole + 1] * part)


def decibels(power: Any, out: NDArray[np.float64] | None = None) -> Any:
    """10 log10(power), at least -200 dB; written to `out` where it is given."""
    return np.multiply(np.log10(np.maximum(power, 1e-20, out=out), out=out), 10, out=out)

"""The noise of a window's channels, correlated as their sound is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.models.draft.bands import (
    BIN_HZ,
    CLOCK_FRAMES,
    HOP,
    POWER_FLOOR,
    Array,
    Bins,
    moving_mean,
    power_of,
    spectrum,
)
from engine.models.draft.fine_structure import seen_bins
from render.upscaler import CELL_FRAMES, Audio, NoiseField, Window

LIKENESS_FRAMES = 17
"""Frames over which two channels are compared: 0.18 s. On 96 stereo recordings cut at 4 kHz, the mean error
of the correlation above the cut-off is 0.20 with 9 frames, 0.18 with 17, with 35 and with 69."""
LIKENESS_OCTAVES = 0.5
"""Range below the cut-off in which they are compared. With a whole octave that error is 0.20, with two 0.24;
with one noise for both channels it is 0.43."""
ROUNDING = 1e-5
"""Channels whose correlation is within this of 1 or -1 count as equal, or as each other's opposite."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A channel of a window, as far as it is used.

    Attributes:
        kept: its samples without the digital silence before and after it.
        bins: (T, `seen_bins`) complex64, their spectrum.
        power: of the bins.
    """

    kept: slice
    bins: Bins
    power: Array

    def at(self, first: int, end: int) -> Bins:
        """The bins of frames [first, end), which count from the window's start."""
        start = self.kept.start // HOP
        return self.bins[first - start : end - start]


def hear(samples: Array, cutoff_hz: float) -> Heard:
    """Takes the spectrum of a channel of a window, (frames,) at 48 kHz, below the cut-off."""
    kept = stretch_that_sounds(samples)
    bins = spectrum(samples[kept])[:, : seen_bins(cutoff_hz)]
    return Heard(kept, bins, power_of(bins))


def stretch_that_sounds(samples: NDArray[np.float32]) -> slice:
    """The samples of a channel without the digital silence before and after it, in whole CLOCK_FRAMES.

    A window reaches beyond the ends of a clip; that of a short clip is mostly silence. One CLOCK_FRAMES more
    stays on each side: an attack at the very start is measured against the silence before it.
    """
    sounds = _sounding_clocks(samples)
    if not len(sounds):
        return slice(0, CLOCK_FRAMES)
    first, end = max(int(sounds[0]) - 1, 0), int(sounds[-1]) + 2
    return slice(first * CLOCK_FRAMES, min(end * CLOCK_FRAMES, len(samples)))


def _sounding_clocks(samples: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which stretches of CLOCK_FRAMES are more than digital silence in any channel: of (..., frames)."""
    stretches = samples.reshape(-1, samples.shape[-1] // CLOCK_FRAMES, CLOCK_FRAMES)
    return np.flatnonzero(stretches.any(axis=(0, 2)))


def grains(window: Window, heard: list[Heard], noise: NoiseField) -> list[Array]:
    """Standard normal noise for every channel, drawn in the cells where one of them sounds.

    The noise of two channels has the correlation of the channels below the cut-off, -1 to 1, as it changes
    over time: what sounds in the middle stays there, and what is wide stays wide. From two draws a and b it
        is
    c a + s b d and c a - s b d, with c^2 - s^2 the correlation. d is the sign of the difference of the
    channels, sample by sample, so that swapping the channels swaps their noise. A single channel has a alone;
    so have all of three or more channels, whose roles are not known here.

    Args:
        window: to make noise for.
        heard: of its channels.
        noise: of the render.

    Returns:
        (frames,) float32 each.
    """
    draws = _draws(window, 2 if len(heard) == 2 else 1, noise)
    if len(heard) != 2:
        return [draws[0]] * len(heard)
    alike = _likeness(heard[0], heard[1], window)
    common = draws[0] * _over_samples(np.sqrt((1 + alike) / 2))
    apart = draws[1] * _over_samples(np.sqrt((1 - alike) / 2))
    apart *= np.sign(window.samples[0] - window.samples[1])
    return [common + apart, common - apart]


def _draws(window: Window, count: int, noise: NoiseField) -> Audio:
    """(count, frames) of standard normal noise; nothing where no channel sounds."""
    sounds = _sounding_clocks(window.samples)
    draws = np.zeros((count, window.samples.shape[1]), np.float32)
    if len(sounds):
        first, end = sounds[0] * CLOCK_FRAMES // CELL_FRAMES, sounds[-1] * CLOCK_FRAMES // CELL_FRAMES + 1
        start = window.start // CELL_FRAMES + first
        cells = noise("fine structure", window.group, int(start), int(end - first), (count, CELL_FRAMES))
        draws[:, first * CELL_FRAMES : end * CELL_FRAMES] = cells.swapaxes(0, 1).reshape(count, -1)
    return draws


def _likeness(one: Heard, other: Heard, window: Window) -> Array:
    """(T,): the correlation of a window's two channels at its frames, 1 where one of them is silent."""
    alike = np.ones(window.samples.shape[1] // HOP + 1, np.float32)
    first = max(one.kept.start, other.kept.start) // HOP
    end = min(one.kept.stop, other.kept.stop) // HOP + 1
    if first < end:
        low, high = (int(window.cutoff_hz / fall / BIN_HZ) for fall in (2**LIKENESS_OCTAVES, 1))
        left, right = (each.at(first, end)[:, low:high] for each in (one, other))
        product = (left.real * right.real + left.imag * right.imag).sum(-1)
        sums = np.stack([product, power_of(left).sum(-1), power_of(right).sum(-1)], -1)
        product, *powers = moving_mean(sums, LIKENESS_FRAMES).T + np.float32(POWER_FLOOR)
        correlation = product / np.sqrt(powers[0] * powers[1])
        alike[first:end] = (correlation * np.float32(1 + ROUNDING)).clip(-1, 1)
    return alike


def _over_samples(frames: Array) -> Array:
    """Values of frames, interpolated linearly: (T,) -> ((T - 1) HOP,)."""
    ramp = (np.arange(HOP) / HOP).astype(np.float32)
    line = np.diff(frames)[:, None] * ramp
    line += frames[:-1, None]
    return line.ravel()

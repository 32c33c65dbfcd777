"""Where the band of a clip ends: the step of a render that alone decides the cut-off.

`auto` looks for a cliff (render/band/cliff.py), `rolloff` is the paper's rule, a number is taken at its word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from presets.errors import UsageError
from presets.limits import CUTOFF_MAX_HZ, CUTOFF_MIN_HZ
from render.band.blemishes import has_edge, has_tick
from render.band.cliff import (
    BANDS_PER_OCTAVE,
    SIXTH,
    THIRD,
    Cliff,
    Powers,
    cliff_near,
    decibels,
    find_cliff,
    is_steady,
)
from render.band.holes import Holes, find_holes
from render.band.images import held_from_hz, raised_from_hz
from render.band.slope import Slope, find_slope
from render.clip import Clip

FULL_BAND_HZ = 0.97 * 18000.0
"""A band seen to end here or above is full, nothing is generated: 18 kHz, less the 3 % an edge may be off."""
NYQUIST_EDGE = 0.9556
"""The -6 dB edge of soxr VHQ as a share of the source's Nyquist frequency, measured."""
FILLED = 0.9
"""A sound that ends above this share of its Nyquist frequency fills the band of its sampling rate."""
SLOPE_ROOM = 0.85
"""Up to here, as a share of the Nyquist frequency, a slope can end before the resampler's own does."""
ROLLOFF_SHARE = 0.99
ARCHIVE = " (an old transfer that falls off gently: -p archive)"
"""What to do about material that a cliff will never be found in."""
FRAME_S = 0.0427
MAX_FRAMES = 8192
BLOCK_SPECTRA = 64
FINE_EVERY = 8
"""Of so many frames one is kept bin by bin: images are in every frame, and the fewest tell."""
CLEAN_SHARE = 0.1
"""Frames without a blemish count alone where they are so many: a quarter are, under crackle of 30 ticks a
second, and an eighth of 50. Where fewer are, the blemishes are the sound."""
SILENT_POWER = 1e-14
DITHER_DBFS = -96.3
"""A 16-bit TPDF-dithered file's own noise, RMS."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Where the band ends, and how that was found.

    Attributes:
        hz: the -6 dB edge, or None when nothing is to be generated.
        method: the rule that decided.
        reason: one sentence for the user.
        edge_hz: the end of the band where one was seen, also when it is too high to matter.
        cliff_db: the depth of the cliff there.
        nyquist_hz: of the source.
        slope: how the band ends, where more than an edge is seen of it.
        holes: what a codec left out below that end, where a cliff was seen.
    """

    hz: float | None
    method: Literal["auto", "rolloff", "given"]
    reason: str
    edge_hz: float | None = None
    cliff_db: float | None = None
    nyquist_hz: float = 0.0
    slope: Slope | None = None
    holes: Holes | None = None


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
        changes_hz: (frames,) how often a second, in each of the frames that sound, a sample is another than
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
        """The same, as of a clip that holds nothing above `top_hz`."""
        bands, bins = int(np.searchsorted(self.edges_hz, top_hz)), int(top_hz / self.bin_hz) + 1
        return replace(
            self,
            powers=self.powers[:, : bands - 1],
            edges_hz=self.edges_hz[:bands],
            magnitude=self.magnitude[:bins],
            fine=self.fine[:, :bins],
        )


def find_cutoff(clip: Clip, cutoff: Literal["auto", "rolloff"] | float, holes: bool = False) -> Cutoff:
    """Where the clip's band ends.

    Args:
        clip: any rate; read once from start to end, or in evenly spread blocks where it is long.
        cutoff: the knob: `auto`, `rolloff`, or Hz.
        holes: whether to look for holes also below an end that was given, or found by its roll-off.

    Raises:
        UsageError: a number above the clip's Nyquist frequency.
    """
    nyquist_hz = clip.rate / 2
    if cutoff == "auto":
        return auto(measure(clip), nyquist_hz)
    if cutoff != "rolloff" and not holes:
        return _given(cutoff, nyquist_hz)
    spectrum = measure(clip)
    found = _rolloff(spectrum, nyquist_hz) if cutoff == "rolloff" else _given(cutoff, nyquist_hz)
    if holes and found.hz is not None and len(spectrum.powers) >= 4:
        found = replace(found, holes=find_holes(spectrum.powers, spectrum.edges_hz, found.hz))
    return found


def _given(cutoff_hz: float, nyquist_hz: float) -> Cutoff:
    if cutoff_hz > nyquist_hz:
        raise UsageError(
            f"cutoff = {cutoff_hz:g} Hz is above {nyquist_hz:g} Hz, "
            f"the most {2 * nyquist_hz:.0f} Hz can hold; give a lower one, or auto",
            "cutoff",
        )
    highest_hz = min(NYQUIST_EDGE * nyquist_hz, float(CUTOFF_MAX_HZ))
    if cutoff_hz > highest_hz:
        reason = f"{cutoff_hz:g} Hz was asked for; the resampler's edge at {highest_hz:.0f} Hz comes first"
        return Cutoff(highest_hz, "given", reason, nyquist_hz=nyquist_hz)
    return Cutoff(float(cutoff_hz), "given", f"{cutoff_hz:g} Hz was asked for", nyquist_hz=nyquist_hz)


def measure(clip: Clip, top_hz: float = 24000.0) -> Spectrum:
    """Band powers and mean magnitudes of the clip's frames, channels added; bounded in memory and time.

    Args:
        clip: any rate.
        top_hz: no band lies above, or above half the rate.
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
        changed = np.cumsum((np.diff(block) != 0).any(axis=0))
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


def auto(spectrum: Spectrum, nyquist_hz: float) -> Cutoff:
    """The rule `auto`, for whoever has the spectrum already."""
    if len(spectrum.powers) < 4:
        return _auto(spectrum, nyquist_hz)
    rate_hz = held_from_hz(spectrum.changes_hz, 2 * nyquist_hz, spectrum.bin_hz)
    if rate_hz is None:
        found = _auto(spectrum, nyquist_hz)
        if found.hz is not None and found.hz < FILLED * nyquist_hz:
            return found
        rate_hz = raised_from_hz(spectrum.fine, spectrum.bin_hz, min(FULL_BAND_HZ, nyquist_hz))
        if rate_hz is None:
            return found
    found = _auto(spectrum.below(rate_hz / 2), rate_hz / 2)
    images = f"above {rate_hz / 2:.0f} Hz are images, of a rate of {rate_hz / 1000:.1f} kHz"
    return replace(found, nyquist_hz=nyquist_hz, reason=f"{found.reason}; {images}")


def _auto(spectrum: Spectrum, nyquist_hz: float) -> Cutoff:
    """The same of a clip without images."""

    holes: Holes | None = None

    def nothing(reason: str, cliff: Cliff | None = None) -> Cutoff:
        edge_hz, drop_db = (cliff.edge_hz, cliff.drop_db) if cliff else (None, None)
        return Cutoff(
            None, "auto", f"nothing to generate: {reason}", edge_hz, drop_db, nyquist_hz, holes=holes
        )

    if len(spectrum.powers) < 4:
        return nothing("the clip is silent or too short to tell where its band ends")
    cliff = find_cliff(spectrum.powers, spectrum.edges_hz, CUTOFF_MIN_HZ)
    if cliff is None and NYQUIST_EDGE * nyquist_hz < FULL_BAND_HZ:
        cliff = _nyquist_cliff(spectrum, nyquist_hz)
        if cliff is None:
            return nothing(f"the sound fades out below half its sampling rate, without a cliff{ARCHIVE}")
    if cliff is None:
        return nothing(f"the spectrum has no cliff; give a cutoff in Hz if the sound is dull{ARCHIVE}")
    hz = seen_hz = cliff.edge_hz
    if not cliff.floor:
        holes = find_holes(spectrum.powers, spectrum.edges_hz, cliff.edge_hz, FULL_BAND_HZ)
        cliff, hz = replace(cliff, edge_hz=holes.shelf_hz), holes.from_hz
    if cliff.edge_hz >= FULL_BAND_HZ:
        return nothing(f"the band reaches {cliff.edge_hz / 1000:.1f} kHz", cliff)
    if cliff.edge_hz < CUTOFF_MIN_HZ:
        return nothing(f"the band ends at {cliff.edge_hz:.0f} Hz, below {CUTOFF_MIN_HZ:.0f} Hz", cliff)
    below = "a steady noise floor" if cliff.floor else "next to nothing"
    if np.isfinite(cliff.above_to_hz):
        below = f"{'a steady noise floor' if cliff.floor else 'a remainder'} up to {cliff.above_to_hz:.0f} Hz"
    reason = f"the spectrum falls off a cliff of {cliff.drop_db:.0f} dB at {cliff.edge_hz:.0f} Hz to {below}"
    if cliff.edge_hz >= FILLED * nyquist_hz:
        reason = f"the sound fills the band of its sampling rate up to {cliff.edge_hz:.0f} Hz"
    if hz < cliff.edge_hz:
        reason += f"; above {hz:.0f} Hz a codec left most of it out"
    slope = None
    if hz == seen_hz < SLOPE_ROOM * nyquist_hz:  # else a codec ended it, and no filter
        slope = find_slope(spectrum.powers, spectrum.edges_hz, hz, spectrum.bin_hz, nyquist_hz)
    return Cutoff(hz, "auto", reason, cliff.edge_hz, cliff.drop_db, nyquist_hz, slope, holes)


def _rolloff(spectrum: Spectrum, nyquist_hz: float) -> Cutoff:
    """AudioSR 3.2: the frequency below which lies 0.99 of the entire input, as librosa's spectral_rolloff
    counts it: magnitudes, here over all frames."""
    total = np.cumsum(spectrum.magnitude)
    if total[-1] <= 0:
        return Cutoff(None, "rolloff", "nothing to generate: the clip is silent", nyquist_hz=nyquist_hz)
    edge = float(np.searchsorted(total, ROLLOFF_SHARE * total[-1]) * spectrum.bin_hz)
    hz = min(edge, NYQUIST_EDGE * nyquist_hz, CUTOFF_MAX_HZ)
    if hz < CUTOFF_MIN_HZ:
        reason = f"nothing to generate: the 0.99 roll-off at {hz:.0f} Hz is below {CUTOFF_MIN_HZ:.0f} Hz"
        return Cutoff(None, "rolloff", reason, edge, None, nyquist_hz)
    return Cutoff(hz, "rolloff", f"the 0.99 roll-off is at {edge:.0f} Hz", edge, None, nyquist_hz)


def _nyquist_cliff(spectrum: Spectrum, nyquist_hz: float) -> Cliff | None:
    """The end of a band that runs to the source's own Nyquist frequency, or None when it fades before."""
    loud = decibels(np.sort(spectrum.powers, axis=0)[-max(4, len(spectrum.powers) // 10) :].mean(axis=0))
    top_db = float(np.median(loud[-THIRD - SIXTH : -SIXTH]))
    dither_db = DITHER_DBFS - 10 * np.log10(nyquist_hz / spectrum.bin_hz) + 3
    floor = top_db < dither_db + 10 or is_steady(spectrum.powers[:, -THIRD - SIXTH : -SIXTH].sum(axis=1))
    if floor and top_db < 2 * decibels(spectrum.magnitude.max()) - 40:
        return None
    end_db = float(np.median(loud[-3:]))
    floor_db = end_db if top_db - end_db > 6 else top_db - 200
    cliff = cliff_near(spectrum.powers, spectrum.edges_hz, len(loud), floor_db)
    edge = min(cliff.edge_hz if cliff else nyquist_hz, NYQUIST_EDGE * nyquist_hz)
    return Cliff(edge, top_db - float(dither_db), floor=False)


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
    """(frames, bins) to (frames, places): the power up to each place, bin n lying between n and n + 1."""
    sums = np.zeros((power.shape[0], power.shape[1] + 2))
    np.cumsum(power, axis=1, dtype=np.float64, out=sums[:, 1:-1])
    sums[:, -1] = sums[:, -2]
    whole = places.astype(int)
    part = places - whole
    return np.asarray(sums[:, whole] * (1 - part) + sums[:, whole + 1] * part)

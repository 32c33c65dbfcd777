"""Where the band of a clip ends. This step alone decides the cut-off of a render.

`auto` looks for a cliff (render/band/cliff.py), `rolloff` is the AudioSR paper's rule, a number is used as
given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from presets.errors import UsageError
from presets.limits import CUTOFF_MAX_HZ, CUTOFF_MIN_HZ
from render.band.cliff import FLOOR_CLIFF_DB, Cliff, cliff_near, find_cliff, is_steady, loudest
from render.band.holes import Holes, find_holes
from render.band.images import held_from_hz, raised_from_hz
from render.band.slope import Slope, find_slope
from render.band.spectrum import SIXTH, THIRD, Spectrum, decibels, measure
from render.clip import Clip

FULL_BAND_HZ = 0.97 * 18000.0
"""A band that ends here or above is full, and nothing is generated: 18 kHz, less the 3 % an edge may be
off."""
NYQUIST_EDGE = 0.9556
"""The -6 dB edge of soxr VHQ as a share of the source's Nyquist frequency, measured."""
FILLED = 0.9
"""A sound that ends above this share of its Nyquist frequency fills the band of its sampling rate."""
SLOPE_ROOM = 0.85
"""A filter's slope is looked for only below this share of the Nyquist frequency: above, it may end where the
resampler's own does."""
TOP, NEAR_NYQUIST, LAST = slice(-THIRD - SIXTH, -SIXTH), slice(-SIXTH, -SIXTH // 2), slice(-3, None)
"""Bands below the Nyquist frequency: 0.71 to 0.89 of it; 0.89 to 0.94, where most resamplers still pass all;
and the last ones. Where the level falls by less than FLOOR_CLIFF_DB between the first two, the sound fills
its band, for sounds fall as much by themselves. Of 96 recordings resampled to 8, 16 and 22.05 kHz in four
ways (1,152 files), 15 seem to end below 0.9 of the Nyquist frequency, nine of them voices that do; 149 did
where every fall was taken for a filter's."""
FOLLOWS_DB = 2.0
"""The last bands hold a noise floor where they are no louder than this in the frames that are loud in TOP."""
ROLLOFF_SHARE = 0.99
ARCHIVE = " (an old transfer that falls off gently: -p archive)"
"""The way out for material that has no cliff."""
DITHER_DBFS = -96.3
"""RMS noise of a 16-bit file with TPDF dither, dBFS."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Where the band ends, and how that was found.

    Attributes:
        hz: the -6 dB edge, or None when nothing is to be generated.
        method: the rule that decided.
        reason: one sentence for the user.
        edge_hz: the end of the band where one was seen, even when it is too high to matter.
        cliff_db: the depth of the cliff there.
        nyquist_hz: of the source.
        slope: the input filter's slope, where something of the original is left above the edge.
        holes: what a codec left out below that end; None where it was not looked for.
    """

    hz: float | None
    method: Literal["auto", "rolloff", "given"]
    reason: str
    edge_hz: float | None = None
    cliff_db: float | None = None
    nyquist_hz: float = 0.0
    slope: Slope | None = None
    holes: Holes | None = None


def find_cutoff(
    clip: Clip,
    cutoff: Literal["auto", "rolloff"] | float,
    holes: bool = False,
    ceiling_hz: float | None = None,
) -> Cutoff:
    """Where the clip's band ends, and whether anything is to be generated above.

    Args:
        clip: any rate; read once from start to end, or in evenly spread blocks where it is long.
        cutoff: the knob: `auto`, `rolloff`, or Hz.
        holes: whether to look for holes below an end that is given or found by its roll-off, too.
        ceiling_hz: the knob: where a generated band is to end.

    Raises:
        UsageError: a number above the clip's Nyquist frequency.
    """
    found = _band_end(clip, cutoff, holes)
    if found.hz is None or ceiling_hz is None or ceiling_hz > found.hz:
        return found
    reason = (
        f"nothing to generate: the ceiling of {ceiling_hz:g} Hz is not above the end of the band at "
        f"{found.hz:.0f} Hz"
    )
    return replace(found, hz=None, reason=reason, slope=None)


def _band_end(clip: Clip, cutoff: Literal["auto", "rolloff"] | float, holes: bool) -> Cutoff:
    nyquist_hz = clip.rate / 2
    if cutoff == "auto":
        return auto(measure(clip), nyquist_hz)
    if cutoff != "rolloff" and not holes:
        return given(cutoff, nyquist_hz)
    spectrum = measure(clip)
    found = _rolloff(spectrum, nyquist_hz) if cutoff == "rolloff" else given(cutoff, nyquist_hz)
    if holes and found.hz is not None and len(spectrum.powers) >= 4:
        found = replace(found, holes=find_holes(spectrum.powers, spectrum.edges_hz, found.hz))
    return found


def given(cutoff_hz: float, nyquist_hz: float) -> Cutoff:
    """The cut-off as it was given, but no higher than the resampler's edge at the source's rate.

    Raises:
        UsageError: it is above the clip's Nyquist frequency.
    """
    if cutoff_hz > nyquist_hz:
        raise UsageError(
            f"cutoff = {cutoff_hz:g} Hz is above {nyquist_hz:g} Hz, "
            f"the most that a rate of {2 * nyquist_hz:.0f} Hz can hold; give a lower one, or auto",
            "cutoff",
        )
    highest_hz = min(NYQUIST_EDGE * nyquist_hz, float(CUTOFF_MAX_HZ))
    if cutoff_hz > highest_hz:
        reason = f"{cutoff_hz:g} Hz was asked for; the resampler's edge at {highest_hz:.0f} Hz comes first"
        return Cutoff(highest_hz, "given", reason, nyquist_hz=nyquist_hz)
    return Cutoff(float(cutoff_hz), "given", f"{cutoff_hz:g} Hz was asked for", nyquist_hz=nyquist_hz)


def auto(spectrum: Spectrum, nyquist_hz: float) -> Cutoff:
    """The rule `auto`, for a caller that has the spectrum already."""
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
    """`auto` for a clip without images."""

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
    if hz == seen_hz < SLOPE_ROOM * nyquist_hz:  # hz below seen_hz: a codec ended the band, not a filter
        slope = find_slope(spectrum.powers, spectrum.edges_hz, hz, spectrum.bin_hz, nyquist_hz)
    return Cutoff(hz, "auto", reason, cliff.edge_hz, cliff.drop_db, nyquist_hz, slope, holes)


def _rolloff(spectrum: Spectrum, nyquist_hz: float) -> Cutoff:
    """The rule of AudioSR, section 3.2: the frequency below which 0.99 of the input lies. As in librosa's
    spectral_rolloff, magnitudes are summed, here over all frames."""
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
    """The end of a band that reaches the source's own Nyquist frequency, or None when it fades out below."""
    powers = spectrum.powers
    loud = decibels(np.sort(powers, axis=0)[-max(4, len(powers) // 10) :].mean(axis=0))
    top, end = (powers[:, bands].sum(axis=1, dtype=np.float64) for bands in (TOP, LAST))
    top_db = float(np.median(loud[TOP]))
    dither_db = DITHER_DBFS - 10 * np.log10(nyquist_hz / spectrum.bin_hz) + 3
    is_floor = top_db < dither_db + 10 or is_steady(top)
    if is_floor and top_db < 2 * decibels(spectrum.magnitude.max()) - 40:
        return None
    edge_hz = NYQUIST_EDGE * nyquist_hz
    if top_db - float(np.median(loud[NEAR_NYQUIST])) > FLOOR_CLIFF_DB:
        follows_db = decibels(end[loudest(top)].mean()) - decibels(np.median(end))
        floor_db = float(np.median(loud[LAST])) if follows_db < FOLLOWS_DB else top_db - 200
        cliff = cliff_near(powers, spectrum.edges_hz, powers.shape[1], floor_db)
        edge_hz = min(cliff.edge_hz if cliff else nyquist_hz, edge_hz)
    return Cliff(edge_hz, top_db - float(dither_db), floor=False)

"""Where a spectrum falls off a cliff: detection in band powers over time, and the cliff's -6 dB edge.

A low-pass leaves two marks that music, speech and noises do not make by themselves: the level falls by 30 dB
within a sixth of an octave and nothing above comes back, not even in the loudest moments; or, where a noise
floor hides the depth of the fall, what is above is one even level that never follows the sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.band.low_pass import GENTLE, STEEP, fit
from render.band.spectrum import BANDS_PER_OCTAVE, SIXTH, THIRD, Powers, decibels

# A range below is measured: within it, the other thresholds as they stand, every sound of
# tests/render/band/test_cliff.py is found to end where it does. What is named goes wrong first beyond.
CLIFF_DB = 30.0
"""A fall of this within SIXTH is an end. 18 to 33: below, a voice behind a filter of 24 dB an octave ends;
above, an end that the sound passes in a twentieth of the time is missed."""
FLOOR_CLIFF_DB = 9.0
"""Down to a steady floor, a fall of this is one. 5.4 to 19.8: below, strings behind 24 dB an octave end in
hiss of -65 dBFS; above, sounds that were cut over such hiss are missed."""
RESIDUE_DB = 40.0
"""A band so far below the sound, which ends in a cliff of its own, is what a filter let through. 25 to 55:
above, what a filter of 60 dB lets through is sound. Of 980 recordings, whole and cut at 12 and 16 kHz, three
notes end early with 30, none with 40."""
STEADY_DB = 0.9
"""The loudest tenth of a steady floor stands out by less. 0.75 to 1.8 at least: below, hiss is not steady."""
LOUD_SHARE, RARE_SHARE = 0.1, 0.005
"""The loudest frames, which are looked at, and those at their very top, which clicks may have made."""
TONE_DB, TONE_BANDS = 12.0, 7
"""A band that stands out of those about it, or of a floor, by more has a tone in it, a screen's or a pilot's.
6 to 24. It reaches over three of TONE_BANDS at most where an end is looked for."""
EVEN_DB = 1.0
"""No level of a floor stands out of the others by more, nor half as much of their slope."""
SLOPE_DB = 0.5
"""A floor may rise or fall by so much a twelfth of an octave, 6 dB an octave: hiss is seldom white."""
FEW_RUNS = 5
"""So few levels, half an octave, tell no slope."""
GENTLE_COST = 0.4
"""A gentle low-pass is taken where its misfit is below this share of a steep one's. 0.2 to 0.8 at least."""
SKIRT_DB = 6.0
"""The fall goes on, downwards, as long as a sixth of an octave loses more. Down to 3 at least."""
SKIRT_OCTAVE_DB = 36.0
"""What an octave lost by more before the fall is a gentle filter's slope, and no cliff. 18 to 72 at least."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Cliff:
    """A place where the spectrum ends.

    Attributes:
        edge_hz: the -6 dB edge of the filter that made it.
        drop_db: from the band below the edge to the loudest band above it, both in their loud frames.
        floor: True when a steady noise floor, not silence, stands above.
        above_to_hz: where that, or what a filter let through, ends on a cliff too; infinite without one.
    """

    edge_hz: float
    drop_db: float
    floor: bool
    above_to_hz: float = np.inf


def find_cliff(powers: Powers, edges_hz: Floats, lowest_hz: float) -> Cliff | None:
    """The cliff where the sound ends, or None.

    It is the highest one, unless between it and one further down there is only the hiss of a recorder, or
    what a filter let through: such a band ends too, where a converter or a resampler cut it off.

    Args:
        powers: (frames, bands), frames that sound only.
        edges_hz: (bands + 1,) the bands' edges.
        lowest_hz: no cliff is looked for below.
    """
    sums = _running_sum(powers)
    bands = powers.shape[1]
    places = np.arange(bands - SIXTH - 4, max(THIRD, int(np.searchsorted(edges_hz, lowest_hz))) - 1, -4)
    if not len(places):
        return None
    below = _loud_means(powers, sums[:, places] - sums[:, places - THIRD], places, range(-THIRD, -2))
    levels_db = decibels(lower_quartile(below))
    above = sums[:, [bands]] - sums[:, places + SIXTH]
    lowest = _loud_means(powers, above[:, 1:], places[1:], range(SIXTH, 2 * SIXTH))
    # Most places are told by the lowest of their ceilings, without the others.
    falls_db = levels_db[1:] - middle(decibels(lowest))
    found: Cliff | None = None
    for place in (0, *1 + np.flatnonzero(falls_db >= FLOOR_CLIFF_DB)):
        at, below_db = int(places[place]), float(levels_db[place])
        if at + SIXTH + 4 > bands:
            continue
        beyond = sums[:, bands] - sums[:, at + SIXTH]
        loud_beyond = decibels(powers[loudest(beyond), at + SIXTH : bands].mean(axis=0))
        ceilings = _medians(loud_beyond)
        ceiling_db = float(ceilings.max())
        drop_db = below_db - ceiling_db
        if drop_db < FLOOR_CLIFF_DB:
            continue
        floor = _is_even(ceilings) and _is_floor(powers[:, at + SIXTH : bands], loud_beyond)
        if floor or drop_db >= (RESIDUE_DB if found else CLIFF_DB):
            cliff = cliff_near(powers[:, :bands], edges_hz, at, ceiling_db)
            if cliff is not None and (found is None or cliff.drop_db >= FLOOR_CLIFF_DB):
                found = replace(cliff, above_to_hz=min(found.edge_hz, found.above_to_hz)) if found else cliff
                bands = int(np.searchsorted(edges_hz, cliff.edge_hz)) - SIXTH
    return found


def _is_even(levels_db: Floats) -> bool:
    """Whether none of (runs,) of levels, 1/12 octave apart, stands out of one level, or a gentle slope."""
    if levels_db.max() - median(levels_db) < EVEN_DB:
        return True
    if len(levels_db) <= FEW_RUNS:
        return False
    away = np.arange(len(levels_db)) - (len(levels_db) - 1) / 2
    slope = float(levels_db @ away) / float(away @ away)
    off_line = levels_db - slope * away
    return abs(slope) < SLOPE_DB and bool(off_line.max() - median(off_line) < EVEN_DB / 2)


def _is_floor(powers: Powers, levels_db: Floats) -> bool:
    """Whether (frames, bands), but for tones above their (bands,) levels, are a steady noise."""
    level = levels_db < _medians(levels_db).max() + TONE_DB
    return is_steady(powers[:, level].sum(axis=1, dtype=np.float64))


def _loud_means(powers: Powers, loudness: Floats, places: NDArray[np.intp], bands: range) -> Powers:
    """The mean power of `bands`, counted from each place, in the frames that are the loudest there.

    Args:
        powers: (frames, bands).
        loudness: (frames, places).
        places: (places,) bands.

    Returns:
        (places, len(bands)).
    """
    columns = places[:, None] + np.array(bands)
    return np.asarray(powers[loudest(loudness)[:, :, None], columns].mean(axis=0))


def cliff_near(powers: Powers, edges_hz: Floats, at: int, floor_db: float) -> Cliff | None:
    """The cliff, with the -6 dB edge of the low-pass that ends the spectrum near band `at`.

    A straight trend in dB over log frequency, through a low-pass of power 1 / (1 + 3 (f / edge)^(2 order)),
    plus the floor is fitted to the spectrum of the loud frames; robustly, for sound has a shape of its own.

    Args:
        powers: (frames, bands).
        edges_hz: (bands + 1,).
        at: a band on the fall, or above it.
        floor_db: the level of what is above.

    Returns:
        None where the fall is gentler than a cliff's, or sits on the skirt of a gentle filter.
    """
    for _ in range(2):
        spectrum = decibels(powers[loudest(powers[:, max(0, at - SIXTH) : at].sum(axis=1))].mean(axis=0))
        without_tones = _without_tones(spectrum)
        at, plateau_db = _shoulder(without_tones, at, floor_db)
    spectrum[at:] = without_tones[at:]
    next_db = median(spectrum[at + SIXTH : at + THIRD]) if at + SIXTH < len(spectrum) else floor_db
    if plateau_db - next_db < CLIFF_DB and next_db > floor_db + 10:
        return None
    octave = spectrum[max(0, at - BANDS_PER_OCTAVE) : max(SIXTH, at - BANDS_PER_OCTAVE + SIXTH)]
    if median(octave) - plateau_db > SKIRT_OCTAVE_DB:
        return None
    fitted = slice(max(0, at - 2 * THIRD), at + THIRD)
    floor = 10 ** (max(floor_db, plateau_db - 40) / 10)
    level = np.maximum(spectrum[fitted], decibels(floor))
    steep, gentle = (
        fit(level, floor, fitted.start - at, BANDS_PER_OCTAVE, orders) for orders in (STEEP, GENTLE)
    )
    offset = gentle[1] if gentle[0] < GENTLE_COST * steep[0] else steep[1]
    drop_db = plateau_db - floor_db
    return Cliff(float(edges_hz[at] * 2**offset), drop_db, floor=drop_db < CLIFF_DB)


def _without_tones(levels_db: Floats) -> Floats:
    """(bands,) of levels in which what stands out of the bands about it is as they are."""
    if len(levels_db) < TONE_BANDS:
        return levels_db
    about = np.lib.stride_tricks.sliding_window_view(np.pad(levels_db, TONE_BANDS // 2, "edge"), TONE_BANDS)
    usual = middle(about)
    return np.where(levels_db > usual + TONE_DB, usual, levels_db)


def is_steady(power: Floats) -> bool:
    """Whether (frames,) of power are a steady noise's, whose loudest tenth stands out by chance only."""
    usual = np.sort(power)[: len(power) - int(len(power) * RARE_SHARE)]
    return bool(power[loudest(power)].mean() < 10 ** (STEADY_DB / 10) * usual.mean())


def _shoulder(spectrum: Floats, at: int, floor_db: float) -> tuple[int, float]:
    """The band where the fall begins, walking down from `at`, and the level before it in dB."""

    def typical(band: int) -> float:
        return median(spectrum[band - SIXTH : band])

    while at > THIRD + SIXTH and typical(at - SIXTH) - typical(at) > SKIRT_DB:
        at -= 1
    plateau_db = float(lower_quartile(spectrum[max(0, at - THIRD - 2) : at - 1]))
    threshold = max(plateau_db - 20, (plateau_db + floor_db) / 2)
    loud = np.flatnonzero(spectrum[: at + THIRD] > threshold)
    return int(loud[-1]) + 1 if len(loud) else at, plateau_db


def loudest(power: Floats) -> NDArray[np.intp]:
    """Of (frames, ...) the loudest tenth, but for the rare ones (clicks) at its very top."""
    rare = int(len(power) * RARE_SHARE)
    count = max(4, round(len(power) * LOUD_SHARE))
    return np.argsort(power, axis=0)[::-1][rare : rare + count]


def _medians(values: Floats) -> Floats:
    """The medians of runs of SIXTH values, one every four; the last run may have four to seven."""
    runs = max(0, (len(values) - SIXTH) // 4 + 1)
    whole = np.lib.stride_tricks.sliding_window_view(values, SIXTH)[::4] if runs else np.empty((0, SIXTH))
    rest = values[4 * runs :]
    return np.append(middle(whole), median(rest)) if len(rest) > 3 else middle(whole)


def median(values: Floats) -> float:
    """The median of a few values: NumPy's own takes twenty times as long over a dozen."""
    return float(middle(values))


def middle(values: Floats) -> Floats:
    """The medians over the last axis, of a few values."""
    ordered, half = np.sort(values), values.shape[-1] // 2
    if values.shape[-1] % 2:
        return np.asarray(ordered[..., half])
    return np.asarray((ordered[..., half - 1] + ordered[..., half]) / 2)


def lower_quartile(values: Floats) -> Floats:
    """np.percentile(values, 25, axis=-1), of a few values, in a thirtieth of its time."""
    count = values.shape[-1]
    ordered, (first, quarters) = np.sort(values), divmod(count - 1, 4)
    below, above = ordered[..., first], ordered[..., min(first + 1, count - 1)]
    step = above - below
    return np.asarray(below + step * (quarters / 4) if quarters < 2 else above - step * (1 - quarters / 4))


def _running_sum(powers: Powers) -> NDArray[np.float64]:
    sums = np.zeros((powers.shape[0], powers.shape[1] + 1))
    np.cumsum(powers, axis=1, dtype=np.float64, out=sums[:, 1:])
    return sums

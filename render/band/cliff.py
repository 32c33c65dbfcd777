"""Finds the cliff where a spectrum ends, from band powers over time, and its -6 dB edge.

A low-pass leaves one of two marks that music, speech and noises do not make by themselves. Either the level
falls by 30 dB within a sixth of an octave and nothing above comes back, not even in the loudest moments. Or,
where a noise floor hides the depth of the fall, the range above has one even level that never follows the
sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.band.low_pass import GENTLE, STEEP, fit
from render.band.spectrum import BANDS_PER_OCTAVE, SIXTH, THIRD, Powers, decibels

# "Works from a to b" is measured: within this range, with the other thresholds as they stand, the right end
# is found for every sound of tests/render/band/test_cliff.py. What goes wrong first outside it is named.
CLIFF_DB = 30.0
"""A fall of this many dB within SIXTH is an end. Works from 18 to 33: below, a voice behind a filter of 24 dB
an octave is taken to end there; above, an end that the sound passes in a twentieth of the time is missed."""
FLOOR_CLIFF_DB = 9.0
"""A fall of this many dB to a steady floor is an end. Works from 5.4 to 19.8: below, strings behind 24 dB an
octave are taken to end in hiss of -65 dBFS; above, the end of sounds cut over such hiss is missed."""
RESIDUE_DB = 40.0
"""A band this many dB below the sound that ends in a cliff of its own is what a filter let through. Works
from 25 to 55: above, what a filter of 60 dB lets through is taken for sound. Of 980 recordings, whole and cut
at 12 and 16 kHz, three notes end early with 30, none with 40."""
STEADY_DB = 0.9
"""A floor is steady where its loudest tenth is less than this many dB above its mean. Works from 0.75 to at
least 1.8: below, hiss does not count as steady."""
LOUD_SHARE, RARE_SHARE = 0.1, 0.005
"""Share of the frames that count as the loudest, after the share at the very top that may be clicks."""
TONE_DB, TONE_BANDS = 12.0, 7
"""A band this many dB above the median of the TONE_BANDS around it, or above a floor, holds a tone, such as a
screen's or a pilot's. Works from 6 to 24. Where an end is looked for, a tone covers at most three bands."""
EVEN_DB = 1.0
"""In an even floor no level is this many dB above the median; in one that slopes, none is half as much above
its line."""
SLOPE_DB = 0.5
"""The steepest slope of a floor, dB per twelfth of an octave (6 dB an octave): hiss is seldom white."""
FEW_RUNS = 5
"""Up to this many levels, half an octave, are too few to tell a slope."""
GENTLE_COST = 0.4
"""A gentle low-pass is taken where its misfit is below this share of a steep one's. Works from 0.2 to at
least 0.8."""
SKIRT_DB = 6.0
"""The start of the fall lies further down as long as a sixth of an octave loses more dB than this. Works down
to at least 3."""
SKIRT_OCTAVE_DB = 36.0
"""A level that lost more dB than this over the octave before the fall is on a gentle filter's slope, not at a
cliff. Works from at least 18 to at least 72."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Cliff:
    """A place where the spectrum ends.

    Attributes:
        edge_hz: the -6 dB edge of the filter that made it.
        drop_db: from the band below the edge down to the loudest band above it, each in its loud frames.
        floor: True when a steady noise floor, not silence, stands above.
        above_to_hz: where that floor, or what a filter let through, ends in a cliff too; else infinite.
    """

    edge_hz: float
    drop_db: float
    floor: bool
    above_to_hz: float = np.inf


def find_cliff(powers: Powers, edges_hz: Floats, lowest_hz: float) -> Cliff | None:
    """The cliff where the sound ends, or None.

    It is the highest one, unless only the hiss of a recorder, or what a filter let through, lies between it
    and a lower one: such a band ends in a cliff too, where a converter or a resampler cut it off.

    Args:
        powers: (frames, bands) of the frames that sound.
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
    # Most places are ruled out by the bands just above them, without a look at the others.
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
    """Whether no level stands out of one common level or a gentle slope; (runs,) a twelfth of an octave
    apart."""
    if levels_db.max() - median(levels_db) < EVEN_DB:
        return True
    if len(levels_db) <= FEW_RUNS:
        return False
    away = np.arange(len(levels_db)) - (len(levels_db) - 1) / 2
    slope = float(levels_db @ away) / float(away @ away)
    off_line = levels_db - slope * away
    return abs(slope) < SLOPE_DB and bool(off_line.max() - median(off_line) < EVEN_DB / 2)


def _is_floor(powers: Powers, levels_db: Floats) -> bool:
    """Whether (frames, bands) are steady noise once bands with a tone, by their (bands,) levels, are left
    out."""
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
    """The cliff near band `at`, with the -6 dB edge of the low-pass that made it.

    The spectrum of the loud frames is fitted with a straight trend in dB over log frequency, times a low-pass
    of power 1 / (1 + 3 (f / edge)^(2 order)), plus the floor. The fit is robust: sound has its own shape.

    Args:
        powers: (frames, bands).
        edges_hz: (bands + 1,).
        at: a band on the fall, or above it.
        floor_db: level of the range above.

    Returns:
        None where the fall is gentler than a cliff's, or lies on the skirt of a gentle filter.
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
    """The (bands,) levels, with bands that hold a tone brought down to the median of those around them."""
    if len(levels_db) < TONE_BANDS:
        return levels_db
    about = np.lib.stride_tricks.sliding_window_view(np.pad(levels_db, TONE_BANDS // 2, "edge"), TONE_BANDS)
    usual = middle(about)
    return np.where(levels_db > usual + TONE_DB, usual, levels_db)


def is_steady(power: Floats) -> bool:
    """Whether the power of (frames,) is that of steady noise, whose loudest tenth stands out by chance
    only."""
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
    """Indices of the loudest tenth of (frames, ...), without the few at the very top, which may be clicks."""
    rare = int(len(power) * RARE_SHARE)
    count = max(4, round(len(power) * LOUD_SHARE))
    return np.argsort(power, axis=0)[::-1][rare : rare + count]


def _medians(values: Floats) -> Floats:
    """The medians of runs of SIXTH values, one every four values; the last run may have only four to
    seven."""
    runs = max(0, (len(values) - SIXTH) // 4 + 1)
    whole = np.lib.stride_tricks.sliding_window_view(values, SIXTH)[::4] if runs else np.empty((0, SIXTH))
    rest = values[4 * runs :]
    return np.append(middle(whole), median(rest)) if len(rest) > 3 else middle(whole)


def median(values: Floats) -> float:
    """The median of a few values; for a dozen, NumPy's own takes twenty times as long."""
    return float(middle(values))


def middle(values: Floats) -> Floats:
    """The medians over the last axis, which holds a few values."""
    ordered, half = np.sort(values), values.shape[-1] // 2
    if values.shape[-1] % 2:
        return np.asarray(ordered[..., half])
    return np.asarray((ordered[..., half - 1] + ordered[..., half]) / 2)


def lower_quartile(values: Floats) -> Floats:
    """np.percentile(values, 25, axis=-1) of a few values, in a thirtieth of the time."""
    count = values.shape[-1]
    ordered, (first, quarters) = np.sort(values), divmod(count - 1, 4)
    below, above = ordered[..., first], ordered[..., min(first + 1, count - 1)]
    step = above - below
    return np.asarray(below + step * (quarters / 4) if quarters < 2 else above - step * (1 - quarters / 4))


def _running_sum(powers: Powers) -> NDArray[np.float64]:
    sums = np.zeros((powers.shape[0], powers.shape[1] + 1))
    np.cumsum(powers, axis=1, dtype=np.float64, out=sums[:, 1:])
    return sums

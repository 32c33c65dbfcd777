"""Images: the mirror of a sound's band that plain interpolation leaves above it when it raises the rate.

Held samples, lines between samples, cubics through four of them: none removes what a rate of r repeats above
r / 2. Every frame then mirrors, bin by bin, the range below r / 2 in the range above it, quieter with the
distance. The only sound that is its own mirror is a steady tone, and it is one around each of its partials.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000)
"""The rates that a sound may have been raised from: those that files have. A mirror elsewhere is no image:
chords have them too, strings at 5.3 kHz."""
LEAST_RATE_HZ = 4000.0
"""Mirrors are looked for from this rate on, also below RATES_HZ: a tone is recognised by having many."""
AROUND_BINS = 16
"""A bin's level is taken relative to this many bins on either side."""
MOST_NEPERS = 3.0
"""Limit of that relative level, nepers of power: a partial is one bin among many."""
REACH_BINS, LEAST_BINS, CLEAR_BINS = 200, 24, 3
"""The two sides are compared from CLEAR_BINS, beyond the window's own lobe, to REACH_BINS from the mirror's
place; at least LEAST_BINS must be there."""
LIKENESS = 0.5
"""From this correlation of the two sides on, one is the image of the other."""
PEAK_BINS = 3
ALONE = 0.1
"""The likeness of an image exceeds that of all other mirrors below twice its rate by this: a steady tone has
many mirrors."""
LAW_OF = ((0.1, 0.3), (0.3, 0.5))
"""Two ranges of distance from r / 2 at which levels are compared, as shares of r / 2."""
LAW, LAW_SPREAD = (0.75, 5.0), 1.3
"""At r - f, an image of what is at f is quieter by (r - f) / f to some power: 1 where samples were held, 2
for lines between them (sinc and its square), 2.4 to 4 for cubics; 0 for the sidebands of a tone. LAW bounds
that power, and LAW_SPREAD the ratio of its values in the two ranges of LAW_OF."""

HELD_SHARE = 0.1
"""Samples were held where at least this share of the frames change at the lower rate, and none more often;
quiet frames of 16 bits change less often. Of 656 whole recordings of 16 bits, none does so."""

Floats = NDArray[np.floating[Any]]


def held_from_hz(changes_hz: Floats, rate_hz: float, bin_hz: float) -> float | None:
    """The rate from which a sound was raised by holding its samples, whatever the ratio, or None.

    At a fractional ratio a sample is held for, say, two frames or three in turn, and images lie everywhere:
    the mirror alone does not find them. But samples still change at the lower rate.

    Args:
        changes_hz: (frames,) how many times a second a sample differs from the one before.
        rate_hz: the clip's.
        bin_hz: the resolution of `changes_hz`: one change in a frame.

    Returns:
        One of RATES_HZ.
    """
    for lower_hz in RATES_HZ:
        over_hz = changes_hz - lower_hz
        if lower_hz < rate_hz - 2 * bin_hz and over_hz.max() < 2 * bin_hz:
            return float(lower_hz) if np.mean(over_hz > -2 * bin_hz) >= HELD_SHARE else None
    return None


def raised_from_hz(powers: Floats, bin_hz: float, highest_hz: float) -> float | None:
    """The rate from which a sound was raised by plain interpolation, or None.

    Args:
        powers: (frames, bins) of Hann-windowed frames, from 0 Hz on.
        bin_hz: width of a bin.
        highest_hz: no mirror is looked for at or above this.

    Returns:
        One of RATES_HZ.
    """
    total = powers.sum(axis=1)
    loud = powers[total >= max(float(np.median(total)), np.finfo(np.float32).tiny)]
    if not len(loud):
        return None
    likeness = _likeness(_whitened(loud), int(2 * highest_hz / bin_hz), int(LEAST_RATE_HZ / bin_hz))
    level_db = 10 * np.log10(loud.mean(axis=0, dtype=np.float64) + 1e-20)
    for place in np.flatnonzero(likeness >= LIKENESS):
        rate_hz = min(RATES_HZ, key=lambda rate_hz: abs(rate_hz - place * bin_hz))
        if abs(rate_hz - place * bin_hz) > bin_hz:
            continue
        about = likeness[max(0, place - PEAK_BINS) : place + PEAK_BINS + 1]
        if likeness[place] == about.max() and _falls_as_an_image(level_db, int(place)):
            others = likeness[: 2 * place - PEAK_BINS].copy()
            others[place - 2 * PEAK_BINS : place + 2 * PEAK_BINS + 1] = 0
            if likeness[place] - others.max() >= ALONE:
                return float(rate_hz)
    return None


def _whitened(powers: Floats) -> NDArray[np.float32]:
    """(frames, bins): the level of each bin relative to those around it, in nepers of power."""
    level = np.log(np.asarray(powers, np.float64) + 1e-20)
    sums = np.cumsum(np.pad(level, ((0, 0), (AROUND_BINS + 1, AROUND_BINS)), "edge"), axis=1)
    width = 2 * AROUND_BINS + 1
    means = (sums[:, width:] - sums[:, :-width]) / width
    return np.asarray((level - means).clip(-MOST_NEPERS, MOST_NEPERS), np.float32)


def _likeness(white: NDArray[np.float32], most: int, least: int) -> Floats:
    """(most,): how alike the two sides of each place are; places count half bins: s mirrors bin b to s -
    b."""
    bins = white.shape[1]
    products = white.T @ white
    energy = np.diagonal(products)
    away = np.arange(CLEAR_BINS, REACH_BINS)
    place = np.arange(least, min(most, 2 * bins - 2))
    below, above = place[:, None] // 2 - away, place[:, None] - place[:, None] // 2 + away
    there = (below > 0) & (above < bins)
    below, above = np.where(there, below, 0), np.where(there, above, 0)
    alike = (products[below, above] * there).sum(axis=1)
    both = (energy[below] * there).sum(axis=1) * (energy[above] * there).sum(axis=1)
    enough = there.sum(axis=1) >= LEAST_BINS
    likeness = np.zeros(most)
    likeness[place] = np.where(enough, alike / np.sqrt(both + 1e-20), 0)
    return likeness


def _falls_as_an_image(level_db: Floats, place: int) -> bool:
    """Whether the range above a mirror's place is quieter than the one below as an image would be."""
    laws = []
    for shares in LAW_OF:
        away = np.arange(*(round(share * place / 2) for share in shares))
        below, above = place // 2 - away, place - place // 2 + away
        below, above = below[above < len(level_db)], above[above < len(level_db)]
        if len(below) >= CLEAR_BINS:
            quieter_db = float(np.mean(level_db[below] - level_db[above]))
            laws.append(quieter_db / float(np.mean(20 * np.log10(above / below))))
    return bool(laws) and LAW[0] <= min(laws) and max(laws) <= min(LAW[1], LAW_SPREAD * min(laws))

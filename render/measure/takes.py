"""Judges takes without a reference, by how well a generated band continues the band below it.

A take is a render of the same clip with another seed. Five figures and the peak compare its new band with the
recording's own band below the cut-off. No figure is best at zero: recordings fall below their own trend
towards the top, and their highs follow the level of their middle, but not quite. So each figure is judged by
its distance, in standard deviations, from recordings that are cut there and fall off like the input
(`USUAL`), and by its distance from the middle of all takes, which is what the model expects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from presets.schema import RATE_HZ
from render.clip import Clip
from render.measure.metrics import FFT, Spectrogram, active, grain, spectrogram

BANDS_PER_OCTAVE = 12
TREND_OCTAVES = 2.0
"""Range below the cut-off through which the input's trend is taken, a straight line in dB over octaves."""
EDGE = 1.06
"""Factor on either side of the cut-off, a twelfth of an octave, within which the crossover is left out."""
NARROWEST = 2 ** (1 / 6)
"""A new band that ends less than a sixth of an octave above the crossover is not measured."""
TILT_OCTAVES = 0.7
"""The least width of a new band whose tilt is measured: in a narrower one it is half a bump, half a slope."""
TOP_HZ = 20000.0
STRETCH_S, STRETCHES = 10.0, 6
"""A clip of more than a minute is judged by six stretches of ten seconds, spread evenly."""
OVER_DB = 1.0
"""This much above full scale counts as one standard deviation of a figure: it is heard where it is
clipped."""
EXPECTED = 2.0
"""Weight of a distance from the middle of the takes, relative to one from recordings. Of 0, 1/2, 0.7, 1, 1.4,
2 and 2.8 this found the takes nearest to the original, by LSD, in 100 renders of validation clips by
`draft`."""
FRAME_FLOOR_DB = 60.0
"""Frames this far below the loudest count as equally silent, lest pauses alone make two envelopes alike."""


class Usual(NamedTuple):
    """A figure's usual value in recordings, by where they are cut and how they fall off there.

    Attributes:
        at_8_khz: the mean for a cut at 8 kHz and a flat trend.
        per_octave: how it changes with each octave of the cut-off.
        per_db: how it changes with each dB an octave of the trend.
        deviation: standard deviation from that mean.
        name, unit, meaning: for users.
    """

    at_8_khz: float
    per_octave: float
    per_db: float
    deviation: float
    name: str
    unit: str
    meaning: str


USUAL: dict[str, Usual] = {
    "step_db": Usual(
        -4.11, -1.97, -0.41, 4.1, "step", "dB", "the third of an octave above the cut-off against that below"
    ),
    "level_db": Usual(
        -9.52, -1.93, -0.91, 6.4, "level", "dB", "the new band against the trend of the two octaves below"
    ),
    "tilt_db": Usual(
        -14.68, -3.86, -1.20, 6.1, "tilt", "dB an octave", "slope of the new band less that of the trend"
    ),
    "texture": Usual(
        1.04, 0.049, 0.001, 0.119, "texture", "", "grain of the new band over that of the octave below"
    ),
    "envelope": Usual(
        0.865, 0.045, 0.005, 0.126, "envelope", "", "how its level follows the octave below: correlation"
    ),
}
"""Fitted to 180 full-band recordings of the training corpora, sixty of speech, music and effects each, as if
they were cut at 4, 8 and 12 kHz: 528 measurements, 350 of the tilt."""


@dataclass(frozen=True, slots=True)
class TakeFigures:
    """What is measured of a take; None where it cannot be told.

    Attributes:
        step_db, level_db, tilt_db, texture, envelope: see `USUAL`.
        over_db: by how much its peak exceeds full scale, and the input's own peak; 0 where it does not.
        cutoff_hz, trend_db: where the input ends, and its trend there in dB an octave.
    """

    step_db: float | None = None
    level_db: float | None = None
    tilt_db: float | None = None
    texture: float | None = None
    envelope: float | None = None
    over_db: float = 0.0
    cutoff_hz: float = 8000.0
    trend_db: float = 0.0

    def usual(self, name: str) -> float:
        """The mean of a figure in recordings like this input."""
        usual = USUAL[name]
        octaves = float(np.log2(self.cutoff_hz / 8000))
        return usual.at_8_khz + usual.per_octave * octaves + usual.per_db * self.trend_db


class Verdict(NamedTuple):
    """Which of several takes goes on best from its clip.

    Attributes:
        best: its index among them.
        distances: of each take, in standard deviations: root mean square, over its figures, of the distance
            from recordings and, weighted by EXPECTED, from the middle of all takes; lower is better.
        why: one sentence for the user.
    """

    best: int
    distances: tuple[float, ...]
    why: str


def take_figures(
    clip: Clip, cutoff_hz: float, top_hz: float = TOP_HZ, *, over_db: float = 0.0
) -> TakeFigures:
    """Measures the band of a render above the cut-off against its band below.

    Args:
        clip: the render, at 48 kHz; read once, or in stretches where it is long.
        cutoff_hz: above it the band was generated.
        top_hz: where the generated band ends.
        over_db: see `TakeFigures`.
    """
    power = np.concatenate([spectrogram(clip.read(*place).mean(axis=0)) for place in _places(clip.frames)])
    sounds, top_hz, edge = active(power), min(top_hz, TOP_HZ), np.log2(EDGE)
    if not sounds.any() or top_hz < EDGE * NARROWEST * cutoff_hz:
        return TakeFigures(over_db=over_db)
    octaves, levels = _levels(power[sounds].mean(axis=0), cutoff_hz, top_hz)
    new, trend = octaves > edge, octaves < -edge
    line = np.polyfit(octaves[trend], levels[trend], 1)
    off = levels - np.polyval(line, octaves)
    near_below, near_above = off[trend & (octaves > -1 / 3 - edge)], off[new & (octaves < 1 / 3 + edge)]
    tilt_db = np.polyfit(octaves[new], off[new], 1)[0] if np.ptp(octaves[new]) > TILT_OCTAVES else None
    below, above = _bins(cutoff_hz / 2, cutoff_hz / EDGE), _bins(EDGE * cutoff_hz, top_hz)
    return TakeFigures(
        step_db=float(near_above.mean() - near_below.mean()),
        level_db=float(off[new].mean()),
        tilt_db=None if tilt_db is None else float(tilt_db),
        texture=grain(power[:, above], sounds) / max(grain(power[:, below], sounds), 1e-9),
        envelope=_correlation(_frame_db(power[sounds, below]), _frame_db(power[sounds, above])),
        over_db=over_db,
        cutoff_hz=cutoff_hz,
        trend_db=float(line[0]),
    )


def judge(takes: Sequence[TakeFigures]) -> Verdict:
    """The take nearest to recordings and to the middle of all takes; the first of equals.

    Args:
        takes: one or more.
    """
    away = _away(takes)
    distances = tuple(float(np.sqrt(np.mean(np.square(list(figures.values()))))) for figures in away)
    best = min(range(len(takes)), key=distances.__getitem__)
    return Verdict(best, distances, _why(takes[best], away, distances, best))


def told(take: TakeFigures) -> str:
    """The figures of a take that could be measured, in a line, with names and units."""
    names = [name for name in USUAL if getattr(take, name) is not None]
    return ", ".join(_told(name, take) for name in [*names, *(["over_db"] if take.over_db else [])])


def legend() -> list[str]:
    """What the figures mean, a line each."""
    return [
        "takes are judged by their distance, in standard deviations, from recordings cut at that frequency",
        "and from the middle of all takes:",
        *(f"  {usual.name}: {usual.meaning}" for usual in USUAL.values()),
        "  peak: above full scale where the input was not",
    ]


def expected(take: TakeFigures) -> str:
    """The usual figures of recordings like the input of a take, in a line; "" where none could be
    measured."""
    have = [
        f"{_named(name, take.usual(name))} (+- {USUAL[name].deviation:g})"
        for name in USUAL
        if getattr(take, name) is not None
    ]
    return ", ".join(have)


def _why(chosen: TakeFigures, away: Sequence[dict[str, float]], distances: Sequence[float], best: int) -> str:
    if max(distances) - min(distances) < 0.005:
        return "all takes measure alike; the first is as good as any"
    others = [place for place in range(len(away)) if place != best]
    gains = {
        name: median(away[place].get(name, 0.0) for place in others) - value
        for name, value in away[best].items()
    }
    most = sorted((name for name in gains if gains[name] > 0), key=gains.__getitem__, reverse=True)[:2]
    by = " and ".join(_told(name, chosen) for name in most)
    far = [distances[place] for place in others]
    rest = f"{min(far):.2f}" + (f" to {max(far):.2f}" if len(far) > 1 else "")
    most_by = f", most by its {by}" if by else ""
    return f"{distances[best]:.2f} from what is usual and expected (the others {rest}){most_by}"


def _away(takes: Sequence[TakeFigures]) -> list[dict[str, float]]:
    """How far each figure of each take lies from recordings and from the middle of the takes, in standard
    deviations of recordings; its peak, how far above full scale."""
    known = [{name: value for name in USUAL if (value := getattr(take, name)) is not None} for take in takes]
    middle = {
        name: median(found)
        for name in USUAL
        if (found := [figures[name] for figures in known if name in figures])
    }
    return [
        {
            name: hypot(value - take.usual(name), EXPECTED * (value - middle[name])) / USUAL[name].deviation
            for name, value in figures.items()
        }
        | {"over_db": take.over_db / OVER_DB}
        for take, figures in zip(takes, known, strict=True)
    ]


def _told(name: str, take: TakeFigures) -> str:
    if name == "over_db":
        return f"peak {take.over_db:.1f} dB over full scale" if take.over_db else "peak below full scale"
    return _named(name, getattr(take, name))


def _named(name: str, value: float) -> str:
    usual = USUAL[name]
    sign, digits, unit = ("+", 1, f" {usual.unit}") if usual.unit else ("", 2, "")
    return f"{usual.name} {round(value, digits) + 0.0:{sign}.{digits}f}{unit}"


def _places(frames: int) -> list[tuple[int, int]]:
    """(start, frames) of the stretches that are read."""
    stretch = round(STRETCH_S * RATE_HZ)
    if frames <= STRETCHES * stretch:
        return [(0, frames)]
    return [(k * (frames - stretch) // (STRETCHES - 1), stretch) for k in range(STRETCHES)]


def _bins(from_hz: float, to_hz: float) -> slice:
    return slice(int(from_hz * FFT / RATE_HZ) + 1, int(to_hz * FFT / RATE_HZ) + 1)


def _levels(
    power: NDArray[np.float64], cutoff_hz: float, top_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean power, dB, of each twelfth of an octave that holds a bin, and its middle in octaves from the
    cut-off."""
    octaves, levels = [], []
    for band in range(
        round(-BANDS_PER_OCTAVE * TREND_OCTAVES), int(BANDS_PER_OCTAVE * np.log2(top_hz / cutoff_hz))
    ):
        low, high = (cutoff_hz * 2 ** (edge / BANDS_PER_OCTAVE) for edge in (band, band + 1))
        bins = power[_bins(low, high)]
        if len(bins):
            octaves.append((band + 0.5) / BANDS_PER_OCTAVE)
            levels.append(10 * np.log10(bins.mean() + 1e-12))
    return np.array(octaves), np.array(levels)


def _frame_db(power: Spectrogram) -> NDArray[np.float64]:
    level = 10 * np.log10(power.mean(axis=1) + 1e-12)
    return np.asarray(np.maximum(level, level.max() - FRAME_FLOOR_DB))


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """The correlation of two envelopes; None where one of them does not move."""
    if len(one) < 2 or min(np.std(one), np.std(other)) < 1e-6:
        return None
    return float(np.corrcoef(one, other)[0, 1])

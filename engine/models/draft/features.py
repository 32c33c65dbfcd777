"""What a predictor sees of a clip: levels below the cut-off, how tonal they are, statistics of the window.

The levels of a frame say what is played; the statistics of every band over the whole window (mean, spread,
quiet and loud tenth) say how it was recorded: its noise floor, its room, its codec. Levels are relative to
the window's own mean, which is an input too: so a clip looks the same at any gain, and yet the noise floor of
a 16-bit file can be recognised.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engine.models.draft.bands import (
    BIN_HZ,
    BINS,
    FLOOR_DB,
    Array,
    group_means,
    level_db,
    moving_mean,
)

INPUT_BANDS = 192
LINEAR_BINS = 60
"""Below about this bin the input's bands are one bin wide, above it they widen in proportion to frequency."""
BANDS_A_PRODUCT = 32
"""How many of the input's bands are averaged at a time: a product with all would be mostly with zeros."""
TEXTURE_BINS = 32
TEXTURE_FRAMES = 5
TEXTURES = (BINS - 1) // TEXTURE_BINS
NOISE_TEXTURE_DB = 5.57
"""Standard deviation of the level of a bin of Gaussian noise."""
ACTIVE_DB = -70.0
"""A frame sounds when the mean power of its bins is above this (about -100 dBFS)."""
SEEN = 0.93
"""Bands that end above this share of the cut-off are hidden: the input's filter already attenuates there."""
SPREAD_DB = 20.0
"""dB in one unit of a network's input and output."""
PER_FRAME = INPUT_BANDS + TEXTURES
PER_WINDOW = 5 * INPUT_BANDS + 2


@dataclass(frozen=True, slots=True)
class Features:
    """The inputs of a network for one channel of one window.

    Attributes:
        frames: (T, PER_FRAME) float32: relative levels and texture, 0 where they are hidden.
        window: (PER_WINDOW,) float32: statistics of the bands seen, which bands these are, level and cut-off.
        reference_db: the level that the levels, and the network's outputs, are relative to.
    """

    frames: Array
    window: Array
    reference_db: float


@cache
def input_edges() -> NDArray[np.intp]:
    """(INPUT_BANDS + 1,): the bins where the input's bands begin and, the last, end."""
    growth = np.log(1 + (BINS - 1) / LINEAR_BINS)
    edges = 1 + LINEAR_BINS * np.expm1(np.linspace(0, 1, INPUT_BANDS + 1) * growth)
    return np.asarray(np.rint(edges), np.intp)


def input_levels(bins_db: Array) -> Array:
    """Mean decibels of the input's bands that lie within some bins: (T, bins) -> (T, up to INPUT_BANDS)."""
    edges = input_edges()
    levels = np.empty((len(bins_db), int(np.sum(edges[1:] <= bins_db.shape[-1]))), np.float32)
    for first in range(0, levels.shape[1], BANDS_A_PRODUCT):
        last = min(first + BANDS_A_PRODUCT, levels.shape[1])
        seen = slice(edges[first], edges[last])
        np.matmul(bins_db[:, seen], _means()[seen, first:last], out=levels[:, first:last])
    return levels


@cache
def _means() -> Array:
    """(BINS, INPUT_BANDS): the weight of each bin in each of the input's bands."""
    edges, bins = input_edges(), np.arange(BINS)[:, None]
    inside = (bins >= edges[:-1]) & (bins < edges[1:])
    return (inside / np.diff(edges)).astype(np.float32)


def texture_db(bins_db: Array) -> Array:
    """Standard deviation of the levels around each point, over 32 bins and 5 frames.

    About 5.6 dB for noise, more for partials, less for smeared sound.

    Args:
        bins_db: (T, 1 + 32 n), from bin 0 on.

    Returns:
        (T, n) float32, dB.
    """
    bins_db = bins_db[:, 1:]
    first = moving_mean(group_means(bins_db, TEXTURE_BINS), TEXTURE_FRAMES)
    second = moving_mean(group_means(np.square(bins_db), TEXTURE_BINS), TEXTURE_FRAMES)
    return np.sqrt(np.maximum(second - np.square(first), 0))


def active_frames(power: Array) -> NDArray[np.bool_]:
    """(T,) bool: which frames of (T, bins) powers sound."""
    return level_db(power.mean(-1)) > ACTIVE_DB


def features(power: Array, cutoff_hz: float) -> Features:
    """The inputs of a network.

    Args:
        power: (T, BINS) of a band-limited signal, see `engine.models.draft.bands`.
        cutoff_hz: its -6 dB edge; nothing above 0.93 of it is used.
    """
    last_bin = int(SEEN * cutoff_hz / BIN_HZ)
    bins_db = level_db(power[:, : last_bin + 1])
    levels = input_levels(bins_db)
    bands = levels.shape[1]
    active = active_frames(power[:, :last_bin])
    heard = levels[active] if active.any() else np.full((1, bands), FLOOR_DB, np.float32)
    mean = heard.mean(0, dtype=np.float64).astype(np.float32)
    ordered = np.sort(heard, axis=0)
    tenth = len(ordered) // 10
    statistics = np.stack([mean, ordered[tenth], ordered[len(ordered) - 1 - tenth]])
    reference_db = float(mean.mean())
    textures = last_bin // TEXTURE_BINS

    frames = np.zeros((len(power), PER_FRAME), np.float32)
    relative, texture = frames[:, :bands], frames[:, INPUT_BANDS : INPUT_BANDS + textures]
    np.clip((levels - reference_db) / SPREAD_DB, -4, 4, out=relative)
    tonal = texture_db(bins_db[:, : 1 + textures * TEXTURE_BINS]) / NOISE_TEXTURE_DB - 1
    np.clip(tonal, -1, 3, out=texture)

    window = np.zeros(PER_WINDOW, np.float32)
    whole = window[:-2].reshape(5, INPUT_BANDS)[:, :bands]
    whole[:3] = ((statistics - reference_db) / SPREAD_DB).clip(-4, 4)
    whole[3] = heard.std(0, dtype=np.float64) / SPREAD_DB
    whole[4] = 1
    window[-2:] = reference_db / SPREAD_DB, cutoff_hz / 10000
    return Features(frames, window, reference_db)

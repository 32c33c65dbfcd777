"""What a predictor sees of a clip: levels below the cut-off, how tonal they are, statistics of the window.

The levels of a frame say what is played; the statistics of every band over the whole window (mean, spread,
quiet and loud tenth) say how it was recorded: its noise floor, its room, its codec. Levels are relative to
the window's own mean, which goes along as a number, so that a clip sounds the same at any gain and yet the
floor of a 16-bit file can be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.models.draft.bands import BANDS, BIN_HZ, BINS, FLOOR_DB, band_centres_hz, level_db, moving_mean

INPUT_BANDS = 192
LINEAR_BINS = 60
"""Below about this bin the input's bands are one bin wide, above it they widen in proportion to frequency."""
TEXTURE_BINS = 32
TEXTURE_FRAMES = 5
TEXTURES = (BINS - 1) // TEXTURE_BINS
NOISE_TEXTURE_DB = 5.57
"""Standard deviation of the level of a bin of Gaussian noise."""
ACTIVE_DB = -70.0
"""A frame sounds when the mean power of its bins is above this (about -100 dBFS)."""
SEEN = 0.93
"""Bands that end above this share of the cut-off are hidden: the input's filter already bites there."""
SPREAD_DB = 20.0
"""What one unit of a network's input and output is worth."""
PER_FRAME = INPUT_BANDS + TEXTURES
PER_WINDOW = 5 * INPUT_BANDS + 2


@dataclass(frozen=True, slots=True)
class Features:
    """The inputs of a network for one channel of one window.

    Attributes:
        frames: (T, PER_FRAME) float32: relative levels and texture, 0 where they are not seen.
        window: (PER_WINDOW,) float32: statistics of the seen bands, which are seen, level and cut-off.
        reference_db: what the levels, and the network's answer, are relative to.
    """

    frames: Tensor
    window: Tensor
    reference_db: float


@cache
def input_edges() -> Tensor:
    """(INPUT_BANDS + 1,) int64: the bins where the input's bands begin and, the last, end."""
    position = torch.linspace(0, 1, INPUT_BANDS + 1, dtype=torch.float64)
    growth = torch.log(torch.tensor(1 + (BINS - 1) / LINEAR_BINS, dtype=torch.float64))
    return torch.round(1 + LINEAR_BINS * (torch.exp(position * growth) - 1)).long()


def input_levels(bins_db: Tensor) -> Tensor:
    """Mean decibels of the input's bands that lie within some bins: (T, bins) -> (T, up to INPUT_BANDS)."""
    edges = input_edges()
    edges = edges[edges <= bins_db.shape[-1]]
    sums = functional.pad(bins_db.cumsum(-1), (1, 0))[:, edges]
    return sums.diff(dim=-1) / edges.diff()


def texture_db(bins_db: Tensor) -> Tensor:
    """Standard deviation of the levels around each point, over 32 bins and 5 frames.

    About 5.6 dB for noise, more for partials, less for smeared sound.

    Args:
        bins_db: (T, 1 + 32 n), from bin 0 on.

    Returns:
        (T, n) float32, dB.
    """
    groups = bins_db[:, 1:].reshape(len(bins_db), -1, TEXTURE_BINS)
    first, second = (
        moving_mean(moment, TEXTURE_FRAMES) for moment in (groups.mean(-1), groups.square().mean(-1))
    )
    return (second - first.square()).clamp(min=0).sqrt()


def active_frames(power: Tensor) -> Tensor:
    """(T,) bool: which frames of (T, bins) powers sound."""
    return level_db(power.mean(-1)) > ACTIVE_DB


def features(power: Tensor, cutoff_hz: float) -> Features:
    """The inputs of a network.

    Args:
        power: (T, BINS) of a band-limited signal, see `engine.models.draft.bands`.
        cutoff_hz: its -6 dB edge; nothing above 0.93 of it is looked at.
    """
    last_bin = int(SEEN * cutoff_hz / BIN_HZ)
    bins_db = level_db(power[:, : last_bin + 1])
    levels = input_levels(bins_db)
    bands = levels.shape[1]
    active = active_frames(power[:, :last_bin])
    heard = levels[active] if bool(active.any()) else torch.full((1, bands), FLOOR_DB)
    mean = heard.mean(0)
    ordered = torch.from_numpy(np.sort(heard.numpy(), axis=0))  # four times as fast as torch's
    tenth = len(ordered) // 10
    statistics = torch.stack([mean, ordered[tenth], ordered[len(ordered) - 1 - tenth]])
    reference_db = float(mean.mean())
    statistics = ((statistics - reference_db) / SPREAD_DB).clamp(-4, 4)
    spread = heard.std(0, correction=0) / SPREAD_DB
    relative = ((levels - reference_db) / SPREAD_DB).clamp(-4, 4)
    textures = last_bin // TEXTURE_BINS
    texture = (texture_db(bins_db[:, : 1 + textures * TEXTURE_BINS]) / NOISE_TEXTURE_DB - 1).clamp(-1, 3)
    unseen, untold = (0, INPUT_BANDS - bands), (0, TEXTURES - textures)
    whole = torch.cat([statistics, spread[None], torch.ones(1, bands)])
    about = torch.tensor([reference_db / SPREAD_DB, cutoff_hz / 10000])
    window = torch.cat([functional.pad(whole, unseen).flatten(), about])
    frames = torch.cat([functional.pad(relative, unseen), functional.pad(texture, untold)], -1)
    return Features(frames, window, reference_db)


def above(cutoff_hz: float) -> Tensor:
    """(BANDS,) float32: the share of each output band that lies above the cut-off."""
    lower = band_centres_hz() - 4 * BIN_HZ
    return ((lower + 8 * BIN_HZ - cutoff_hz) / (8 * BIN_HZ)).clamp(0, 1).reshape(BANDS)

"""Makes an envelope, levels and noise shares, from the levels and textures that the network predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.models.draft.bands import BANDS, FLOOR_DB, Array
from engine.models.draft.features import SPREAD_DB, TEXTURES, features
from engine.models.draft.predictor import CONTOURS, ConvNext

MOSTLY_NOISE, TONAL = 1.0, 1 / 0.6
"""Noise share of a band with the texture of noise, and its fall for each unit of texture beyond that."""
LEAST_NOISE = 0.2


@dataclass(frozen=True, slots=True)
class Envelope:
    """The predicted envelope of one channel.

    Attributes:
        level_db: (T, BANDS) float32, level of each band's mean power; used above the cut-off only.
        noise_share: (T, BANDS) float32, 0 (all copied up) to 1 (all noise), in power.
    """

    level_db: Array
    noise_share: Array

    def part(self, frames: slice, first_band: int) -> Envelope:
        """Some of its frames, from band `first_band` on."""
        return Envelope(self.level_db[frames, first_band:], self.noise_share[frames, first_band:])


class Predictor(Protocol):
    """Predicts the envelope above the cut-off from the band below it."""

    digest: str

    def envelope(self, power: Array, cutoff_hz: float, take: int) -> Envelope:
        """The envelope of one channel.

        Args:
            power: (T, BINS) of its spectrum.
            cutoff_hz: its -6 dB edge.
            take: which of the contours that the clip may have had, see `take_of`.
        """
        ...


class Learned:
    """The envelope that a trained network predicts.

    Args:
        network: the trained network.
        digest: of its weights.
    """

    def __init__(self, network: ConvNext, digest: str) -> None:
        self.network, self.digest = network, digest

    def envelope(self, power: Array, cutoff_hz: float, take: int) -> Envelope:
        """See Predictor."""
        given = features(power, cutoff_hz)
        outputs, contours = self.network(given.frames, given.window)
        level = outputs[:, :BANDS]
        if take:
            level = level + contours[take - 1]
        # The topmost band is not trained (training stops a band short of an edge): it takes the one below.
        level[:, -1] = level[:, -2]
        level = without_lines(level) * np.float32(SPREAD_DB) + np.float32(given.reference_db)
        texture = np.repeat(outputs[:, BANDS:], BANDS // TEXTURES, -1)
        share = (np.float32(MOSTLY_NOISE) - np.float32(TONAL) * texture).clip(LEAST_NOISE, 1)
        return Envelope(np.maximum(level, np.float32(FLOOR_DB)), share)


def without_lines(level: Array) -> Array:
    """The median of each band's level and its two neighbours': (T, BANDS) -> (T, BANDS).

    The envelope is that of power over 1.5 kHz, so no single band should stand out of it. A network may lift
    one all the same, which draws a line across a quiet clip: the one that ships lifts bands 43, 54 and 105 by
    1 dB in the mean of 18 clips, the one before it band 105 by 3.
    """
    here, below, above = level[:, 1:-1], level[:, :-2], level[:, 2:]
    middle = np.maximum(np.minimum(below, above), np.minimum(np.maximum(below, above), here))
    return np.concatenate([level[:, :1], middle, level[:, -1:]], -1)


def take_of(seed: int) -> int:
    """Which contour a seed takes: 0 the expected one, then each of the others in turn.

    It depends on the seed alone, so all windows of a clip, and all renders of a stretch of it, take the same.
    """
    return seed % (CONTOURS + 1)

"""Draws the envelope over the fine structure: copies and noise are mixed, stretched and brought to its
level."""

from __future__ import annotations

import numpy as np

from engine.models.draft.bands import (
    BAND_BINS,
    POWER_FLOOR,
    Array,
    Bins,
    band_power,
    exp_over_bins,
    level_db,
    over_bins,
    power_of,
)
from engine.models.draft.envelope import Envelope
from engine.models.draft.fine_structure import DB_TO_NEPER

TONES_GRAIN, NOISE_GRAIN = 0.6, 1.95
"""Factors by which the fine structure is stretched, in dB around the envelope: where all is copied up, and
where all is noise. A predicted envelope is smoother than a real one, and the grain of noise has to make up
for that (`texture` in render/measure/metrics.py); copied partials, once whitened, stand out further."""


def draw_over(copies: Bins, noise: Bins, envelope: Envelope, balance: Array, empty: int) -> None:
    """Turns the noise of some frames into their spectrum, with the envelope's level in every band.

    Args:
        copies: (T, 8 n) complex64, from the first bin of a band on, of mean power 1 in every band;
            overwritten.
        noise: likewise; overwritten with the result.
        envelope: of these frames and bands.
        balance: (8 n,) nepers to add to each bin.
        empty: how many of the first bins stay empty.
    """
    share = over_bins(envelope.noise_share)
    copies *= np.sqrt(1 - share)
    noise *= np.sqrt(share)
    noise += copies
    power = power_of(noise)
    power += np.float32(POWER_FLOOR)
    # A bin's power p becomes p^grain, so its amplitude is multiplied by p^((grain - 1) / 2).
    share *= np.float32((NOISE_GRAIN - TONES_GRAIN) / 2)
    share += np.float32((TONES_GRAIN - 1) / 2)
    gain = np.log(power)
    gain *= share
    np.exp(gain, out=gain)
    power *= gain
    power *= gain
    power[:, :empty] = 0
    lift_db = envelope.level_db - level_db(band_power(power, empty // BAND_BINS))
    gain *= exp_over_bins(lift_db * np.float32(DB_TO_NEPER))
    gain *= np.exp(balance)
    gain[:, :empty] = 0
    noise *= gain

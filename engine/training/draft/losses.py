"""The losses of a predictor: levels near the mean of decibels, and bands as loud as the clip's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.draft.bands import BANDS, band_centres_hz
from engine.models.draft.features import SPREAD_DB

FINE_STRUCTURE = 0.7
"""Distance, in units of 10 dB, that remains between two sounds of equal envelope: far smaller errors drown in
it."""

STEADY = 0.02
"""Variance of a clip's amplitude, relative to its mean, below which it counts as steady."""

MOMENT_FRAMES = 5
"""53 ms: over this time, and a third of an octave, power is compared."""

RELAXED = 0.05
"""Share of the contour loss that all contours get, not only the best, so that none is left without a clip."""

LEVEL_RANGE = (-7.0, 3.0)
"""Levels are limited to this before their power is taken, in units of SPREAD_DB."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over a batch, in units of 10 dB unless stated; `total` is what is minimised.

    Attributes:
        distance: RMS of the level's error over bands, mean over frames: the part of the log-spectral distance
            that is due to the envelope.
        loudness: mean size of the error of the power in third-octave bands, each over the whole clip.
        moments: the same over 53 ms at a time.
        texture: mean size of the texture's error, in units of noise's texture.
        dynamics: 1 - correlation, over a clip's frames, of the amplitude of all bands together.
        contour: RMS over bands of what the best contour leaves of a clip's mean error in each band.
    """

    total: Tensor
    distance: Tensor
    loudness: Tensor
    moments: Tensor
    texture: Tensor
    dynamics: Tensor
    contour: Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each part, where the distance has 1."""

    loudness: float = 0.5
    moments: float = 0.2
    texture: float = 0.1
    dynamics: float = 0.5
    contour: float = 0.2


@cache
def third_octaves() -> Tensor:
    """(BANDS, N) float32: which third of an octave from 1 to 24 kHz each band is in, one column each."""
    index = torch.floor(3 * torch.log2(torch.from_numpy(band_centres_hz()) / 1000)).long().clamp(min=0)
    columns = functional.one_hot(index).float()
    return columns[:, columns.sum(0) > 0]


def losses(
    outputs: Tensor, contours: Tensor, level: Tensor, texture: Tensor, weight: Tensor, parts: Weights
) -> Losses:
    """Compares a network's outputs with the targets.

    The distance is least near the mean of log levels, which gives a clip too little power; the two terms in
    power raise the loud moments, which hardly count in the distance.

    Args:
        outputs: (B, T, BANDS + TEXTURES).
        contours: (B, CONTOURS, BANDS).
        level: (B, T, BANDS), in units of 20 dB.
        texture: (B, T, TEXTURES).
        weight: (B, T, BANDS), 0 where the reference holds nothing or the input shows the band.
        parts: weights of the other parts.
    """
    answer = outputs[..., :BANDS]
    error = (answer - level) * (SPREAD_DB / 10)
    bands = weight.sum(-1)
    frames = weight.amax(-1)
    square = (error.square() * weight).sum(-1) / bands.clamp(min=1e-6)
    total_weight = frames.sum().clamp(min=1.0)
    shaped = ((square + FINE_STRUCTURE**2).sqrt() * frames).sum() / total_weight
    distance = ((square + 1e-8).sqrt() * frames).sum() / total_weight
    groups = weight.reshape(*texture.shape, -1).amin(-1)
    texture_error = ((outputs[..., BANDS:] - texture).abs() * groups).sum() / groups.sum().clamp(min=1.0)
    powers = [10 ** (x.clamp(*LEVEL_RANGE) * (SPREAD_DB / 10)) * weight for x in (answer, level)]
    loudness, moments = _loudness(powers, weight)
    dynamics = (1 - _correlation(powers, frames)).mean()
    contour = _contour(error.detach(), contours * (SPREAD_DB / 10), weight)
    total = (
        shaped
        + parts.loudness * loudness
        + parts.moments * moments
        + parts.texture * texture_error
        + parts.dynamics * dynamics
        + parts.contour * contour
    )
    found = (distance, loudness, moments, texture_error, dynamics, contour)
    return Losses(total, *(part.detach() for part in found))


def _loudness(powers: list[Tensor], weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean size of the error of power in third octaves: over the whole clip, and over MOMENT_FRAMES."""
    thirds = third_octaves().to(weight.device)
    answer, level, counts = (bands @ thirds for bands in (*powers, weight))
    whole = _size(answer.sum(1), level.sum(1), counts.sum(1))
    return whole, _size(*(_moments(x) for x in (answer, level, counts)))


def _moments(frames: Tensor) -> Tensor:
    """Sums over MOMENT_FRAMES at a time: (B, T, N) -> (B, T // MOMENT_FRAMES, N)."""
    batch, count, bands = frames.shape
    whole = frames[:, : count // MOMENT_FRAMES * MOMENT_FRAMES]
    return whole.reshape(batch, -1, MOMENT_FRAMES, bands).sum(2)


def _size(answer: Tensor, level: Tensor, counts: Tensor) -> Tensor:
    floor = 1e-9 * counts + 1e-12
    error = torch.log10((answer + floor) / (level + floor))
    share = counts / counts.amax(-1, keepdim=True).clamp(min=1e-6)
    size = functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=0.5)
    return (size * share).sum() / share.sum().clamp(min=1.0)


def _correlation(powers: list[Tensor], frames: Tensor) -> Tensor:
    """(B,), over frames, of the amplitude of all bands together; about 1 for a steady clip, without
    dynamics."""
    count = frames.sum(-1, keepdim=True).clamp(min=1.0)
    deviations = []
    for power in powers:
        amplitude = (power.sum(-1) + 1e-8).sqrt()
        mean = (amplitude * frames).sum(-1, keepdim=True) / count
        deviations.append((amplitude / (mean + 1e-6) - 1) * frames)
    one, two = deviations
    joint = (one * two).sum(-1, keepdim=True) / count
    spread = [(d.square().sum(-1, keepdim=True) / count + STEADY).sqrt() for d in deviations]
    return ((joint + STEADY) / (spread[0] * spread[1]))[:, 0]


def _contour(error: Tensor, contours: Tensor, weight: Tensor) -> Tensor:
    """What the best contour, the expected one among them, leaves of a clip's mean error: winner takes all."""
    counts = weight.sum(1)
    mean = (error * weight).sum(1) / counts.clamp(min=1e-6)
    known = (counts > 0).float()[:, None]
    every = torch.cat([torch.zeros_like(contours[:, :1]), contours], 1)
    square = ((mean[:, None] + every).square() * known).sum(-1) / known.sum(-1).clamp(min=1.0)
    left = (square + 1e-6).sqrt()
    return ((1 - RELAXED) * left.amin(-1) + RELAXED * left[:, 1:].mean(-1)).mean()

"""What is asked of a predictor."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.models.draft.bands import BANDS
from engine.models.draft.features import SPREAD_DB

FINE_STRUCTURE = 0.7
"""Distance, in units of 10 dB, that two sounds of equal envelope keep: far smaller errors drown in it."""

STEADY = 0.02
"""Variance of a clip's amplitude, relative to its mean, below which it counts as steady."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over a batch; `total` is what is descended.

    Attributes:
        distance: RMS of the level's error over bands, mean over frames, in units of 10 dB: the part of the
            log-spectral distance that the envelope answers for.
        bias: mean over clips of the size of their mean error, in units of 10 dB.
        texture: mean size of the texture's error, in units of noise's texture.
        dynamics: 1 - correlation, over a clip's frames, of the amplitude of all bands together: the loud
            moments, which the mean of decibels hardly hears.
    """

    total: Tensor
    distance: Tensor
    bias: Tensor
    texture: Tensor
    dynamics: Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """What each part counts beside the distance."""

    bias: float = 0.1
    texture: float = 0.1
    dynamics: float = 0.25


def losses(outputs: Tensor, level: Tensor, texture: Tensor, weight: Tensor, parts: Weights) -> Losses:
    """Compares a network's answer with what was wanted.

    The level's loss is the log-spectral distance itself, sqrt(mean over bands of squared error + fine
    structure) frame by frame: its minimum lies near the mean of log levels. Bands are equally wide and weigh
    alike.

    Args:
        outputs: (B, T, BANDS + TEXTURES).
        level: (B, T, BANDS), in units of 20 dB.
        texture: (B, T, TEXTURES).
        weight: (B, T, BANDS), 0 where the reference says nothing or the input knows.
        parts: what the other parts count.
    """
    error = (outputs[..., :BANDS] - level) * (SPREAD_DB / 10)
    bands = weight.sum(-1)
    frame_weight = weight.amax(-1)
    square = (error.square() * weight).sum(-1) / bands.clamp(min=1e-6)
    total_weight = frame_weight.sum().clamp(min=1.0)
    shaped = ((square + FINE_STRUCTURE**2).sqrt() * frame_weight).sum() / total_weight
    distance = ((square + 1e-8).sqrt() * frame_weight).sum() / total_weight
    bias = ((error * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1.0)).abs().mean()
    groups = weight.reshape(*texture.shape, -1).amin(-1)
    texture_error = ((outputs[..., BANDS:] - texture).abs() * groups).sum() / groups.sum().clamp(min=1.0)
    dynamics = (1 - _correlation(outputs[..., :BANDS], level, weight)).mean()
    total = shaped + parts.bias * bias + parts.texture * texture_error + parts.dynamics * dynamics
    return Losses(total, distance.detach(), bias.detach(), texture_error.detach(), dynamics.detach())


def _correlation(outputs: Tensor, level: Tensor, weight: Tensor) -> Tensor:
    """(B,), of the amplitude of a frame's bands together; a steady clip, without dynamics, gives about 1."""
    frames = weight.amax(-1)
    count = frames.sum(-1, keepdim=True).clamp(min=1.0)
    deviations = []
    for answer in (outputs, level):
        power = (10 ** (answer.clamp(-4, 4) * (SPREAD_DB / 10)) * weight).sum(-1)
        amplitude = (power + 1e-8).sqrt()
        mean = (amplitude * frames).sum(-1, keepdim=True) / count
        deviations.append((amplitude / (mean + 1e-6) - 1) * frames)
    one, two = deviations
    joint = (one * two).sum(-1, keepdim=True) / count
    spread = [(d.square().sum(-1, keepdim=True) / count + STEADY).sqrt() for d in deviations]
    return ((joint + STEADY) / (spread[0] * spread[1]))[:, 0]

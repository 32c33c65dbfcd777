"""What is asked of a predictor."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.models.bands import BANDS
from engine.models.features import SPREAD_DB

FINE_STRUCTURE = 0.7
"""Distance, in units of 10 dB, that two sounds of equal envelope keep: far smaller errors drown in it."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over a batch; `total` is what is descended.

    Attributes:
        distance: RMS of the level's error over bands, mean over frames, in units of 10 dB: the part of the
            log-spectral distance that the envelope answers for.
        bias: mean over clips of the size of their mean error, in units of 10 dB.
        texture: mean size of the texture's error, in units of noise's texture.
    """

    total: Tensor
    distance: Tensor
    bias: Tensor
    texture: Tensor


def losses(
    outputs: Tensor, level: Tensor, texture: Tensor, weight: Tensor, bias_weight: float, texture_weight: float
) -> Losses:
    """Compares a network's answer with what was wanted.

    The level's loss is the log-spectral distance itself, sqrt(mean over bands of squared error + fine
    structure) frame by frame: its minimum lies near the mean of log levels. Bands are equally wide and weigh
    alike.

    Args:
        outputs: (B, T, BANDS + TEXTURES).
        level: (B, T, BANDS), in units of 20 dB.
        texture: (B, T, TEXTURES).
        weight: (B, T, BANDS), 0 where the reference says nothing or the input knows.
        bias_weight: what a clip's mean error counts.
        texture_weight: what the texture's error counts.
    """
    error = (outputs[..., :BANDS] - level) * (SPREAD_DB / 10)
    bands = weight.sum(-1)
    frame_weight = weight.amax(-1)
    square = (error.square() * weight).sum(-1) / bands.clamp(min=1e-6)
    total_weight = frame_weight.sum().clamp(min=1.0)
    shaped = ((square + FINE_STRUCTURE**2).sqrt() * frame_weight).sum() / total_weight
    distance = ((square + 1e-8).sqrt() * frame_weight).sum() / total_weight
    bias = ((error * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1.0)).abs().mean()
    groups = weight.unflatten(-1, (texture.shape[-1], -1)).amin(-1)
    texture_error = ((outputs[..., BANDS:] - texture).abs() * groups).sum() / groups.sum().clamp(min=1.0)
    total = shaped + bias_weight * bias + texture_weight * texture_error
    return Losses(total, distance.detach(), bias.detach(), texture_error.detach())

"""Which channels a model sees together, and how what it made becomes the clip's channels again."""

from __future__ import annotations

import numpy as np

from presets.schema import Stereo
from render.upscaler import Audio


class StereoPolicy:
    """How the channels of a clip are handed to a model.

    - `linked`: as they are, under one noise: what is equal in two channels stays equal.
    - `mid_side`: half the sum and half the difference, each under its own noise; two channels only,
      any other number is `linked`.
    - `independent`: as they are, each under its own noise.
    - `mono`: their mean, once; every channel gets the result at its own level.

    Args:
        stereo: the knob.
        channels: of the clip.
        links_channels: whether the model takes linked channels in one window; else they come one by one
            under one group, which is the same noise.

    Attributes:
        groups: the windows of one place: (encoded channels, noise group) each.
        recodes: whether the encoded channels are others than the clip's.
    """

    def __init__(self, stereo: Stereo, channels: int, links_channels: bool) -> None:
        if channels == 1 or (stereo == "mid_side" and channels != 2):
            stereo = "linked"
        self._stereo = stereo
        self._channels = channels
        self.recodes = stereo in ("mid_side", "mono")
        encoded = 1 if stereo == "mono" else channels
        self.groups: list[tuple[list[int], int]]
        if stereo == "linked" and links_channels:
            self.groups = [(list(range(channels)), 0)]
        else:
            self.groups = [([channel], 0 if stereo == "linked" else channel) for channel in range(encoded)]

    def encode(self, samples: Audio) -> Audio:
        """(channels, frames) -> (encoded channels, frames)."""
        if self._stereo == "mono":
            mean: Audio = samples.mean(axis=0, keepdims=True)
            return mean
        if self._stereo == "mid_side":
            left, right = samples
            return np.stack([left + right, left - right]) * np.float32(0.5)
        return samples

    def decode(self, encoded: Audio) -> Audio:
        """(encoded channels, frames) -> (channels, frames)."""
        if self._stereo == "mono":
            return np.broadcast_to(encoded, (self._channels, encoded.shape[1]))
        if self._stereo == "mid_side":
            mid, side = encoded
            return np.stack([mid + side, mid - side])
        return encoded

"""Which channels a model sees together, and how its output becomes the clip's channels again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from presets.knobs import Stereo
from render.channels import PAIRS, speakers
from render.upscaler import Audio


class StereoPolicy:
    """How the channels of a clip are handed to a model.

    - `linked`: as they are, held together: what is equal in two channels stays equal.
    - `mid_side`: half the sum and half the difference of every left and right, the two held together by a
      model that links channels, else each under its own noise; the other channels as they are.
    - `independent`: as they are, each under its own noise.
    - `mono`: their mean, once; every channel gets the result at its own level.

    Left and right are found by their speakers; two channels are a pair unless the mask says otherwise.
    Nothing is generated into a low-frequency channel (LFE) unless `lfe` asks for it.

    Args:
        stereo: the knob.
        channels: of the clip, in the WAV order.
        links_channels: whether the model takes linked channels in one window; else they come one by one in
            the same group, and so with the same noise.
        mask: which speakers the channels are for (see `render.channels`); 0 when not known.
        lfe: whether the low-frequency channel is generated into.

    Attributes:
        groups: the windows of one place: (encoded channels, noise group) each.
        recodes: whether the encoded channels are mixtures of the clip's.
        spared: the clip's channels that nothing is generated into.
    """

    def __init__(
        self, stereo: Stereo, channels: int, links_channels: bool, mask: int = 0, lfe: bool = False
    ) -> None:
        names = speakers(mask) if mask.bit_count() == channels else []
        self.spared = [n for n, name in enumerate(names) if name == "LFE" and not lfe and channels > 1]
        places = self._places(names, [n for n in range(channels) if n not in self.spared], channels)
        self._channels = channels
        self._order = [channel for place in places for channel in place]
        """The clip's channels in the order of the encoded ones: left beside its right, without spared
        ones."""
        self._mono = stereo == "mono" and len(self._order) > 1
        starts = [int(at) for at in np.cumsum([0, *map(len, places)])]
        pairs = [(at, at + 1) for at, place in zip(starts, places, strict=False) if len(place) == 2]
        self._mixed = pairs if stereo == "mid_side" else []
        self.recodes = self._mono or bool(self._mixed)
        self._passes = self._order == list(range(channels))
        self.groups: list[tuple[list[int], int]]
        if self._mono:
            self.groups = [([0], 0)]
        elif stereo == "independent" or (self._mixed and not links_channels):
            self.groups = [([n], channel) for n, channel in enumerate(self._order)]
        elif not links_channels:
            self.groups = [([n], 0) for n in range(len(self._order))]
        elif names and channels > 2:
            groups = [self._order[at] if self._mixed else 0 for at in starts[:-1]]
            extents = [list(range(*ends)) for ends in pairwise(starts)]
            self.groups = list(zip(extents, groups, strict=True))
        else:
            self.groups = [(list(range(len(self._order))), 0)]

    @staticmethod
    def _places(names: list[str], used: list[int], channels: int) -> list[list[int]]:
        """The channels that are used, in groups: a left with its right, others alone."""
        if not names:
            return [used] if channels == 2 else [[channel] for channel in used]
        right_of = {
            names.index(left): names.index(right) for left, right in PAIRS if {left, right} <= {*names}
        }
        rights = set(right_of.values())
        return [
            [channel, right_of[channel]] if channel in right_of else [channel]
            for channel in used
            if channel not in rights
        ]

    def encode(self, samples: Audio) -> Audio:
        """(channels, frames) -> (encoded channels, frames)."""
        if self._mono:
            mean: Audio = samples[self._order].mean(axis=0, keepdims=True)
            return mean
        if self._passes and not self._mixed:
            return samples
        encoded = samples[self._order]
        for left, right in self._mixed:
            mid, side = encoded[left] + encoded[right], encoded[left] - encoded[right]
            encoded[left], encoded[right] = np.float32(0.5) * mid, np.float32(0.5) * side
        return encoded

    def decode(self, encoded: Audio) -> Audio:
        """(encoded channels, frames) -> (channels, frames), with zeros in the spared channels."""
        if self._passes and not self.recodes:
            return encoded
        samples = np.zeros((self._channels, encoded.shape[1]), np.float32)
        samples[self._order] = encoded
        for left, right in self._mixed:
            mid, side = encoded[left], encoded[right]
            samples[self._order[left]], samples[self._order[right]] = mid + side, mid - side
        return samples

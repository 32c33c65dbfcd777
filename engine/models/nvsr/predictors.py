"""The two mel predictors of NVSR (Liu et al. 2022, section 3.3): band-limited log-mel in, full-band out.

Both see the levels of a frame's bands in units of SPREAD around MEAN, and predict what to add to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.audiosr import mel
from presets.errors import UsageError

MEAN, SPREAD = -6.0, 3.0
"""About the mean and standard deviation of log-mel levels of music and speech at AudioSR's working level."""


class MelDnn(nn.Module):
    """A multilayer perceptron on single frames.

    Args:
        width: units of a hidden layer.
        depth: hidden layers.
    """

    def __init__(self, width: int = 1024, depth: int = 4) -> None:
        super().__init__()
        sizes = [mel.BANDS, *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.head = nn.Linear(width, mel.BANDS)

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, T, 256) natural-log mel -> the same shape."""
        h = (log_mel - MEAN) / SPREAD
        for layer in self.hidden:
            h = F.gelu(layer(h))
        y: Tensor = log_mel + SPREAD * self.head(h)
        return y


class _Residual(nn.Module):
    """Two normalised convolutions beside a projection; a fresh one is the projection alone."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(min(8, inputs), inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second_norm = nn.GroupNorm(min(8, outputs), outputs)
        self.second = _zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(F.gelu(self.first_norm(x)))
        y: Tensor = self.skip(x) + self.second(F.gelu(self.second_norm(h)))
        return y


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class MelResUNet(nn.Module):
    """A residual U-Net on the plane of time and bands.

    A convolution does not know which band it looks at, but what is missing of a spectrogram depends on just
    that. So each cell also sees its place between the lowest band, -1, and the highest, 1.

    Args:
        width: channels of the finest level; they double at each coarser one.
        depth: how often the plane is halved.
    """

    def __init__(self, width: int = 32, depth: int = 4) -> None:
        super().__init__()
        sizes = [width * 2**level for level in range(depth + 1)]
        self.stem = nn.Conv2d(2, width, 3, padding=1)
        self.down = nn.ModuleList(_Residual(a, b) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(_Residual(a + b, a) for a, b in pairwise(sizes))
        self.norm = nn.GroupNorm(min(8, width), width)
        self.head = _zeroed(nn.Conv2d(width, 1, 1))

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, T, 256) natural-log mel -> the same shape."""
        frames = log_mel.shape[1]
        padded = F.pad(log_mel, (0, 0, 0, -frames % 2 ** len(self.down)), value=2 * MEAN)
        place = torch.linspace(-1, 1, mel.BANDS, device=padded.device).expand_as(padded)
        states = [self.stem(torch.stack([(padded - MEAN) / SPREAD, place], 1))]
        for block in self.down:
            states.append(block(F.avg_pool2d(states[-1], 2)))
        h = states.pop()
        for block in reversed(self.up):
            h = block(torch.cat([states.pop(), F.interpolate(h, scale_factor=2.0)], 1))
        y: Tensor = log_mel + SPREAD * self.head(F.gelu(self.norm(h)))[:, 0, :frames]
        return y


KINDS: dict[str, type[nn.Module]] = {"dnn": MelDnn, "resunet": MelResUNet}


def build(kind: str, sizes: Mapping[str, int]) -> nn.Module:
    """A predictor with fresh weights; UsageError for an unknown kind or size."""
    if kind not in KINDS:
        raise UsageError(f"kind = {kind!r}; the kinds are {', '.join(KINDS)}", "kind")
    try:
        return KINDS[kind](**sizes)
    except TypeError:
        raise UsageError(f"{kind} does not have all of the sizes {', '.join(sizes)}", "network") from None

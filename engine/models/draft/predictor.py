"""The network that predicts the envelope above the cut-off, and the file a trained one is kept in.

Frames are tokens, a few to each; blocks are those of ConvNeXt (Liu et al. 2022) over time, with dilation.
Beside the envelope that it expects, the network gives other contours that the whole clip may have had: how
its band is tilted, and where it falls, is the largest thing that the band below does not tell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.draft.bands import BANDS
from engine.models.draft.features import PER_FRAME, PER_WINDOW, TEXTURES
from presets.errors import ModelError, UsageError

OUTPUTS = BANDS + TEXTURES
CONTOURS = 4
"""Contours beside the expected one."""
NODES = 16
"""Points of a contour, evenly from 0 to 24 kHz; between them it is a line."""


class _Block(nn.Module):
    def __init__(self, width: int, expansion: int, taps: int, dilation: int) -> None:
        super().__init__()
        self.taps, self.dilation = taps, dilation
        self.depthwise = nn.Parameter(torch.empty(taps, width).uniform_(-1, 1) * taps**-0.5)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        # Shifted products: several times as fast on a CPU as a grouped convolution.
        count, reach = tokens.shape[1], (self.taps // 2) * self.dilation
        padded = functional.pad(tokens, (0, 0, reach, reach))
        mixed = padded[:, :count] * self.depthwise[0]
        for tap in range(1, self.taps):
            at = tap * self.dilation
            mixed.addcmul_(padded[:, at : at + count], self.depthwise[tap])
        return torch.as_tensor(tokens + self.narrow(functional.gelu(self.widen(self.norm(mixed)))))


class ConvNext(nn.Module):
    """ConvNeXt over time, with the window's features and a pooled summary added.

    Args:
        width: channels of a token.
        depth: blocks.
        expansion: widening inside a block.
        taps: of a block's convolution, odd.
        patch: frames in a token.
    """

    dilations = (1, 2, 4)

    def __init__(
        self, width: int = 192, depth: int = 6, expansion: int = 3, taps: int = 5, patch: int = 4
    ) -> None:
        super().__init__()
        self.patch = patch
        self.stem = nn.Linear(patch * PER_FRAME, width)
        self.window = nn.Sequential(nn.Linear(PER_WINDOW, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            _Block(width, expansion, taps, self.dilations[block % len(self.dilations)])
            for block in range(depth)
        )
        self.summary = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, patch * OUTPUTS)
        self.contours = nn.Linear(width, CONTOURS * NODES)
        nn.init.normal_(self.contours.bias, std=0.3)

    def forward(self, frames: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """The envelope of T frames and the contours of their window.

        Args:
            frames: (B, T, PER_FRAME).
            window: (B, PER_WINDOW).

        Returns:
            (B, T, OUTPUTS), levels and textures; and (B, CONTOURS, BANDS), what each contour adds to the
            levels of all frames.
        """
        batch, count, _ = frames.shape
        frames = functional.pad(frames, (0, 0, 0, -count % self.patch))
        tokens = self.stem(frames.reshape(batch, -1, self.patch * PER_FRAME)) + self.window(window)[:, None]
        for index, block in enumerate(self.blocks):
            if index == len(self.blocks) // 2:
                tokens = tokens + self.summary(torch.cat([tokens.mean(1), tokens.amax(1)], -1))[:, None]
            tokens = block(tokens)
        tokens = self.norm(tokens)
        outputs: Tensor = self.head(tokens)
        nodes = self.contours(tokens.mean(1)).reshape(batch, CONTOURS, NODES)
        contours = functional.interpolate(nodes, BANDS, mode="linear", align_corners=True)
        return outputs.reshape(batch, -1, OUTPUTS)[:, :count], contours


def build(sizes: Mapping[str, int]) -> ConvNext:
    """A network with fresh weights.

    Raises:
        UsageError: a size that the network does not have.
    """
    try:
        return ConvNext(**sizes)
    except TypeError:
        raise UsageError(f"the predictor has no such size among {', '.join(sizes)}", "network") from None


def save(network: nn.Module, sizes: Mapping[str, int], path: Path) -> None:
    """Writes weights in half precision, with what `load` needs to build the network in the header."""
    from safetensors.torch import save_file

    half = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(half, path, metadata={"sizes": json.dumps(dict(sizes))})


def load(data: bytes, name: str) -> tuple[ConvNext, str]:
    """A network from the bytes of a file that `save` wrote, in float32 and ready to predict, and its digest.

    Raises:
        ModelError: bytes that are not such a file, or not whole.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    try:
        weights = parse(data)
        header: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        network = build(json.loads(header["sizes"]))
        network.load_state_dict({key: tensor.float() for key, tensor in weights.items()})
    except (SafetensorError, KeyError, ValueError, RuntimeError, UsageError) as error:
        raise ModelError(f"{name} does not hold a predictor: {error}; install airband again") from None
    return network.eval().requires_grad_(False), hashlib.blake2b(data, digest_size=16).hexdigest()

"""The predictor of draft as it is trained: the network of `engine.models.draft.predictor` in PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.draft.bands import BANDS
from engine.models.draft.features import PER_FRAME, PER_WINDOW
from engine.models.draft.predictor import CONTOURS, DILATIONS, NODES, OUTPUTS, Sizes, read, sizes_of
from engine.models.weights_file import write_safetensors


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
    """ConvNeXt over time, with the window's features and a pooled summary added; weights are fresh.

    Args:
        sizes: of the network.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.patch = sizes.patch
        self.stem = nn.Linear(sizes.patch * PER_FRAME, width)
        self.window = nn.Sequential(nn.Linear(PER_WINDOW, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            _Block(width, sizes.expansion, sizes.taps, DILATIONS[block % len(DILATIONS)])
            for block in range(sizes.depth)
        )
        self.summary = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sizes.patch * OUTPUTS)
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
    return ConvNext(sizes_of(sizes))


def save(network: nn.Module, sizes: Mapping[str, int], path: Path) -> None:
    """Writes weights in half precision, with what `load` needs to build the network in the header."""
    half = {name: tensor.half() for name, tensor in network.state_dict().items()}
    write_safetensors(path, half, {"sizes": json.dumps(dict(sizes))})


def load(data: bytes, name: str) -> ConvNext:
    """A network from the bytes of a file that `save` wrote, in float32 and ready to predict.

    Raises:
        ModelError: bytes that are not such a file, or not whole.
    """
    sizes, weights = read(data, name)
    network = ConvNext(sizes)
    network.load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()})
    return network.eval().requires_grad_(False)

"""The networks that predict the envelope above the cut-off, and the file a trained one is kept in.

Three of one interface, (features of T frames, features of the window) -> levels and textures of T frames:

- `dnn`: every frame by itself, in the manner of NVSR's DNN baseline (Liu et al. 2022, section 3.3).
- `resunet`: the spectrogram as a picture, in the manner of NVSR's ResUNet.
- `convnext`: frames as tokens, depthwise convolutions over time (Liu et al. 2022, ConvNeXt) with dilation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.draft.bands import BANDS
from engine.models.draft.features import PER_FRAME, PER_WINDOW, TEXTURES
from presets.errors import ModelError, UsageError

OUTPUTS = BANDS + TEXTURES


class Dnn(nn.Module):
    """A multilayer perceptron on single frames.

    Args:
        width: units of a hidden layer.
        depth: hidden layers.
    """

    def __init__(self, width: int = 1024, depth: int = 4) -> None:
        super().__init__()
        self.frame = nn.Linear(PER_FRAME, width)
        self.window = nn.Linear(PER_WINDOW, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.head = nn.Linear(width, OUTPUTS)

    def forward(self, frames: Tensor, window: Tensor) -> Tensor:
        """(B, T, PER_FRAME), (B, PER_WINDOW) -> (B, T, OUTPUTS)."""
        state = functional.gelu(self.frame(frames) + self.window(window)[:, None])
        for layer in self.hidden:
            state = functional.gelu(layer(state))
        return torch.as_tensor(self.head(state))


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(4, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, picture: Tensor) -> Tensor:
        inner = self.second(functional.gelu(self.norm(self.first(picture))))
        return torch.as_tensor(self.skip(picture) + inner)


class ResUNet(nn.Module):
    """A residual U-Net on the picture time x band.

    Args:
        width: channels of the finest level; they double at each coarser one.
        depth: how often the picture is halved in both directions.
    """

    def __init__(self, width: int = 16, depth: int = 4) -> None:
        super().__init__()
        self.frame = nn.Linear(PER_FRAME, 2 * BANDS)
        self.window = nn.Linear(PER_WINDOW, BANDS)
        sizes = [width * 2**level for level in range(depth + 1)]
        self.stem = _Residual(3, width)
        self.down = nn.ModuleList(_Residual(a, b) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(_Residual(a + b, a) for a, b in pairwise(sizes))
        self.head = nn.Conv2d(width, 1, 1)
        self.texture = nn.Linear(BANDS, TEXTURES)

    def forward(self, frames: Tensor, window: Tensor) -> Tensor:
        """(B, T, PER_FRAME), (B, PER_WINDOW) -> (B, T, OUTPUTS)."""
        count = frames.shape[1]
        frames = functional.pad(frames, (0, 0, 0, -count % 2 ** len(self.down)))
        picture = self.frame(frames).unflatten(-1, (2, BANDS)).transpose(1, 2)
        still = self.window(window)[:, None, None].expand(-1, 1, frames.shape[1], -1)
        states = [self.stem(torch.cat([picture, still], 1))]
        for block in self.down:
            states.append(block(functional.avg_pool2d(states[-1], 2)))
        state = states.pop()
        for block in reversed(self.up):
            state = functional.interpolate(state, scale_factor=2.0)
            state = block(torch.cat([states.pop(), state], 1))
        levels = self.head(state)[:, 0, :count]
        return torch.cat([levels, self.texture(levels)], -1)


class _Block(nn.Module):
    def __init__(self, width: int, expansion: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3 * dilation, dilation=dilation, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        inner = self.norm(self.depthwise(tokens.transpose(1, 2)).transpose(1, 2))
        return torch.as_tensor(tokens + self.narrow(functional.gelu(self.widen(inner))))


class ConvNext(nn.Module):
    """ConvNeXt over time, two frames a token, with the window's features and a pooled summary added.

    Args:
        width: channels of a token.
        depth: blocks.
        expansion: widening inside a block.
    """

    patch = 2
    dilations = (1, 2, 4, 8)

    def __init__(self, width: int = 384, depth: int = 7, expansion: int = 4) -> None:
        super().__init__()
        self.stem = nn.Linear(self.patch * PER_FRAME, width)
        self.window = nn.Sequential(nn.Linear(PER_WINDOW, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            _Block(width, expansion, self.dilations[block % len(self.dilations)]) for block in range(depth)
        )
        self.summary = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.patch * OUTPUTS)

    def forward(self, frames: Tensor, window: Tensor) -> Tensor:
        """(B, T, PER_FRAME), (B, PER_WINDOW) -> (B, T, OUTPUTS)."""
        batch, count, _ = frames.shape
        frames = functional.pad(frames, (0, 0, 0, -count % self.patch))
        tokens = self.stem(frames.reshape(batch, -1, self.patch * PER_FRAME)) + self.window(window)[:, None]
        for index, block in enumerate(self.blocks):
            if index == len(self.blocks) // 2:
                tokens = tokens + self.summary(torch.cat([tokens.mean(1), tokens.amax(1)], -1))[:, None]
            tokens = block(tokens)
        outputs: Tensor = self.head(self.norm(tokens))
        return outputs.reshape(batch, -1, OUTPUTS)[:, :count]


NETWORKS: dict[str, type[Dnn] | type[ResUNet] | type[ConvNext]] = {
    "dnn": Dnn,
    "resunet": ResUNet,
    "convnext": ConvNext,
}


def build(kind: str, sizes: Mapping[str, int]) -> nn.Module:
    """A network with fresh weights.

    Raises:
        UsageError: a kind or a size that no network has.
    """
    if kind not in NETWORKS:
        raise UsageError(f"predictor {kind!r}: there are {', '.join(NETWORKS)}", "kind")
    try:
        return NETWORKS[kind](**sizes)
    except TypeError:
        raise UsageError(f"predictor {kind!r} has no such size among {', '.join(sizes)}", "network") from None


def save(network: nn.Module, kind: str, sizes: Mapping[str, int], path: Path) -> None:
    """Writes weights in half precision, with what `load` needs to build the network in the header."""
    from safetensors.torch import save_file

    half = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(half, path, metadata={"kind": kind, "sizes": json.dumps(dict(sizes))})


def load(data: bytes, name: str) -> tuple[nn.Module, str]:
    """A network from the bytes of a file that `save` wrote, in float32 and ready to predict, and its digest.

    Raises:
        ModelError: bytes that are not such a file, or not whole.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    try:
        weights = parse(data)
        header: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        network = build(header["kind"], json.loads(header["sizes"]))
        network.load_state_dict({key: tensor.float() for key, tensor in weights.items()})
    except (SafetensorError, KeyError, ValueError, RuntimeError, UsageError) as error:
        raise ModelError(f"{name} does not hold a predictor: {error}; install airband again") from None
    return network.eval().requires_grad_(False), hashlib.blake2b(data, digest_size=16).hexdigest()

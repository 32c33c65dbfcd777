"""The network that predicts the envelope above the cut-off, and the file a trained one is kept in.

A token is a few frames; blocks are those of ConvNeXt (Liu et al. 2022) over time, with dilation. Beside the
envelope that it expects, the network gives other contours that the whole clip may have had: how its band is
tilted, and where it falls, is the largest thing that the band below does not tell.

This is inference, in NumPy; `engine.training.draft.network` is the same network in PyTorch, for training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
import numpy as np

from engine.models.draft.bands import BANDS, Array, group_means
from engine.models.draft.features import PER_FRAME, PER_WINDOW, TEXTURES
from presets.errors import ModelError, UsageError

OUTPUTS = BANDS + TEXTURES
CONTOURS = 4
"""Contours beside the expected one."""
NODES = 16
"""Points of a contour, evenly spaced from 0 to 24 kHz; it is linear between them."""
DILATIONS = (1, 2, 4)
"""Of the blocks' convolutions, in turn."""
NORM_FLOOR = 1e-5
"""What a LayerNorm adds to the variance."""
NORMAL_END = 4.75
NORMAL_OVER = (351.821367, 24.873332, 3.34628206, 0.0280625693)
NORMAL_UNDER = (881.953804, 209.214697, 21.2755856)
"""With Phi the standard normal distribution, Phi(x) - 1/2 is x P(x^2) / Q(x^2) up to NORMAL_END and 1/2 from
there on; Q has x^6 beside its coefficients. Fitted by least squares, weighted until the largest error of
x Phi(x) was least (Lawson 1961), 5e-6; it takes 40 % less time than an exponential."""
TOKENS = 100
"""How many the nonlinearity takes at a time: they stay in a processor's second-level cache (512 KB)."""


Size = Annotated[int, msgspec.Meta(ge=1, le=4096)]


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network's sizes.

    Attributes:
        width: channels of a token.
        depth: blocks.
        expansion: widening inside a block.
        taps: of a block's convolution, odd.
        patch: frames in a token.
    """

    width: Size = 192
    depth: Size = 6
    expansion: Size = 3
    taps: Size = 5
    patch: Size = 4

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The weights by name; those of a layer are (outputs, inputs)."""
        width, wide = self.width, self.expansion * self.width
        layers = {
            "stem": (width, self.patch * PER_FRAME),
            "window.0": (width, PER_WINDOW),
            "window.2": (width, width),
            "summary": (width, 2 * width),
            "head": (self.patch * OUTPUTS, width),
            "contours": (CONTOURS * NODES, width),
        }
        shapes: dict[str, tuple[int, ...]] = {"norm.weight": (width,), "norm.bias": (width,)}
        for block in (f"blocks.{index}" for index in range(self.depth)):
            layers |= {f"{block}.widen": (wide, width), f"{block}.narrow": (width, wide)}
            shapes |= {f"{block}.depthwise": (self.taps, width)}
            shapes |= {f"{block}.norm.weight": (width,), f"{block}.norm.bias": (width,)}
        for name, shape in layers.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes


def sizes_of(given: Mapping[str, int]) -> Sizes:
    """Sizes by name, the others at their defaults; UsageError for an unknown name or an invalid size."""
    try:
        return msgspec.convert(dict(given), Sizes)
    except msgspec.ValidationError as error:
        raise UsageError(f"sizes of the predictor: {error}", "network") from None


class ConvNext:
    """ConvNeXt over time, with the window's features and a pooled summary added.

    Args:
        sizes: of the network.
        weights: float32, with the names and shapes of `sizes.shapes()`.
    """

    def __init__(self, sizes: Sizes, weights: Mapping[str, Array]) -> None:
        self.sizes = sizes
        weights = dict(weights)
        for block in (f"blocks.{index}" for index in range(sizes.depth)):
            _fold(weights, f"{block}.norm", f"{block}.widen")
        _fold(weights, "norm", "head", "contours")
        # Layers are applied as tokens @ weight, which BLAS does fastest where both are row-major.
        self._weights = {
            name: np.ascontiguousarray(array.T) if name.endswith("weight") else array
            for name, array in weights.items()
        }

    def __call__(self, frames: Array, window: Array) -> tuple[Array, Array]:
        """The envelope of T frames and the contours of their window.

        Args:
            frames: (T, PER_FRAME).
            window: (PER_WINDOW,).

        Returns:
            (T, OUTPUTS), levels and textures; and (CONTOURS, BANDS), what each contour adds to the levels of
            all frames.
        """
        count, patch = len(frames), self.sizes.patch
        if count % patch:
            frames = np.pad(frames, ((0, -count % patch), (0, 0)))
        tokens = self._layer("stem", frames.reshape(-1, patch * PER_FRAME))
        tokens += self._layer("window.2", gelu(self._layer("window.0", window)))
        for block in range(self.sizes.depth):
            if block == self.sizes.depth // 2:
                tokens += self._layer("summary", np.concatenate([tokens.mean(0), tokens.max(0)]))
            wide = self._layer(f"blocks.{block}.widen", normal(self._mixed(block, tokens)))
            for first in range(0, len(wide), TOKENS):
                gelu(wide[first : first + TOKENS])
            tokens += self._layer(f"blocks.{block}.narrow", wide)
        tokens = normal(tokens)
        outputs = self._layer("head", tokens).reshape(-1, OUTPUTS)[:count]
        nodes = self._layer("contours", tokens.mean(0)).reshape(CONTOURS, NODES)
        places = np.linspace(0, NODES - 1, BANDS)
        contours = np.stack([np.interp(places, np.arange(NODES), line) for line in nodes])
        return outputs, contours.astype(np.float32)

    def _layer(self, name: str, values: Array) -> Array:
        answer: Array = values @ self._weights[f"{name}.weight"]
        answer += self._weights[f"{name}.bias"]
        return answer

    def _mixed(self, block: int, tokens: Array) -> Array:
        """The convolution of each channel over time."""
        taps = self._weights[f"blocks.{block}.depthwise"]
        dilation, count = DILATIONS[block % len(DILATIONS)], len(tokens)
        reach = len(taps) // 2 * dilation
        padded = np.zeros((count + 2 * reach, tokens.shape[1]), np.float32)
        padded[reach : reach + count] = tokens
        mixed: Array = padded[:count] * taps[0]
        for tap, at in enumerate(range(dilation, 2 * reach + 1, dilation), 1):
            mixed += padded[at : at + count] * taps[tap]
        return mixed


def _fold(weights: dict[str, Array], norm: str, *layers: str) -> None:
    """Folds the scale and shift of a LayerNorm into the layers after it."""
    scale, shift = weights.pop(f"{norm}.weight"), weights.pop(f"{norm}.bias")
    for layer in layers:
        weights[f"{layer}.bias"] = weights[f"{layer}.bias"] + weights[f"{layer}.weight"] @ shift
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] * scale


def normal(tokens: Array) -> Array:
    """LayerNorm without its scale and shift: (T, width), overwritten."""
    width = tokens.shape[-1]
    tokens -= group_means(tokens, width)
    variance = np.vecdot(tokens, tokens)[:, None] / np.float32(width)
    tokens *= 1 / np.sqrt(variance + np.float32(NORM_FLOOR))
    return tokens


def gelu(values: Array) -> Array:
    """x Phi(x), with Phi the standard normal distribution, within 6e-6. The argument is overwritten."""
    share = np.clip(values, np.float32(-NORMAL_END), np.float32(NORMAL_END))
    square = np.square(share)
    part = square * np.float32(NORMAL_OVER[-1])
    for coefficient in NORMAL_OVER[-2:0:-1]:
        part += np.float32(coefficient)
        part *= square
    part += np.float32(NORMAL_OVER[0])
    share *= part
    np.add(square, np.float32(NORMAL_UNDER[-1]), out=part)
    for coefficient in NORMAL_UNDER[-2::-1]:
        part *= square
        part += np.float32(coefficient)
    share /= part
    share += np.float32(0.5)
    values *= share
    return values


def load(data: bytes, name: str) -> ConvNext:
    """A network from the bytes of a file that the training wrote.

    Raises:
        ModelError: bytes that are not such a file, or not whole.
    """
    return ConvNext(*read(data, name))


def read(data: bytes, name: str) -> tuple[Sizes, dict[str, Array]]:
    """The network's sizes and its weights in float32 from such a file; raises as `load` does."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as parse

    try:
        given = parse(data)
        header: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        sizes = sizes_of(json.loads(header["sizes"]))
        shapes = sizes.shapes()
        wrong = sorted(_misfits(given, shapes))
    except (SafetensorError, KeyError, TypeError, ValueError, UsageError) as error:
        raise ModelError(f"{name} does not hold a predictor: {error}; install airband again") from None
    if wrong:
        raise ModelError(f"{name} does not hold a predictor: {', '.join(wrong[:3])}; install airband again")
    return sizes, {key: given[key].astype(np.float32) for key in shapes}


def _misfits(given: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    yield from (f"no {name}" for name in shapes.keys() - given.keys())
    yield from (f"{name} of no use" for name in given.keys() - shapes.keys())
    for name in shapes.keys() & given.keys():
        if given[name].shape != shapes[name]:
            yield f"{name} of {given[name].shape} for {shapes[name]}"

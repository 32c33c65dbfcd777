"""What a model is to a render: the interface that render calls and every model implements.

A model works at 48 kHz on windows that lie on an absolute grid. For each window it returns a signal of the
same shape whose band above the cut-off is generated; what it returns below the cut-off, or in the context
that the render discards, does not reach the stem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from presets.schema import Preset

Audio = NDArray[np.float32]
"""(channels, frames) float32, full scale +-1."""

CELL_FRAMES = 30720
"""The grid of windows, frames at 48 kHz: mel hop 480 x VAE stride 8 x UNet stride 8."""

SHORT_FADE = 1920
"""40 ms, for models whose neighbouring windows differ in more than level."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a clip for a model to work on.

    Attributes:
        samples: (channels, frames) float32 at 48 kHz, context included; frames is a multiple of CELL_FRAMES.
            Zeros stand before the clip's start and after its end.
        start: position of `samples[:, 0]` in the clip, frames at 48 kHz; a multiple of CELL_FRAMES, may be
            negative.
        cutoff_hz: the -6 dB edge of the original band.
        group: which channel group of the clip this is; windows of one group share their noise.
        gain: factor that brings the peak of the whole clip to the level the model was trained at; the model
            undoes it in what it returns.
    """

    samples: Audio
    start: int
    cutoff_hz: float
    group: int
    gain: float = 1.0


class NoiseField(Protocol):
    """Standard normal noise keyed by position, never by the order of calls."""

    def __call__(self, name: str, group: int, start: int, count: int, shape: tuple[int, ...]) -> Audio:
        """Noise of `count` consecutive cells.

        Args:
            name: which draw this is ("x_T", "step 3", ...).
            group: the channel group; equal groups get equal noise.
            start: the first cell, in cells of the caller's own size from the clip's start; may be negative.
            count: how many cells.
            shape: shape of one cell.

        Returns:
            (count, *shape) float32; a cell's values depend on seed, name, group and its own index alone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """Progress: `stage` names what runs, which has reached `step` of `of`; `taken` of them are new."""

    stage: str
    step: int
    of: int
    taken: int = 1


StepHook = Callable[[Step], None]
"""Called as work proceeds. It cancels the render by raising `presets.errors.Cancelled`."""


class Upscaler(Protocol):
    """A model that generates the missing band.

    Attributes:
        name: as in `airband models`.
        digest: of the weights, part of the cache key ("none" where there are none).
        body_cells: cells of CELL_FRAMES kept of one window.
        context_cells: cells rendered on each side and discarded; at least one (0.64 s).
        fade_frames: length of the fade from one window into the next; even, and at most a cell.
        links_channels: True when the model itself keeps the channels of one window together, so that `linked`
            stereo hands it all channels of a window at once; False when it renders each channel by itself.
        generates: False for a model that returns its input; the slope of the input's filter is then not made
            good either.
    """

    name: str
    digest: str
    body_cells: int
    context_cells: int
    fade_frames: int
    links_channels: bool
    generates: bool

    def batch(self, preset: Preset) -> int:
        """How many windows are worth handing over in one call."""
        ...

    def steps(self, preset: Preset) -> int:
        """How many steps `upscale` takes with one window, all of about the same time."""
        ...

    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The generated signal of each window: same shape as its samples, 48 kHz, the level of the input."""
        ...

"""`draft`: an envelope for the missing band, drawn over fine structure taken from the input.

The path of a window: samples -> spectrum -> envelope (level and noise share of each band in each frame) ->
fine structure (copy-up and noise, mixed by the noise share) -> spectrum -> samples. Every channel of every
window is computed by itself, so batches, neighbours and the order of channels cannot change a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine.models.bands import (
    BINS,
    FLOOR_DB,
    band_centres_hz,
    band_levels,
    first_bin,
    level_db,
    over_bins,
    samples_of,
    spectrum,
)
from engine.models.fine_structure import DB_TO_NEPER, copied_up, modulated_noise
from presets.schema import Preset
from render.upscaler import CELL_FRAMES, Audio, NoiseField, Step, StepHook, Window

SILENCE_DB = -80.0
"""A frame whose every bin is below this (-130 dBFS and less) is silent, and stays so."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a predictor says of one channel.

    Attributes:
        level_db: (T, BANDS) float32, mean decibels of each band; read above the cut-off only.
        noise_share: (T, BANDS) float32, 0 (all copied up) to 1 (all noise), in power.
    """

    level_db: Tensor
    noise_share: Tensor


class Predictor(Protocol):
    """Says from the band below the cut-off what the envelope above it is."""

    digest: str

    def envelope(self, bins: Tensor, cutoff_hz: float) -> Envelope:
        """The envelope of one channel: bins (T, BINS) complex64, cutoff_hz its -6 dB edge."""
        ...


class Extrapolation:
    """The envelope as a line in decibels over octaves, fitted to the octave and a half below the cut-off."""

    digest = "extrapolation-1"

    def envelope(self, bins: Tensor, cutoff_hz: float) -> Envelope:
        """See Predictor. The slope is that of the clip around the frame, -18 to -3 dB an octave."""
        levels = band_levels(level_db(bins.real.square() + bins.imag.square()))
        octaves = torch.log2(band_centres_hz() / cutoff_hz)
        seen = (octaves > -1.5) & (octaves < -0.15)
        if not bool(seen.any()):
            seen = octaves == octaves.min()
        offset = octaves[seen] - octaves[seen].mean()
        smooth = torch.nn.functional.avg_pool1d(levels.T, 31, 1, 15, count_include_pad=False).T[:, seen]
        slope = (smooth * offset).sum(-1) / (offset.square().sum() + 1e-3)
        slope = slope.clamp(-18.0, -3.0)[:, None]
        level = levels[:, seen].mean(-1, keepdim=True) + slope * (octaves - octaves[seen].mean())
        return Envelope(level.clamp(min=FLOOR_DB), torch.full_like(level, 0.5))


class Draft:
    """An Upscaler that draws a predicted envelope over the input's own fine structure.

    Args:
        predictor: where the envelope comes from.
    """

    name = "draft"
    body_cells = 8
    context_cells = 1
    batch = 4
    links_channels = True

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.digest = predictor.digest

    def steps(self, preset: Preset) -> int:
        """One step a window."""
        return 1

    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The windows with their high band filled in: same shapes, 48 kHz, the level of the input."""
        generated = []
        for window in windows:
            first, cells = window.start // CELL_FRAMES, window.samples.shape[1] // CELL_FRAMES
            grain = noise("fine structure", window.group, first, cells, (CELL_FRAMES,))
            generated.append(self._window(window, torch.from_numpy(np.ascontiguousarray(grain)).flatten()))
            on_step(Step("draft", 1, 1))
        return generated

    def _window(self, window: Window, grain: Tensor) -> Audio:
        with torch.inference_mode():
            channels = [torch.from_numpy(np.ascontiguousarray(channel)) for channel in window.samples]
            return torch.stack(
                [self.channel(samples, grain, window.cutoff_hz) for samples in channels]
            ).numpy()

    def channel(self, samples: Tensor, grain: Tensor, cutoff_hz: float) -> Tensor:
        """One channel with its high band filled in.

        Args:
            samples: (frames,) float32 at 48 kHz, frames a multiple of CELL_FRAMES.
            grain: (frames,) float32 standard normal noise.
            cutoff_hz: the -6 dB edge.

        Returns:
            (frames,) float32: `samples` below the cut-off, generated above it.
        """
        start = first_bin(cutoff_hz)
        bins = spectrum(samples)
        sounding = (bins.abs().amax(-1, keepdim=True) > 10 ** (SILENCE_DB / 20)).float()
        if start >= BINS or not bool(sounding.any()):
            return samples.clone()
        envelope = self.predictor.envelope(bins, cutoff_hz)
        share = over_bins(envelope.noise_share)
        fine = copied_up(bins, cutoff_hz) * torch.sqrt(1 - share)
        fine = fine + modulated_noise(grain, bins[None], cutoff_hz)[0] * torch.sqrt(share)
        fine_db = band_levels(level_db(fine.real.square() + fine.imag.square()))
        gain = torch.exp(over_bins(envelope.level_db - fine_db) * DB_TO_NEPER) * sounding
        filled = torch.cat([bins[:, :start], (fine * gain)[:, start:]], -1)
        return samples_of(filled, samples.shape[-1])


def load(device: str = "cpu") -> Draft:
    """The embedded model, ready to render on `device`."""
    return Draft(Extrapolation())

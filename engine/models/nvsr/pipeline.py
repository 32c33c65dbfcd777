"""NVSR as an Upscaler: low-pass, log-mel, prediction, the input's own bands put back, phase retrieval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from engine.models.audiosr import mel
from engine.models.audiosr.pipeline import chebyshev_lowpass
from engine.models.audiosr.vocoders import phase
from presets.errors import UsageError
from presets.schema import Preset
from render.upscaler import SHORT_FADE, Audio, NoiseField, Step, StepHook, Window


class Nvsr:
    """A mel predictor and phase retrieval, 48 kHz; every channel by itself.

    Args:
        name: as in `airband models`.
        digest: of the weights.
        predictor: see `engine.models.nvsr.predictors`.
        device: as torch names it.
    """

    body_cells = 14
    context_cells = 1
    fade_frames = SHORT_FADE
    links_channels = False
    generates = True

    def __init__(self, name: str, digest: str, predictor: nn.Module, device: str = "cpu") -> None:
        self.name, self.digest = name, digest
        self._predictor, self._device = predictor.to(device), torch.device(device)

    def batch(self, preset: Preset) -> int:
        """Windows gain nothing from each other; four at a time keep calls few."""
        return 4

    def steps(self, preset: Preset) -> int:
        """One step a window."""
        return 1

    @torch.inference_mode()
    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The generated signal of each window: same shape as its samples, the level of the input.

        Raises:
            UsageError: `vocoder = hifigan`, which this model does not have.
        """
        if preset.vocoder == "hifigan":
            raise UsageError(
                f"{self.name} has no vocoder of its own; take vocoder = phase or auto", "vocoder"
            )
        generated = []
        for window in windows:
            channels = [self._channel(window, channel, noise) for channel in window.samples]
            generated.append(np.stack(channels))
            on_step(Step("predict", 1, 1))
        return generated

    def _channel(self, window: Window, samples: Audio, noise: NoiseField) -> Audio:
        given = samples * np.float32(window.gain)
        low = torch.from_numpy(chebyshev_lowpass(given, window.cutoff_hz)).to(self._device)
        x = mel.log_mel(mel.magnitude(low[None]))
        y = self._predictor(x)
        edge = mel.bands_below(window.cutoff_hz)
        y = torch.cat([x[..., :edge], y[..., edge:]], dim=-1)
        wave = phase.waveform(
            y,
            torch.from_numpy(given).to(self._device)[None],
            phase.drawn(window, noise, self._device),
            torch.tensor([window.cutoff_hz], device=self._device),
        )
        return np.asarray(wave[0].cpu().numpy() / window.gain, dtype=np.float32)

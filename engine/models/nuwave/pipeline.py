"""NuWave as an Upscaler: the missing band of a window from noise, along the probability flow of EDM."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from engine.models.audiosr.pipeline import chebyshev_lowpass
from presets.schema import Preset
from render.upscaler import SHORT_FADE, Audio, NoiseField, Step, StepHook, Window

SIGMA_RANGE = (1e-4, 1.0)
"""From far below 16 bits to 50 times the deviation of the missing band."""

RHO = 7.0
"""How steps are spaced (Karras et al. 2022, equation 5)."""

NOISE_CELL = 3840
"""Samples of one cell of the noise that sampling begins with."""


class NuWaveUpscaler:
    """Waveform diffusion, 48 kHz; every channel by itself. It needs no vocoder.

    Args:
        name: as in `airband models`.
        digest: of the weights.
        network: see `engine.models.nuwave.network`.
        device: as torch names it.
    """

    body_cells = 6
    context_cells = 1
    fade_frames = SHORT_FADE
    links_channels = False
    generates = True

    def __init__(self, name: str, digest: str, network: nn.Module, device: str = "cpu") -> None:
        self.name, self.digest = name, digest
        self._network, self._device = network.to(device), torch.device(device)

    def batch(self, preset: Preset) -> int:
        """Windows gain nothing from each other."""
        return 1

    def steps(self, preset: Preset) -> int:
        """Those of the sampler."""
        return preset.steps

    @torch.inference_mode()
    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The generated signal of each window: same shape as its samples, the level of the input."""
        generated = []
        sigmas = levels(preset.steps)
        for window in windows:
            given = window.samples * np.float32(window.gain)
            low = torch.from_numpy(np.stack([chebyshev_lowpass(c, window.cutoff_hz) for c in given]))
            cells = given.shape[1] // NOISE_CELL
            drawn = noise("x_T", window.group, window.start // NOISE_CELL, cells, (NOISE_CELL,)).reshape(
                1, -1
            )
            x = sigmas[0] * torch.from_numpy(drawn).to(self._device).expand(len(given), -1)
            low = low.to(self._device)
            for index, (here, there) in enumerate(itertools.pairwise(sigmas)):
                clean = torch.cat([self._denoised(one, here, c) for one, c in zip(x, low, strict=True)])
                x = clean + there / here * (x - clean)
                on_step(Step("sample", index + 1, preset.steps))
            generated.append(np.asarray((low + x).cpu().numpy() / window.gain, dtype=np.float32))
        return generated

    def _denoised(self, x: Tensor, sigma: float, low: Tensor) -> Tensor:
        clean: Tensor = self._network(x[None], torch.full((1,), sigma, device=x.device), low[None])
        return clean


def levels(steps: int) -> list[float]:
    """`steps` noise levels from the highest on, and 0."""
    low, high = (sigma ** (1 / RHO) for sigma in SIGMA_RANGE)
    places = np.linspace(high, low, steps) if steps > 1 else np.array([high])
    return [*(float(place**RHO) for place in places), 0.0]

"""The trainer of NuWave: `airband train nuwave --config FILE.toml` (Lee and Han 2021; Karras et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from engine.models.nuwave.network import DATA_DEVIATION, NuWave
from engine.models.trained_file import write_model
from engine.training.audiosr.crops import CropConfig, CropTask
from engine.training.command import parser_of, train
from presets.errors import UsageError

LOG_SIGMA_MEAN, LOG_SIGMA_DEVIATION = math.log(DATA_DEVIATION), 1.5
"""Noise levels of training are log-normal around the data's own deviation."""


class Config(CropConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration of `train nuwave`: what it has beside CropConfig.

    Attributes:
        network: arguments of NuWave that differ from its defaults.
    """

    network: dict[str, int] = msgspec.field(default_factory=dict)
    crop_s: float = 0.64


class WaveformDiffusion(CropTask):
    """What the loop needs to train NuWave.

    Args:
        config: what to do; its corpus is packed.
    """

    averaged = ("denoiser",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.config = config
        try:
            self.networks = nn.ModuleDict({"denoiser": NuWave(**config.network)})
        except TypeError as error:
            raise UsageError(f"network: {error}", "network") from None

    def losses(
        self, networks: Mapping[str, nn.Module], batch: dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """The square error of the missing band, weighted so that every noise level counts alike."""
        low = batch["low"]
        missing = batch["full"] - low
        drawn = torch.randn(len(low), device=low.device)
        sigma = torch.exp(LOG_SIGMA_MEAN + LOG_SIGMA_DEVIATION * drawn)
        noisy = missing + sigma[:, None] * torch.randn_like(missing)
        with self.cast():
            clean = networks["denoiser"](noisy, sigma, low)
        weight = (sigma**2 + DATA_DEVIATION**2) / (sigma * DATA_DEVIATION) ** 2
        return {"total": (weight * (clean.float() - missing).square().mean(1)).mean()}

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """Writes `model.safetensors`."""
        state = networks["denoiser"].state_dict()
        write_model(folder / "model.safetensors", "nuwave", self.config.network, state, self.hours)


def main(argv: Sequence[str]) -> int:
    """`train nuwave`."""
    parser = parser_of("nuwave", "Train NuWave, a waveform diffusion and a baseline of the paper.")
    return train(parser.parse_args(argv), Config, WaveformDiffusion)

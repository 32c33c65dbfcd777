"""The trainer of NVSR's mel predictors: `airband train nvsr --config FILE.toml` (Liu et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from engine.models.audiosr import mel
from engine.models.audiosr.vocoders import phase
from engine.models.nvsr.predictors import build
from engine.models.trained_file import write_model
from engine.training.audiosr.crops import CropConfig, CropTask
from engine.training.command import parser_of, train
from engine.training.logbook import Shown


class Config(CropConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration of `train nvsr`: what it has beside CropConfig.

    Attributes:
        kind: dnn or resunet.
        network: its sizes.
    """

    kind: str
    network: dict[str, int] = msgspec.field(default_factory=dict)
    crop_s: float = 2.56


class MelPrediction(CropTask):
    """What the loop needs to train a mel predictor.

    Args:
        config: what to do; its corpus is packed.
    """

    averaged = ("predictor",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.config = config
        self.networks = nn.ModuleDict({"predictor": build(config.kind, config.network)})

    def losses(
        self, networks: Mapping[str, nn.Module], batch: dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """The mean distance of log mels, all bands."""
        x, wanted = (mel.log_mel(mel.magnitude(batch[name])) for name in ("low", "full"))
        with self.cast():
            y = networks["predictor"](x)
        return {"total": (y.float() - wanted).abs().mean()}

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """Writes `model.safetensors`."""
        arguments = {"kind": self.config.kind, "sizes": self.config.network}
        state = networks["predictor"].state_dict()
        write_model(folder / "model.safetensors", "nvsr", arguments, state, self.hours)

    @torch.no_grad()
    def shown(self, networks: Mapping[str, nn.Module]) -> Shown:
        """A held-out crop, and its prediction, made audible with retrieved phases."""
        example = self.examples(validation=True)[0]
        low, full = example["low"][None], example["full"]
        device = next(networks["predictor"].parameters()).device
        x, wanted = (mel.log_mel(mel.magnitude(wave)) for wave in (low, full[None]))
        y = networks["predictor"](x.to(device)).float().cpu()
        made = phase.waveform(y, low, torch.randn_like(low), example["cutoff_hz"][None])
        return Shown(
            {"mel": wanted[0].T.numpy(), "mel predicted": y[0].T.numpy()},
            {"real": full.numpy(), "made": made[0].numpy()},
        )


def main(argv: Sequence[str]) -> int:
    """`train nvsr`."""
    parser = parser_of("nvsr", "Train a mel predictor of NVSR, a baseline of the paper.")
    return train(parser.parse_args(argv), Config, MelPrediction)

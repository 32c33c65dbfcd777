"""The trainer of AudioSR's autoencoder: `airband train vae --config FILE.toml` (paper section 3.1).

It minimises the distance of log-mel spectrograms, the divergence of its latents from a standard normal
distribution, and, once that has settled, an adversarial loss by a patch discriminator, which brings back the
detail that a mean distance smooths away (Rombach et al. 2022, section 3.1 and appendix G).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from engine.models.audiosr import mel
from engine.models.audiosr.autoencoder import Decoder, Encoder
from engine.training.audiosr.crops import CropConfig, CropTask
from engine.training.audiosr.discriminators import Patch, frozen, hinge
from engine.training.audiosr.parts import write_part
from engine.training.command import parser_of, train
from engine.training.logbook import Shown
from presets.errors import UsageError

MEAN_LOG_MEL = -6.0
"""About the mean level of music and speech: what a fresh decoder starts from."""

GREATEST_BALANCE = 1e4
"""Limit of the factor between the gradients of both losses, as in latent diffusion's own trainer."""


class Config(CropConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration of `train vae`: what it has beside CropConfig.

    Attributes:
        network: arguments of Encoder and Decoder that differ from the published ones.
        band_limited: share of the examples that are band-limited, as the conditions of a diffusion are.
        divergence: weight of the Kullback-Leibler divergence (mean over latents); the distance has 1.
        adversarial: weight of the adversarial loss, as a share of the distance's gradient.
        adversarial_from: the step from which on it counts.
        patch: arguments of the discriminator that differ from its defaults.
    """

    network: dict[str, Any] = msgspec.field(default_factory=dict)
    crop_s: float = 1.28
    band_limited: float = 0.25
    divergence: float = 1e-3
    adversarial: float = 0.5
    adversarial_from: int
    patch: dict[str, int] = msgspec.field(default_factory=dict)


class Autoencoder(CropTask):
    """What the loop needs to train an autoencoder.

    Args:
        config: what to do; its corpus is packed.

    Raises:
        UsageError: crops that are not whole latent cells, or arguments that the networks do not have.
    """

    averaged = ("encoder", "decoder")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.config = config
        try:
            encoder, decoder = Encoder(**config.network), Decoder(**config.network)
            patch = Patch(**config.patch)
        except TypeError as error:
            raise UsageError(f"network or patch: {error}", "network") from None
        nn.init.constant_(decoder.decoder.conv_out.bias, MEAN_LOG_MEL)  # type: ignore[arg-type]
        self.networks = nn.ModuleDict({"encoder": encoder, "decoder": decoder, "patch": patch})

    def losses(
        self, networks: Mapping[str, nn.Module], batch: dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """Distance, divergence, and the adversarial losses of the decoder and the discriminator."""
        config = self.config
        limited = torch.rand(len(batch["full"]), 1, device=batch["full"].device) < config.band_limited
        x = mel.log_mel(mel.magnitude(torch.where(limited, batch["low"], batch["full"])))[:, None]
        with self.cast():
            mean, std = networks["encoder"](x)
            y = networks["decoder"](mean + std * torch.randn_like(std)).float()
        distance = (y - x).abs().mean()
        divergence = 0.5 * (mean.square() + std.square() - 1 - 2 * std.clamp(min=1e-6).log()).mean()
        total = distance + config.divergence * divergence
        adversarial = discriminator = torch.zeros((), device=y.device)
        if step >= config.adversarial_from and torch.is_grad_enabled():
            patch, decoder = networks["patch"], networks["decoder"]
            with self.cast(), frozen(patch):
                adversarial = -patch(y).float().mean()
            with self.cast():
                discriminator = hinge(patch(x).float(), patch(y.detach()).float())
            balance = _balance(distance, adversarial, decoder.decoder.conv_out.weight)  # type: ignore[union-attr, arg-type]
            total = total + config.adversarial * balance * adversarial + discriminator
        return {
            "total": total,
            "distance": distance.detach(),
            "divergence": divergence.detach(),
            "adversarial": adversarial.detach(),
            "discriminator": discriminator.detach(),
        }

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """Writes `vae.safetensors`, which the trainer of a diffusion takes."""
        state = {
            f"{part}.{name}": tensor
            for part in self.averaged
            for name, tensor in networks[part].state_dict().items()
        }
        write_part(folder / "vae.safetensors", "vae", self.config.network, state, self.hours)

    @torch.no_grad()
    def shown(self, networks: Mapping[str, nn.Module]) -> Shown:
        """A held-out spectrogram and what the autoencoder makes of it."""
        full = self.examples(validation=True)[0]["full"][None]
        x = mel.log_mel(mel.magnitude(full.to(next(networks["encoder"].parameters()).device)))[:, None]
        y = networks["decoder"](networks["encoder"](x).mean)
        return Shown({"mel": x[0, 0].T.cpu().numpy(), "mel decoded": y[0, 0].T.float().cpu().numpy()})


def _balance(distance: Tensor, adversarial: Tensor, kernel: Tensor) -> Tensor:
    """The norm of the distance's gradient over that of the adversarial loss, at the decoder's last kernel."""
    of_distance = torch.autograd.grad(distance, kernel, retain_graph=True)[0].norm()
    of_adversarial = torch.autograd.grad(adversarial, kernel, retain_graph=True)[0].norm()
    return torch.as_tensor(of_distance / (of_adversarial + 1e-6)).clamp(max=GREATEST_BALANCE).detach()


def main(argv: Sequence[str]) -> int:
    """`train vae`."""
    arguments = parser_of("vae", "Train the autoencoder of AudioSR on log-mel spectrograms.").parse_args(argv)
    return train(arguments, Config, Autoencoder)

"""The trainer of AudioSR's vocoder: `airband train vocoder --config FILE.toml` (paper section 3.1).

HiFi-GAN (Kong et al. 2020) with the multi-resolution discriminator in place of the multi-scale one, as the
paper has it, the small vocoder with an inverse STFT at its end, or the network that refines retrieved phases.
All minimise the distance of log-mel spectrograms, the distance of the discriminators' features, and the
adversarial loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from engine.models import registry
from engine.models.audiosr import mel
from engine.models.audiosr.checkpoint import guidance_of, hours_of, write
from engine.models.audiosr.loading import load_networks
from engine.models.audiosr.networks import Configuration, vocoder_of
from engine.models.audiosr.vocoders import vocoding
from engine.training.audiosr.crops import VALIDATION_SEED, CropConfig, CropTask, FullCrops
from engine.training.audiosr.diffusion import MODEL
from engine.training.audiosr.discriminators import (
    MultiPeriod,
    MultiResolution,
    discriminator_loss,
    emphasised,
    feature_distance,
    frozen,
    generator_loss,
    judged_together,
)
from engine.training.audiosr.parts import hours_together, write_part
from engine.training.command import parser_of, train
from engine.training.corpus_config import part_of
from engine.training.logbook import Shown
from presets.errors import UsageError


class Config(CropConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration of `train vocoder`: what it has beside CropConfig.

    Attributes:
        origin: a model that gets the trained vocoder; training starts from its own where that has these
            sizes.
        network: arguments of Vocoder, of IstftVocoder where it says `kind = "istft"`, or of PhaseRefiner
            where `kind = "refined-phase"`.
        faster: share of the crops that are played faster, by up to a quarter: one that ends at 20 kHz then
            fills the band.
        distance, features: weights of the distances of mels and of features; the adversarial loss has 1.
        adversarial_from: the step from which on the discriminators take part.
        width: of the discriminators.
    """

    origin: str = ""
    network: dict[str, Any] = msgspec.field(default_factory=dict)
    crop_s: float = 0.48
    faster: float = 0.0
    distance: float = 45.0
    features: float = 2.0
    adversarial_from: int = 0
    width: int = 32


class VocoderTask(CropTask):
    """What the loop needs to train a vocoder.

    Args:
        config: what to do; its corpus is packed.

    Raises:
        UsageError: crops that are not whole, or arguments that the network does not have.
        ModelError: a model to go on from that is not here.
    """

    averaged = ("vocoder",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.config = config
        try:
            vocoder = vocoder_of(config.network)
        except (KeyError, TypeError) as error:
            raise UsageError(f"network: {error}", "network") from None
        self.origin = load_networks(registry.weights(config.origin), "cpu", None) if config.origin else None
        if self.origin is not None and self.origin.configuration.vocoder == config.network:
            vocoder.load_state_dict(self.origin.vocoder.state_dict())
        self.networks = nn.ModuleDict(
            {
                "vocoder": vocoder,
                "periods": MultiPeriod(config.width),
                "resolutions": MultiResolution(config.width),
            }
        )

    def examples(self, validation: bool) -> FullCrops:
        """Full-band crops of the corpus: the vocoder is given their spectrogram."""
        seed = VALIDATION_SEED if validation else self.config.seed
        return FullCrops(part_of(self.config, validation), seed, self.frames, self.config.faster)

    def losses(
        self, networks: Mapping[str, nn.Module], batch: dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """Distance of log mels, and the adversarial losses of the vocoder and the discriminators."""
        config, real = self.config, batch["full"]
        x = mel.log_mel(mel.magnitude(real))
        with self.cast():
            noise = torch.randn_like(real)
            made = vocoding.waveform(networks["vocoder"], x, real, noise, batch["cutoff_hz"]).float()
        distance = (mel.log_mel(mel.magnitude(made)) - x).abs().mean()
        total = config.distance * distance
        adversarial = features = discriminator = torch.zeros((), device=real.device)
        if step >= config.adversarial_from:
            discriminators = [networks["periods"], networks["resolutions"]]
            heard, known = emphasised(made, real), emphasised(real, real)
            with self.cast():
                with frozen(*discriminators):
                    on_made = [judgement for network in discriminators for judgement in network(heard)]
                on_real, on_fake = judged_together(discriminators, known, heard.detach())
            discriminator = discriminator_loss(on_real, on_fake)
            adversarial, features = generator_loss(on_made), feature_distance(on_real, on_made)
            total = total + adversarial + config.features * features + discriminator
        return {
            "total": total,
            "distance": distance.detach(),
            "adversarial": adversarial.detach(),
            "features": features.detach(),
            "discriminator": discriminator.detach(),
        }

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """Writes `vocoder.safetensors`, and `model.safetensors` where there is a model to go on from."""
        state = {f"vocoder.{name}": tensor for name, tensor in networks["vocoder"].state_dict().items()}
        write_part(folder / "vocoder.safetensors", "vocoder", self.config.network, state, self.hours)
        if self.origin is not None:
            others = {n: t for n, t in self.origin.state_dict().items() if not n.startswith("vocoder.")}
            had = self.origin.configuration
            configuration = Configuration(had.unet, had.vae, self.config.network)
            source = f"vocoder trained for {self.config.origin}"
            path = registry.weights(self.config.origin)
            hours = hours_together([hours_of(path), self.hours])
            write(others | state, folder / MODEL, configuration, source, hours, guidance_of(path))

    @torch.no_grad()
    def shown(self, networks: Mapping[str, nn.Module]) -> Shown:
        """A held-out crop and what the vocoder makes of its spectrogram."""
        example = self.examples(validation=True)[0]
        vocoder = networks["vocoder"]
        device = next(vocoder.parameters()).device
        full, cutoff_hz = example["full"][None].to(device), example["cutoff_hz"][None].to(device)
        x = mel.log_mel(mel.magnitude(full))
        made = vocoding.waveform(vocoder, x, full, torch.randn_like(full), cutoff_hz).float()
        again = mel.log_mel(mel.magnitude(made))
        full, x, made, again = full.cpu(), x[0].T.cpu(), made.cpu(), again[0].T.cpu()
        return Shown(
            {"mel": x.numpy(), "mel again": again.numpy()},
            {"real": full[0].numpy(), "made": made[0].numpy()},
        )


def main(argv: Sequence[str]) -> int:
    """`train vocoder`."""
    parser = parser_of("vocoder", "Train a vocoder for AudioSR.", "the model it is for, by name or file")
    return train(parser.parse_args(argv), Config, VocoderTask)

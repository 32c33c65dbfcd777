"""The trainer of AudioSR's latent diffusion: `airband train diffusion --config FILE.toml` (paper, 3.1).

It minimises the paper's equation (1): the error of the velocity that the Transformer-UNet predicts of a
noised latent, on the schedule that the samplers use, given the latent of a band-limited copy. In a tenth of
the examples the condition is empty, for guidance. `--from MODEL` goes on from a trained model and keeps its
autoencoder, vocoder and scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from engine.models import registry
from engine.models.audiosr import mel, sampler
from engine.models.audiosr.checkpoint import GUIDANCE, digest, guidance_of, hours_of, write
from engine.models.audiosr.loading import load_networks
from engine.models.audiosr.networks import Configuration, Networks
from engine.models.audiosr.pipeline import EMPTY_CONDITION
from engine.models.audiosr.vocoders import phase
from engine.training.audiosr.crops import VALIDATION_SEED, whole_cells
from engine.training.audiosr.latents import LatentCrops, Latents
from engine.training.audiosr.low_rank import add_changes, merged
from engine.training.audiosr.parts import hours_together, read_part
from engine.training.command import parser_of, train
from engine.training.corpus_config import CorpusConfig, part_of
from engine.training.logbook import Shown
from engine.training.task import Task, device_of
from presets.errors import UsageError

MODEL = "model.safetensors"

SCALE_CROPS = 64
"""Crops from which the scale of the latents is measured."""

SHOWN_STEPS = 10
"""Steps of the sampler for what TensorBoard shows."""


class Config(CorpusConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration of `train diffusion`: what it has beside CorpusConfig.

    Attributes:
        origin: the model to go on from, as `airband models` lists it, or a file; else `network` and `vae`.
        network: arguments of TransformerUNet that differ from the published ones.
        vae: what `airband train vae` wrote.
        vocoder: what `airband train vocoder` wrote; without one, the model's phases are retrieved.
        latents: where the latents are kept; by default beside the pack, under the encoder's digest.
        copies: band-limited copies of each piece of the corpus, each with a filter of its own.
        crop_s: length of an example, seconds; a multiple of 0.64 suits every U-Net.
        dropped: share of the examples whose condition is empty.
        guidance: the value of `cfg_scale = auto` for the model, 1 to 10; by default that of the model it goes
            on from, else 3.5. After a short training only little guidance works.
        rank: of the low-rank changes that are trained in place of the whole U-Net; 0 trains the whole.
    """

    origin: str = ""
    network: dict[str, Any] = msgspec.field(default_factory=dict)
    vae: str = ""
    vocoder: str = ""
    latents: str = ""
    copies: int = 2
    crop_s: float = 2.56
    dropped: float = 0.1
    guidance: float | None = None
    rank: int = 0


class Diffusion(Task):
    """What the loop needs to train a latent diffusion.

    Args:
        config: what to do; its corpus is packed.

    Raises:
        UsageError: neither a model to go on from nor an autoencoder, or crops that the U-Net cannot halve.
        ModelError: a file of another kind, or a damaged one.
    """

    averaged = ("unet",)

    def __init__(self, config: Config) -> None:
        torch.manual_seed(config.seed)
        self.schedule = self.config = config
        self.model, self.hours_before = whole_model(config)
        self.model.requires_grad_(False).eval()
        self.networks = nn.ModuleDict({"unet": self.model.unet})
        if config.rank:
            add_changes(self.model.unet, config.rank)
        else:
            self.model.unet.requires_grad_(True)
        stride = self.model.time_stride
        self.cells = whole_cells(config.crop_s) // (stride * 480)
        if self.cells % self.model.unet.stride:
            raise UsageError(
                f"crop_s = {config.crop_s}: {self.cells} latent cells, which this U-Net cannot halve; take a "
                f"multiple of {self.model.unet.stride * 0.08:g} s",
                "crop_s",
            )
        encoder = self.model.encoder.to(device_of(config))
        name = digest(encoder.cpu().state_dict())[:12]
        self.latents = Latents(
            Path(config.latents or f"{config.pack}.{name}.latents"),
            [part_of(config, validation) for validation in (False, True)],
            config.seed,
            self.cells,
            config.copies,
            encoder.to(device_of(config)),
            stride,
        )
        self.latents.encode(config.workers)
        if not config.origin:
            self.model.scale_factor.fill_(1 / self._deviation())

    def _deviation(self) -> float:
        crops = LatentCrops(self.latents, 0, self.config.seed, self.cells)
        moments = torch.stack([crops[index]["target"] for index in range(SCALE_CROPS)])
        mean, std = moments.unbind(1)
        return float((mean.var() + std.square().mean()).sqrt())

    def _guidance(self) -> float:
        if self.config.guidance is not None:
            return self.config.guidance
        return guidance_of(registry.weights(self.config.origin)) if self.config.origin else GUIDANCE

    def examples(self, validation: bool) -> Dataset[dict[str, Tensor]]:
        """Crops of the latents."""
        seed = VALIDATION_SEED if validation else self.config.seed
        return LatentCrops(self.latents, int(validation), seed, self.cells)

    def losses(
        self, networks: Mapping[str, nn.Module], batch: dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """The mean square error of the velocity, and those over the less noisy and the noisier half of
        steps."""
        scale = self.model.scale_factor.to(batch["target"].device)
        z, condition = (
            scale * (mean + std * torch.randn_like(std))
            for mean, std in (batch[name].unbind(1) for name in ("target", "condition"))
        )
        count = (len(z), 1, 1, 1)
        empty = torch.rand(count, device=z.device) < self.config.dropped
        condition = torch.where(empty, EMPTY_CONDITION * scale, condition)
        t = torch.randint(sampler.TRAINING_STEPS, (len(z),), device=z.device)
        power = torch.from_numpy(sampler.abar(t.cpu().numpy().astype(np.float64))).to(z).view(count)
        alpha, sigma = power.sqrt(), (1 - power).sqrt()
        e = torch.randn_like(z)
        with self.cast():
            v, _ = networks["unet"](alpha * z + sigma * e, t, condition)
        square = (v.float() - (alpha * e - sigma * z)).square().mean((1, 2, 3))
        noisy = (t >= sampler.TRAINING_STEPS // 2).float()

        def share(weight: Tensor) -> Tensor:
            mean: Tensor = (square * weight).sum() / weight.sum().clamp(min=1)
            return mean.detach()

        return {"total": square.mean(), "quiet": share(1 - noisy), "noisy": share(noisy)}

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """Writes `model.safetensors`, a whole model that renders."""
        state = {name: t for name, t in self.model.state_dict().items() if not name.startswith("unet.")}
        unet = merged(networks["unet"]).state_dict()
        state |= {f"unet.{name}": tensor for name, tensor in unet.items()}
        source = f"trained from {self.config.origin}" if self.config.origin else "trained by airband"
        configuration = self.model.configuration
        hours = hours_together([self.hours_before, self.hours])
        write(state, folder / MODEL, configuration, source, hours, self._guidance())

    @torch.no_grad()
    def shown(self, networks: Mapping[str, nn.Module]) -> Shown:
        """A held-out crop as its latent decodes, and what is sampled from its condition, made audible with
        retrieved phases."""
        unet = networks["unet"]
        device = next(unet.parameters()).device
        scale = self.model.scale_factor.to(device)
        example = self.examples(validation=True)[0]
        z_0, condition = (scale * example[name][0][None].to(device) for name in ("target", "condition"))

        def velocity(z: Tensor, t: float) -> Tensor:
            v: Tensor = unet(z, torch.full((1,), t, device=device), condition)[0]
            return v

        plan = sampler.trailing_log_snr(SHOWN_STEPS)
        sampled = sampler.dpmpp_2m(velocity, torch.randn_like(z_0), plan)
        decoder = self.model.decoder.to(device)
        mels = [decoder(z / scale)[:, 0].float().cpu() for z in (z_0, sampled)]
        noise = torch.randn(1, mels[0].shape[1] * mel.HOP)
        waves = [phase.waveform(x, torch.zeros_like(noise), noise, torch.zeros(1)) for x in mels]
        names = ("decoded", "sampled")
        return Shown(
            {f"mel {name}": x[0].T.numpy() for name, x in zip(names, mels, strict=True)},
            {name: wave[0].numpy() for name, wave in zip(names, waves, strict=True)},
        )


def whole_model(config: Config) -> tuple[Networks, float | None]:
    """All networks of a run, and the hours that were spent on them before: those of the model it goes on
    from, or a fresh U-Net and the parts it names."""
    if config.origin:
        path = registry.weights(config.origin)
        return load_networks(path, "cpu", None), hours_of(path)
    if not config.vae:
        raise UsageError(
            "a diffusion needs the autoencoder of its latents: `vae` in the configuration, or --from MODEL",
            "vae",
        )
    vae = read_part(Path(config.vae), "vae")
    vocoder = read_part(Path(config.vocoder), "vocoder") if config.vocoder else None
    sections = Configuration(config.network, vae.arguments, vocoder.arguments if vocoder else None)
    try:
        model = Networks(sections)
    except TypeError as error:
        raise UsageError(f"network: {error}", "network") from None
    parts = [vae] if vocoder is None else [vae, vocoder]
    for part in parts:
        model.load_state_dict(part.state, strict=False)
    return model, hours_together([part.hours for part in parts])


def main(argv: Sequence[str]) -> int:
    """`train diffusion`."""
    description = "Train the latent diffusion of AudioSR, or fine-tune a model."
    parser = parser_of("diffusion", description, "a model to go on from, by name or file")
    return train(parser.parse_args(argv), Config, Diffusion)

"""The four networks of AudioSR together, their configuration, and their names in an official checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from engine.models.audiosr.autoencoder import Decoder, Encoder
from engine.models.audiosr.unet import TransformerUNet
from engine.models.audiosr.vocoders.hifigan import Vocoder
from engine.models.audiosr.vocoders.istft import IstftVocoder
from engine.models.audiosr.vocoders.phase_refiner import PhaseRefiner
from presets.errors import UsageError

PREFIXES = {
    "unet": "model.diffusion_model.",
    "encoder": "cond_stage_models.0.vae.",
    "vocoder": "first_stage_model.vocoder.",
    "decoder": "first_stage_model.",
}
"""Where each network's tensors stand in an official checkpoint."""


@dataclass(frozen=True)
class Configuration:
    """Arguments of the networks that differ from the published model; empty means AudioSR as published.

    Attributes:
        unet: of TransformerUNet.
        vae: of Encoder and Decoder.
        vocoder: of Vocoder, of IstftVocoder where it says `kind = "istft"`, of PhaseRefiner where
            `kind = "refined-phase"`; None for a model that has no vocoder of its own.
    """

    unet: dict[str, Any] = field(default_factory=dict)
    vae: dict[str, Any] = field(default_factory=dict)
    vocoder: dict[str, Any] | None = field(default_factory=dict)

    @classmethod
    def from_official(cls, config: Mapping[str, Any]) -> Configuration:
        """From the sections `unet`, `vae`, `vocoder` of an official configuration, whose other keys are
        either constant in AudioSR or ignored by the official code itself (`downsample_time`)."""
        return cls(
            unet=_arguments(TransformerUNet, config["unet"]),
            vae=_arguments(Encoder, config["vae"]),
            vocoder=_arguments(Vocoder, config["vocoder"]),
        )


def _arguments(network: type[nn.Module], section: Mapping[str, Any]) -> dict[str, Any]:
    names = inspect.signature(network.__init__).parameters
    return {name: value for name, value in section.items() if name in names}


class Turns(Protocol):
    """Networks of which one is in memory at a time."""

    def take(self, name: str) -> None:
        """Brings this one into memory."""
        ...


class NoVocoder(nn.Module):
    """In place of a vocoder, for a model that has none of its own: its spectrograms need `vocoders.phase`."""

    def forward(self, log_mel: Tensor) -> Tensor:
        """Raises UsageError."""
        raise UsageError(
            "this model has no vocoder of its own; take vocoder = phase, or auto, which does that", "vocoder"
        )


def vocoder_of(arguments: Mapping[str, Any] | None) -> nn.Module:
    """The vocoder that the section `vocoder` of a Configuration describes; `vocoding.waveform` calls it."""
    if arguments is None:
        return NoVocoder()
    kinds: dict[str, type[nn.Module]] = {
        "hifigan": Vocoder,
        "istft": IstftVocoder,
        "refined-phase": PhaseRefiner,
    }
    kind = kinds[arguments.get("kind", "hifigan")]
    vocoder: nn.Module = kind(**{name: value for name, value in arguments.items() if name != "kind"})
    return vocoder


class Networks(nn.Module):
    """U-Net, encoder, decoder and vocoder, and the factor that brings a latent to unit variance.

    Attributes:
        turns: brings networks into memory one after the other; None where all are there.

    Args:
        configuration: of the networks.
    """

    scale_factor: Tensor

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.configuration = configuration
        self.unet = TransformerUNet(**configuration.unet)
        self.encoder = Encoder(**configuration.vae)
        self.decoder = Decoder(**configuration.vae)
        self.vocoder = vocoder_of(configuration.vocoder)
        self.register_buffer("scale_factor", torch.tensor(1.0))
        self.turns: Turns | None = None

    def take_turn(self, name: Literal["encoder", "unet", "decoder", "vocoder"]) -> None:
        """Brings the network that works next into memory; ModelError where its file is gone or was
        replaced."""
        if self.turns is not None:
            self.turns.take(name)

    def to_official(self, name: str) -> str:
        """The official checkpoint's key of the tensor `name` of this module's state."""
        network, _, rest = name.partition(".")
        return PREFIXES[network] + rest if network in PREFIXES else name

    @property
    def has_vocoder(self) -> bool:
        """Whether the model has a vocoder of its own."""
        return not isinstance(self.vocoder, NoVocoder)

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return self.decoder.post_quant_conv.in_channels

    @property
    def time_stride(self) -> int:
        """Mel frames (and mel bands) in one latent cell."""
        count: int = 2 ** (len(self.decoder.decoder.up) - 1)
        return count


def compile_for(networks: Networks, device: str) -> None:
    """Compile U-Net, decoder and vocoder in place, on a CUDA device into CUDA graphs (torch.compile's mode
    `reduce-overhead`). That happens when they first see a shape, and takes minutes."""
    mode = "reduce-overhead" if torch.device(device).type == "cuda" else None
    for part in (networks.unet, networks.decoder, networks.vocoder):
        part.compile(mode=mode)


def lay_out(network: nn.Module) -> None:
    """Copy every convolution's weight to channels-last order, which the fast kernels read directly."""
    for layer in network.modules():
        lay_out_layer(layer)


def lay_out_layer(layer: nn.Module) -> None:
    """`lay_out` of one layer, without its children."""
    if isinstance(layer, nn.Conv2d):
        layer.weight.data = layer.weight.data.clone(memory_format=torch.channels_last)
    elif isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
        flipped = layer.weight.data.transpose(1, 2)
        layer.weight.data = flipped.clone(memory_format=torch.contiguous_format).transpose(1, 2)

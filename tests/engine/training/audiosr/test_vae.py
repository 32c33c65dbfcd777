from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from engine.models.audiosr import mel
from engine.models.audiosr.autoencoder import Decoder, Encoder
from engine.training.audiosr.parts import read_part
from engine.training.audiosr.vae import Autoencoder, Config
from engine.training.loop import Run
from presets.errors import ModelError, UsageError

SIZES = {"ch": 32, "ch_mult": [1, 1, 1], "num_res_blocks": 1, "z_channels": 8, "embed_dim": 8}


@pytest.fixture
def config(tiny: dict[str, Any]) -> Callable[..., Config]:
    def make(**more: Any) -> Config:
        values = {
            "network": SIZES,
            "crop_s": 0.16,
            "adversarial_from": 1000,
            "patch": {"width": 8},
            "steps": 4,
        }
        return msgspec.convert(tiny | values | more, Config)

    return make


def test_it_overfits_one_batch(config: Callable[..., Config], overfit: Callable[..., list[float]]) -> None:
    shallow = SIZES | {"ch_mult": [1, 1]}
    run = config(network=shallow, steps=120, rate=4e-3, band_limited=0.0, divergence=1e-6, batch=1)
    losses = overfit(Autoencoder(run), "distance")
    assert min(losses) < 0.1 * losses[0]


def test_it_resumes_where_it_stopped(config: Callable[..., Config], resumes: Callable[..., None]) -> None:
    resumes(lambda: Autoencoder(config(adversarial_from=1)))


def test_the_discriminator_joins_when_it_is_told_to(config: Callable[..., Config], tmp_path: Path) -> None:
    task = Autoencoder(config(adversarial_from=2))
    before = {name: tensor.clone() for name, tensor in task.networks["patch"].state_dict().items()}
    run = Run(task, tmp_path)
    run.train(stop=2)
    assert all(torch.equal(before[name], t) for name, t in task.networks["patch"].state_dict().items())
    run.train(stop=4)
    assert not all(torch.equal(before[name], t) for name, t in task.networks["patch"].state_dict().items())


def test_what_it_exports_is_the_mean_network_and_decodes(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    run = Run(Autoencoder(config()), tmp_path)
    run.train()
    part = read_part(tmp_path / "vae.safetensors", "vae")
    encoder, decoder = Encoder(**part.arguments), Decoder(**part.arguments)
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        network.load_state_dict(
            {k.removeprefix(f"{name}."): v for k, v in part.state.items() if k.startswith(f"{name}.")}
        )
    assert torch.equal(decoder.decoder.conv_out.bias, run.means["decoder"].decoder.conv_out.bias)
    spectrogram = mel.log_mel(mel.magnitude(torch.randn(1, 7680)))[:, None]
    assert decoder(encoder(spectrogram).mean).shape == spectrogram.shape
    with pytest.raises(ModelError, match="holds vae, not a vocoder"):
        read_part(tmp_path / "vae.safetensors", "vocoder")


def test_crops_that_are_no_whole_cells_are_refused(config: Callable[..., Config]) -> None:
    with pytest.raises(UsageError, match=r"0\.08"):
        Autoencoder(config(crop_s=0.5))

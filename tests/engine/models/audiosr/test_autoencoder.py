from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.models.audiosr.autoencoder import Decoder, Downsample, Encoder, Upsample
from engine.models.audiosr.networks import Networks


def test_published_sizes() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in Encoder().parameters()) == 90_011_328
        assert sum(p.numel() for p in Decoder().parameters()) == 133_524_241


@torch.inference_mode()
@pytest.mark.parametrize("frames", [64, 192])
def test_a_latent_cell_is_eight_frames_and_eight_bands(small_networks: Networks, frames: int) -> None:
    networks = small_networks
    mel = torch.randn(2, 1, frames, 256)
    posterior = networks.encoder(mel)
    assert posterior.mean.shape == posterior.std.shape == (2, 4, frames // 8, 32)
    assert networks.decoder(posterior.mean).shape == mel.shape
    assert networks.time_stride == 8
    assert networks.latent_channels == 4


@torch.inference_mode()
def test_posterior_reads_mean_then_log_variance_and_bounds_it(small_networks: Networks) -> None:
    encoder = small_networks.encoder
    nn.init.zeros_(encoder.quant_conv.weight)
    encoder.quant_conv.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0, -100.0, 100.0, 0.0, 2.0]))
    posterior = encoder(torch.zeros(1, 1, 64, 256))
    assert posterior.mean[0, :, 0, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    expected = torch.exp(0.5 * torch.tensor([-30.0, 20.0, 0.0, 2.0]))
    torch.testing.assert_close(posterior.std[0, :, 0, 0], expected)


@torch.inference_mode()
def test_downsampling_pads_the_end_and_not_the_start() -> None:
    down = Downsample(1)
    down.conv.weight.copy_(torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])[None, None])
    nn.init.zeros_(down.conv.bias)
    x = torch.ones(1, 1, 4, 4)
    corner = 1 + 2 + 4 + 5
    assert down(x)[0, 0].tolist() == [[45.0, corner + 7 + 8], [corner + 3 + 6, corner]]


@torch.inference_mode()
def test_upsampling_repeats_each_point() -> None:
    up = Upsample(1)
    nn.init.zeros_(up.conv.bias)
    nn.init.zeros_(up.conv.weight)
    up.conv.weight[0, 0, 1, 1] = 1.0
    assert up(torch.tensor([[[[1.0, 2.0]]]]))[0, 0].tolist() == [[1.0, 1.0, 2.0, 2.0]] * 2

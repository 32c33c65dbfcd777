from __future__ import annotations

import pytest
import torch

from engine.models.audiosr.networks import Networks
from engine.models.audiosr.vocoders.hifigan import Vocoder


def test_published_size() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in Vocoder().parameters()) == 190_281_889


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 64, 100])
def test_sixteen_samples_more_than_the_hop_asks_for(small_networks: Networks, frames: int) -> None:
    wave = small_networks.vocoder(torch.randn(2, 256, frames))
    assert wave.shape == (2, 480 * frames + 16)
    assert float(wave.abs().max()) <= 1


@torch.inference_mode()
def test_a_frame_sounds_eight_samples_late() -> None:
    """With positive symmetric kernels the generator is linear, and its response to one frame is symmetric."""
    vocoder = Vocoder(
        upsample_initial_channel=32, resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]]
    )
    for name, parameter in vocoder.named_parameters():
        parameter.fill_(0.0 if name.endswith("bias") else 0.3 / parameter[0].numel())
    mel = torch.zeros(1, 256, 9)
    mel[:, :, 4] = 1.0
    wave = vocoder(mel)[0].double()
    centre = float((wave * torch.arange(len(wave))).sum() / wave.sum())
    middle_of_the_frame = 480 * 4 + 239.5
    assert centre - middle_of_the_frame == pytest.approx(8.0, abs=0.01)

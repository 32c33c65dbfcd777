"""Small AudioSR networks with seeded random weights, in the shape of the published ones."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from engine.models.audiosr.networks import Configuration, Networks


@pytest.fixture(scope="session")
def small_configuration() -> Configuration:
    """Four levels as published, at the smallest width that 32 normalisation groups allow."""
    from engine.models.audiosr.networks import Configuration

    return Configuration(
        unet={
            "in_channels": 8,
            "out_channels": 4,
            "model_channels": 32,
            "channel_mult": [1, 1, 1, 2],
            "num_res_blocks": 1,
            "attention_resolutions": [4],
            "num_head_channels": 16,
        },
        vae={"ch": 32, "ch_mult": [1, 1, 1, 2], "num_res_blocks": 1, "z_channels": 4, "embed_dim": 4},
        vocoder={
            "upsample_initial_channel": 32,
            "resblock_kernel_sizes": [3, 7],
            "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
        },
    )


@pytest.fixture(scope="session")
def pristine_networks(small_configuration: Configuration) -> Networks:
    """The original that `small_networks` copies; no tensor is left at its initial zeros or ones."""
    import torch

    from engine.models.audiosr.networks import Networks

    generator = torch.Generator().manual_seed(0)
    networks = Networks(small_configuration).requires_grad_(False)
    for name, tensor in networks.state_dict().items():
        drawn = torch.randn(tensor.shape, generator=generator)
        if name == "scale_factor":
            tensor.fill_(0.37)
        elif tensor.ndim == 1:
            tensor.copy_((1.0 if name.endswith("weight") else 0.0) + 0.1 * drawn)
        else:
            tensor.copy_(drawn / tensor[0].numel() ** 0.5)
    return networks.eval()


@pytest.fixture
def small_networks(pristine_networks: Networks) -> Networks:
    """Networks of the test's own, the same numbers each time."""
    import torch

    torch.set_num_threads(1)
    return deepcopy(pristine_networks)

from __future__ import annotations

import pytest
import torch

from engine.models.audiosr.networks import Networks
from engine.models.audiosr.unet import TransformerUNet


@pytest.fixture
def unet(small_networks: Networks) -> TransformerUNet:
    return small_networks.unet


def latents(batch: int, frames: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, 4, frames, 32)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def test_published_size() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in TransformerUNet().parameters()) == 258_195_088


@torch.inference_mode()
def test_a_batch_of_different_steps_equals_the_steps_alone(unet: TransformerUNet) -> None:
    x, condition = latents(3)
    t = torch.tensor([1.0, 501.0, 981.0])
    alone = [unet(x[i : i + 1], t[i : i + 1], condition[i : i + 1])[0] for i in range(3)]
    torch.testing.assert_close(unet(x, t, condition)[0], torch.cat(alone), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_velocity_depends_on_latent_step_and_condition(unet: TransformerUNet) -> None:
    x, condition = latents(1)
    t = torch.tensor([500.0])
    v, _ = unet(x, t, condition)
    assert v.shape == x.shape
    for other, _ in (unet(x + 0.1, t, condition), unet(x, t + 300, condition), unet(x, t, -condition)):
        assert float((other - v).abs().max()) > 1e-3


@torch.inference_mode()
@pytest.mark.parametrize("frames", [8, 16, 64])
def test_takes_any_multiple_of_its_stride(unet: TransformerUNet, frames: int) -> None:
    x, condition = latents(1, frames)
    assert unet.stride == 8
    assert unet(x, torch.tensor([10.0]), condition)[0].shape == x.shape


@torch.inference_mode()
def test_bfloat16_stays_near_float32(unet: TransformerUNet) -> None:
    x, condition = latents(2, 16)
    t = torch.tensor([300.0, 700.0])
    exact, _ = unet(x, t, condition)
    rounded, _ = unet.to(torch.bfloat16)(x, t, condition)
    assert rounded.dtype == torch.float32
    assert float((rounded - exact).norm() / exact.norm()) < 0.03


@torch.inference_mode()
def test_the_output_of_the_coarse_levels_can_be_reused(unet: TransformerUNet) -> None:
    """With it the coarse levels do not run: the same latent gives the same v, the next latent another v."""
    x, condition = latents(2, 16)
    t, later = torch.tensor([500.0, 480.0]), x + 0.05 * latents(2, 16)[1]
    v, coarse = unet(x, t, condition)
    worked: list[int] = []
    handle = unet.middle_block.register_forward_pre_hook(lambda *_: worked.append(1))
    again, kept = unet(x, t, condition, coarse)
    reused, _ = unet(later, t, condition, coarse)
    assert not worked
    handle.remove()
    assert torch.equal(again, v)
    assert torch.equal(kept, coarse)
    whole, _ = unet(later, t, condition)
    assert float((reused - v).norm()) > 0.01 * float(v.norm())
    assert float((reused - whole).norm()) < float((v - whole).norm())

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from engine.models.audiosr.blocks import (
    GatedGelu,
    PlaneAttention,
    ResBlock,
    SelfAttention,
    SpatialTransformer,
    TimeResBlock,
    TransformerBlock,
    timestep_embedding,
)


def group_norm(x: torch.Tensor, layer: Any) -> torch.Tensor:
    return F.group_norm(x, 32, layer.weight, layer.bias, eps=1e-5)


def test_embedding_is_cosines_then_sines_of_geometric_frequencies() -> None:
    t = torch.tensor([0, 7, 999])
    embedding = timestep_embedding(t, 8)
    for row, step in zip(embedding, t.tolist(), strict=True):
        angles = [step * 10000 ** (-i / 4) for i in range(4)]
        expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
        assert row.tolist() == pytest.approx(expected, abs=1e-4)


def test_self_attention_is_softmax_of_scaled_products_per_head() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(12, head_channels=4)
    x = torch.randn(2, 5, 12)
    q, k, v = (x @ layer.weight.T for layer in (attention.to_q, attention.to_k, attention.to_v))
    heads = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        weights = torch.softmax(q[..., part] @ k[..., part].transpose(1, 2) / 2.0, dim=-1)
        heads.append(weights @ v[..., part])
    expected = attention.to_out[0](torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(x), expected)


def test_gate_is_the_second_half_and_exact_gelu() -> None:
    torch.manual_seed(0)
    geglu = GatedGelu(3, 5)
    x = torch.randn(1, 2, 3)
    both = x @ geglu.proj.weight.T + geglu.proj.bias
    gate = both[..., 5:]
    expected = both[..., :5] * gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2)))
    torch.testing.assert_close(geglu(x), expected)


def test_transformer_block_knows_no_order_of_tokens() -> None:
    torch.manual_seed(0)
    block = TransformerBlock(32, 16)
    x, order = torch.randn(1, 6, 32), torch.randperm(6)
    torch.testing.assert_close(block(x)[:, order], block(x[:, order]), rtol=1e-4, atol=1e-5)


def test_spatial_transformer_keeps_every_point_in_its_place() -> None:
    torch.manual_seed(0)
    transformer = SpatialTransformer(32, 16, depth=1)
    x = torch.randn(2, 32, 4, 6)
    turned = transformer(x.transpose(2, 3)).transpose(2, 3)
    torch.testing.assert_close(transformer(x), turned, rtol=1e-4, atol=1e-5)
    assert transformer(x).shape == x.shape


def test_step_embedding_is_added_per_channel_between_the_convolutions() -> None:
    torch.manual_seed(0)
    block = TimeResBlock(32, 64, 16)
    x, embedding = torch.randn(2, 32, 4, 4), torch.randn(2, 16)
    h = block.in_layers[2](F.silu(group_norm(x, block.in_layers[0])))
    h = h + (F.silu(embedding) @ block.emb_layers[1].weight.T + block.emb_layers[1].bias)[:, :, None, None]
    h = block.out_layers[3](F.silu(group_norm(h, block.out_layers[0])))
    torch.testing.assert_close(block(x, embedding), block.skip_connection(x) + h)


@pytest.mark.parametrize(("channels", "out_channels"), [(32, 32), (32, 64)])
def test_residual_block_is_its_skip_when_its_last_convolution_is_zero(
    channels: int, out_channels: int
) -> None:
    torch.manual_seed(0)
    block = ResBlock(channels, out_channels)
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    x = torch.randn(1, channels, 4, 4)
    shortcut: Any = getattr(block, "nin_shortcut", None)
    expected = x if channels == out_channels else F.conv2d(x, shortcut.weight, shortcut.bias)
    torch.testing.assert_close(block(x), expected)


def test_plane_attention_is_single_headed_over_all_points() -> None:
    torch.manual_seed(0)
    attention = PlaneAttention(64)
    x = torch.randn(1, 64, 3, 5)
    h = attention.norm(x)
    q, k, v = (layer(h).flatten(2)[0] for layer in (attention.q, attention.k, attention.v))
    weights = torch.softmax(q.T @ k / 8.0, dim=-1)
    expected = x + attention.proj_out((v @ weights.T).reshape(1, 64, 3, 5))
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_blocks_that_work_in_place_have_right_gradients() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 32, 2, 2, dtype=torch.float64, requires_grad=True)
    embedding = torch.randn(1, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ResBlock(32, 64).double(), (x,))
    assert torch.autograd.gradcheck(TimeResBlock(32, 32, 8).double(), (x, embedding))

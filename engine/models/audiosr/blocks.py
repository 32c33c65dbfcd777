"""The blocks the Transformer-UNet and the autoencoder are built of.

Attribute names are those of the official checkpoint, so its keys load as they are. Tensors are
(batch, channels, time, frequency) unless a docstring says otherwise.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32
"""Groups of every GroupNorm of AudioSR."""


def group_norm(channels: int, eps: float) -> nn.GroupNorm:
    """GroupNorm over 32 groups; the UNet's residual blocks use eps 1e-5, everything else 1e-6."""
    return nn.GroupNorm(GROUPS, channels, eps=eps)


class Conv(nn.Conv2d):
    """A convolution that computes in its weight's precision and returns its input's."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T, F)."""
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Sinusoidal embedding of diffusion steps, cosines first.

    Args:
        t: (batch,) steps in 0..999.
        width: of the embedding, even.

    Returns:
        (batch, width) float32: cos(t f_i), sin(t f_i) with f_i = 10000^(-i / (width / 2)).
    """
    half = width // 2
    frequencies = torch.exp(
        -math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half
    )
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TimeResBlock(nn.Module):
    """The UNet's residual block: the step's embedding is added between its two convolutions.

    Args:
        channels: in.
        out_channels: out; the skip is a 1x1 convolution where the two differ.
        embed_channels: width of the step's embedding.
    """

    def __init__(self, channels: int, out_channels: int, embed_channels: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            group_norm(channels, 1e-5),
            nn.SiLU(inplace=True),
            nn.Conv2d(channels, out_channels, 3, padding=1),
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embed_channels, out_channels))
        self.out_layers = nn.Sequential(
            group_norm(out_channels, 1e-5),
            nn.SiLU(inplace=True),
            nn.Identity(),  # the official block has its dropout here
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.skip_connection = (
            nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x: (B, channels, T, F), embedding: (B, embed_channels) -> (B, out_channels, T, F)."""
        h = self.in_layers(x)
        h += self.emb_layers(embedding)[:, :, None, None]
        y: Tensor = self.out_layers(h)
        y += self.skip_connection(x)
        return y


class SelfAttention(nn.Module):
    """Multi-head self-attention over tokens; queries, keys and values carry no bias."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, tokens, channels) -> the same shape."""
        q, k, v = (
            projection(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in (self.to_q, self.to_k, self.to_v)
        )
        attended = F.scaled_dot_product_attention(q, k, v)
        y: Tensor = self.to_out(attended.transpose(1, 2).flatten(2))
        return y


class GatedGelu(nn.Module):
    """GEGLU (Shazeer 2020): value times exact GELU of the gate; the value is the first half."""

    def __init__(self, channels: int, inner_channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner_channels)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, tokens, channels) -> (B, tokens, inner_channels)."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        y: Tensor = value * F.gelu(gate)
        return y


class FeedForward(nn.Module):
    """GEGLU and a projection back, four times as wide inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GatedGelu(channels, 4 * channels),
            nn.Identity(),  # the official block has its dropout here
            nn.Linear(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, tokens, channels) -> the same shape."""
        y: Tensor = self.net(x)
        return y


class TransformerBlock(nn.Module):
    """Two self-attentions and a feed-forward, each behind its LayerNorm and with its residual.

    In other models the second attention attends to a context; AudioSR has none, so it attends to x.
    """

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.attn1 = SelfAttention(channels, head_channels)
        self.ff = FeedForward(channels)
        self.attn2 = SelfAttention(channels, head_channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, tokens, channels) -> the same shape."""
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x))
        y: Tensor = x + self.ff(self.norm3(x))
        return y


class SpatialTransformer(nn.Module):
    """Transformer blocks over the plane; tokens are its points in (time, frequency) row-major order."""

    def __init__(self, channels: int, head_channels: int, depth: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, 1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, head_channels) for _ in range(depth)
        )
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, channels, T, F) -> the same shape."""
        h = self.proj_in(self.norm(x))
        plane = h.shape[2:]
        h = h.flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            h = block(h)
        y: Tensor = x + self.proj_out(h.transpose(1, 2).unflatten(2, plane))
        return y


class ResBlock(nn.Module):
    """The autoencoder's residual block; `nin_shortcut` is a 1x1 convolution where the widths differ."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = group_norm(channels, 1e-6)
        self.conv1 = Conv(channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels, 1e-6)
        self.conv2 = Conv(out_channels, out_channels, 3, padding=1)
        if channels != out_channels:
            self.nin_shortcut = Conv(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, channels, T, F) -> (B, out_channels, T, F)."""
        h = self.conv1(F.silu(self.norm1(x), inplace=True))
        y: Tensor = self.conv2(F.silu(self.norm2(h), inplace=True))
        y += self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x
        return y


class PlaneAttention(nn.Module):
    """The autoencoder's single-head attention over all points of the plane, with 1x1 projections."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, 1e-6)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, channels, T, F) -> the same shape."""
        h = self.norm(x)
        q, k, v = (
            projection(h).flatten(2).transpose(1, 2)[:, None] for projection in (self.q, self.k, self.v)
        )
        attended = F.scaled_dot_product_attention(q, k, v)[:, 0]
        y: Tensor = x + self.proj_out(attended.transpose(1, 2).reshape(x.shape))
        return y

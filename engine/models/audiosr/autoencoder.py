"""The variational autoencoder of AudioSR on log-mel spectrograms, eight-fold in time and in frequency.

The encoder gives the condition, the decoder turns a sampled latent back into a log-mel spectrogram; they
are separate modules because the checkpoint holds them apart (paper section 3.1, F and its inverse).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.audiosr.blocks import Conv, PlaneAttention, ResBlock, group_norm


class Posterior(NamedTuple):
    """A diagonal Gaussian over latents: (B, embed_dim, T / 8, F / 8) each."""

    mean: Tensor
    std: Tensor


class Downsample(nn.Module):
    """Halves the plane; only the ends of time and frequency are padded."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T, F) -> (B, C, T / 2, F / 2)."""
        y: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return y


class Upsample(nn.Module):
    """Doubles the plane by repetition, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T, F) -> (B, C, 2 T, 2 F)."""
        y: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return y


class Level(nn.Module):
    """Residual blocks at one resolution, and the change to the next one where there is one."""

    def __init__(self, blocks: list[ResBlock], resample: Downsample | Upsample | None) -> None:
        super().__init__()
        self.block = nn.ModuleList(blocks)
        if isinstance(resample, Downsample):
            self.downsample = resample
        elif isinstance(resample, Upsample):
            self.upsample = resample

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T, F)."""
        for child in self.children():
            for layer in child if isinstance(child, nn.ModuleList) else [child]:
                x = layer(x)
        return x


class Middle(nn.Module):
    """Residual block, attention over the whole plane, residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(channels, channels)
        self.attn_1 = PlaneAttention(channels)
        self.block_2 = ResBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T, F) -> the same shape."""
        y: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return y


def blocks(channels: int, width: int, count: int) -> list[ResBlock]:
    """`count` residual blocks, the first of which changes the width."""
    return [ResBlock(channels if index == 0 else width, width) for index in range(count)]


class EncoderStack(nn.Module):
    """The encoder's convolutional part: mel plane -> twice `z_channels`."""

    def __init__(self, ch: int, ch_mult: Sequence[int], num_res_blocks: int, z_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(1, ch, 3, padding=1)
        self.down = nn.ModuleList()
        channels = ch
        for depth, multiple in enumerate(ch_mult):
            width = ch * multiple
            last = depth + 1 == len(ch_mult)
            self.down.append(
                Level(blocks(channels, width, num_res_blocks), None if last else Downsample(width))
            )
            channels = width
        self.mid = Middle(channels)
        self.norm_out = group_norm(channels, 1e-6)
        self.conv_out = nn.Conv2d(channels, 2 * z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 1, T, F) -> (B, 2 z_channels, T / 8, F / 8)."""
        h = self.conv_in(x)
        for level in self.down:
            h = level(h)
        y: Tensor = self.conv_out(F.silu(self.norm_out(self.mid(h)), inplace=True))
        return y


class DecoderStack(nn.Module):
    """The decoder's convolutional part; `up` is stored from the finest level to the coarsest."""

    def __init__(self, ch: int, ch_mult: Sequence[int], num_res_blocks: int, z_channels: int) -> None:
        super().__init__()
        channels = ch * ch_mult[-1]
        self.conv_in = nn.Conv2d(z_channels, channels, 3, padding=1)
        self.mid = Middle(channels)
        levels = []
        for depth, multiple in reversed(list(enumerate(ch_mult))):
            width = ch * multiple
            levels.append(
                Level(blocks(channels, width, num_res_blocks + 1), Upsample(width) if depth > 0 else None)
            )
            channels = width
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out = group_norm(channels, 1e-6)
        self.conv_out = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """z: (B, z_channels, T / 8, F / 8) -> (B, 1, T, F)."""
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        y: Tensor = self.conv_out(F.silu(self.norm_out(h), inplace=True))
        return y


class Encoder(nn.Module):
    """Log-mel spectrogram -> posterior over latents.

    Args:
        ch: width of the finest level.
        ch_mult: width of each level, in units of `ch`; one level more than there are halvings.
        num_res_blocks: residual blocks a level.
        z_channels: the stack returns twice as many channels (mean and log-variance).
        embed_dim: channels of the latent.
    """

    def __init__(
        self,
        ch: int = 128,
        ch_mult: Sequence[int] = (1, 2, 4, 8),
        num_res_blocks: int = 2,
        z_channels: int = 16,
        embed_dim: int = 16,
    ) -> None:
        super().__init__()
        self.encoder = EncoderStack(ch, ch_mult, num_res_blocks, z_channels)
        self.quant_conv = nn.Conv2d(2 * z_channels, 2 * embed_dim, 1)

    def moments(self, mel: Tensor) -> Tensor:
        """mel: (B, 1, T, F) natural-log mel -> (B, 2 embed_dim, T / 8, F / 8): mean, then log-variance."""
        y: Tensor = self.quant_conv(self.encoder(mel.to(self.quant_conv.weight.dtype))).to(mel.dtype)
        return y

    def forward(self, mel: Tensor) -> Posterior:
        """mel: (B, 1, T, F) natural-log mel -> the posterior; the log-variance is held in -30..20."""
        mean, log_variance = self.moments(mel).chunk(2, dim=1)
        return Posterior(mean, torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)))


class Decoder(nn.Module):
    """Latent -> log-mel spectrogram. Arguments as the Encoder's; one residual block a level more."""

    def __init__(
        self,
        ch: int = 128,
        ch_mult: Sequence[int] = (1, 2, 4, 8),
        num_res_blocks: int = 2,
        z_channels: int = 16,
        embed_dim: int = 16,
    ) -> None:
        super().__init__()
        self.post_quant_conv = nn.Conv2d(embed_dim, z_channels, 1)
        self.decoder = DecoderStack(ch, ch_mult, num_res_blocks, z_channels)

    def forward(self, z: Tensor) -> Tensor:
        """z: (B, embed_dim, T / 8, F / 8), unscaled -> (B, 1, T, F) natural-log mel."""
        y: Tensor = self.decoder(self.post_quant_conv(z.to(self.post_quant_conv.weight.dtype))).to(z.dtype)
        return y

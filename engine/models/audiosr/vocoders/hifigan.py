"""The HiFi-GAN vocoder of AudioSR (Kong et al. 2020, generator v1) at 48 kHz: log-mel -> waveform.

Inside, a signal is a plane of height 1, (batch, channels, 1, frames): the fast channels-last kernels exist
for two dimensions only. On a CPU they take two thirds of the time in float32, and a tenth in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1
"""Leak of every rectifier but the last."""

LAST_SLOPE = 0.01
"""Leak before `conv_post`: the official generator leaves it at the framework's default."""


class TimeConv(nn.Conv1d):
    """A convolution along time, of planes of height 1, in its weight's precision."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, 1, frames)."""
        weight, padding = self.weight[:, :, None], (0, int(self.padding[0]))
        y = F.conv2d(x.to(weight.dtype), weight, self.bias, padding=padding, dilation=(1, self.dilation[0]))
        return y.to(x.dtype)


class TimeConvTranspose(nn.ConvTranspose1d):
    """A transposed convolution along time, of planes of height 1, in its weight's precision."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """x: (B, C, 1, frames)."""
        weight, padding = self.weight[:, :, None], (0, int(self.padding[0]))
        stride = (1, self.stride[0])
        return F.conv_transpose2d(x.to(weight.dtype), weight, self.bias, stride=stride, padding=padding).to(
            x.dtype
        )


class DilatedResBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated, each pair with its residual.

    Args:
        channels: in and out.
        kernel_size: of every convolution, odd.
        dilations: of the first convolution of each pair.
    """

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            TimeConv(channels, channels, kernel_size, dilation=d, padding=d * (kernel_size - 1) // 2)
            for d in dilations
        )
        self.convs2 = nn.ModuleList(
            TimeConv(channels, channels, kernel_size, padding=(kernel_size - 1) // 2) for _ in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, channels, 1, frames) -> the same shape."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            h = dilated(F.leaky_relu(x, SLOPE))
            x = plain(F.leaky_relu_(h, SLOPE)).add_(x)
        return x


class Vocoder(nn.Module):
    """HiFi-GAN generator; 190.3 M parameters in the published configuration.

    Args:
        num_mels: mel bands in.
        upsample_rates: factor of each stage; their product is the mel hop.
        upsample_kernel_sizes: of each stage's transposed convolution.
        upsample_initial_channel: width before the first stage; each stage halves it.
        resblock_kernel_sizes: one residual block per size and stage; their outputs are averaged.
        resblock_dilation_sizes: dilations of each of those blocks.
    """

    def __init__(
        self,
        num_mels: int = 256,
        upsample_rates: Sequence[int] = (6, 5, 4, 2, 2),
        upsample_kernel_sizes: Sequence[int] = (12, 10, 8, 4, 4),
        upsample_initial_channel: int = 1536,
        resblock_kernel_sizes: Sequence[int] = (3, 7, 11, 15),
        resblock_dilation_sizes: Sequence[Sequence[int]] = ((1, 3, 5),) * 4,
    ) -> None:
        super().__init__()
        channels = upsample_initial_channel
        self.conv_pre = TimeConv(num_mels, channels, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, kernel in zip(upsample_rates, upsample_kernel_sizes, strict=True):
            self.ups.append(
                TimeConvTranspose(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2)
            )
            channels //= 2
            for size, dilations in zip(resblock_kernel_sizes, resblock_dilation_sizes, strict=True):
                self.resblocks.append(DilatedResBlock(channels, size, dilations))
        self.branches = len(resblock_kernel_sizes)
        self.conv_post = TimeConv(channels, 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        """The waveform of a log-mel spectrogram.

        Args:
            mel: (B, num_mels, T), natural log, not normalised.

        Returns:
            (B, frames), full scale +-1. In the published configuration frames = 480 T + 16: the second
            stage returns five times its input plus one, and the sound is 8 frames late.
        """
        x = self.conv_pre(mel[:, :, None])
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu_(x, SLOPE))
            first, *others = self.resblocks[stage * self.branches : (stage + 1) * self.branches]
            total = first(x)
            for branch in others:
                total += branch(x)
            x = total.div_(self.branches)
        return torch.tanh(self.conv_post(F.leaky_relu_(x, LAST_SLOPE)))[:, 0, 0]

"""A small vocoder beside HiFi-GAN: log-mel -> STFT amplitude and phase -> waveform (Siuzdak 2023, Vocos).

ConvNeXt blocks work at the mel's own 100 frames a second, and the inverse STFT makes 480 samples of each. So
it costs a hundredth of a generator that convolves samples.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.audiosr import mel
from engine.models.audiosr.vocoders import phase

LOUDEST = 1e2
"""Greatest amplitude of a bin, as in Vocos: early in training, exponentials would run away."""


class Block(nn.Module):
    """ConvNeXt (Liu et al. 2022) along time.

    Args:
        width: channels in and out; four times as wide inside.
        scale: of what a fresh block adds.
    """

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, width, T) -> the same shape."""
        h = self.norm(self.depthwise(x).transpose(1, 2))
        y: Tensor = x + (self.scale * self.narrow(functional.gelu(self.widen(h)))).transpose(1, 2)
        return y


class IstftVocoder(nn.Module):
    """ConvNeXt blocks and a head of amplitudes and phases; 4.2 M parameters by default.

    Args:
        num_mels: mel bands in.
        width: channels of the blocks.
        depth: how many there are.
    """

    def __init__(self, num_mels: int = mel.BANDS, width: int = 256, depth: int = 6) -> None:
        super().__init__()
        self.conv_pre = nn.Conv1d(num_mels, width, 7, padding=3)
        self.norm_pre = nn.LayerNorm(width, eps=1e-6)
        self.blocks = nn.ModuleList(Block(width, 1 / depth) for _ in range(depth))
        self.norm_post = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, mel.N_FFT + 2)

    def forward(self, log_mel: Tensor) -> Tensor:
        """log_mel: (B, num_mels, T), natural log -> (B, 480 T), full scale +-1, without delay."""
        h = self.conv_pre(log_mel.to(self.head.weight.dtype))
        h = self.norm_pre(h.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            h = block(h)
        level, angle = self.head(self.norm_post(h.transpose(1, 2))).float().transpose(1, 2).chunk(2, dim=1)
        wave = phase.samples(torch.polar(level.exp().clamp(max=LOUDEST), angle))
        return wave.clamp(-1, 1).to(log_mel.dtype)

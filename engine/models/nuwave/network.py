"""A denoiser of waveforms given their low band: NuWave's dilated convolutions, preconditioned as in EDM.

NuWave (Lee and Han 2021) follows DiffWave: residual blocks of dilated convolutions with gates, the condition
added in each. Preconditioning is that of Karras et al. 2022 (table 1): the network sees a unit-variance input
and returns a unit-variance mix of signal and noise at every noise level. Only the missing band, full less
low, is denoised, so that the loss does not count what the condition already holds.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DATA_DEVIATION = 0.02
"""About the standard deviation of the band above 2 to 16 kHz of a clip whose peak is 0.5."""


class Block(nn.Module):
    """A gated dilated convolution with its residual and its skip output.

    Args:
        width: channels.
        dilation: of the convolution.
        embedding: width of the noise level's embedding.
    """

    def __init__(self, width: int, dilation: int, embedding: int) -> None:
        super().__init__()
        self.level = nn.Linear(embedding, width)
        self.dilated = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.condition = nn.Conv1d(width, 2 * width, 1)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(self, x: Tensor, embedding: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """x, condition: (B, width, frames), embedding: (B, E) -> the next x, and the skip output."""
        h = self.dilated(x + self.level(embedding)[:, :, None]) + self.condition(condition)
        gate, value = h.chunk(2, dim=1)
        rest, skip = self.out(torch.sigmoid(gate) * torch.tanh(value)).chunk(2, dim=1)
        return (x + rest) / math.sqrt(2), skip


class NuWave(nn.Module):
    """The denoiser.

    Args:
        width: channels of every block.
        depth: blocks.
        cycle: dilations are 1, 2, 4, ... over this many blocks, then begin again.
    """

    def __init__(self, width: int = 64, depth: int = 20, cycle: int = 10) -> None:
        super().__init__()
        embedding = 4 * width
        self.noisy = nn.Conv1d(1, width, 3, padding=1)
        self.low = nn.Conv1d(1, width, 7, padding=3)
        self.level = nn.Sequential(
            nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.blocks = nn.ModuleList(Block(width, 2 ** (k % cycle), embedding) for k in range(depth))
        self.post = nn.Conv1d(width, width, 1)
        self.out = nn.Conv1d(width, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        self.register_buffer("frequencies", torch.randn(embedding // 2) * 2)

    def forward(self, noisy: Tensor, sigma: Tensor, low: Tensor) -> Tensor:
        """Estimates the missing band from a noised one.

        Args:
            noisy: (B, frames), the missing band plus noise of deviation sigma.
            sigma: (B,), above 0.
            low: (B, frames), the input.

        Returns:
            (B, frames).
        """
        data, s = DATA_DEVIATION, sigma[:, None]
        whole = torch.sqrt(s**2 + data**2)
        angles = 2 * math.pi * (sigma.log() / 4)[:, None] * torch.as_tensor(self.frequencies)
        embedding = self.level(torch.cat([angles.cos(), angles.sin()], dim=1))
        h = F.silu(self.noisy((noisy / whole)[:, None]))
        condition = F.silu(self.low((low / 0.1)[:, None]))
        total = torch.zeros_like(h)
        for block in self.blocks:
            h, skip = block(h, embedding, condition)
            total = total + skip
        answer = self.out(F.silu(self.post(total / math.sqrt(len(self.blocks)))))[:, 0]
        y: Tensor = data**2 / whole**2 * noisy + s * data / whole * answer.float()
        return y

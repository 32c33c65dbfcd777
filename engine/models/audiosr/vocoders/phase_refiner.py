"""A small vocoder on top of phase retrieval, whose result a network corrects bin by bin.

Retrieved sound is smoother than real sound: its amplitude is that of wide mel bands. A network of
convolutions over time and frequency rotates and scales each bin above the cut-off (a complex ratio mask,
Williamson et al. 2016), and can use the grain of the noise that phases start from. It sees levels, and phases
relative to their neighbours, but not where a bin lies: a band that its corpus did not reach is treated like
any other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.audiosr import mel
from engine.models.audiosr.vocoders import phase

FOLD = 4
"""How many neighbouring bins are channels of one column, which leaves a quarter of the columns to
convolve."""

CHANNELS = 7
"""Inputs for each bin: level, grain, two relative phases as points on the circle, and whether it is known."""

FACTOR = 4.0
"""Greatest change of a bin's level, nepers."""

MEAN, SPREAD = -4.0, 4.0
"""About the mean and standard deviation of a bin's log amplitude at AudioSR's working level."""


class Block(nn.Module):
    """A convolution over time and frequency, then one of single columns, added to their input.

    Args:
        width: channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.column = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, width, T, columns) -> the same shape."""
        h = functional.leaky_relu(self.around(x), 0.1)
        y: Tensor = x + functional.leaky_relu(self.column(h), 0.1)
        return y


class PhaseRefiner(nn.Module):
    """Phase retrieval and a network after it, of 70 k parameters by default; a fresh network changes nothing.

    Args:
        width: channels of the blocks.
        depth: how many there are.
    """

    def __init__(self, width: int = 32, depth: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(CHANNELS * FOLD, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.head = nn.Conv2d(width, 2 * FOLD, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, log_mel: Tensor, low: Tensor, noise: Tensor, cutoff_hz: Tensor) -> Tensor:
        """The waveform of a log-mel spectrogram whose band below the cut-off is known.

        Args:
            log_mel, low, noise, cutoff_hz: see `phase.waveform`.

        Returns:
            (B, 480 T) float32, without delay.
        """
        with torch.no_grad(), torch.autocast(log_mel.device.type, enabled=False):
            bins = phase.spectrum(phase.waveform(log_mel, low, noise, cutoff_hz))
            known = phase.below(cutoff_hz)
            seen = _seen(bins, phase.bin_amplitude(log_mel), known)
        h = self.stem(_folded(seen).to(self.stem.weight.dtype))
        for block in self.blocks:
            h = block(h)
        level, angle = _unfolded(self.head(h).float(), bins.shape[1]).unbind(1)
        mended = bins * torch.polar((FACTOR * torch.tanh(level / FACTOR)).exp(), angle)
        return phase.samples(torch.where(known, phase.spectrum(low), mended))


def _seen(bins: Tensor, amplitude: Tensor, known: Tensor) -> Tensor:
    """(B, CHANNELS, 1025, T) float32 of (B, 1025, T) bins and the amplitudes that the mel implies."""
    wanted, found = (torch.log(a.clamp(min=mel.FLOOR)) for a in (amplitude, bins.abs()))
    turn = torch.arange(bins.shape[1], device=bins.device)[:, None] * (-2 * math.pi * mel.HOP / mel.N_FFT)
    advance = torch.polar(torch.ones_like(turn), turn)
    unit = torch.polar(torch.ones_like(found), bins.angle())
    onward = unit * functional.pad(unit[:, :, :-1], (1, 0)).conj() * advance
    upward = -unit * functional.pad(unit[:, :-1], (0, 0, 1, 0)).conj()
    return torch.stack(
        [
            (wanted - MEAN) / SPREAD,
            (found - wanted).clamp(-FACTOR, FACTOR),
            onward.real,
            onward.imag,
            upward.real,
            upward.imag,
            known.expand_as(found).float(),
        ],
        dim=1,
    )


def _folded(planes: Tensor) -> Tensor:
    """(B, C, 1025, T) -> (B, C FOLD, T, 257), with zeros after the last bin."""
    count, channels, bins, frames = planes.shape
    padded = functional.pad(planes, (0, 0, 0, -bins % FOLD))
    columns = padded.view(count, channels, -1, FOLD, frames).permute(0, 1, 3, 4, 2)
    return columns.reshape(count, channels * FOLD, frames, -1)


def _unfolded(columns: Tensor, bins: int) -> Tensor:
    """(B, C FOLD, T, 257) -> (B, C, bins, T)."""
    count, channels, frames, width = columns.shape
    planes = columns.view(count, channels // FOLD, FOLD, frames, width).permute(0, 1, 4, 2, 3)
    return planes.reshape(count, channels // FOLD, width * FOLD, frames)[:, :, :bins]

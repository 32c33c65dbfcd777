"""A vocoder without weights: takes the amplitude that a mel spectrogram implies, and finds phases for it.

The amplitude comes from the pseudo-inverse of the mel filters. Below the cut-off, bins are the input's own,
amplitude and phase. Above it, phases start as those of white noise, whose neighbouring frames agree
(independent phases would not), and two iterations of fast Griffin-Lim (Perraudin et al. 2013) fit them to the
amplitude and to the low band. More iterations lower the spectral distance but smear: see `texture` in
`airband eval`.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.audiosr import mel
from presets.schema import RATE_HZ
from render.upscaler import NoiseField, Window

ITERATIONS = 2
MOMENTUM = 0.99
"""Of fast Griffin-Lim, the value its authors found best."""

NOISE_CELL = 8 * mel.HOP
"""Samples of one cell of the noise whose phases a window starts with."""

MARGIN = (mel.N_FFT - mel.HOP) // 2
"""Samples that a spectrogram reaches beyond its waveform on both sides."""


def waveform(log_mel: Tensor, low: Tensor, noise: Tensor, cutoff_hz: Tensor) -> Tensor:
    """The waveform of a log-mel spectrogram whose band below the cut-off is known.

    Args:
        log_mel: (B, T, 256) natural-log mel.
        low: (B, 480 T) float32 at 48 kHz, the input.
        noise: (B, 480 T) standard normal.
        cutoff_hz: (B,), where the input's band ends.

    Returns:
        (B, 480 T) float32, without delay.
    """
    amplitude = bin_amplitude(log_mel)
    given = spectrum(low)
    known = below(cutoff_hz)

    def consistent_with_mel(bins: Tensor) -> Tensor:
        return torch.where(known, given, amplitude * bins / (bins.abs() + 1e-9))

    bins = consistent_with_mel(spectrum(noise))
    before = bins
    for _ in range(ITERATIONS):
        found = consistent_with_mel(spectrum(samples(bins)))
        bins, before = found + MOMENTUM * (found - before), found
    return samples(consistent_with_mel(bins))


def drawn(window: Window, noise: NoiseField, device: torch.device | str = "cpu") -> Tensor:
    """(1, samples): the noise of a window for `waveform`; a cell has the same in every window that holds
    it."""
    cells = window.samples.shape[1] // NOISE_CELL
    cells_of_noise = noise("phase", window.group, window.start // NOISE_CELL, cells, (NOISE_CELL,))
    return torch.from_numpy(cells_of_noise).reshape(1, -1).to(device)


def below(cutoff_hz: Tensor) -> Tensor:
    """(B, 1025, 1) bool: the bins that lie below each cut-off of (B,)."""
    hz = torch.arange(mel.N_FFT // 2 + 1, device=cutoff_hz.device) * (RATE_HZ / mel.N_FFT)
    return hz[None, :, None] < cutoff_hz[:, None, None]


def bin_amplitude(log_mel: Tensor) -> Tensor:
    """(B, T, 256) natural-log mel -> (B, 1025, T) magnitudes of the STFT bins, at least 0."""
    inverse = _pseudo_inverse_on(log_mel.device)
    amplitude: Tensor = log_mel.float().exp() @ inverse.T
    return F.relu(amplitude).transpose(1, 2)


@cache
def pseudo_inverse() -> Tensor:
    """(1025, 256) float32 least-squares inverse of the mel filters."""
    with torch.inference_mode(False):  # cached for all callers, and training takes gradients through it
        inverse: Tensor = torch.linalg.pinv(mel.filterbank().double())
        return inverse.float()


@cache
def _pseudo_inverse_on(device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return pseudo_inverse().to(device)


def spectrum(wave: Tensor) -> Tensor:
    """(B, 480 T) -> (B, 1025, T) complex64, on the frames of `mel.magnitude`."""
    padded = F.pad(wave[:, None], (MARGIN, MARGIN), mode="reflect")[:, 0]
    window = torch.hann_window(mel.N_FFT, device=wave.device)
    return torch.stft(padded, mel.N_FFT, mel.HOP, window=window, center=False, return_complex=True)


def samples(bins: Tensor) -> Tensor:
    """(B, 1025, T) complex64 -> (B, 480 T): the waveform nearest to the spectrum (Griffin and Lim 1984)."""
    window = torch.hann_window(mel.N_FFT, device=bins.device)[:, None]
    frames = torch.fft.irfft(bins, mel.N_FFT, dim=1) * window
    count = bins.shape[2]
    length = mel.HOP * (count - 1) + mel.N_FFT

    def overlapped(columns: Tensor) -> Tensor:
        added = F.fold(columns, (1, length), (1, mel.N_FFT), stride=(1, mel.HOP))
        return added[:, 0, 0, MARGIN : length - MARGIN]

    weight = overlapped(window.square().expand(1, -1, count))
    return overlapped(frames) / weight

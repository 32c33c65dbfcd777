"""The spectrograms AudioSR works on: 48 kHz audio -> STFT magnitude -> log mel, 100 frames a second."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from presets.schema import RATE_HZ

N_FFT = 2048
HOP = 480
BANDS = 256
FLOOR = 1e-5
"""Magnitudes are at least this before the logarithm is taken, so silence is -11.5129."""


@cache
def filterbank() -> Tensor:
    """(256, 1025) float32 mel filters: Slaney's scale and norm, 20 Hz to 24 kHz (librosa.filters.mel)."""
    from librosa.filters import mel

    with torch.inference_mode(False):  # cached for all callers, and training takes gradients through it
        return torch.from_numpy(mel(sr=RATE_HZ, n_fft=N_FFT, n_mels=BANDS, fmin=20.0, fmax=24000.0))


@cache
def _filterbank_on(device: torch.device) -> Tensor:
    """`filterbank` on a device: copying it there in every step would wait for the device."""
    with torch.inference_mode(False):
        return filterbank().to(device)


@cache
def band_edges_hz() -> NDArray[np.float64]:
    """(258,) corners of the mel triangles, Hz: band i rises from corner i, peaks at i + 1, ends at i + 2."""
    from librosa import mel_frequencies

    return np.asarray(mel_frequencies(BANDS + 2, fmin=20.0, fmax=24000.0), dtype=np.float64)


def magnitude(waveform: Tensor) -> Tensor:
    """STFT magnitude: 2048-point periodic Hann, hop 480, reflected by 784 samples at both ends.

    Args:
        waveform: (B, samples) at 48 kHz; samples is a multiple of 480 and above 784.

    Returns:
        (B, samples / 480, 1025) float32.
    """
    margin = (N_FFT - HOP) // 2
    padded = F.pad(waveform[:, None], (margin, margin), mode="reflect")[:, 0]
    window = torch.hann_window(N_FFT, device=waveform.device)
    spectrum = torch.stft(padded, N_FFT, HOP, window=window, center=False, return_complex=True)
    return spectrum.abs().transpose(1, 2)


def log_mel(magnitudes: Tensor) -> Tensor:
    """(B, frames, 1025) magnitudes -> (B, frames, 256) natural-log mel, at least log(1e-5)."""
    return torch.log(torch.clamp(magnitudes @ _filterbank_on(magnitudes.device).T, min=FLOOR))


def bands_below(cutoff_hz: float) -> int:
    """How many mel bands lie wholly below `cutoff_hz`."""
    return int(np.searchsorted(band_edges_hz()[2:], cutoff_hz, side="right"))

"""From a log-mel spectrogram to a waveform, by whichever vocoder a model has."""

from __future__ import annotations

from torch import Tensor, nn

from engine.models.audiosr import mel
from engine.models.audiosr.vocoders import phase
from engine.models.audiosr.vocoders.phase_refiner import PhaseRefiner


def hears_input(vocoder: nn.Module | None) -> bool:
    """Whether a vocoder takes the input's low band and a noise, beside the spectrogram."""
    return vocoder is None or isinstance(vocoder, PhaseRefiner)


def of_spectrogram(vocoder: nn.Module, log_mel: Tensor) -> Tensor:
    """(B, T, 256) natural-log mel -> (B, 480 T), by a vocoder that takes nothing else."""
    wave: Tensor = vocoder(log_mel.transpose(1, 2))
    frames = log_mel.shape[1] * mel.HOP
    late = (wave.shape[1] - frames) // 2  # HiFi-GAN with an odd factor is late by half of its surplus
    return wave[:, late : late + frames]


def waveform(
    vocoder: nn.Module | None, log_mel: Tensor, low: Tensor, noise: Tensor, cutoff_hz: Tensor
) -> Tensor:
    """The waveform of a spectrogram whose band below the cut-off is known.

    Args:
        vocoder: see `networks.vocoder_of`; None retrieves phases.
        log_mel, low, noise, cutoff_hz: see `phase.waveform`.

    Returns:
        (B, 480 T), without delay.
    """
    if vocoder is None:
        return phase.waveform(log_mel, low, noise, cutoff_hz)
    if isinstance(vocoder, PhaseRefiner):
        refined: Tensor = vocoder(log_mel, low, noise, cutoff_hz)
        return refined
    return of_spectrogram(vocoder, log_mel)

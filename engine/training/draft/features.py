"""The inputs of draft's predictor and its targets, levels and textures, for many windows at once.

`engine.models.draft.features` says what each figure is, and computes it for one window as fast as a CPU can.
Training prepares hundreds of windows a step, each with its own cut-off, on the device that trains; tests hold
the two to the same values.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.draft.bands import BAND_BINS, BIN_HZ, FLOOR_DB, HOP, N_FFT, POWER_FLOOR, SPAN
from engine.models.draft.features import (
    ACTIVE_DB,
    INPUT_BANDS,
    NOISE_TEXTURE_DB,
    SEEN,
    SPREAD_DB,
    TEXTURE_BINS,
    TEXTURE_FRAMES,
    TEXTURES,
    input_edges,
)


def level_db(power: Tensor) -> Tensor:
    """10 log10 of `power`, floored at FLOOR_DB."""
    return 10 * torch.log10(power + POWER_FLOOR)


def powers(samples: Tensor) -> Tensor:
    """|STFT|^2: (N, frames) -> (N, T, BINS)."""
    window = torch.hann_window(N_FFT, device=samples.device)
    bins = torch.stft(samples, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True)
    return (bins.real.square() + bins.imag.square()).transpose(1, 2)


def band_levels(power: Tensor) -> Tensor:
    """Level of the mean power in a triangle of SPAN bands around each: (N, T, BINS) -> (N, T, BANDS)."""
    bands = power[..., 1:].reshape(*power.shape[:-1], -1, BAND_BINS).mean(-1)
    place = torch.arange(bands.shape[-1], device=power.device)
    around = (SPAN - (place[:, None] - place).abs().float()).clamp(min=0)
    return level_db(bands @ (around / around.sum(0)))


def textures(bins_db: Tensor) -> Tensor:
    """Standard deviation of levels over 32 bins and 5 frames, dB: (N, T, BINS) -> (N, T, TEXTURES)."""
    groups = bins_db[..., 1:].reshape(*bins_db.shape[:-1], -1, TEXTURE_BINS)
    first, second = (
        functional.avg_pool1d(
            moment.transpose(1, 2), TEXTURE_FRAMES, 1, TEXTURE_FRAMES // 2, count_include_pad=False
        ).transpose(1, 2)
        for moment in (groups.mean(-1), groups.square().mean(-1))
    )
    return (second - first.square()).clamp(min=0).sqrt()


def active(power: Tensor) -> Tensor:
    """Which frames sound: (N, T, BINS) -> (N, T) bool."""
    return level_db(power.mean(-1)) > ACTIVE_DB


def features(power: Tensor, cutoff_hz: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs of a network for N windows.

    Args:
        power: (N, T, BINS) of band-limited signals.
        cutoff_hz: (N,), their -6 dB edges.

    Returns:
        frames (N, T, PER_FRAME), window (N, PER_WINDOW) and reference_db (N,), see
        `engine.models.draft.features.Features`.
    """
    device = power.device
    last_bin = (SEEN * cutoff_hz / BIN_HZ).long()
    bins_db = level_db(power)
    edges = torch.from_numpy(input_edges()).to(device)
    levels = functional.pad(bins_db.cumsum(-1), (1, 0))[..., edges].diff(dim=-1) / edges.diff()
    seen = (edges[1:] <= last_bin[:, None] + 1).float()
    bands = seen.sum(-1)
    below = torch.arange(power.shape[-1], device=device) < last_bin[:, None]
    sounds = level_db((power * below[:, None]).sum(-1) / last_bin[:, None]) > ACTIVE_DB
    silent = ~sounds.any(1)
    sounds = sounds | silent[:, None]
    heard = torch.where(silent[:, None, None], FLOOR_DB, levels)
    frames = sounds.sum(1)
    share = (sounds / frames[:, None])[..., None]
    mean = (heard * share).sum(1)
    spread = ((heard - mean[:, None]).square() * share).sum(1).sqrt() * (seen / SPREAD_DB)
    ordered = torch.where(sounds[..., None], heard, torch.inf).sort(1).values
    tenth = frames // 10
    quiet, loud = (
        ordered.gather(1, place[:, None, None].expand(-1, 1, INPUT_BANDS))[:, 0]
        for place in (tenth, frames - 1 - tenth)
    )
    reference_db = (mean * seen).sum(-1) / bands
    statistics = (torch.stack([mean, quiet, loud], 1) - reference_db[:, None, None]) / SPREAD_DB
    statistics = statistics.clamp(-4, 4) * seen[:, None]
    about = torch.stack([reference_db / SPREAD_DB, cutoff_hz / 10000], -1)
    window = torch.cat([statistics.flatten(1), spread, seen, about], -1)
    relative = ((levels - reference_db[:, None, None]) / SPREAD_DB).clamp(-4, 4) * seen[:, None]
    texture = (textures(bins_db) / NOISE_TEXTURE_DB - 1).clamp(-1, 3)
    known = torch.arange(TEXTURES, device=device) < (last_bin // TEXTURE_BINS)[:, None]
    return torch.cat([relative, texture * known[:, None]], -1), window, reference_db

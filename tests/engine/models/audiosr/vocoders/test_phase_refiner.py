from __future__ import annotations

import torch
from torch import Tensor

from engine.models.audiosr import mel
from engine.models.audiosr.vocoders import phase
from engine.models.audiosr.vocoders.phase_refiner import PhaseRefiner

FRAMES = 24 * mel.HOP


def inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The inputs of a refiner: two bursts of noise with cut-offs of 4 and 9 kHz."""
    chance = torch.Generator().manual_seed(seed)
    full = 0.1 * torch.randn(2, FRAMES, generator=chance)
    full[:, FRAMES // 2 :] *= 0.1
    noise = torch.randn(2, FRAMES, generator=chance)
    return mel.log_mel(mel.magnitude(full)), full, noise, torch.tensor([4000.0, 9000.0])


def with_random_head(refiner: PhaseRefiner) -> PhaseRefiner:
    """The refiner with random weights in its head, which begins at zero."""
    torch.manual_seed(0)
    torch.nn.init.normal_(refiner.head.weight, std=0.3)
    return refiner


@torch.no_grad()
def test_a_fresh_refiner_equals_phase_retrieval() -> None:
    retrieved, made = phase.waveform(*inputs()), PhaseRefiner(width=16, depth=1)(*inputs())
    assert made.shape == (2, FRAMES)
    inside = slice(mel.N_FFT, FRAMES - mel.N_FFT)
    error = (made - retrieved)[:, inside].norm() / retrieved[:, inside].norm()
    assert error < 0.01  # not equal: the known bins are restored once more


@torch.no_grad()
def test_the_band_below_the_cutoff_is_the_inputs_own() -> None:
    given = inputs()
    made = with_random_head(PhaseRefiner(width=16, depth=1))(*given)
    retrieved = phase.waveform(*given)
    bins = [phase.spectrum(wave)[1, :, 8:16].abs() for wave in (made, given[1], retrieved)]
    low, high = slice(0, 300), slice(420, 1000)  # 7 kHz; 9.8 to 23.4 kHz
    assert (bins[0] - bins[1])[low].norm() < 0.01 * bins[1][low].norm()
    assert (bins[0] - bins[2])[high].norm() > 0.1 * bins[2][high].norm()


@torch.no_grad()
def test_the_refiner_treats_all_frequencies_alike() -> None:
    refiner = with_random_head(PhaseRefiner(width=16, depth=1))
    planes = torch.randn(1, 7, 1024, 8)
    columns = planes.view(1, 7, 256, 4, 8).permute(0, 1, 3, 4, 2).reshape(1, 28, 8, 256)
    there = refiner.head(refiner.blocks[0](refiner.stem(columns)))
    moved = refiner.head(refiner.blocks[0](refiner.stem(columns.roll(40, dims=3))))
    assert torch.allclose(there[..., 20:200], moved[..., 60:240], atol=1e-5)

from __future__ import annotations

import torch

from engine.models.audiosr.vocoders.istft import IstftVocoder


def test_every_frame_makes_480_samples_within_full_scale() -> None:
    torch.manual_seed(0)
    vocoder = IstftVocoder(width=32, depth=2)
    wave = vocoder(torch.randn(2, 256, 12) - 6)
    assert wave.shape == (2, 12 * 480)
    assert torch.isfinite(wave).all()
    assert wave.abs().max() <= 1


def test_a_frame_is_heard_where_it_stands() -> None:
    torch.manual_seed(0)
    vocoder = IstftVocoder(width=32, depth=1)
    mel = torch.full((1, 256, 64), -6.0)
    changed = mel.clone()
    changed[..., 32] += 3
    moved = (vocoder(changed) - vocoder(mel)).abs()[0]
    assert moved[: 24 * 480].max() == 0
    assert moved[41 * 480 :].max() == 0
    assert moved[31 * 480 : 34 * 480].max() > 0

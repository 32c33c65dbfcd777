from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.audiosr import mel
from engine.models.audiosr.vocoders import phase
from render.clip import open_clip
from render.measure.protocol import degrade, measure, reference

DEV = Path(__file__).parents[4].parent / "shared" / "eval" / "dev"


def noise(frames: int, seed: int) -> torch.Tensor:
    return torch.randn(1, frames, generator=torch.Generator().manual_seed(seed))


def retrieved(full: torch.Tensor, low: torch.Tensor, cutoff_hz: float) -> torch.Tensor:
    log_mel = mel.log_mel(mel.magnitude(full))
    return phase.waveform(log_mel, low, noise(full.shape[1], 7), torch.tensor([cutoff_hz]))


def test_a_spectrum_turns_back_into_its_waveform() -> None:
    x = 0.1 * noise(48000, 0)
    assert torch.allclose(phase.samples(phase.spectrum(x)), x, atol=1e-6)


def test_the_low_band_stays_and_the_high_band_has_its_level() -> None:
    full = 0.1 * noise(96000, 1)
    spectrum = torch.fft.rfft(full)
    hz = torch.fft.rfftfreq(96000, 1 / 48000)
    low = torch.fft.irfft(spectrum * (hz < 6000), 96000)
    made = torch.fft.rfft(retrieved(full, low, 6000.0))
    kept = ((made - spectrum)[:, hz < 5500].norm() / spectrum[:, hz < 5500].norm()).log10() * 20
    assert kept < -45
    for lo, hi in ((6500, 9000), (9000, 14000), (14000, 20000)):
        band = (hz > lo) & (hz < hi)
        assert abs(20 * torch.log10(made[:, band].norm() / spectrum[:, band].norm())) < 1.5


def test_silence_stays_silent() -> None:
    assert retrieved(torch.zeros(1, 9600), torch.zeros(1, 9600), 4000.0).abs().max() < 1e-3


@pytest.mark.skipif(not DEV.is_dir(), reason="the measuring set is not beside the repository")
@pytest.mark.parametrize(("domain", "lsd_hf"), [("speech", 0.70), ("music", 0.72)])
def test_on_the_true_mel_of_real_clips_it_is_near_and_grained(domain: str, lsd_hf: float) -> None:
    found = []
    for path in sorted((DEV / domain).iterdir())[:20:10]:
        with open_clip(path) as clip:
            full, limit_hz = reference(clip.read(0, clip.frames), clip.rate)
        full = full[: len(full) // mel.HOP * mel.HOP]
        given = degrade(full, 4000.0)
        gain = 0.5 / np.abs(given).max()
        made = retrieved(
            torch.from_numpy(full * gain).float()[None], torch.from_numpy(given * gain).float()[None], 4000.0
        )
        found.append(measure(full, given, made[0].numpy() / gain, 4000.0, limit_hz))
    assert np.mean([figures.lsd_hf for figures in found]) < lsd_hf
    assert 0.75 < np.mean([figures.texture for figures in found]) < 1.0

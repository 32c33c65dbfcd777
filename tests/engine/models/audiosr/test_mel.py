from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.models.audiosr import mel


def tone(frequency_hz: float, seconds: float = 0.64, amplitude: float = 0.5) -> torch.Tensor:
    t = torch.arange(round(seconds * 48000), dtype=torch.float64) / 48000
    return (amplitude * torch.sin(2 * math.pi * frequency_hz * t)).float()[None]


def test_one_frame_every_480_samples_and_each_is_a_windowed_dft() -> None:
    x = torch.randn(1, 4800, generator=torch.Generator().manual_seed(0))
    magnitudes = mel.magnitude(x)
    assert magnitudes.shape == (1, 10, 1025)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    middle = x[0, 480 * 5 - 784 : 480 * 5 - 784 + 2048].double().numpy()
    np.testing.assert_allclose(magnitudes[0, 5], np.abs(np.fft.rfft(middle * window)), atol=1e-3)


def test_a_tone_of_amplitude_a_reads_half_a_times_the_windows_sum() -> None:
    magnitudes = mel.magnitude(tone(48000 / 2048 * 100, amplitude=0.5))
    assert int(magnitudes[0, 30].argmax()) == 100
    assert float(magnitudes[0, 30, 100]) == pytest.approx(0.5 * 1024 / 2, rel=1e-4)


def test_silence_is_the_floor() -> None:
    silent = mel.log_mel(mel.magnitude(torch.zeros(1, 4800)))
    assert silent.shape == (1, 10, 256)
    assert torch.all(silent == math.log(1e-5))


def test_gain_is_an_offset_of_the_logarithm() -> None:
    x = 0.1 * torch.randn(1, 9600, generator=torch.Generator().manual_seed(0))
    louder, quieter = (mel.log_mel(mel.magnitude(gain * x)) for gain in (1.0, 0.5))
    torch.testing.assert_close(louder - quieter, torch.full_like(louder, math.log(2)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("frequency_hz", [440.0, 5000.0, 15000.0])
def test_a_tone_lies_in_the_band_that_spans_it(frequency_hz: float) -> None:
    band = int(mel.log_mel(mel.magnitude(tone(frequency_hz)))[0, 30].argmax())
    edges = mel.band_edges_hz()
    assert edges[band] < frequency_hz < edges[band + 2]


def test_a_click_is_loudest_in_the_frame_centred_nearest() -> None:
    x = torch.zeros(1, 9600)
    x[0, 480 * 7 + 240] = 1.0
    assert int(mel.magnitude(x)[0].sum(dim=1).argmax()) == 7


@pytest.mark.parametrize("cutoff_hz", [1000.0, 4000.0, 12000.0, 23000.0])
def test_bands_below_a_cutoff_end_at_or_below_it(cutoff_hz: float) -> None:
    count, edges = mel.bands_below(cutoff_hz), mel.band_edges_hz()
    assert edges[count + 1] <= cutoff_hz < edges[count + 2]
    reaching = mel.filterbank()[:count].sum(dim=0)
    assert float(reaching[math.ceil(cutoff_hz / (48000 / 2048)) :].abs().max()) == 0


def test_no_band_and_every_band() -> None:
    assert mel.bands_below(20.0) == 0
    assert mel.bands_below(24001.0) == 256

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.audiosr import mel, official


def sine(frequency_hz: float, rate_hz: int, seconds: float = 0.5, amplitude: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.asarray(amplitude * np.sin(2 * np.pi * frequency_hz * t), dtype=np.float32)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 96000])
def test_resampled_tone_is_the_tone_at_48_khz(rate_hz: int) -> None:
    y = official.resample(np.stack([sine(1000, rate_hz), sine(440, rate_hz)]), rate_hz)
    assert y.shape == (2, 24000)
    inner = slice(500, -500)
    for channel, frequency_hz in zip(y, (1000, 440), strict=True):
        assert np.abs(channel - sine(frequency_hz, 48000))[inner].max() < 5e-3


@pytest.mark.parametrize(("frames", "blocks"), [(1000, 1), (81920, 1), (81921, 2), (200000, 3)])
def test_lengths_are_rounded_up_to_blocks_of_5_12_seconds(frames: int, blocks: int) -> None:
    samples = np.random.default_rng(0).standard_normal((2, frames)).astype(np.float32)
    block = official.read_block(samples, 16000)
    assert len(block) == blocks * 245760
    assert np.abs(block).max() == pytest.approx(0.5, abs=1e-3)


def test_rolloff_is_the_highest_bin_below_the_share_and_never_bin_zero() -> None:
    flat = np.ones((3, 100), dtype=np.float32)
    assert official.rolloff_bin(flat, 0.5) == 48
    first_only = np.zeros((1, 10), dtype=np.float32)
    first_only[0, 0] = 1.0
    assert official.rolloff_bin(first_only) == 0
    assert official.rolloff_bin(np.zeros((1, 10), dtype=np.float32)) == 0


def test_prefilter_passes_below_its_edge_and_stops_above_it() -> None:
    for family in official.FAMILIES:
        low, high = (official.prefilter(sine(f, 48000), 6000.0, family)[4000:-4000] for f in (1000, 12000))
        assert 0.85 * 0.5 < np.abs(low).max() < 1.01 * 0.5, family
        assert np.abs(high).max() < 2e-3, family


def test_leading_timesteps_start_at_one_and_stop_at_the_first_level() -> None:
    plan = official.leading(50)
    assert [level.t for level in plan] == [981.0 - 20 * i for i in range(50)]
    assert 0.99 < plan[-1].abar_next < 1
    assert len(official.leading(30)) == 31, "a spacing of 1000 // 30 gives 31 steps, as in the official code"


def test_the_first_draw_is_thrown_away() -> None:
    condition, start, of_steps = official.draws((1, 2, 3, 4), steps=2, seed=7)
    torch.manual_seed(7)
    expected = [torch.randn(1, 2, 3, 4) for _ in range(5)]
    for drawn, wanted in zip([condition, start, *of_steps], expected[1:], strict=True):
        assert torch.equal(drawn, wanted)


def test_merge_takes_the_low_band_from_the_input_at_the_generated_level() -> None:
    both = sine(1200, 48000, amplitude=0.25) + sine(3000, 48000, amplitude=0.25)
    low = torch.from_numpy(both[:23520])
    generated = torch.from_numpy((both + sine(12000, 48000, amplitude=0.1))[:23536]) * 0.9
    merged = official.merge_low_band(generated, low).numpy() / 0.9
    spectrum = np.abs(np.fft.rfft(merged[4000:20000] * np.hanning(16000)))
    bin_hz = 48000 / 16000
    tone_at_12k = spectrum[round(12000 / bin_hz)] / (0.1 * 16000 / 4)
    tone_at_1k = spectrum[round(1200 / bin_hz)] / (0.25 * 16000 / 4)
    assert tone_at_12k == pytest.approx(1.0, abs=0.02)
    assert tone_at_1k == pytest.approx(1.0, abs=0.05)


def test_final_level_takes_the_peak_before_the_mean() -> None:
    y = official.final_level(torch.tensor([0.0, 1.0, 0.5, 0.1])).numpy()
    np.testing.assert_allclose(y, np.array([0, 0.5, 0.25, 0.05]) - 0.2, atol=1e-6)


def test_linear_features_drop_the_top_bin() -> None:
    x = torch.randn(1, 4800, generator=torch.Generator().manual_seed(0))
    assert torch.equal(official.linear_magnitude(x), mel.magnitude(x)[..., :1024])

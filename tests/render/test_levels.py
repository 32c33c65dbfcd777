from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from presets.errors import InputError
from render.clip import ArrayClip
from render.levels import BLOCK_FRAMES, LevelMeter


def test_the_energy_of_tones_below_a_frequency() -> None:
    t = np.arange(3 * BLOCK_FRAMES + 777) / 44100
    samples = np.stack([0.5 * np.sin(2 * np.pi * 300 * t) + 0.1 * np.sin(2 * np.pi * 9000 * t), 0 * t])
    shares: list[float] = []
    levels = LevelMeter(ArrayClip(samples, 44100), shares.append).levels()
    assert levels.energy_below(5000) == pytest.approx([0.125 * len(t), 0], rel=1e-3)
    assert levels.energy_below(22050) == pytest.approx([0.13 * len(t), 0], rel=1e-3)
    assert levels.energy_below(200)[0] < 1e-4 * len(t)
    assert levels.peak == pytest.approx(np.abs(samples).max())
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_one_frame_has_a_level() -> None:
    levels = LevelMeter(ArrayClip(np.array([-0.5]), 8000), lambda share: None).levels()
    assert levels.peak == 0.5
    assert sum(power.sum() for power in levels.power.values()) == pytest.approx(0.25)


def test_a_sample_beyond_the_limits_is_found() -> None:
    samples = np.zeros((2, BLOCK_FRAMES + 5), np.float32)
    samples[1, -1] = np.nan
    with pytest.raises(InputError, match=rf"1 samples after frame {BLOCK_FRAMES} are NaN"):
        LevelMeter(ArrayClip(samples, 48000, limited=False), lambda share: None).levels()


@pytest.mark.parametrize("frames", [1, 777, BLOCK_FRAMES, 5 * BLOCK_FRAMES + 777])
def test_reading_on_gives_the_clip_and_reads_every_frame_once(counted_clip: Any, frames: int) -> None:
    samples = 0.1 * np.random.default_rng(1).standard_normal((2, frames)).astype(np.float32)
    clip = counted_clip(samples, 48000)
    shares: list[float] = []
    meter = LevelMeter(clip, shares.append)
    for start in (
        0,
        500,
        60_000,
        131_000,
        400_000,
        655_000,
    ):  # overlapping, across blocks, far apart
        heard = meter.read(start - 50, 70_000)
        np.testing.assert_array_equal(heard, ArrayClip(samples, 48000).read(start - 50, 70_000))
    levels = meter.levels()
    assert (clip.counts == 1).all()
    assert shares == sorted(set(shares))
    assert shares[-1] == 1
    assert sum(power.sum() for power in levels.power.values()) == pytest.approx(
        float((samples.astype(np.float64) ** 2).sum()), rel=1e-3
    )


def test_a_read_further_back_goes_to_the_clip_again(counted_clip: Any) -> None:
    samples = 0.1 * np.random.default_rng(2).standard_normal((1, 3 * BLOCK_FRAMES)).astype(np.float32)
    clip = counted_clip(samples, 48000)
    meter = LevelMeter(clip, lambda share: None)
    meter.read(2 * BLOCK_FRAMES + 10, 5)
    np.testing.assert_array_equal(meter.read(10, 5), samples[:, 10:15])
    assert meter.levels().peak == np.abs(samples).max()

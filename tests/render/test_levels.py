from __future__ import annotations

import numpy as np
import pytest

from presets.errors import InputError
from render.clip import ArrayClip
from render.levels import BLOCK_FRAMES, measure_levels


def test_the_energy_of_tones_below_a_frequency() -> None:
    t = np.arange(3 * BLOCK_FRAMES + 777) / 44100
    samples = np.stack([0.5 * np.sin(2 * np.pi * 300 * t) + 0.1 * np.sin(2 * np.pi * 9000 * t), 0 * t])
    shares: list[float] = []
    levels = measure_levels(ArrayClip(samples, 44100), shares.append)
    assert levels.energy_below(5000) == pytest.approx([0.125 * len(t), 0], rel=1e-3)
    assert levels.energy_below(22050) == pytest.approx([0.13 * len(t), 0], rel=1e-3)
    assert levels.energy_below(200)[0] < 1e-4 * len(t)
    assert levels.peak == pytest.approx(np.abs(samples).max())
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_one_frame_has_a_level() -> None:
    levels = measure_levels(ArrayClip(np.array([-0.5]), 8000), lambda share: None)
    assert levels.peak == 0.5
    assert levels.power.sum() == pytest.approx(0.25)


def test_a_sample_beyond_the_limits_is_found() -> None:
    samples = np.zeros((2, BLOCK_FRAMES + 5), np.float32)
    samples[1, -1] = np.nan
    with pytest.raises(InputError, match=rf"1 samples after frame {BLOCK_FRAMES} are NaN"):
        measure_levels(ArrayClip(samples, 48000, limited=False), lambda share: None)

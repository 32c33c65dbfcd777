"""The low-pass of AudioSR's paper: where a band-limited copy ends, and that it equals the clip below."""

from __future__ import annotations

import numpy as np
import pytest

from engine.training.audiosr.crops import lowpassed

FRAMES = 24000


def test_cutoffs_are_even_between_2_and_16_khz() -> None:
    rng, silence = np.random.default_rng(0), np.zeros(64, np.float32)
    drawn = [lowpassed(rng, silence)[1] for _ in range(150)]
    assert 2000 <= min(drawn) < 2500
    assert 15500 < max(drawn) <= 16000
    assert np.quantile(drawn, [0.25, 0.5, 0.75]) == pytest.approx([5500, 9000, 12500], abs=1500)


def test_a_copy_ends_at_its_cutoff_and_is_the_clip_itself_without_delay_below() -> None:
    rng = np.random.default_rng(0)
    full = rng.standard_normal(FRAMES).astype(np.float32)
    hz = np.fft.rfftfreq(FRAMES, 1 / 48000)
    falls_db = []
    for _ in range(40):
        low, cutoff_hz = lowpassed(rng, full)
        gain = np.fft.rfft(low) / np.fft.rfft(full)
        assert np.abs(gain[hz < cutoff_hz / 2] - 1).max() < 0.07  # a Butterworth of order 2 has lost 3 %
        above = (hz > 1.4 * cutoff_hz) & (hz < 1.5 * cutoff_hz)
        falls_db.append(10 * np.log10(np.mean(np.abs(gain[above]) ** 2) + 1e-12))
    assert max(falls_db) < -0.5  # Chebyshev of order 2
    assert -80 < np.median(falls_db) < -15
    assert min(falls_db) < -80  # boxcar, elliptic

"""Faults made on purpose, each with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from render.clip import ArrayClip
from render.measure.faults import Faults, find_faults

RATE = 48000
TIME_S = np.arange(6 * RATE) / RATE


def noise(level_dbfs: float, channels: int = 1, seed: int = 1) -> NDArray[np.float64]:
    made = np.random.default_rng(seed).standard_normal((channels, len(TIME_S)))
    return made * 10 ** (level_dbfs / 20)


def faults(samples: NDArray[np.float64], rate: int = RATE) -> Faults:
    return find_faults(ArrayClip(samples.astype(np.float32), rate))


def test_a_clean_stereo_recording_has_none() -> None:
    seen = faults(noise(-20, 2))
    assert (seen.hum, seen.clipped_runs, seen.stereo) == (None, 0, "stereo")
    assert max(map(abs, seen.dc)) < 1e-3
    assert seen.correlation == pytest.approx(0, abs=0.02)
    assert seen.bits is None


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_hum_is_told_with_its_mains_and_level(mains_hz: float) -> None:
    lines = sum(
        10 ** (-(50 + 6 * k) / 20) * np.sin(2 * np.pi * mains_hz * (k + 1) * TIME_S + k) for k in range(4)
    )
    speech = noise(-20) * (TIME_S % 3 < 2)
    found = faults(speech + noise(-70, seed=2) + lines).hum
    assert found is not None
    assert found.hz == mains_hz
    power = sum(10 ** (-(50 + 6 * k) / 10) / 2 for k in range(4))
    assert found.dbfs == pytest.approx(10 * np.log10(power), abs=1)


def test_a_bass_line_is_no_hum() -> None:
    bass = sum(0.3 / k * np.sin(2 * np.pi * 55 * k * TIME_S) for k in range(1, 7))
    assert faults(bass[None] + noise(-60)).hum is None
    synth = 0.3 * np.sin(2 * np.pi * 100 * TIME_S) + 0.2 * np.sin(2 * np.pi * 200 * TIME_S)
    assert faults(synth[None] + noise(-60)).hum is None


def test_dc_is_told_for_each_channel() -> None:
    seen = faults(noise(-30, 2) + np.array([[0.01], [-0.02]]))
    assert seen.dc == pytest.approx((0.01, -0.02), abs=2e-4)


@pytest.mark.parametrize("bits", [16, 24, None])
def test_flat_tops_are_clipping_and_a_sines_own_top_is_not(bits: int | None) -> None:
    def stored(samples: NDArray[np.float64]) -> NDArray[np.float64]:
        return samples if bits is None else np.rint(samples * 2 ** (bits - 1)) / 2 ** (bits - 1)

    sine = np.sin(2 * np.pi * 100 * TIME_S)[None]
    assert faults(stored(0.9 * sine)).clipped_runs == 0
    seen = faults(stored(np.clip(1.2 * sine, -0.9, 0.9)))
    assert seen.clipped_runs == pytest.approx(2 * 100 * 6, abs=2)
    share = 1 - 2 / np.pi * np.arcsin(0.9 / 1.2)
    assert seen.clipped_samples == pytest.approx(share * len(TIME_S), rel=0.02)


@pytest.mark.parametrize(("real", "expected"), [(8, 8), (16, 16), (20, 20), (24, 24)])
def test_the_real_bits_are_counted(real: int, expected: int) -> None:
    grid = 2.0 ** (real - 1)
    assert faults(np.rint(noise(-12) * grid) / grid).bits == expected


def test_the_noise_floor_is_that_of_the_pauses() -> None:
    seen = faults(noise(-20) * (TIME_S % 2 < 1) + noise(-66, seed=3))
    assert seen.noise_floor_dbfs == pytest.approx(-66, abs=1)


def test_channels_are_told_for_what_they_are() -> None:
    one, other = noise(-20), noise(-20, seed=2)
    assert faults(one).stereo == "mono file"
    assert faults(np.concatenate([one, one])).stereo == "mono as stereo"
    assert faults(np.concatenate([one, -one])).stereo == "sides inverted"
    assert faults(np.concatenate([one, 0 * one])).stereo == "one side silent"
    assert faults(np.concatenate([one, one + 1e-3 * other])).stereo == "stereo"
    assert faults(noise(-20, 6)).stereo == "surround"


@pytest.mark.parametrize("frames", [1, 100, 48000])
def test_silence_and_specks_have_no_faults(frames: int) -> None:
    seen = faults(np.zeros((2, frames)))
    assert (seen.peak_dbfs, seen.noise_floor_dbfs, seen.hum, seen.correlation) == (None, None, None, None)
    assert faults(np.full((1, frames), 0.25)).dc == (0.25,)

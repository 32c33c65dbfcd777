from __future__ import annotations

import numpy as np
import pytest

from render.clip import ArrayClip
from render.edges import Contained
from render.filters import highpass


def below_db(samples: np.ndarray, hz: float, energy: float) -> float:
    spectrum = np.fft.rfft(samples.astype(np.float64), 2 * samples.shape[-1])
    bins = np.fft.rfftfreq(2 * samples.shape[-1], 1 / 48000) < hz
    return float(10 * np.log10((np.abs(spectrum[..., bins]) ** 2).sum() / samples.shape[-1] / energy))


def band(frames: int, cutoff_hz: float, channels: int = 1, seed: int = 9) -> np.ndarray:
    """A stretch out of noise above the cut-off that began before the clip and goes on after it."""
    noise = 0.03 * np.random.default_rng(seed).standard_normal((channels, frames + 40000)).astype(np.float32)
    high_pass = highpass(cutoff_hz, 1 / 12)
    return high_pass(noise)[:, high_pass.reach + 20000 :][:, :frames].copy()


@pytest.mark.parametrize("cutoff_hz", [1000.0, 4000.0, 12000.0, 22000.0])
@pytest.mark.parametrize("frames", [150000, 2000, 100])
def test_a_band_cut_at_both_ends_spills_nothing(cutoff_hz: float, frames: int) -> None:
    samples = band(frames, cutoff_hz)
    energy = np.array([frames * 0.01])
    cut = below_db(samples, 0.9 * cutoff_hz, float(energy[0]))
    clip = Contained(ArrayClip(samples, 48000), frames, cutoff_hz, energy)
    assert cut > -85
    assert below_db(clip.read(0, frames), 0.9 * cutoff_hz, float(energy[0])) < -95


@pytest.mark.parametrize(("cutoff_hz", "frames"), [(12000.0, 3000), (3000.0, 20000)])
def test_a_band_that_was_raised_spills_no_more(cutoff_hz: float, frames: int) -> None:
    samples = np.float32(64) * band(frames, cutoff_hz)
    energy = np.array([frames * 0.01])
    clip = Contained(ArrayClip(samples, 48000), frames, cutoff_hz, energy)
    assert below_db(clip.read(0, frames), 0.9 * cutoff_hz, float(energy[0])) < -95


def test_little_else_changes() -> None:
    samples = band(150000, 4000.0)
    clip = Contained(ArrayClip(samples, 48000), 150000, 4000.0, np.array([1500.0]))
    change = clip.read(0, 150000) - samples
    assert change.any()
    assert not change[:, 1000:-1000].any()
    first_ms = slice(0, 48)
    assert np.square(change[:, first_ms]).sum() < 0.15 * np.square(samples[:, first_ms]).sum()


@pytest.mark.parametrize(("cutoff_hz", "frames"), [(4000.0, 2000), (12000.0, 300)])
def test_what_nobody_hears_changes_nothing(cutoff_hz: float, frames: int) -> None:
    for seed in range(6):
        samples = band(frames, cutoff_hz, seed=seed)
        faint = 1e-5 * band(frames, cutoff_hz, seed=100 + seed)
        energy = np.array([frames * 0.01])
        contained, other = (
            Contained(ArrayClip(each, 48000), frames, cutoff_hz, energy).read(0, frames)
            for each in (samples, samples + faint)
        )
        assert np.square(other - contained).sum() < 1e-9 * np.square(samples).sum()


def test_a_band_that_spills_nothing_is_left_alone() -> None:
    samples = band(150000, 4000.0)
    samples[:, :20000] = samples[:, -20000:] = 0
    samples[:, 20000:30000] *= np.sin(np.linspace(0, np.pi / 2, 10000)) ** 2
    samples[:, -30000:-20000] *= np.cos(np.linspace(0, np.pi / 2, 10000)) ** 2
    clip = Contained(ArrayClip(samples, 48000), 150000, 4000.0, np.array([1500.0]))
    assert np.array_equal(clip.read(0, 150000), samples)


def test_a_stretch_is_that_part_of_the_whole() -> None:
    samples = band(150000, 4000.0, 2)
    whole = Contained(ArrayClip(samples, 48000), 150000, 4000.0, np.array([1500.0, 15.0])).read(0, 150000)
    again = Contained(ArrayClip(samples, 48000), 150000, 4000.0, np.array([1500.0, 15.0]))
    for start, frames in ((149990, 10), (0, 3), (500, 9000), (-5, 10)):
        wanted = np.pad(whole, ((0, 0), (5, 5)))[:, start + 5 : start + 5 + frames]
        assert np.array_equal(again.read(start, frames), wanted)

"""The stereo image of the generated band: as wide as the sound below the cut-off, and in the same place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from engine.models.draft import draft
from presets.schema import make
from render.clip import ArrayClip
from render.noise import PhiloxNoise
from render.render import render
from render.upscaler import CELL_FRAMES, Audio, Window

CUTOFF_HZ = 6000.0
HIGH = signal.butter(8, 7000.0, "high", fs=48000, output="sos")
MODEL = draft.load()


def low_passed(count: int, cells: int = 4) -> Audio:
    """`count` channels of independent noise that ends at the cut-off."""
    noises = 0.1 * np.random.default_rng(5).standard_normal((count, cells * CELL_FRAMES))
    sos = signal.butter(12, CUTOFF_HZ, fs=48000, output="sos")
    return signal.sosfiltfilt(sos, noises, axis=-1).astype(np.float32)


def band_of(samples: Audio, stereo: str = "linked") -> Any:
    """The band above the cut-off of a stereo render, without half a second at each end."""
    preset = make(cutoff=CUTOFF_HZ, stereo=stereo, stem="high")
    clip = render(ArrayClip(samples, 48000), preset, MODEL, lambda step: None).clip
    return signal.sosfilt(HIGH, clip.read(0, clip.frames))[:, 24000:-24000]


def correlation(band: Any) -> float:
    return float(np.corrcoef(band)[0, 1])


def gap_db(band: Any) -> float:
    left, right = 10 * np.log10(np.square(band).mean(-1) + 1e-20)
    return float(left - right)


@pytest.mark.parametrize(("stereo", "within"), [("linked", 0.12), ("mid_side", 0.25)])
@pytest.mark.parametrize("wanted", [-1.0, -0.5, 0.0, 0.5, 0.9, 1.0])
def test_the_new_band_is_as_wide_as_the_sound_below_it(wanted: float, stereo: str, within: float) -> None:
    """Under `mid_side` within 0.25: the levels of mid and side, which make the width, are predicted apart."""
    both, apart = low_passed(2)
    mid, side = np.sqrt((1 + wanted) / 2) * both, np.sqrt((1 - wanted) / 2) * apart
    samples = np.stack([mid + side, mid - side]).astype(np.float32)
    assert correlation(band_of(samples, stereo)) == pytest.approx(wanted, abs=within)


@pytest.mark.parametrize("stereo", ["linked", "mid_side"])
def test_what_is_panned_stays_where_it_is(stereo: str) -> None:
    """20 dB to the left, within 5 dB: each channel's levels are predicted separately."""
    sound = low_passed(1)[0]
    assert gap_db(band_of(np.stack([sound, 0.1 * sound]), stereo)) == pytest.approx(20, abs=5)
    assert correlation(band_of(np.stack([sound, 0.1 * sound]), stereo)) > 0.95


def test_what_sounds_on_one_side_alone_stays_there_under_mid_and_side() -> None:
    sound = low_passed(1)[0]
    for samples in (np.stack([sound, 0 * sound]), np.stack([0 * sound, sound])):
        assert abs(gap_db(band_of(samples, "mid_side"))) > 100


def test_opposite_channels_get_opposite_bands() -> None:
    sound = low_passed(1)[0]
    left, right = band_of(np.stack([sound, -sound]))
    assert np.square(left + right).mean() < 1e-8 * np.square(left).mean()


def test_the_image_moves_with_the_sound() -> None:
    """First the same sound in both channels, then two different ones."""
    one, other = low_passed(2, cells=6)
    second = np.where(np.arange(one.size) < one.size // 2, one, other).astype(np.float32)
    middle = one.size // 2 - 24000
    band = band_of(np.stack([one, second]))
    assert correlation(band[:, : middle - 12000]) > 0.99
    assert abs(correlation(band[:, middle + 12000 :])) < 0.12


def test_equal_channels_are_those_of_one_channel() -> None:
    sound = low_passed(1)
    window = Window(sound, 0, CUTOFF_HZ, 0)
    twice = Window(np.repeat(sound, 2, axis=0), 0, CUTOFF_HZ, 0)
    alone, twins = MODEL.upscale([window, twice], PhiloxNoise(0), make(), lambda step: None)
    assert np.array_equal(twins[:1], alone)
    assert np.array_equal(twins[1:], alone)


def test_neighbouring_windows_agree_about_a_wide_sound() -> None:
    sound = low_passed(2)
    later = np.pad(sound, ((0, 0), (CELL_FRAMES, 0)))
    windows = [Window(sound, 0, CUTOFF_HZ, 0), Window(later, -CELL_FRAMES, CUTOFF_HZ, 0)]
    first, second = MODEL.upscale(windows, PhiloxNoise(0), make(), lambda step: None)
    inside = slice(CELL_FRAMES, 3 * CELL_FRAMES)
    bands = [signal.sosfilt(HIGH, each)[:, inside] for each in (first, second[:, CELL_FRAMES:])]
    for one, other in zip(*bands, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.98

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from presets.schema import make
from render.clip import ArrayClip
from render.render import render
from render.stereo import StereoPolicy

SAMPLES = np.random.default_rng(3).standard_normal((2, 100)).astype(np.float32)


@pytest.mark.parametrize(
    ("stereo", "channels", "links", "groups"),
    [
        ("linked", 2, True, [([0, 1], 0)]),
        ("linked", 3, False, [([0], 0), ([1], 0), ([2], 0)]),
        ("independent", 2, True, [([0], 0), ([1], 1)]),
        ("mid_side", 2, True, [([0, 1], 0)]),
        ("mid_side", 2, False, [([0], 0), ([1], 1)]),
        ("mid_side", 6, True, [([0, 1, 2, 3, 4, 5], 0)]),
        ("mono", 2, False, [([0], 0)]),
        ("mono", 1, True, [([0], 0)]),
        ("independent", 1, True, [([0], 0)]),
    ],
)
def test_windows_and_noise_groups(stereo: str, channels: int, links: bool, groups: list[object]) -> None:
    assert StereoPolicy(stereo, channels, links).groups == groups


FIVE_ONE, SEVEN_ONE, WIDE = 0x3F, 0x63F, 0xFF


@pytest.mark.parametrize(
    ("stereo", "mask", "links", "groups"),
    [
        ("linked", FIVE_ONE, True, [([0, 1], 0), ([2], 0), ([3, 4], 0)]),
        ("linked", FIVE_ONE, False, [([0], 0), ([1], 0), ([2], 0), ([3], 0), ([4], 0)]),
        ("mid_side", FIVE_ONE, True, [([0, 1], 0), ([2], 2), ([3, 4], 4)]),
        ("mid_side", FIVE_ONE, False, [([0], 0), ([1], 1), ([2], 2), ([3], 4), ([4], 5)]),
        ("independent", FIVE_ONE, True, [([0], 0), ([1], 1), ([2], 2), ([3], 4), ([4], 5)]),
        ("mono", FIVE_ONE, True, [([0], 0)]),
        ("linked", SEVEN_ONE, True, [([0, 1], 0), ([2], 0), ([3, 4], 0), ([5, 6], 0)]),
    ],
)
def test_surround_goes_in_pairs_of_speakers_and_without_its_lfe(
    stereo: str, mask: int, links: bool, groups: list[object]
) -> None:
    assert StereoPolicy(stereo, mask.bit_count(), links, mask).groups == groups


@pytest.mark.parametrize("mask", [FIVE_ONE, SEVEN_ONE, WIDE, 0x7 | 0x1000 | 0x2000 | 0x4000])
@pytest.mark.parametrize("stereo", ["linked", "mid_side", "independent"])
def test_surround_comes_back_to_its_speakers(stereo: str, mask: int) -> None:
    channels = mask.bit_count()
    samples = np.random.default_rng(4).standard_normal((channels, 100)).astype(np.float32)
    for lfe in (False, True):
        policy = StereoPolicy(stereo, channels, True, mask, lfe)
        back = policy.decode(policy.encode(samples))
        expected = samples.copy()
        assert policy.spared == ([3] if mask & 8 and not lfe else [])
        expected[policy.spared] = 0
        assert np.allclose(back, expected, atol=1e-6)


def test_the_sides_of_surround_are_those_of_left_and_right() -> None:
    samples = np.zeros((8, 10), np.float32)
    samples[4], samples[5] = 1, -1  # back left and right of 7.1
    encoded = StereoPolicy("mid_side", 8, True, SEVEN_ONE).encode(samples)
    assert [float(row[0]) for row in encoded] == [0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("stem", ["full", "high", "low"])
@pytest.mark.parametrize("stereo", ["linked", "mid_side", "independent", "mono"])
def test_nothing_is_generated_into_the_lfe_unless_asked(
    stereo: str, stem: str, programme: Any, noise_model: Any, above: Any, rms_db: Any
) -> None:
    samples = programme(2, channels=6)
    for lfe in (False, True):
        preset = make(cutoff=4000.0, stereo=stereo, stem=stem, lfe=lfe)
        clip = render(ArrayClip(samples, 48000), preset, noise_model(), lambda step: None, mask=FIVE_ONE).clip
        out = clip.read(0, clip.frames)
        if lfe:
            continue
        assert np.array_equal(out[3], 0 * samples[3] if stem == "high" else samples[3])
        assert rms_db(above(out[:1], 5000)) > -40 or stem == "low"
    assert rms_db(above(out[3:4], 5000)) > -40 or stem == "low"


@pytest.mark.parametrize("stem", ["full", "low"])
def test_what_a_gradual_filter_took_is_not_restored_in_an_lfe(
    stem: str, noise_model: Any, above: Any, rms_db: Any
) -> None:
    from scipy.signal import firwin, oaconvolve

    noise = 0.1 * np.random.default_rng(0).standard_normal((6, 48000 * 3))
    samples = oaconvolve(noise, firwin(101, 6000, fs=48000)[None], "same", axes=1).astype(np.float32)
    clip = render(
        ArrayClip(samples, 48000), make(stem=stem), noise_model(), lambda step: None, mask=FIVE_ONE
    ).clip
    out = clip.read(0, clip.frames)
    assert np.array_equal(out[3], samples[3])
    assert rms_db(above(out - samples, 6300)[0]) > -50


def test_mid_and_side_come_back_as_left_and_right() -> None:
    policy = StereoPolicy("mid_side", 2, True)
    encoded = policy.encode(SAMPLES)
    assert np.allclose(encoded[0], SAMPLES.mean(axis=0))
    assert np.allclose(policy.decode(encoded), SAMPLES, atol=1e-6)


def test_mono_hands_out_the_mean() -> None:
    policy = StereoPolicy("mono", 2, True)
    assert np.allclose(policy.decode(policy.encode(SAMPLES)), np.stack([SAMPLES.mean(axis=0)] * 2))


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_equal_channels_stay_equal_bit_for_bit(
    rate: int, links: bool, programme: Any, noise_model: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    samples = np.repeat(programme(3, rate), 2, axis=0)
    out = rendered(ArrayClip(samples, rate), noise_model(links=links), cutoff=4000.0)
    assert np.array_equal(out[0], out[1])
    assert rms_db(above(out, 5000)) > -30


@pytest.mark.parametrize("links", [True, False])
def test_swapped_channels_give_swapped_channels(
    links: bool, programme: Any, noise_model: Any, rendered: Any
) -> None:
    samples = programme(3, channels=2)
    out = rendered(ArrayClip(samples, 48000), noise_model(links=links), cutoff=4000.0)
    swapped = rendered(ArrayClip(samples[::-1], 48000), noise_model(links=links), cutoff=4000.0)
    assert np.array_equal(out, swapped[::-1])
    assert not np.array_equal(out[0], out[1])


def test_a_channel_of_a_linked_render_is_that_channel_rendered_alone(
    programme: Any, noise_model: Any, rendered: Any
) -> None:
    samples = programme(3, channels=3)
    out = rendered(ArrayClip(samples, 48000), noise_model(links=False), cutoff=4000.0)
    alone = rendered(ArrayClip(samples[1:2], 48000), noise_model(), cutoff=4000.0)
    assert np.array_equal(out[1:2], alone)


@pytest.mark.parametrize(
    ("stereo", "correlation"), [("linked", 1.0), ("mono", 1.0), ("independent", 0.0), ("mid_side", 0.0)]
)
def test_stereo_modes_share_noise_as_they_say(
    stereo: str, correlation: float, programme: Any, noise_model: Any, rendered: Any, above: Any
) -> None:
    samples = programme(3, channels=2)
    out = above(rendered(ArrayClip(samples, 48000), noise_model(), cutoff=4000.0, stereo=stereo), 5000)
    assert np.corrcoef(out)[0, 1] == pytest.approx(correlation, abs=0.05)


@pytest.mark.parametrize("stereo", ["linked", "mid_side", "independent", "mono"])
def test_every_stereo_mode_nulls_and_leaves_a_silent_channel_silent(
    stereo: str, programme: Any, null_db: Any, noise_model: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    samples = programme(3, channels=2)
    out = rendered(ArrayClip(samples, 48000), noise_model(), cutoff=4000.0, stereo=stereo)
    assert null_db(out, samples, 4000.0, 48000) < -90
    samples[1] = 0
    left = rendered(ArrayClip(samples, 48000), noise_model(), cutoff=4000.0, stereo=stereo)
    assert not left[1].any()
    assert rms_db(above(left[:1], 5000)) > -36


@pytest.mark.parametrize("stereo", ["linked", "mid_side", "mono"])
def test_anti_phase_is_rendered(
    stereo: str, programme: Any, null_db: Any, noise_model: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    mono = programme(3)
    samples = np.concatenate([mono, -mono])
    out = rendered(ArrayClip(samples, 48000), noise_model(), cutoff=4000.0, stereo=stereo)
    assert null_db(out, samples, 4000.0, 48000) < -90
    if stereo == "mid_side":
        assert np.allclose(out[0], -out[1], atol=1e-6)
    if stereo == "mono":
        assert rms_db(above(out, 5000)[:, 4800:-4800]) < -100


def test_mid_side_keeps_a_mono_clip_mono(programme: Any, noise_model: Any, rendered: Any) -> None:
    samples = np.repeat(programme(2), 2, axis=0)
    out = rendered(ArrayClip(samples, 48000), noise_model(), cutoff=4000.0, stereo="mid_side")
    assert np.array_equal(out[0], out[1])

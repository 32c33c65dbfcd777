from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from render.clip import ArrayClip
from render.stereo import StereoPolicy

SAMPLES = np.random.default_rng(3).standard_normal((2, 100)).astype(np.float32)


@pytest.mark.parametrize(
    ("stereo", "channels", "links", "groups"),
    [
        ("linked", 2, True, [([0, 1], 0)]),
        ("linked", 3, False, [([0], 0), ([1], 0), ([2], 0)]),
        ("independent", 2, True, [([0], 0), ([1], 1)]),
        ("mid_side", 2, True, [([0], 0), ([1], 1)]),
        ("mid_side", 6, True, [([0, 1, 2, 3, 4, 5], 0)]),
        ("mono", 2, False, [([0], 0)]),
        ("mono", 1, True, [([0], 0)]),
        ("independent", 1, True, [([0], 0)]),
    ],
)
def test_windows_and_noise_groups(stereo: str, channels: int, links: bool, groups: list[object]) -> None:
    assert StereoPolicy(stereo, channels, links).groups == groups


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

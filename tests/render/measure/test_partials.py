"""The share of partials, in sounds with and without them."""

import math

import numpy as np
import pytest

from render.measure.partials import partial_share

FRAMES = 96000
CUTOFF_HZ, END_HZ = 8000.0, 20000.0
SECONDS = np.arange(FRAMES) / 48000
NOISE = np.random.default_rng(1).standard_normal(FRAMES) * 0.1


def tone(pitch_hz: float, glide_hz: float = 0.0) -> np.ndarray:
    """All partials up to 21 kHz of a pitch that glides over two seconds."""
    phase = 2 * np.pi * (pitch_hz * SECONDS + glide_hz * SECONDS**2 / 4)
    partials = [np.sin(k * phase + k * k) / k for k in range(1, int(21000 / (pitch_hz + glide_hz)))]
    return np.sum(partials, axis=0) / 10


@pytest.mark.parametrize("pitch_hz", [180.0, 233.1, 440.0, 1234.5])
def test_partials_like_the_references_are_1_and_noise_in_their_place_is_0(pitch_hz: float) -> None:
    reference = tone(pitch_hz)
    assert partial_share(reference, 3 * reference, CUTOFF_HZ, END_HZ) == pytest.approx(1, abs=1e-3)
    assert partial_share(reference, NOISE, CUTOFF_HZ, END_HZ) == pytest.approx(0, abs=0.05)


def test_partials_at_another_pitch_are_none() -> None:
    assert partial_share(tone(440), tone(470), CUTOFF_HZ, END_HZ) < 0.1


def test_noise_between_partials_lowers_the_share_and_a_glide_is_followed() -> None:
    clean = tone(400, 20)
    shares = [partial_share(clean, clean + gain * NOISE, CUTOFF_HZ, END_HZ) for gain in (0, 0.03, 0.1, 1)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(1)
    assert shares[-1] < 0.2


def test_a_reference_that_is_not_tonal_says_nothing() -> None:
    assert math.isnan(partial_share(NOISE, NOISE, CUTOFF_HZ, END_HZ))
    assert math.isnan(partial_share(0 * NOISE, NOISE, CUTOFF_HZ, END_HZ))
    assert math.isnan(partial_share(tone(440), tone(440), 19500, END_HZ))
    assert partial_share(tone(440), 0 * NOISE, CUTOFF_HZ, END_HZ) == pytest.approx(0, abs=0.6)

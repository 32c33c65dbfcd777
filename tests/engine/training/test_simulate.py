from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.training.simulate import (
    FILTERS,
    GRID_HZ,
    Variation,
    cut,
    edge_hz,
    frames_needed,
    on,
    response,
    through_codec,
    tilt_curve,
    varied,
)

FRAMES = 2 * 30720
NEVER = (0.0, 0.0, 0.0)
STILL = Variation(speed=NEVER, tilt=NEVER, room=NEVER, gain=NEVER, floor=NEVER, edge=0, codec=0)


def band_db(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / 48000)
    return float(10 * np.log10(power[(hz >= low_hz) & (hz < high_hz)].mean() + 1e-20))


@pytest.fixture
def hiss() -> np.ndarray:
    return (np.random.default_rng(5).standard_normal(FRAMES) * 0.1).astype(np.float32)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("order", [2, 10])
def test_every_filter_passes_below_and_stops_far_above_its_edge(kind: str, order: int) -> None:
    magnitude = response(kind, order, 4000.0, twice=False)
    edge = edge_hz(magnitude)
    assert edge > 3900
    assert 20 * np.log10(magnitude[GRID_HZ < 2000].min()) > -0.6
    if order == 10:
        assert edge < 4500
        assert 20 * np.log10(magnitude[GRID_HZ > 12000].max() + 1e-9) < -50


def test_the_measuring_filter_has_its_six_db_edge_where_theory_puts_it() -> None:
    """Chebyshev-I, order 8, 0.05 dB, both ways: at -3 dB of one pass, cosh(acosh(1 / eps) / 8)."""
    half_power = np.cosh(np.arccosh(1 / np.sqrt(10**0.005 - 1)) / 8)
    expected = np.arctan(np.tan(np.pi * 4000 / 48000) * half_power) / np.pi * 48000
    assert abs(edge_hz(response("chebyshev", 8, 4000.0, twice=True)) - expected) < 15


def test_a_cut_copy_keeps_the_low_band_and_loses_the_high(hiss: np.ndarray) -> None:
    copy = cut(np.random.default_rng(0), STILL)
    samples = copy.of(hiss)
    assert band_db(samples, 100, 0.5 * copy.cutoff_hz) == pytest.approx(
        band_db(hiss, 100, 0.5 * copy.cutoff_hz), abs=0.6
    )
    inside = on(copy.magnitude, len(hiss) // 2 + 1)
    assert np.allclose(np.fft.rfft(samples), np.fft.rfft(hiss) * inside, atol=2e-3)


def test_cutoffs_cover_their_range_and_stay_in_it() -> None:
    found = [cut(np.random.default_rng(k), STILL).cutoff_hz for k in range(60)]
    assert min(found) < 2500
    assert max(found) > 14000
    assert min(found) > 1200
    assert max(found) <= 23500


def test_nothing_varied_is_the_clip_itself(hiss: np.ndarray) -> None:
    whole = varied(np.random.default_rng(0), hiss, FRAMES, 20000.0, STILL)
    assert np.allclose(whole.samples, hiss, atol=1e-5)
    assert whole.band_edge_hz == 20000.0


def test_speed_moves_a_tone_and_the_band_edge() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(FRAMES + FRAMES // 4) / 48000).astype(np.float32)
    faster = varied(np.random.default_rng(0), tone, FRAMES, 16000.0, STILL)
    peak_hz = np.argmax(np.abs(np.fft.rfft(faster.samples))) * 48000 / FRAMES
    assert peak_hz == pytest.approx(1250, abs=2)
    assert faster.band_edge_hz == 20000.0
    assert float(np.abs(faster.samples).max()) == pytest.approx(1.0, abs=0.05)


def test_frames_needed_gives_speeds_within_their_range() -> None:
    counts = [
        frames_needed(np.random.default_rng(k), FRAMES, Variation(speed=(1.0, -0.25, 0.25)))
        for k in range(50)
    ]
    assert len(set(counts)) > 5
    assert all(2**-0.3 < count / FRAMES < 2**0.3 for count in counts)


def test_a_floor_lies_under_the_clip_up_to_24_khz(hiss: np.ndarray) -> None:
    click = np.zeros(FRAMES, np.float32)
    click[::1000] = 0.9
    whole = varied(np.random.default_rng(1), click, FRAMES, 24000.0, replace(STILL, floor=(1.0, -60, -50)))
    added = whole.samples - click
    for low_hz, high_hz in ((2000, 3000), (20000, 23500)):
        rms_db = band_db(added, low_hz, high_hz) - 10 * np.log10(FRAMES)
        assert -75 < rms_db < -40


@pytest.mark.parametrize("level_db", [-20.0, -6.0])
def test_a_room_rings_after_a_click_with_its_level(level_db: float) -> None:
    click = np.zeros(FRAMES, np.float32)
    click[1000] = 0.5
    hall = replace(STILL, room=(1.0, level_db, level_db))
    heard = varied(np.random.default_rng(2), click, FRAMES, 24000.0, hall)
    tail = heard.samples[1010:]
    assert heard.samples[1000] == pytest.approx(0.5, abs=0.1)
    assert 10 * np.log10(np.sum(tail**2) / 0.25) == pytest.approx(level_db, abs=4)
    power = np.square(tail[: FRAMES - 2000]).reshape(10, -1).sum(1)
    assert power[0] > 10 * power[5:].max()


def test_edges_are_silent(hiss: np.ndarray) -> None:
    edged = replace(STILL, edge=1.0)
    samples = [varied(np.random.default_rng(k), hiss, FRAMES, 24000.0, edged).samples for k in range(4)]
    assert all((s == 0).mean() > 0.0005 and (s != 0).mean() > 0.3 for s in samples)


@pytest.mark.parametrize("seed", range(6))
def test_a_codec_gives_back_a_likeness_in_step_with_the_input(seed: int) -> None:
    time_s = np.arange(FRAMES) / 48000
    chirp = (0.3 * np.sin(2 * np.pi * (200 * time_s + 400 * time_s**2))).astype(np.float32)
    decoded = through_codec(np.random.default_rng(seed), chirp)
    assert decoded.shape == chirp.shape
    middle = slice(6000, -6000)
    likeness = np.dot(decoded[middle], chirp[middle])
    likeness /= np.linalg.norm(decoded[middle]) * np.linalg.norm(chirp[middle])
    assert likeness > 0.95


def test_tilt_is_smooth() -> None:
    curve_db = 20 * np.log10(tilt_curve(np.random.default_rng(2), -3.0, 3.0))
    assert float(np.abs(np.diff(curve_db)).max()) < 2.0


def test_the_same_seed_gives_the_same_pair(hiss: np.ndarray) -> None:
    one, two = (varied(np.random.default_rng(9), hiss, FRAMES, 24000.0, Variation()) for _ in range(2))
    assert np.array_equal(one.samples, two.samples)

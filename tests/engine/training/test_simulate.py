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
STILL = Variation(speed=(0, 0, 0), tilt=(0, 0, 0), gain=(0, 0, 0), floor=(0, -95, -50), edge=0, codec=0)


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
    """Chebyshev-I, order 8, 0.05 dB, forward and backward: 3 dB of one pass, at cosh(acosh(1 / eps) / 8)."""
    half_power = np.cosh(np.arccosh(1 / np.sqrt(10**0.005 - 1)) / 8)
    expected = np.arctan(np.tan(np.pi * 4000 / 48000) * half_power) / np.pi * 48000
    assert abs(edge_hz(response("chebyshev", 8, 4000.0, twice=True)) - expected) < 15


def test_a_cut_copy_keeps_the_low_band_and_loses_the_high(hiss: np.ndarray) -> None:
    copy = cut(np.random.default_rng(0), hiss, STILL)
    samples = copy.samples()
    assert band_db(samples, 100, 0.5 * copy.cutoff_hz) == pytest.approx(
        band_db(hiss, 100, 0.5 * copy.cutoff_hz), abs=0.6
    )
    inside = on(copy.magnitude, len(hiss) // 2 + 1)
    assert np.allclose(np.fft.rfft(samples), np.fft.rfft(hiss) * inside, atol=2e-3)


def test_cutoffs_cover_their_range_and_stay_in_it(hiss: np.ndarray) -> None:
    found = [cut(np.random.default_rng(k), hiss[:3072], STILL).cutoff_hz for k in range(60)]
    assert min(found) < 2500
    assert max(found) > 14000
    assert min(found) > 1200
    assert max(found) <= 23500


def test_nothing_varied_is_the_clip_itself(hiss: np.ndarray) -> None:
    whole = varied(np.random.default_rng(0), hiss, FRAMES, 20000.0, STILL)
    assert np.allclose(whole.samples, hiss, atol=1e-5)
    assert whole.band_edge_hz == 20000.0
    assert whole.floor_db is None


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


def test_a_floor_has_the_level_it_reports_and_reaches_to_24_khz(hiss: np.ndarray) -> None:
    loud = Variation(speed=(0, 0, 0), tilt=(0, 0, 0), gain=(0, 0, 0), floor=(1.0, -60, -50), edge=0, codec=0)
    click = np.zeros(FRAMES, np.float32)
    click[::1000] = 0.9
    whole = varied(np.random.default_rng(1), click, FRAMES, 24000.0, loud)
    added = whole.samples - click
    assert whole.floor_db is not None
    for low_hz, high_hz in ((2000, 3000), (20000, 23500)):
        expected = whole.floor_db[(low_hz < GRID_HZ) & (high_hz > GRID_HZ)].mean()
        measured = band_db(added, low_hz, high_hz) - 10 * np.log10(FRAMES) + 10 * np.log10(768)
        assert measured == pytest.approx(expected, abs=1.0)


def test_edges_are_silent(hiss: np.ndarray) -> None:
    edged = Variation(speed=(0, 0, 0), tilt=(0, 0, 0), gain=(0, 0, 0), floor=(0, 0, 0), edge=1.0, codec=0)
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


def test_a_shelf_empties_what_lies_above_it_and_is_the_new_band_edge(hiss: np.ndarray) -> None:
    shelved = Variation(
        speed=(0, 0, 0),
        tilt=(0, 0, 0),
        gain=(0, 0, 0),
        floor=(0, 0, 0),
        shelves=((1.0, 16000, 17000),),
        edge=0,
        codec=0,
    )
    whole = varied(np.random.default_rng(0), hiss, FRAMES, 24000.0, shelved)
    assert 16000 <= whole.band_edge_hz <= 17000
    assert band_db(whole.samples, 19000, 24000) < band_db(whole.samples, 2000, 15500) - 60


def test_shelves_are_drawn_by_their_shares(hiss: np.ndarray) -> None:
    ways = replace(STILL, shelves=((0.5, 15500, 16500), (0.3, 20000, 21500)))
    edges = [varied(np.random.default_rng(k), hiss, FRAMES, 24000.0, ways).band_edge_hz for k in range(60)]
    low, high, none = (
        sum(first <= edge <= last for edge in edges)
        for first, last in ((15500, 16500), (20000, 21500), (24000, 24000))
    )
    assert low + high + none == 60
    assert 20 <= low <= 40
    assert 9 <= high <= 27
    assert 4 <= none <= 20


def test_a_rounded_clip_lies_on_the_grid_of_16_bits(hiss: np.ndarray) -> None:
    whole = varied(np.random.default_rng(0), hiss, FRAMES, 24000.0, replace(STILL, rounded=1.0))
    steps = whole.samples * 32768
    assert np.array_equal(steps, np.round(steps))
    assert np.abs(whole.samples - hiss).max() < 0.51 / 32768


@pytest.mark.parametrize("level_db", [-30.0, 20.0])
def test_a_wash_has_its_level_above_the_clip_and_is_coded_with_it(hiss: np.ndarray, level_db: float) -> None:
    washed = replace(STILL, wash=(1.0, level_db, level_db), shelves=((1.0, 16000, 16000),))
    clip = 0.01 * hiss
    whole = varied(np.random.default_rng(1), clip, FRAMES, 24000.0, washed)
    shelved = varied(np.random.default_rng(1), clip, FRAMES, 24000.0, replace(washed, wash=(0, 0, 0)))
    added = 10 * np.log10(np.mean((whole.samples - shelved.samples) ** 2) / np.mean(clip**2))
    assert level_db - 4 < added < level_db + 0.5
    assert band_db(whole.samples, 19000, 24000) < band_db(whole.samples, 2000, 15500) - 50

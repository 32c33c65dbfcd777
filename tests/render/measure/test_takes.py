"""The figures by which takes are judged, on bands with known answers and on recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from render.clip import ArrayClip
from render.measure.metrics import end_hz, spectrogram
from render.measure.protocol import reference
from render.measure.takes import TOP_HZ, USUAL, TakeFigures, expected, judge, legend, take_figures, told

RATE = 48000
CUTOFF_HZ = 6000.0
SHARED = Path(__file__).parents[4] / "shared" / "eval" / "dev"


def shaped(db_at: NDArray[np.float64], seconds: float = 4.0, seed: int = 0) -> NDArray[np.float64]:
    """Noise that swells twice a second, with the levels `db_at` its frequencies: (frames,)."""
    frames = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(frames))
    hz = np.fft.rfftfreq(frames, 1 / RATE)
    sound = np.fft.irfft(spectrum * 10 ** (np.interp(hz, HZ, db_at) / 20), frames)
    return 0.05 * sound * (1.1 + np.sin(2 * np.pi * 2 * np.arange(frames) / RATE))


HZ = np.geomspace(50, 24000, 2000)
OCTAVES = np.log2(HZ / CUTOFF_HZ)
PINK = -6.0 * OCTAVES
NEW = OCTAVES > 0


def figures(db_at: NDArray[np.float64], **how: float) -> TakeFigures:
    return take_figures(ArrayClip(shaped(db_at)[None], RATE), CUTOFF_HZ, **how)


def test_a_band_on_the_trend_has_no_step_level_or_tilt() -> None:
    found = figures(PINK)
    assert found.step_db == pytest.approx(0, abs=0.5)
    assert found.level_db == pytest.approx(0, abs=0.7)
    assert found.tilt_db == pytest.approx(0, abs=0.7)
    assert found.texture == pytest.approx(1, abs=0.05)
    assert found.envelope is not None
    assert found.envelope > 0.9


def test_each_figure_tells_its_own_fault() -> None:
    quiet, steep = figures(PINK - 8 * NEW), figures(PINK - 10 * OCTAVES * NEW)
    assert quiet.step_db == pytest.approx(-8, abs=0.7)
    assert quiet.level_db == pytest.approx(-8, abs=0.7)
    assert quiet.tilt_db == pytest.approx(0, abs=0.7)
    assert steep.tilt_db == pytest.approx(-10, abs=0.7)

    low, high = PINK - 200 * NEW, PINK - 200 * ~NEW
    steady = shaped(high, seed=1) / (1.1 + np.sin(2 * np.pi * 2 * np.arange(4 * RATE) / RATE))
    still = take_figures(ArrayClip((shaped(low) + steady)[None], RATE), CUTOFF_HZ)
    assert still.envelope == pytest.approx(0, abs=0.2)

    seconds = np.arange(4 * RATE) / RATE
    tones = 1e-3 * sum(np.sin(2 * np.pi * hz * seconds) for hz in range(6500, 20000, 300))
    tonal = take_figures(ArrayClip((shaped(PINK - 30 * NEW) + tones)[None], RATE), CUTOFF_HZ)
    assert tonal.texture is not None
    assert tonal.texture > 1.3


def test_what_cannot_be_told_is_not() -> None:
    silence = take_figures(ArrayClip(np.zeros((1, RATE)), RATE), CUTOFF_HZ)
    narrow = take_figures(ArrayClip(shaped(PINK)[None], RATE), 19000.0, over_db=1.5)
    assert (silence.step_db, silence.envelope, narrow.level_db) == (None, None, None)
    assert told(silence) == ""
    assert told(narrow) == "peak 1.5 dB over full scale"
    short = take_figures(ArrayClip(shaped(PINK)[None], RATE), 13000.0)
    assert short.tilt_db is None
    assert short.level_db is not None
    assert judge([silence, silence]).why.startswith("all takes measure alike")


def test_a_long_clip_is_judged_by_stretches_of_it() -> None:
    class Long:
        rate, channels, frames = RATE, 1, 3600 * RATE

        def __init__(self) -> None:
            self.heard: list[tuple[int, int]] = []
            self.sound = shaped(PINK, 10.0).astype(np.float32)[None]

        def read(self, start: int, frames: int) -> NDArray[np.float32]:
            self.heard.append((start, frames))
            return self.sound[:, :frames]

    clip = Long()
    assert take_figures(clip, CUTOFF_HZ).level_db == pytest.approx(0, abs=0.7)
    assert sum(frames for _, frames in clip.heard) == 60 * RATE
    assert clip.heard[0][0] == 0
    assert sum(clip.heard[-1]) == clip.frames


def test_the_nearest_to_what_recordings_have_is_best_and_it_says_why() -> None:
    pink = TakeFigures(cutoff_hz=4000.0, trend_db=-6.0)
    usual = replace(pink, **{name: pink.usual(name) for name in USUAL})
    loud, over = replace(usual, step_db=12.0, level_db=20.0), replace(usual, over_db=6.0)
    verdict = judge([loud, usual, over])
    assert (verdict.best, verdict.distances[1]) == (1, 0.0)
    assert verdict.why.startswith("0.00 from what is usual and expected (the others ")
    assert f"level {usual.level_db:+.1f} dB" in judge([loud, usual]).why
    assert f"level {usual.level_db:+.1f} dB (+- {USUAL['level_db'].deviation:g})" in expected(loud)
    assert "peak below full scale" in judge([over, usual]).why
    assert all(any(figure.name in line for line in legend()) for figure in USUAL.values())


def test_a_take_that_sticks_out_is_not_the_best_though_it_lies_nearest_to_what_is_usual() -> None:
    pink = TakeFigures(cutoff_hz=4000.0, trend_db=-6.0)
    levels_db = [pink.usual("level_db") + off_db for off_db in (-3.0, 5.0, 6.0)]
    verdict = judge([replace(pink, level_db=level_db) for level_db in levels_db])
    assert verdict.best == 1
    assert verdict.distances[0] > verdict.distances[2] > verdict.distances[1]
    assert judge([replace(pink, level_db=level_db) for level_db in levels_db[::2]]).best == 0


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/eval/dev")
def test_what_is_usual_holds_for_recordings_it_was_not_fitted_to() -> None:
    found = []
    for path in sorted([*SHARED.glob("*/*.flac"), *SHARED.glob("*/*.wav")]):
        samples, rate = soundfile.read(path, always_2d=True)
        full, limit_hz = reference(samples.T, rate)
        end = end_hz(spectrogram(full), limit_hz)
        clip = ArrayClip(full.astype(np.float32)[None], RATE)
        cutoffs_hz = [hz for hz in (4000.0, 8000.0, 12000.0) if end >= 1.3 * hz]
        found += [take_figures(clip, hz, min(TOP_HZ, 0.97 * end)) for hz in cutoffs_hz]
    for name, usual in USUAL.items():
        off = np.array(
            [
                value - figures.usual(name)
                for figures in found
                if (value := getattr(figures, name)) is not None
            ]
        )
        assert np.mean(off) == pytest.approx(0, abs=0.5 * usual.deviation)
        assert 0.7 < np.std(off) / usual.deviation < 1.4

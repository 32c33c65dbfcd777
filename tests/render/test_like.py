"""The correction learnt from a recording of the same source, with a source and a model of known error."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.models.null import Null
from presets.errors import InputError
from presets.schema import make
from render.band.cutoff import Cutoff
from render.band.slope import Slope
from render.clip import ArrayClip, open_clip
from render.files.recordings import recordings
from render.like import degrade
from render.render import render
from render.upscaler import Audio

RATE = 48000
CUTOFF_HZ = 6000.0
AMOUNT = 0.01


def source(seed: int, tilt_db: float = -6.0) -> Audio:
    """Three seconds of noise that falls by `tilt_db` an octave."""
    hz = np.maximum(np.fft.rfftfreq(3 * RATE, 1 / RATE), 50.0)
    level_db = tilt_db * np.log2(hz / 1000)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(3 * RATE))
    return 0.03 * np.fft.irfft(spectrum * 10 ** (level_db / 20))[None].astype(np.float32)


def cut(samples: Audio) -> Audio:
    return degrade(samples, Cutoff(CUTOFF_HZ, "given", ""))


def band_db(samples: Audio, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples[0, RATE // 2 : -RATE // 2])) ** 2
    hz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    return float(10 * np.log10(power[(hz > low_hz) & (hz < high_hz)].mean()))


@pytest.fixture
def rendered(noise_model: Any) -> Callable[..., Any]:
    def run(clip: Audio, *recordings: Audio, model: Any = None, rate: int = RATE) -> Any:
        preset = make(cutoff=CUTOFF_HZ, gate_db="off")
        named = [(f"{k}.wav", ArrayClip(samples, rate)) for k, samples in enumerate(recordings)]
        upscaler = model or noise_model(amount=AMOUNT)
        made = render(ArrayClip(cut(clip), RATE), preset, upscaler, lambda _: None, recordings=named)
        return made.clip.read(0, made.clip.frames), made.report.like

    return run


BANDS = [(7000, 9000), (9000, 12000), (12000, 16000), (16000, 21000)]


def test_a_recording_of_the_same_source_brings_its_contour(rendered: Any) -> None:
    full = source(1)
    plain, nothing = rendered(full)
    corrected, told = rendered(full, source(2))
    assert nothing is None
    assert told.share == 1
    assert "100%" in told.reason
    errors = [[band_db(made, *band) - band_db(full, *band) for band in BANDS] for made in (plain, corrected)]
    assert np.abs(errors[0]).max() > 4
    assert np.abs(errors[1]).max() < 1.5


def test_the_low_band_stays_the_inputs(rendered: Any, null_db: Any) -> None:
    full = source(1)
    corrected, _ = rendered(full, source(2))
    assert null_db(corrected, cut(full), CUTOFF_HZ, RATE) < -90


def test_corrections_are_bounded(rendered: Any, noise_model: Any) -> None:
    _, told = rendered(source(1), source(2), model=noise_model(amount=0.5))
    assert told.least_db == pytest.approx(-12, abs=0.01)


def test_a_recording_of_another_kind_is_left_out_and_it_says_so(rendered: Any) -> None:
    full = source(1)
    plain, _ = rendered(full)
    made, told = rendered(full, source(2, tilt_db=3.0))
    assert told.share == 0
    assert "another kind" in told.reason
    np.testing.assert_array_equal(made, plain)


def test_a_model_that_generates_nothing_has_nothing_to_learn(rendered: Any) -> None:
    _, told = rendered(source(1), source(2), model=Null())
    assert told.share == 0
    assert "nothing to learn" in told.reason


def test_a_recording_that_is_not_full_band_is_refused_with_its_end(rendered: Any) -> None:
    with pytest.raises(InputError, match=r"0\.wav: its band ends at \d+ Hz"):
        rendered(source(1), cut(source(2)))
    with pytest.raises(InputError, match=r"0\.wav: its band ends at 7\d+ Hz"):
        rendered(source(1), source(2)[:, ::3], rate=16000)


def test_a_recording_that_is_damaged_is_the_fault_of_like_and_of_no_effect(tmp_path: Path) -> None:
    samples = source(2)
    samples[0, 100] = np.nan
    soundfile.write(tmp_path / "damaged.wav", samples.T, RATE, "FLOAT")
    preset = make(cutoff=CUTOFF_HZ, effects={"before": [{"name": "Gain", "params": {"gain_db": -1.0}}]})
    clip = ArrayClip(cut(source(1)), RATE)
    with (
        open_clip(tmp_path / "damaged.wav") as damaged,
        pytest.raises(InputError, match=r"like: .*NaN") as told,
    ):
        render(clip, preset, Null(), lambda _: None, recordings=[("damaged.wav", damaged)])
    assert told.value.field == "like"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_a_pipe_is_no_recording_and_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match=r"pipe\.wav: is neither a file nor a folder"):
        recordings(tmp_path / "pipe.wav")


def test_silence_teaches_nothing(rendered: Any) -> None:
    with pytest.raises(InputError, match="silent"):
        rendered(source(1), np.zeros((1, 2 * RATE), np.float32))


def test_a_source_that_is_too_short_to_tell_its_kind_is_rendered_plainly_and_it_says_so(
    rendered: Any,
) -> None:
    short = source(1)[:, : RATE // 3]
    plain, _ = rendered(short)
    made, told = rendered(short, source(2))
    assert (told.share, told.difference_db) == (0, None)
    assert "too little to tell" in told.reason
    np.testing.assert_array_equal(made, plain)


def test_a_long_silence_before_it_hides_no_sound(rendered: Any) -> None:
    after_silence = [np.pad(source(seed), ((0, 0), (25 * RATE, 0))) for seed in (1, 2)]
    assert rendered(*after_silence)[1].share == 1


def test_degrading_is_the_clips_own_filter() -> None:
    impulse = np.zeros((1, RATE), np.float32)
    impulse[0, RATE // 2] = 1
    slope = Slope(5000.0, 20.0, 0.05, 24000.0, 6000.0, 0.0)
    gain = np.abs(np.fft.rfft(degrade(impulse, Cutoff(5000.0, "auto", "", slope=slope))[0]))
    expected_db = -slope.loss_db(np.array([2500.0, 5000, 5500]))
    np.testing.assert_allclose(20 * np.log10(gain[[2500, 5000, 5500]]), expected_db, atol=0.1)

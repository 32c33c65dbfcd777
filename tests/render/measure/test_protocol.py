"""The protocol on noise, and on a clip of the evaluation set."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from presets.errors import InputError
from render.measure.protocol import degrade, fitted, measure, reference, subsampled

DEV = Path(__file__).parents[4] / "shared" / "eval" / "dev"
CUTOFF_HZ, TOP_HZ = 8000.0, 24000.0


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(3).standard_normal(96000) * 0.1


def test_a_signal_is_fitted_to_a_length() -> None:
    assert fitted(np.arange(5.0), 3).tolist() == [0, 1, 2]
    assert fitted(np.arange(3.0), 5).tolist() == [0, 1, 2, 0, 0]


def test_the_reference_is_5_12_s_of_the_mean_at_48_khz(noise: np.ndarray) -> None:
    both = np.stack([noise, -noise / 3])
    signal, limit_hz = reference(np.tile(both, (1, 3)), 48000)
    assert len(signal) == 245760
    assert limit_hz == 24000
    np.testing.assert_allclose(signal[:96000], noise / 3, atol=1e-7)
    signal, limit_hz = reference(both, 44100)
    assert len(signal) == math.ceil(96000 * 48000 / 44100)
    assert limit_hz == pytest.approx(0.97 * 22050)


def test_degrading_empties_the_band_above_and_moves_nothing() -> None:
    impulse = np.zeros(9600)
    impulse[4800] = 1
    response = degrade(impulse, 8000)
    gain = np.abs(np.fft.rfft(response.astype(np.float64)))
    hz = np.fft.rfftfreq(9600, 1 / 48000)
    assert int(np.argmax(response)) == 4800
    np.testing.assert_allclose(gain[hz < 7900], 1, atol=0.012)
    assert 20 * np.log10(gain[hz > 13000].max()) < -115
    with pytest.raises(InputError, match="3 frames"):
        degrade(np.zeros(3), 8000)


@pytest.mark.parametrize(("cutoff_hz", "rate"), [(4000, 8000), (8000, 16000), (12000, 24000)])
def test_speech_is_really_resampled(cutoff_hz: float, rate: int) -> None:
    t = np.arange(48000) / 48000
    kept, lost = (np.sin(2 * np.pi * share * cutoff_hz * t) for share in (0.5, 1.2))
    samples, found = subsampled(kept + lost, cutoff_hz)
    assert (found, len(samples)) == (rate, rate)
    assert samples.dtype == np.float32
    expected = np.sin(2 * np.pi * 0.5 * cutoff_hz * np.arange(rate) / rate)
    np.testing.assert_allclose(samples[1000:-1000], expected[1000:-1000], atol=1e-4)


def test_an_output_of_another_length_is_measured_and_its_length_told(noise: np.ndarray) -> None:
    low = degrade(noise, CUTOFF_HZ)
    figures = measure(noise, low, np.concatenate([low, np.zeros(7)]), CUTOFF_HZ, TOP_HZ)
    assert (figures.length, figures.lag, figures.null_db) == (7, 0, -math.inf)
    cut = measure(noise, low, low[:-300], CUTOFF_HZ, TOP_HZ)
    assert cut.length == -300
    assert cut.lsd == pytest.approx(figures.lsd, rel=0.02)


@pytest.mark.skipif(not DEV.is_dir(), reason="the evaluation clips are not beside this checkout")
def test_unprocessed_speech_measures_as_empty_above_the_cutoff() -> None:
    samples, rate = soundfile.read(DEV / "speech" / "vctk_p361_281.flac", always_2d=True)
    full, limit_hz = reference(samples.T, rate)
    low = degrade(full, CUTOFF_HZ)
    unprocessed = measure(full, low, low, CUTOFF_HZ, limit_hz)
    perfect = measure(full, low, full, CUTOFF_HZ, limit_hz)
    assert 5 < unprocessed.lsd < 8 < unprocessed.lsd_hf * 1.2
    assert unprocessed.bias_db < -60
    assert (perfect.lag, perfect.length) == (0, 0)
    assert perfect.lsd < 1e-4
    assert perfect.texture == pytest.approx(1)
    assert perfect.envelope == pytest.approx(1)
    assert perfect.lsd_in < 1e-4
    assert (perfect.power_db, perfect.power_abs_db, perfect.shelf_db) == pytest.approx((0, 0, 0), abs=1e-4)
    assert unprocessed.power_db < -40
    assert perfect.partials == pytest.approx(1) or math.isnan(perfect.partials)
    assert perfect.null_db < -40

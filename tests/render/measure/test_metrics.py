"""Each figure on signals whose answer is known, and the protocol on a clip of the evaluation set."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from presets.errors import InputError
from render.measure import metrics

DEV = Path(__file__).parents[4] / "shared" / "eval" / "dev"
CUTOFF_HZ, TOP_HZ = 8000.0, 24000.0


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(3).standard_normal(96000) * 0.1


def gated(signal: np.ndarray, period: int) -> np.ndarray:
    return signal * (np.arange(len(signal)) % period < period // 2)


def test_a_spectrogram_holds_768_times_the_power_of_white_noise(noise):
    power = metrics.spectrogram(noise)
    assert power.shape == (1 + 96000 // 512, 1025)
    assert np.mean(power[4:-4]) == pytest.approx(768 * 0.01, rel=0.02)


@pytest.mark.parametrize(("gain", "expected"), [(1, 0.0), (10, 2.0), (0.1, 2.0), (10**0.3, 0.6)])
def test_lsd_of_a_scaled_signal_is_its_gain_in_decades_of_power(noise, gain, expected):
    ref, est = metrics.spectrogram(noise), metrics.spectrogram(gain * noise)
    assert metrics.lsd(ref, est, 0, TOP_HZ) == pytest.approx(expected, abs=1e-6)
    assert metrics.bias_db(ref, est, CUTOFF_HZ, TOP_HZ) == pytest.approx(20 * math.log10(gain), abs=1e-6)


def test_lsd_counts_only_the_bins_asked_for():
    ref = np.ones((3, 1025))
    est = ref.copy()
    est[:, 500:] = 0.01
    assert metrics.lsd(ref, est, 0, 499 * 48000 / 2048) == pytest.approx(0, abs=1e-9)
    assert metrics.lsd(ref, est, 499 * 48000 / 2048, TOP_HZ) == pytest.approx(2)
    assert metrics.lsd(ref, est, 0, TOP_HZ) == pytest.approx(2 * math.sqrt(525 / 1025))


def test_silent_frames_of_the_reference_do_not_count(noise):
    half = noise.copy()
    half[48000:] = 0
    est = metrics.spectrogram(10 * half + np.where(np.arange(96000) < 48000, 0, noise))
    ref = metrics.spectrogram(half)
    assert metrics.active(ref).sum() == pytest.approx(94, abs=3)
    assert metrics.lsd(ref, est, 0, TOP_HZ) == pytest.approx(2, abs=0.05)
    assert math.isnan(metrics.lsd(0 * ref, ref, 0, TOP_HZ))


def test_texture_is_1_for_noise_against_other_noise_and_less_for_a_smear(noise):
    other = np.random.default_rng(4).standard_normal(96000)
    ref = metrics.spectrogram(noise)
    smooth = np.broadcast_to(ref.mean(axis=0), ref.shape)
    assert metrics.texture(ref, ref, CUTOFF_HZ, TOP_HZ) == pytest.approx(1)
    assert metrics.texture(ref, metrics.spectrogram(other), CUTOFF_HZ, TOP_HZ) == pytest.approx(1, abs=0.02)
    assert metrics.texture(ref, smooth, CUTOFF_HZ, TOP_HZ) < 0.1


def test_the_envelope_follows_the_bursts_of_the_high_band_alone(noise):
    other = np.random.default_rng(5).standard_normal(96000)
    bursts = gated(noise, 9600)
    rumble = np.sin(2 * np.pi * 500 * np.arange(96000) / 48000) * np.hanning(96000)
    assert metrics.envelope(bursts, bursts + rumble, CUTOFF_HZ, TOP_HZ) == pytest.approx(1, abs=1e-3)
    assert metrics.envelope(bursts, gated(other, 9600), CUTOFF_HZ, TOP_HZ) > 0.9
    assert metrics.envelope(bursts, np.roll(bursts, 4800), CUTOFF_HZ, TOP_HZ) < -0.8
    assert abs(metrics.envelope(bursts, other, CUTOFF_HZ, TOP_HZ)) < 0.1
    assert math.isnan(metrics.envelope(bursts, 0 * bursts, CUTOFF_HZ, TOP_HZ))


@pytest.mark.parametrize("cutoff_hz", [4000, 8000, 16000])
def test_the_null_is_the_error_below_the_cutoff_and_nothing_else(noise, cutoff_hz):
    low = metrics.degrade(noise, cutoff_hz)
    assert metrics.null_db(low, low, cutoff_hz) == -math.inf
    assert metrics.null_db(low, low * (1 + 1e-5), cutoff_hz) == pytest.approx(-100, abs=0.5)
    t = np.arange(len(low)) / 48000
    above = 0.1 * np.sin(2 * np.pi * 0.92 * cutoff_hz * t) * np.hanning(len(t))
    assert metrics.null_db(low, low + above, cutoff_hz) < -115


@pytest.mark.parametrize("shift", [0, 1, 37, -12])
def test_the_lag_is_how_late_the_output_comes(noise, shift):
    impulse = np.zeros(4000)
    impulse[1000] = 1
    assert metrics.lag(impulse, np.roll(impulse, shift)) == shift
    assert metrics.lag(noise, np.roll(noise, shift)[:90000]) == shift


def test_the_reference_is_5_12_s_of_the_mean_at_48_khz(noise):
    both = np.stack([noise, -noise / 3])
    signal, limit_hz = metrics.reference(np.tile(both, (1, 3)), 48000)
    assert len(signal) == 245760
    assert limit_hz == 24000
    np.testing.assert_allclose(signal[:96000], noise / 3, atol=1e-7)
    signal, limit_hz = metrics.reference(both, 44100)
    assert len(signal) == math.ceil(96000 * 48000 / 44100)
    assert limit_hz == pytest.approx(0.97 * 22050)


def test_degrading_empties_the_band_above_and_moves_nothing():
    impulse = np.zeros(9600)
    impulse[4800] = 1
    response = metrics.degrade(impulse, 8000)
    gain = np.abs(np.fft.rfft(response.astype(np.float64)))
    hz = np.fft.rfftfreq(9600, 1 / 48000)
    assert int(np.argmax(response)) == 4800
    np.testing.assert_allclose(gain[hz < 7900], 1, atol=0.012)
    assert 20 * np.log10(gain[hz > 13000].max()) < -115
    with pytest.raises(InputError, match="3 frames"):
        metrics.degrade(np.zeros(3), 8000)


def test_an_output_of_another_length_is_measured_and_its_length_told(noise):
    low = metrics.degrade(noise, CUTOFF_HZ)
    figures = metrics.measure(noise, low, np.concatenate([low, np.zeros(7)]), CUTOFF_HZ, TOP_HZ)
    assert (figures.length, figures.lag, figures.null_db) == (7, 0, -math.inf)
    cut = metrics.measure(noise, low, low[:-300], CUTOFF_HZ, TOP_HZ)
    assert cut.length == -300
    assert cut.lsd == pytest.approx(figures.lsd, rel=0.02)


@pytest.mark.skipif(not DEV.is_dir(), reason="the evaluation clips are not beside this checkout")
def test_unprocessed_speech_measures_as_empty_above_the_cutoff():
    samples, rate = soundfile.read(DEV / "speech" / "vctk_p361_281.flac", always_2d=True)
    full, limit_hz = metrics.reference(samples.T, rate)
    low = metrics.degrade(full, CUTOFF_HZ)
    unprocessed = metrics.measure(full, low, low, CUTOFF_HZ, limit_hz)
    perfect = metrics.measure(full, low, full, CUTOFF_HZ, limit_hz)
    assert 5 < unprocessed.lsd < 8 < unprocessed.lsd_hf * 1.2
    assert unprocessed.bias_db < -60
    assert (perfect.lag, perfect.length) == (0, 0)
    assert perfect.lsd < 1e-4
    assert perfect.texture == pytest.approx(1)
    assert perfect.envelope == pytest.approx(1)
    assert perfect.null_db < -40

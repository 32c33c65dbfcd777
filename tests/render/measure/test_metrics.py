"""Each figure on signals whose answer is known."""

import math

import numpy as np
import pytest

from render.measure import metrics
from render.measure.protocol import degrade

CUTOFF_HZ, TOP_HZ = 8000.0, 24000.0


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(3).standard_normal(96000) * 0.1


def gated(signal: np.ndarray, period: int) -> np.ndarray:
    return signal * (np.arange(len(signal)) % period < period // 2)


def test_a_spectrogram_holds_768_times_the_power_of_white_noise(noise: np.ndarray) -> None:
    power = metrics.spectrogram(noise)
    assert power.shape == (1 + 96000 // 512, 1025)
    assert np.mean(power[4:-4]) == pytest.approx(768 * 0.01, rel=0.02)


@pytest.mark.parametrize(("gain", "expected"), [(1, 0.0), (10, 2.0), (0.1, 2.0), (10**0.3, 0.6)])
def test_lsd_of_a_scaled_signal_is_its_gain_in_decades_of_power(
    noise: np.ndarray, gain: float, expected: float
) -> None:
    ref, est = metrics.spectrogram(noise), metrics.spectrogram(gain * noise)
    assert metrics.lsd(ref, est, 0, TOP_HZ) == pytest.approx(expected, abs=1e-6)
    assert metrics.bias_db(ref, est, CUTOFF_HZ, TOP_HZ) == pytest.approx(20 * math.log10(gain), abs=1e-6)


def test_lsd_counts_only_the_bins_asked_for() -> None:
    ref = np.ones((3, 1025))
    est = ref.copy()
    est[:, 500:] = 0.01
    assert metrics.lsd(ref, est, 0, 499 * 48000 / 2048) == pytest.approx(0, abs=1e-9)
    assert metrics.lsd(ref, est, 499 * 48000 / 2048, TOP_HZ) == pytest.approx(2)
    assert metrics.lsd(ref, est, 0, TOP_HZ) == pytest.approx(2 * math.sqrt(525 / 1025))


def test_silent_frames_of_the_reference_do_not_count(noise: np.ndarray) -> None:
    half = noise.copy()
    half[48000:] = 0
    est = metrics.spectrogram(10 * half + np.where(np.arange(96000) < 48000, 0, noise))
    ref = metrics.spectrogram(half)
    assert metrics.active(ref).sum() == pytest.approx(94, abs=3)
    assert metrics.lsd(ref, est, 0, TOP_HZ) == pytest.approx(2, abs=0.05)
    assert math.isnan(metrics.lsd(0 * ref, ref, 0, TOP_HZ))


def test_texture_is_1_for_noise_against_other_noise_and_less_for_a_smear(noise: np.ndarray) -> None:
    other = np.random.default_rng(4).standard_normal(96000)
    ref = metrics.spectrogram(noise)
    smooth = np.broadcast_to(ref.mean(axis=0), ref.shape)
    assert metrics.texture(ref, ref, CUTOFF_HZ, TOP_HZ) == pytest.approx(1)
    assert metrics.texture(ref, metrics.spectrogram(other), CUTOFF_HZ, TOP_HZ) == pytest.approx(1, abs=0.02)
    assert metrics.texture(ref, smooth, CUTOFF_HZ, TOP_HZ) < 0.1


def test_the_envelope_follows_the_bursts_of_the_high_band_alone(noise: np.ndarray) -> None:
    other = np.random.default_rng(5).standard_normal(96000)
    bursts = gated(noise, 9600)
    rumble = np.sin(2 * np.pi * 500 * np.arange(96000) / 48000) * np.hanning(96000)
    assert metrics.envelope(bursts, bursts + rumble, CUTOFF_HZ, TOP_HZ) == pytest.approx(1, abs=1e-3)
    assert metrics.envelope(bursts, gated(other, 9600), CUTOFF_HZ, TOP_HZ) > 0.9
    assert metrics.envelope(bursts, np.roll(bursts, 4800), CUTOFF_HZ, TOP_HZ) < -0.8
    assert abs(metrics.envelope(bursts, other, CUTOFF_HZ, TOP_HZ)) < 0.1
    assert math.isnan(metrics.envelope(bursts, 0 * bursts, CUTOFF_HZ, TOP_HZ))


@pytest.mark.parametrize("cutoff_hz", [4000, 8000, 16000])
def test_the_null_is_the_error_below_the_cutoff_and_nothing_else(noise: np.ndarray, cutoff_hz: float) -> None:
    low = degrade(noise, cutoff_hz)
    assert metrics.null_db(low, low, cutoff_hz) == -math.inf
    assert metrics.null_db(low, low * (1 + 1e-5), cutoff_hz) == pytest.approx(-100, abs=0.5)
    t = np.arange(len(low)) / 48000
    above = 0.1 * np.sin(2 * np.pi * 0.92 * cutoff_hz * t) * np.hanning(len(t))
    assert metrics.null_db(low, low + above, cutoff_hz) < -115


@pytest.mark.parametrize("shift", [0, 1, 37, -12])
def test_the_lag_is_how_late_the_output_comes(noise: np.ndarray, shift: int) -> None:
    impulse = np.zeros(4000)
    impulse[1000] = 1
    assert metrics.lag(impulse, np.roll(impulse, shift)) == shift
    assert metrics.lag(noise, np.roll(noise, shift)[:90000]) == shift


def shaped(signal: np.ndarray, hz: list[float], level_db: list[float]) -> np.ndarray:
    """`signal` with its spectrum scaled by gains interpolated between (hz, level_db)."""
    spectrum = np.fft.rfft(signal)
    gain_db = np.interp(np.fft.rfftfreq(len(signal), 1 / 48000), hz, level_db)
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(signal))


@pytest.mark.parametrize("edge_hz", [10600, 12000, 16000, 19000])
def test_a_reference_ends_where_a_coder_cut_it(noise: np.ndarray, edge_hz: float) -> None:
    cut = shaped(noise, [edge_hz - 50, edge_hz + 50], [0, -60])
    assert edge_hz - 1000 < metrics.end_hz(metrics.spectrogram(cut), TOP_HZ) <= edge_hz


def test_a_reference_that_fades_goes_on_to_21_khz_or_as_far_as_its_rate_goes(noise: np.ndarray) -> None:
    fading = metrics.spectrogram(shaped(noise, [0, 24000], [0, -90]))
    assert metrics.end_hz(fading, TOP_HZ) == 21000
    assert metrics.end_hz(fading, 0.97 * 16000) == pytest.approx(15520)
    assert metrics.end_hz(0 * fading, TOP_HZ) == 21000


def test_lsd_in_does_not_count_what_lies_above_the_end_of_the_reference(noise: np.ndarray) -> None:
    coded = metrics.spectrogram(shaped(noise, [15950, 16050], [0, -60]))
    filled = metrics.spectrogram(noise)
    assert metrics.lsd(coded, filled, CUTOFF_HZ, TOP_HZ) > 3
    assert metrics.lsd_in(coded, filled, CUTOFF_HZ, TOP_HZ) < 0.2
    assert math.isnan(metrics.lsd_in(coded, filled, 16500, TOP_HZ))


def test_power_is_that_of_the_whole_clip_where_bias_is_the_mean_of_decibels(noise: np.ndarray) -> None:
    """Noise 12 dB up in one half, 12 dB down in the other: the same mean of decibels, 8 times the power.
    Frames that see both halves add 2 dB to the mean of decibels."""
    other = np.random.default_rng(8).standard_normal(len(noise)) * 0.1
    swinging = noise * np.where(np.arange(len(noise)) % 9600 < 4800, 10**0.6, 10**-0.6)
    ref, est = metrics.spectrogram(other), metrics.spectrogram(swinging)
    nine_db = 10 * math.log10((10**1.2 + 10**-1.2) / 2)
    assert metrics.bias_db(ref, est, CUTOFF_HZ, TOP_HZ) == pytest.approx(0, abs=2)
    assert metrics.power_db(ref, est, CUTOFF_HZ, TOP_HZ) == pytest.approx(nine_db, abs=0.5)
    assert metrics.power_abs_db(est, ref, CUTOFF_HZ, TOP_HZ) == pytest.approx(nine_db, abs=0.5)


def test_power_too_high_in_one_band_and_too_low_in_another_shows_in_its_absolute_value_alone(
    noise: np.ndarray,
) -> None:
    """Bands are thirds of an octave from 1.1 x 4 kHz on: 8.8 kHz is the middle of those below 17.6 kHz."""
    tilted = shaped(noise, [8799, 8801], [6, -6])
    ref, est = metrics.spectrogram(noise), metrics.spectrogram(tilted)
    assert metrics.power_errors_db(ref, est, 4000, 17600) == pytest.approx([6, 6, 6, -6, -6, -6], abs=0.6)
    assert metrics.power_db(ref, est, 4000, 17600) == pytest.approx(0, abs=0.3)
    assert metrics.power_abs_db(ref, est, 4000, 17600) == pytest.approx(6, abs=0.3)
    assert len(metrics.power_errors_db(ref, est, 4000, 17000)) == 5
    assert metrics.power_errors_db(ref, est, 16000, TOP_HZ) == pytest.approx([-6], abs=0.6)
    assert math.isnan(metrics.power_db(ref, est, 19000, TOP_HZ))


def test_a_shelf_is_a_step_at_16_khz_that_the_reference_has_not(noise: np.ndarray) -> None:
    sloping = shaped(noise, [8000, 20000], [0, -40])
    ref = metrics.spectrogram(sloping)
    shelved = metrics.spectrogram(shaped(sloping, [15900, 16100], [0, -12]))
    louder = metrics.spectrogram(2 * sloping)
    assert metrics.shelf_db(ref, shelved, TOP_HZ) == pytest.approx(-12, abs=0.1)
    assert metrics.shelf_db(ref, louder, TOP_HZ) == pytest.approx(0, abs=0.01)
    assert math.isnan(metrics.shelf_db(ref, ref, 0.97 * 19000))

"""The paper's distance on signals whose answer is known."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from render.measure import metrics, ssr_eval
from render.measure.metrics import Signal
from render.measure.protocol import reference, subsampled

DEV = Path(__file__).parents[4] / "shared" / "eval" / "dev"


@pytest.fixture(scope="module")
def noise() -> Signal:
    return np.random.default_rng(3).standard_normal(48000) * 0.1


def test_windows_are_2229_long_and_10_ms_apart() -> None:
    assert (ssr_eval.FFT, ssr_eval.HOP) == (2229, 480)


@pytest.mark.parametrize(("gain", "expected"), [(1, 0.0), (10, 2.0), (0.1, 2.0), (10**0.3, 0.6)])
def test_a_scaled_signal_is_as_far_as_its_gain_in_decades_of_power(
    noise: Signal, gain: float, expected: float
) -> None:
    assert ssr_eval.lsd(noise, gain * noise) == pytest.approx(expected, abs=1e-6)


def test_a_band_that_is_20_db_too_quiet_counts_by_its_share_of_the_bins(noise: Signal) -> None:
    """20 dB too quiet above 12 kHz, in half of the bins: sqrt(0.5 x 2^2); leakage at the edge adds little."""
    spectrum = np.fft.rfft(noise)
    spectrum[len(spectrum) // 2 :] *= 0.1
    assert ssr_eval.lsd(noise, np.fft.irfft(spectrum, len(noise))) == pytest.approx(math.sqrt(2), abs=0.02)


def test_every_frame_counts_and_one_of_digital_silence_is_12_away(noise: Signal) -> None:
    """Half of the reference, 47 of its 100 frames, is silent: log10(0 + 1e-12) = -12. `metrics.lsd` leaves
    such frames out."""
    half = np.where(np.arange(48000) < 24000, noise, 0)
    assert ssr_eval.lsd(half, half) == pytest.approx(0.47 * 12, abs=1e-3), "silence is far even from itself"
    assert ssr_eval.lsd(half, noise) == pytest.approx(0.47 * 12, abs=0.1), "three frames hear the edge"
    spectra = metrics.spectrogram(half), metrics.spectrogram(noise)
    assert metrics.lsd(*spectra, 0, 24000) < 0.1


def test_frames_are_centred_and_as_many_as_whole_hops_fit(noise: Signal) -> None:
    """One click per frame's centre is seen in full by that frame; the first centre is sample 0."""
    clicks = np.zeros(4800)
    clicks[::480] = 1.0
    other = np.zeros(4800)
    other[::480] = 10.0
    assert ssr_eval.lsd(clicks, other) == pytest.approx(2, abs=1e-6)
    assert ssr_eval._magnitudes(clicks).shape == (10, 1115)


@pytest.mark.skipif(not DEV.is_dir(), reason="the evaluation clips are not beside this checkout")
def test_on_a_clip_it_is_what_torchs_spectrograms_give() -> None:
    """The same definition on torch's short-time Fourier transform."""
    import torch

    samples, rate = soundfile.read(DEV / "speech" / "vctk_p361_281.flac", always_2d=True)
    full, _ = reference(samples.T, rate)
    low, low_rate = subsampled(full, 4000)
    made = np.repeat(low, 48000 // low_rate)[: len(full)].astype(np.float64)
    window = torch.hann_window(2229, dtype=torch.float64)
    x, y = (
        torch.stft(
            torch.from_numpy(s.astype(np.float64)),
            2229,
            480,
            window=window,
            pad_mode="constant",
            return_complex=True,
        )
        .abs()
        .numpy()
        for s in (full, made)
    )
    distance = np.log10(x**2 / (y + 1e-12) ** 2 + 1e-12) ** 2
    assert ssr_eval.lsd(full, made) == pytest.approx(np.mean(np.sqrt(distance.mean(axis=0))), rel=1e-6)

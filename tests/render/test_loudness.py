"""Loudness and true peak against the signals of EBU Tech 3341 (synthesised here) and ITU-R BS.1770-4."""

from __future__ import annotations

import math

import numpy as np
import pytest

from presets.delivery import Delivery
from render.clip import ArrayClip
from render.loudness import deliver, integrated_lufs, k_weighting, true_peak_dbtp
from render.upscaler import Audio


def tone(
    dbfs: float, seconds: float, rate: int = 48000, channels: int = 2, frequency_hz: float = 1000.0
) -> Audio:
    """The same sine with its peak at `dbfs` in every channel."""
    t = np.arange(round(seconds * rate)) / rate
    return np.tile(10 ** (dbfs / 20) * np.sin(2 * np.pi * frequency_hz * t), (channels, 1)).astype(np.float32)


def test_the_filters_at_48_khz_are_those_of_the_recommendation() -> None:
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    assert k_weighting(48000) == pytest.approx(np.array([shelf, high_pass]), abs=1e-9)


CASES: dict[str, tuple[list[tuple[float, float]], float]] = {
    "3341-1": ([(-23, 20)], -23.0),
    "3341-2": ([(-33, 20)], -33.0),
    "3341-3": ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
    "3341-4": ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
    "3341-5": ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
}


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("case", CASES)
def test_stereo_programmes_read_what_ebu_tech_3341_says(case: str, rate: int) -> None:
    parts, expected_lufs = CASES[case]
    samples = np.concatenate([tone(dbfs, seconds, rate) for dbfs, seconds in parts], axis=1)
    assert integrated_lufs(ArrayClip(samples, rate)) == pytest.approx(expected_lufs, abs=0.1)


def test_five_channels_read_what_ebu_tech_3341_says() -> None:
    levels_dbfs = np.array([-28, -28, -24, -30, -30])[:, np.newaxis]
    samples = tone(0, 20, channels=5) * (10 ** (levels_dbfs / 20)).astype(np.float32)
    assert integrated_lufs(ArrayClip(samples, 48000)) == pytest.approx(-23.0, abs=0.1)


def test_the_lfe_does_not_count() -> None:
    samples = tone(-23, 5, channels=6)
    louder = samples.copy()
    louder[3] *= 8
    assert integrated_lufs(ArrayClip(louder, 48000)) == integrated_lufs(ArrayClip(samples, 48000))


def test_silence_and_clips_shorter_than_a_block() -> None:
    assert integrated_lufs(ArrayClip(np.zeros((1, 48000), np.float32), 48000)) == -math.inf
    assert integrated_lufs(ArrayClip(np.zeros((1, 100), np.float32), 48000)) == -math.inf
    assert integrated_lufs(ArrayClip(tone(-23, 0.39), 48000)) == pytest.approx(-23.0, abs=0.2)


def test_it_agrees_with_pyloudnorm() -> None:
    pyloudnorm = pytest.importorskip("pyloudnorm")
    rng = np.random.default_rng(0)
    for rate in (22050, 44100, 96000):
        n = 7 * rate + 123
        swells = 0.1 * rng.standard_normal((2, n)) * np.abs(np.sin(np.arange(n) / rate))
        samples = swells.astype(np.float32)
        theirs = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(
            samples.T.astype(np.float64)
        )
        assert integrated_lufs(ArrayClip(samples, rate)) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize(
    ("amplitude", "divisor", "phase_deg", "expected_dbtp"),
    [(0.5, 4, 0, -6), (0.5, 4, 45, -6), (0.5, 6, 60, -6), (0.5, 8, 67.5, -6), (1.41, 4, 45, 3)],
)
def test_true_peaks_read_what_ebu_tech_3341_says(
    rate: int, amplitude: float, divisor: int, phase_deg: float, expected_dbtp: float
) -> None:
    """Cases 15 to 19: sines at a fraction of the rate, whose samples may miss the peaks by 3 dB."""
    n = np.arange(rate)
    fade = np.clip(np.minimum(n, rate - n) / (0.01 * rate), 0, 1)
    samples = amplitude * fade * np.sin(2 * np.pi * n / divisor + math.radians(phase_deg))
    measured = true_peak_dbtp(ArrayClip(samples.astype(np.float32), rate))
    assert expected_dbtp - 0.4 <= measured <= expected_dbtp + 0.2


def test_a_true_peak_is_seen_wherever_pieces_meet() -> None:
    n = np.arange(300000)
    samples = np.zeros(300000, np.float32)
    for meeting in (1 << 17, 2 << 17):
        around = slice(meeting - 200, meeting + 200)
        swell = np.hanning(400)
        samples[around] = swell * np.sin(2 * np.pi * (n[around] - meeting + 0.5) / 4 + np.pi / 2)
        alone = np.zeros(300000, np.float32)
        alone[around] = samples[around]
        shifted = np.roll(alone, 5000)
        assert true_peak_dbtp(ArrayClip(alone, 48000)) == pytest.approx(
            true_peak_dbtp(ArrayClip(shifted, 48000)), abs=1e-6
        )
        samples[:] = 0


def test_delivery_to_a_target() -> None:
    clip = ArrayClip(tone(-30, 5), 48000)
    delivered = deliver(clip, clip, Delivery(loudness=-23.0))
    assert integrated_lufs(delivered.clip) == pytest.approx(-23.0, abs=0.01)
    assert delivered.report.gain_db == pytest.approx(7.0, abs=0.05)
    assert delivered.report.lufs == pytest.approx(-23.0)


def test_delivery_matches_the_input() -> None:
    source = ArrayClip(tone(-27, 5, rate=22050), 22050)
    delivered = deliver(ArrayClip(tone(-33, 5), 48000), source, Delivery(loudness="match-input"))
    assert integrated_lufs(delivered.clip) == pytest.approx(integrated_lufs(source), abs=0.01)


def test_the_ceiling_wins_over_the_target_and_the_report_says_by_how_much() -> None:
    clip = ArrayClip(tone(-20, 5), 48000)
    delivered = deliver(clip, clip, Delivery(loudness=-10.0, true_peak_dbtp=-12.0))
    assert true_peak_dbtp(delivered.clip) == pytest.approx(-12.0, abs=0.01)
    assert delivered.report.held_back_db == pytest.approx(2.0, abs=0.05)
    assert delivered.report.lufs == pytest.approx(integrated_lufs(delivered.clip), abs=0.01)


def test_a_ceiling_alone_only_turns_down() -> None:
    quiet = ArrayClip(tone(-20, 1), 48000)
    assert deliver(quiet, quiet, Delivery(true_peak_dbtp=-1.0)).clip is quiet
    loud = ArrayClip(tone(0, 1), 48000)
    assert true_peak_dbtp(deliver(loud, loud, Delivery(true_peak_dbtp=-1.0)).clip) == pytest.approx(
        -1, abs=0.01
    )


def test_silence_stays_silence_and_nothing_asked_is_nothing_done() -> None:
    silence = ArrayClip(np.zeros((2, 48000), np.float32), 48000)
    delivered = deliver(silence, silence, Delivery(loudness=-16.0))
    assert delivered.clip is silence
    assert delivered.report.lufs is None
    assert deliver(silence, silence, Delivery()).report is None

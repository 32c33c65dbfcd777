from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from presets.schema import make
from render.band.slope import Slope
from render.filters import added, highpass, seam
from render.restore import FRAME, Restorer, over_samples
from render.stereo import StereoPolicy
from render.upscaler import Audio

RNG = np.random.default_rng(11)


def restorer(channels: int = 1, cutoff_hz: float = 4000.0, **knobs: Any) -> Restorer:
    preset = make(**knobs)
    return Restorer(preset, cutoff_hz, StereoPolicy(preset.stereo, channels, True))


def difference(of: Restorer, samples: Audio, generated: Audio | None, start: int, lo: int, hi: int) -> Audio:
    return of.difference(samples, generated, start, lo, hi, of.gate(samples, start, lo, hi))[0]


def level_match(of: Restorer, samples: Audio, generated: Audio, start: int, lo: int, hi: int) -> Audio:
    gain_db, _, first = of.gains_db(samples, generated, start)
    return over_samples((10 ** (gain_db / 20)).astype(np.float32), first, lo, hi)


def tone(hz: float, frames: int, amplitude: float = 0.1) -> Audio:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(frames) / 48000))[None].astype(np.float32)


def response_db(cutoff_hz: float, crossover_octaves: float, hz: np.ndarray) -> np.ndarray:
    high_pass = highpass(cutoff_hz, crossover_octaves)
    impulse = np.zeros((1, 1), np.float32)
    impulse[0, 0] = 1
    taps = high_pass(impulse)[0].astype(np.float64)
    at = np.arange(len(taps)) - high_pass.reach
    return 20 * np.log10(np.abs(np.exp(-2j * np.pi * np.outer(hz, at) / 48000) @ taps) + 1e-12)


@pytest.mark.parametrize("cutoff_hz", [1000.0, 4000.0, 12000.0, 20000.0, 23000.0])
@pytest.mark.parametrize("crossover_octaves", [1 / 24, 1 / 12, 1 / 2])
def test_the_high_pass_has_its_edge_at_the_cut_off_and_lets_nothing_through_below(
    cutoff_hz: float, crossover_octaves: float
) -> None:
    stop = response_db(cutoff_hz, crossover_octaves, np.linspace(0, 0.9 * cutoff_hz, 300))
    assert stop.max() < -110
    assert response_db(cutoff_hz, crossover_octaves, np.array([cutoff_hz]))[0] == pytest.approx(
        -6.02, abs=0.1
    )
    top = min(cutoff_hz * 1.12, 24000.0)
    assert np.abs(response_db(cutoff_hz, crossover_octaves, np.linspace(top, 24000, 100))).max() < 0.1


def test_a_wider_crossover_is_wider() -> None:
    near = np.array([4000 * 0.96])
    assert response_db(4000.0, 1 / 24, near)[0] < -100 < -30 < response_db(4000.0, 1 / 4, near)[0]


@pytest.mark.parametrize("frames", [1, 5, 16000, 50001])
def test_the_high_pass_equals_a_plain_convolution(frames: int) -> None:
    high_pass = highpass(6000.0, 1 / 12)
    impulse = np.ones((1, 1), np.float32)
    taps = high_pass(impulse)[0]
    samples = RNG.standard_normal((2, frames)).astype(np.float32)
    wanted = np.stack([np.convolve(channel.astype(np.float64), taps) for channel in samples])
    assert np.abs(high_pass(samples) - wanted).max() < 2e-6
    assert np.array_equal(high_pass(samples)[1:], high_pass(samples[1:]))


def test_the_gate_opens_before_a_sound_and_closes_after_it() -> None:
    samples = np.zeros((2, 20 * FRAME), np.float32)
    samples[0, 10 * FRAME : 12 * FRAME] = tone(500, 2 * FRAME, 0.01)
    gate = restorer(2).gate(samples, 0, 0, 20 * FRAME)
    assert not gate[1].any()
    assert (gate[0, 10 * FRAME - FRAME // 2 : 12 * FRAME + FRAME // 2] == 1).all()
    assert not gate[0, : 8 * FRAME].any()
    assert not gate[0, 14 * FRAME :].any()
    assert np.abs(np.diff(gate[0])).max() < 2 / FRAME


@pytest.mark.parametrize(("level_db", "opening"), [(-89.0, 1.0), (-93.0, 0.5), (-97.0, 0.0)])
def test_the_gate_follows_its_threshold(level_db: float, opening: float) -> None:
    samples = tone(1000, 20 * FRAME, 2**0.5 * 10 ** (level_db / 20))
    gate = restorer(gate_db=-90).gate(samples, 0, 5 * FRAME, 6 * FRAME)
    assert np.allclose(gate, opening, atol=0.01)
    assert (restorer(gate_db="off").gate(samples, 0, 5 * FRAME, 6 * FRAME) == 1).all()


def test_a_constant_is_silence() -> None:
    assert not restorer().gate(np.full((1, 20 * FRAME), 0.5, np.float32), 0, 4800, 9600).any()


def test_gate_and_match_depend_on_the_place_not_on_the_window() -> None:
    samples = (RNG.standard_normal((1, 60 * FRAME)) * np.linspace(0, 1e-4, 60 * FRAME)).astype(np.float32)
    generated = (samples * np.linspace(0.5, 2, 60 * FRAME)).astype(np.float32)
    one = restorer()
    lo, hi = 30 * FRAME + 77, 32 * FRAME
    shift = 10 * FRAME + 1234
    assert np.array_equal(one.gate(samples, 0, lo, hi), one.gate(samples[:, shift:], shift, lo, hi))
    whole = level_match(one, samples, generated, 0, lo, hi)
    assert np.allclose(
        whole, level_match(one, samples[:, shift:], generated[:, shift:], shift, lo, hi), atol=1e-5
    )


@pytest.mark.parametrize("level_db", [-12.0, -3.0, 0.0, 6.0, 30.0])
def test_a_model_that_is_too_loud_or_too_soft_is_brought_to_the_input(level_db: float) -> None:
    samples = (0.1 * RNG.standard_normal((1, 122880))).astype(np.float32)
    generated = samples * np.float32(10 ** (level_db / 20))
    gain = level_match(restorer(), samples, generated, 0, 30720, 92160)
    assert np.allclose(20 * np.log10(gain), -level_db, atol=0.01)


def test_a_model_without_a_low_band_is_taken_at_its_word() -> None:
    samples = tone(3300, 122880)
    gain = level_match(restorer(), samples, tone(9000, 122880), 0, 30720, 92160)
    assert np.allclose(gain, 1, atol=1e-3)


def test_the_level_is_that_just_below_the_cut_off() -> None:
    samples = tone(3300, 122880) + tone(200, 122880, 0.5)
    generated = tone(3300, 122880, 0.05) + tone(200, 122880, 0.5)
    assert np.allclose(level_match(restorer(), samples, generated, 0, 30720, 92160), 2, rtol=0.01)


@pytest.mark.parametrize("level_db", [-12.0, -6.0, 0.0, 6.0])
def test_most_of_a_step_at_the_seam_is_taken_away_but_not_the_sounds_own(level_db: float) -> None:
    preset, policy = make(), StereoPolicy("linked", 1, True)
    noise = np.fft.rfft(RNG.standard_normal((1, 122880)))
    hz = np.fft.rfftfreq(122880, 1 / 48000)
    slope = Slope(4000.0, 30.0, 0.05, 24000.0, 4500.0, 0.0)
    for each, crossover_hz in ((None, 4000.0), (slope, 4400.0)):
        lost = 10 ** (-slope.loss_db(hz) / 20) if each else hz < 4000
        given = np.fft.irfft(noise * lost).astype(np.float32)
        level = 10 ** (level_db / 20) * (hz > 4000)
        made = given + np.fft.irfft(noise * level).astype(np.float32)
        one = Restorer(preset, 4000.0, policy, each, crossover_hz)
        gain_db = one.gains_db(given, made, 0)[1][:, 30720 // FRAME : 92160 // FRAME]
        # White noise does not fall; the match expects 5 dB an octave, 1.9 dB over the 3/8 octave compared.
        step_db = -level_db - 1.9
        wanted_db = 0.7 * (step_db - np.clip(step_db, -3, 3))
        assert np.mean(gain_db) == pytest.approx(wanted_db, abs=0.6)


def test_the_seam_filter_lets_go_within_an_octave_and_lets_nothing_through_below() -> None:
    through = seam(4000.0, 1 / 12)
    impulse = np.zeros((1, 1), np.float32)
    impulse[0, 0] = 1
    taps = through(impulse)[0].astype(np.float64)
    at = np.arange(len(taps)) - through.reach
    hz = np.array([1000.0, 3000, 3600, 4000 * 2 ** (1 / 12), 4000 * 2**0.5, 8200, 16000])
    gain = np.abs(np.exp(-2j * np.pi * np.outer(hz, at) / 48000) @ taps)
    assert gain[:3].max() < 10 ** (-110 / 20)
    assert gain[3] > 0.95
    assert gain[4] == pytest.approx(0.5, abs=0.03)
    assert gain[5:].max() < 0.02


def test_low_and_high_add_up_to_full() -> None:
    samples = (0.1 * RNG.standard_normal((2, 122880))).astype(np.float32)
    generated = (0.1 * RNG.standard_normal((2, 122880))).astype(np.float32)
    at = (-30720, 0, 61440)
    parts = {
        stem: difference(restorer(2, stem=stem), samples, None if stem == "low" else generated, *at)
        for stem in ("full", "high", "low")
    }
    assert np.allclose(parts["full"], parts["high"] + parts["low"], atol=1e-6)
    assert np.allclose(parts["low"], -samples[:, 30720:92160], atol=1e-6)


def test_the_gain_is_that_of_the_generated_band() -> None:
    samples = (0.1 * RNG.standard_normal((1, 122880))).astype(np.float32)
    plain = difference(restorer(stem="high"), samples, samples, 0, 30720, 92160)
    louder = difference(restorer(stem="high", high_gain_db=6), samples, samples, 0, 30720, 92160)
    assert np.allclose(louder, plain * 10 ** (6 / 20), rtol=1e-5)


def test_filters_that_share_their_transform_add_up_and_leave_silence_alone() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 2, 40000)).astype(np.float32)
    one[:, 10000:30000] = other[:, 10000:30000] = 0
    filters = highpass(8000.0, 1 / 12), seam(8000.0, 1 / 12)
    reach = max(each.reach for each in filters)
    total = added([(each.reaching(reach), x) for each, x in zip(filters, (one, other), strict=True)])
    apart = sum(
        np.pad(each(x), ((0, 0), (reach - each.reach,) * 2))
        for each, x in zip(filters, (one, other), strict=True)
    )
    assert total.shape == (2, 40000 + 2 * reach)
    assert np.abs(total - apart).max() < 1e-5
    assert not total[:, 10000 + 2 * reach : 30000].any()

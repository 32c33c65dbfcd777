"""Sounds whose rate was raised by holding samples or by linear or cubic interpolation; and sounds with a
mirror-symmetric spectrum of their own."""

from collections.abc import Callable

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray
from scipy import signal

from render.band.cutoff import Cutoff, find_cutoff
from render.clip import ArrayClip

RATE = 48000
SECONDS = np.arange(2 * RATE) / RATE
VHQ_EDGE = 0.4778
"""The band edge of soxr VHQ, as a share of the rate."""
Samples = NDArray[np.float64]


def pink() -> Samples:
    bins = np.fft.rfft(np.random.default_rng(1).standard_normal(len(SECONDS)))
    noise = np.fft.irfft(bins / np.sqrt(1 + np.fft.rfftfreq(len(SECONDS), 1 / RATE) / 100))
    return 0.1 / noise.std() * noise * (0.6 + 0.4 * np.sin(8 * SECONDS))


def drums() -> Samples:
    """Eight hits a second, each with its own spectral slope and level."""
    rng, decay = np.random.default_rng(3), np.exp(-np.arange(RATE // 8) / 1500)
    hits = []
    for _ in range(16):
        pole, hit = rng.uniform(0, 0.9), rng.standard_normal(RATE // 8) * decay * 10 ** (-rng.uniform(1, 2.5))
        hits.append(signal.lfilter([1 - pole], [1, -pole], hit))
    return np.concatenate(hits)


def held(low: Samples, at: Samples) -> Samples:
    return np.asarray(low[at.astype(int)])


def lines(low: Samples, at: Samples) -> Samples:
    return np.interp(at, np.arange(len(low)), low)


def cubics(low: Samples, at: Samples) -> Samples:
    """Catmull-Rom interpolation."""
    whole = at.astype(int)
    part, padded = at - whole, np.pad(low, (1, 2))
    before, here, after, last = (padded[whole + step] for step in range(4))
    bent = 2 * before - 5 * here + 4 * after - last + part * (3 * (here - after) + last - before)
    return np.asarray(here + part / 2 * (after - before + part * bent))


def raised(samples: Samples, from_hz: int, to_hz: int, how: Callable[[Samples, Samples], Samples]) -> Samples:
    low = soxr.resample(samples, RATE, from_hz, quality="VHQ")
    at = np.arange(int((len(low) - 2) * to_hz / from_hz)) * from_hz / to_hz
    return how(low, at)


def found(samples: Samples, rate: int) -> Cutoff:
    return find_cutoff(ArrayClip(samples[None].astype(np.float32), rate), "auto")


@pytest.mark.parametrize("make", [pink, drums])
@pytest.mark.parametrize(
    ("from_hz", "to_hz", "how"),
    [
        (8000, 48000, held),
        (22050, 44100, held),
        (11025, 48000, lines),
        (22050, 48000, lines),
        (16000, 44100, lines),
        (8000, 22050, lines),
        (16000, 48000, cubics),
    ],
)
def test_a_band_below_its_own_images_ends_where_its_rate_ended_it(
    make: Callable[[], Samples], from_hz: int, to_hz: int, how: Callable[[Samples, Samples], Samples]
) -> None:
    cutoff = found(raised(make(), from_hz, to_hz, how), to_hz)
    assert cutoff.hz == pytest.approx(VHQ_EDGE * from_hz, rel=0.03)
    assert f"images, of a rate of {from_hz / 1000:.1f} kHz" in cutoff.reason


@pytest.mark.parametrize("make", [pink, drums])
@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(22050, 48000), (32000, 44100), (11025, 48000), (22050, 44100)]
)
def test_samples_that_were_held_are_told_whatever_the_ratio(
    make: Callable[[], Samples], from_hz: int, to_hz: int
) -> None:
    samples = np.round(raised(make(), from_hz, to_hz, held) * 32768) / 32768
    cutoff = found(samples, to_hz)
    assert cutoff.hz == pytest.approx(VHQ_EDGE * from_hz, rel=0.03)
    assert f"images, of a rate of {from_hz / 1000:.1f} kHz" in cutoff.reason
    assert "images" not in found(make(), RATE).reason


def test_a_lower_end_than_that_of_its_rate_is_found_below_images() -> None:
    low = signal.sosfiltfilt(signal.cheby1(8, 0.05, 9000, fs=RATE, output="sos"), pink())
    cutoff = found(raised(low, 22050, RATE, lines), RATE)
    assert cutoff.hz == pytest.approx(9000 * 1.053, rel=0.03)


def tone(pitch_hz: float, vibrato: float = 0.0) -> Samples:
    phase = 2 * np.pi * pitch_hz * SECONDS + vibrato * np.sin(2 * np.pi * 5 * SECONDS)
    partials = range(1, int(22000 / pitch_hz))
    return 0.1 * np.sum([np.sin(number * phase) / number for number in partials], axis=0)


@pytest.mark.parametrize(
    "samples",
    [
        tone(220),
        tone(1001.3),
        tone(155, 0.5),
        pink() * np.sin(2 * np.pi * 6000 * SECONDS),  # a ring modulator
        np.tanh(30 * tone(110)),
        pink(),
    ],
    ids=["tone", "high tone", "vibrato", "ring", "distortion", "pink"],
)
def test_what_is_its_own_mirror_by_nature_has_nothing_to_generate(samples: Samples) -> None:
    cutoff = found(samples, RATE)
    assert cutoff.hz is None
    assert "images" not in cutoff.reason

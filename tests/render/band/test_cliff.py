"""Where the thresholds of the cliff come from: sounds that end where they are cut, and sounds that fade."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from scipy import signal

from render.band import cliff
from render.band.cutoff import auto
from render.band.spectrum import Spectrum, measure
from render.clip import ArrayClip

RATE = 48000
SECONDS = np.arange(4 * RATE) / RATE
Samples = NDArray[np.float64]
TOLERANCE = 0.11
"""Largest relative error. An end at 2.5 kHz in a voice of few formants is 10 % off, others within 6 %."""
RANGES = {
    "CLIFF_DB": (18.0, 33.0),
    "FLOOR_CLIFF_DB": (5.4, 19.8),
    "RESIDUE_DB": (25.0, 55.0),
    "STEADY_DB": (0.75, 1.8),
    "TONE_DB": (6.0, 24.0),
    "GENTLE_COST": (0.2, 0.8),
    "SKIRT_OCTAVE_DB": (18.0, 72.0),
}
"""How far each threshold of cliff.py can move while the others keep their values."""


class Case(NamedTuple):
    """A sound and its end: the -6 dB edge of the filter that ended it, or None without one."""

    name: str
    samples: Samples
    edge_hz: float | None


# Sounds that reach 24 kHz


def hiss() -> Samples:
    return 0.1 * np.random.default_rng(1).standard_normal(len(SECONDS)) * (0.6 + 0.4 * np.sin(8 * SECONDS))


def coloured(slope: float, seed: int = 2) -> Samples:
    """Swelling noise whose amplitude falls as frequency to the power of `slope`."""
    bins = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(SECONDS)))
    hz = np.maximum(np.fft.rfftfreq(len(SECONDS), 1 / RATE), 30)
    made = np.fft.irfft(bins * hz**-slope) * (0.6 + 0.4 * np.sin(8 * SECONDS))
    return 0.2 * made / np.abs(made).max()


def drums() -> Samples:
    """Eight hits a second, each with its own spectral slope and level."""
    rng, out = np.random.default_rng(3), np.zeros(len(SECONDS))
    decay = np.exp(-np.arange(RATE // 8) / 1500)
    for start in range(0, len(out), RATE // 8):
        hit = rng.standard_normal(RATE // 8) * decay * 10 ** (-rng.uniform(0, 30) / 20)
        out[start : start + RATE // 8] = signal.lfilter([1 - (pole := rng.uniform(0, 0.9))], [1, -pole], hit)
    return 0.3 * out


def voice() -> Samples:
    """Pulses of a gliding pitch through three formants, with breath noise and a pause in every second."""
    pitch_hz = 140 + 40 * np.sin(2 * np.pi * 0.7 * SECONDS)
    pulses = np.diff(np.floor(np.cumsum(pitch_hz) / RATE), prepend=0)
    out = np.zeros(len(SECONDS))
    for formant_hz, width_hz in ((600, 120), (1700, 200), (3200, 400)):
        radius = np.exp(-np.pi * width_hz / RATE)
        out += signal.lfilter(
            [1], [1, -2 * radius * np.cos(2 * np.pi * formant_hz / RATE), radius**2], pulses
        )
    breath = 0.3 * signal.lfilter([1, -0.9], [1], np.random.default_rng(4).standard_normal(len(SECONDS)))
    spoken = (out + breath * (SECONDS % 1 > 0.6)) * (SECONDS % 1 < 0.8)
    return 0.3 * spoken / np.abs(spoken).max()


def strings() -> Samples:
    """Chords of saws, loud and soft."""
    chord = [signal.sawtooth(2 * np.pi * hz * SECONDS) for hz in (110, 164.8, 220.3, 277.2, 440.6)]
    return 0.08 * np.sum(chord, axis=0) * (0.55 + 0.45 * np.cos(5 * SECONDS))


SOUNDS = {"hiss": hiss, "pink": lambda: coloured(0.5), "drums": drums, "voice": voice, "strings": strings}


# What ends them


def brick_wall(samples: Samples, hz: float) -> tuple[Samples, float]:
    bins = np.fft.rfft(samples)
    bins[np.fft.rfftfreq(len(samples), 1 / RATE) > hz] = 0
    return np.fft.irfft(bins), hz


def by_sections(samples: Samples, sections: NDArray[np.float64], both_ways: bool) -> tuple[Samples, float]:
    hz, gain = signal.sosfreqz(sections, 1 << 16, fs=RATE)
    if not both_ways:
        return signal.sosfilt(sections, samples), float(hz[np.argmax(np.abs(gain) < 0.5)])
    return signal.sosfiltfilt(sections, samples), float(hz[np.argmax(np.abs(gain) ** 2 < 0.5)])


def chebyshev(samples: Samples, hz: float) -> tuple[Samples, float]:
    return by_sections(samples, signal.cheby1(8, 0.05, hz, fs=RATE, output="sos"), True)


def elliptic(samples: Samples, hz: float) -> tuple[Samples, float]:
    return by_sections(samples, signal.ellip(10, 0.1, 80, hz, fs=RATE, output="sos"), False)


def butterworth(order: int) -> Callable[[Samples, float], tuple[Samples, float]]:
    return lambda samples, hz: by_sections(
        samples, signal.butter(order, hz, fs=RATE, output="sos"), both_ways=False
    )


FILTERS = {
    "brick wall": brick_wall,
    "chebyshev": chebyshev,
    "elliptic": elliptic,
    "butterworth 32": butterworth(32),
}


def gentle(samples: Samples, hz: float, order: int) -> Samples:
    """Through an analogue Butterworth filter, which falls by 6 dB an octave times its order up to Nyquist."""
    gain = 1 / np.sqrt(1 + (np.fft.rfftfreq(len(samples), 1 / RATE) / hz) ** (2 * order))
    return np.fft.irfft(np.fft.rfft(samples) * gain)


def condition(samples: Samples, number: int) -> tuple[str, Samples]:
    """By turns: unchanged, in 16 bits, over hiss at -65 dBFS, or over such hiss that ends at 20 kHz."""
    rng = np.random.default_rng(number)
    dither = rng.random(len(samples)) - rng.random(len(samples))
    over = rng.standard_normal(len(samples)) * 10 ** (-65 / 20)
    return [
        ("float", samples),
        ("16 bits", np.round(samples * 32768 + dither) / 32768),
        ("over hiss", samples + over),
        ("over hiss to 20 kHz", samples + chebyshev(over, 20000)[0]),
    ][number % 4]


def ended() -> Iterator[Case]:
    pairs = itertools.product(SOUNDS.items(), FILTERS.items())
    for number, ((sound, make), (filtered, end)) in enumerate(pairs):
        hz = (2500, 4000, 8000, 12000)[(number + number // 4) % 4]
        samples, edge_hz = end(make(), hz)
        how, made = condition(samples, number + number // 4)
        yield Case(f"{sound}, {filtered} {hz} Hz, {how}", made, edge_hz)
    for sound, make in SOUNDS.items():
        samples, edge_hz = by_sections(make(), signal.ellip(8, 0.1, 60, 4000, fs=RATE, output="sos"), False)
        made = brick_wall(samples, 20000)[0]
        yield Case(f"{sound}, elliptic 4000 Hz that lets -60 dB through to 20 kHz", made, edge_hz)


def fading() -> Iterator[Case]:
    """Sounds without a filter, or behind one too gentle to count as an end."""
    for number, slope in enumerate((0.5, 1.0, 1.5, 2.0, 3.0)):
        how, made = condition(coloured(slope, seed=11), number)
        yield Case(f"noise that falls {6 * slope:g} dB an octave, {how}", made, None)
    for number, (order, (sound, make)) in enumerate(itertools.product((1, 2, 4), SOUNDS.items())):
        how, made = condition(gentle(make(), 3000, order), number)
        yield Case(f"{sound}, {6 * order} dB an octave from 3 kHz, {how}", made, None)
    for sound, make in SOUNDS.items():
        yield Case(f"{sound} as it is", make(), None)


def now_and_then() -> Iterator[Case]:
    """An edge that the sound passes at some moments is no end; one that only clicks pass is an end."""
    low, edge_hz = brick_wall(hiss(), 5000)
    high, end_hz = brick_wall(hiss(), 16000)
    for share in (0.05, 0.1, 0.3):
        samples = np.where(SECONDS % 1 < share, high, low)  # noqa: SIM300
        yield Case(f"goes on to 16 kHz in {share:.0%} of the time", samples, end_hz)
    clicks = low.copy()
    clicks[RATE // 3 :: 2 * RATE] += 0.5
    yield Case("two clicks in four seconds", clicks, edge_hz)


def over_floors_that_end() -> Iterator[Case]:
    """Sounds over hiss that ends at a converter's low-pass, which is not the end of the sound; nor is a tone
    above it."""
    hissing = 10 ** (-65 / 20) * np.random.default_rng(12).standard_normal(len(SECONDS))
    tone = 0.003 * np.sin(2 * np.pi * 15734 * SECONDS)  # a screen's: the line frequency of NTSC
    for number, (sound, make) in enumerate(SOUNDS.items()):
        low, edge_hz = chebyshev(make(), (4000, 8000)[number % 2])
        yield Case(f"{sound}, hiss to 20 kHz", brick_wall(low + hissing, 20000)[0], edge_hz)
        yield Case(f"{sound}, a tone, hiss to 21 kHz", brick_wall(low + tone + hissing, 21000)[0], edge_hz)
        yield Case(f"{sound}, 16 bits at 44.1 kHz", from_44100(condition(low, 1)[1]), edge_hz)
        yield Case(f"{sound} as it is, hiss to 20 kHz", brick_wall(make() + hissing, 20000)[0], None)


def from_44100(samples: Samples) -> Samples:
    """To 44.1 kHz and back: the noise of 16 bits ends at 21 kHz too."""
    return soxr.resample(soxr.resample(samples, RATE, 44100, quality="VHQ"), 44100, RATE, quality="VHQ")


def coded(folder: Path) -> Iterator[Case]:
    """Through real encoders that end the band where they are told to."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")
    for sound in ("drums", "strings", "voice"):
        soundfile.write(folder / "in.wav", SOUNDS[sound](), RATE)
        for name, options in {
            "a.mp3": ["-c:a", "libmp3lame", "-b:a", "256k", "-cutoff", "8000"],
            "a.m4a": ["-c:a", "aac", "-b:a", "256k", "-cutoff", "8000"],
        }.items():
            quiet = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
            subprocess.run([*quiet, "-i", folder / "in.wav", *options, folder / name], check=True)
            subprocess.run([*quiet, "-i", folder / name, folder / "out.wav"], check=True)
            yield Case(f"{sound} in {name}", soundfile.read(folder / "out.wav")[0], 8000)


@cache
def spectra() -> list[tuple[Case, Spectrum]]:
    cases = [*ended(), *fading(), *now_and_then(), *over_floors_that_end()]
    return [(case, spectrum(case)) for case in cases]


def spectrum(case: Case) -> Spectrum:
    return measure(ArrayClip(case.samples[None].astype(np.float32), RATE))


def wrong(cases: list[tuple[Case, Spectrum]]) -> list[str]:
    """The cases that are found wrong, each with the result."""
    told = []
    for case, seen in cases:
        hz = auto(seen, RATE / 2).hz
        if case.edge_hz is None or hz is None:
            right = hz == case.edge_hz
        else:
            right = abs(hz / case.edge_hz - 1) <= TOLERANCE
        if not right:
            told.append(f"{case.name}: {hz} for {case.edge_hz}")
    return told


def test_an_end_is_found_where_it_is_and_none_where_there_is_none() -> None:
    assert wrong(spectra()) == []


def test_what_an_encoder_ends_is_found_where_it_was_told_to(tmp_path: Path) -> None:
    assert wrong([(case, spectrum(case)) for case in coded(tmp_path)]) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "values"), RANGES.items())
def test_every_threshold_has_room_on_both_sides(
    name: str, values: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every case is still found with a threshold of cliff.py at either end of its range in RANGES."""
    lowest, highest = values
    assert lowest < getattr(cliff, name) < highest
    for value in values:
        monkeypatch.setattr(cliff, name, value)
        assert wrong(spectra()) == [], value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", range(1, 20))
def test_a_few_values_have_the_median_and_quartile_that_numpy_says(count: int, dtype: type) -> None:
    for values in np.random.default_rng(count).normal(scale=50, size=(40, count)).astype(dtype):
        assert cliff.median(values) == float(np.median(values))
        assert cliff.lower_quartile(values) == np.percentile(values, 25)

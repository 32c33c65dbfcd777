"""Shared by the tests of render: signals, a model that makes noise keyed by position, and the null test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from presets.schema import Preset, make
from render.clip import ArrayClip, Clip
from render.render import render
from render.resample import resampled
from render.upscaler import CELL_FRAMES, SHORT_FADE, Audio, NoiseField, Step, StepHook, Upscaler, Window

DEV = Path(__file__).parents[3] / "shared" / "eval" / "dev"


class NoiseModel:
    """An Upscaler that returns the input times `level` plus white noise keyed by position.

    The outer third of every context is spoilt, as with a real model: it must not reach the output.
    """

    name = "noise"
    digest = "none"
    generates = True

    def __init__(
        self,
        body_cells: int = 2,
        batch: int = 3,
        links: bool = True,
        level: float = 1.0,
        amount: float = 0.05,
        fade_frames: int = SHORT_FADE,
    ) -> None:
        self.body_cells, self.context_cells, self.links_channels = body_cells, 1, links
        self.most, self.fade_frames = batch, fade_frames
        self.level, self.amount = level, amount
        self.seen: list[Window] = []

    def batch(self, preset: Preset) -> int:
        return self.most

    def steps(self, preset: Preset) -> int:
        return 2

    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        assert len(windows) <= self.most
        made = []
        for window in windows:
            assert window.start % CELL_FRAMES == 0
            assert window.samples.shape[1] % CELL_FRAMES == 0
            cells = window.samples.shape[1] // CELL_FRAMES
            grain = noise("grain", window.group, window.start // CELL_FRAMES, cells, (CELL_FRAMES,)).reshape(
                -1
            )
            band = (self.level * window.samples + np.float32(self.amount) * grain).astype(np.float32)
            band[:, : CELL_FRAMES // 3] = band[:, -CELL_FRAMES // 3 :] = 0.5
            made.append(band)
            self.seen.append(window)
            on_step(Step("noise", 1, 2))
            on_step(Step("noise", 2, 2))
        return made


class CountedClip(ArrayClip):
    """A clip that counts how often each of its frames was read."""

    def __init__(self, samples: Audio, rate: int) -> None:
        super().__init__(samples, rate)
        self.counts = np.zeros(self.frames, int)

    def read(self, start: int, frames: int) -> Audio:
        self.counts[max(0, start) : max(0, start + frames)] += 1
        return super().read(start, frames)


@pytest.fixture
def counted_clip() -> type[CountedClip]:
    return CountedClip


@pytest.fixture
def noise_model() -> type[NoiseModel]:
    return NoiseModel


@pytest.fixture
def null_db() -> Callable[[Audio, Audio, float, int], float]:
    """Level of out - ref over ref in dB, behind a low-pass: pass 0.85, stop 0.9 of the cut-off, 130 dB."""
    from scipy.signal import firwin, kaiserord, oaconvolve

    def measure(out: Audio, ref: Audio, cutoff_hz: float, rate: int) -> float:
        taps, beta = kaiserord(130, 0.05 * cutoff_hz / (rate / 2))
        low = firwin(taps | 1, 0.875 * cutoff_hz, window=("kaiser", beta), fs=rate)[None]
        error = oaconvolve(out.astype(np.float64) - ref, low, axes=1)
        level = oaconvolve(ref.astype(np.float64), low, axes=1)
        return float(10 * np.log10(np.sum(error**2) / np.sum(level**2) + 1e-30))

    return measure


@pytest.fixture
def lowpass() -> Callable[[Audio, float, int], Audio]:
    """The protocol's low-pass: Chebyshev-I, order 8, 0.05 dB ripple, forwards and backwards."""
    from scipy.signal import cheby1, sosfiltfilt

    def run(samples: Audio, cutoff_hz: float, rate: int) -> Audio:
        sections = cheby1(8, 0.05, cutoff_hz, fs=rate, output="sos")
        return sosfiltfilt(sections, samples.astype(np.float64)).astype(np.float32)

    return run


@pytest.fixture
def programme(lowpass: Callable[[Audio, float, int], Audio]) -> Callable[..., Audio]:
    """Swelling band-limited noise over a chord, (channels, frames): loud from first sample to last."""

    def make_programme(
        seconds: float, rate: int = 48000, channels: int = 1, cutoff_hz: float = 4000.0
    ) -> Audio:
        n = int(seconds * rate)
        rng = np.random.default_rng(channels)
        t = np.arange(n) / rate
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * 1.3 * t)
        noise = 0.1 * rng.standard_normal((channels, n)) * swell
        chord = sum(0.05 * np.sin(2 * np.pi * f * t + 1) for f in (110, 277, 660, 1760))
        return lowpass((noise + chord).astype(np.float32), cutoff_hz, rate)

    return make_programme


@pytest.fixture
def rendered() -> Callable[..., Audio]:
    """All samples of a render, with the knobs given by name."""

    def run(source: Clip, model: Upscaler, **knobs: Any) -> Audio:
        clip = render(source, make(**knobs), model, lambda step: None).clip
        return clip.read(0, clip.frames)

    return run


@pytest.fixture
def at_rate() -> Callable[[Clip, int], Audio]:
    """All samples of a clip at another rate."""

    def run(source: Clip, rate: int) -> Audio:
        clip = resampled(source, rate)
        return clip.read(0, clip.frames)

    return run


@pytest.fixture
def above() -> Callable[..., Audio]:
    """The band above a frequency."""

    def run(samples: Audio, hz: float, rate: int = 48000) -> Audio:
        spectrum = np.fft.rfft(samples.astype(np.float64))
        spectrum[:, np.fft.rfftfreq(samples.shape[1], 1 / rate) < hz] = 0
        return np.fft.irfft(spectrum, samples.shape[1]).astype(np.float32)

    return run


@pytest.fixture
def rms_db() -> Callable[[Audio], float]:
    """RMS in dBFS."""
    return lambda samples: float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))


@pytest.fixture
def nine_seconds(programme: Callable[..., Audio]) -> Callable[[int], Clip]:
    """Five windows of two cells, in stereo, at any rate."""
    return lambda rate: ArrayClip(programme(9, rate, 2), rate)


@pytest.fixture
def dev_clips() -> list[Path]:
    """The evaluation clips; skips the test where they are missing."""
    clips = sorted(DEV.glob("*/*.*"))
    if not clips:
        pytest.skip("the evaluation clips (../shared/eval/dev) are not here")
    return clips

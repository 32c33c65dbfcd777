"""`draft`: an envelope for the missing band, drawn over fine structure taken from the input.

The path of a window: samples -> spectrum -> envelope (level and noise share of each band in each frame) ->
fine structure (copy-up and noise, mixed by the noise share) -> spectrum -> samples -> attacks as sharp as the
input's. Every channel of every window is computed by itself, so batches, neighbours and the order of channels
cannot change a result.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from engine import checkpoints
from engine.models.draft.bands import (
    BAND_BINS,
    BIN_HZ,
    BINS,
    CLOCK_FRAMES,
    HOP,
    Array,
    first_bin,
    first_drawn,
    power_of,
    samples_of,
    spectrum,
)
from engine.models.draft.drawing import draw_over
from engine.models.draft.envelope import Learned, Predictor, take_of
from engine.models.draft.fine_structure import (
    DB_TO_NEPER,
    copied_up,
    following,
    modulated_noise,
    seen_bins,
    upper_octave,
)
from engine.models.draft.predictor import load as load_network
from presets.schema import Preset
from render.upscaler import CELL_FRAMES, Audio, NoiseField, Step, StepHook, Window

AIR_HZ, AIR_OCTAVES = 16000.0, 0.5
"""`air_db` is all there from 16 kHz up, or half an octave above a cut-off near there or above."""
CEILING_DB = 60.0
"""Fall of the band over the sixth of an octave above the ceiling."""
SILENCE_DB = -80.0
"""A frame whose every bin up to the cut-off is below this (-130 dBFS and less) is silent, and stays so."""
THREADS = 2
"""Channels worked on at a time, each with some 50 MB of memory."""
HUSH_FRAMES = 8
"""Frames of the silence before and after a sound that the predictor sees. With all of it (134 frames around a
clip of 1 s) 25 dev clips of 1 s, cut at 4 and 8 kHz, measure an LSD of 1.593, with 8 frames 1.573, with none
1.619."""


class Draft:
    """An Upscaler that draws a predicted envelope over the input's own fine structure.

    Args:
        predictor: where the envelope comes from.
    """

    name = "draft"
    body_cells = 8
    context_cells = 1
    links_channels = True
    generates = True

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.digest = predictor.digest
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="draft")

    def batch(self, preset: Preset) -> int:
        """Windows are worked on side by side, their channels too: enough for THREADS of one channel."""
        return THREADS

    def steps(self, preset: Preset) -> int:
        """One step a window."""
        return 1

    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The windows with their high band filled in: same shapes, 48 kHz, the level of the input."""

        generated = []
        with ExitStack() as stack:
            started: deque[list[Future[Audio]]] = deque()
            stack.callback(lambda: [channel.cancel() for window in started for channel in window])
            for window in windows:
                grain = _grain(window, noise)
                channels = [
                    self._threads.submit(self.channel, samples, grain, window.cutoff_hz, preset)
                    for samples in window.samples
                ]
                started.append(channels)
            while started:
                generated.append(np.stack([channel.result() for channel in started[0]]))
                started.popleft()
                on_step(Step("draft", 1, 1))
        return generated

    def channel(self, samples: Array, grain: Array, cutoff_hz: float, preset: Preset) -> Array:
        """One channel with its high band filled in.

        Args:
            samples: (frames,) float32 at 48 kHz, frames a multiple of CLOCK_FRAMES.
            grain: (frames,) float32 standard normal noise.
            cutoff_hz: the -6 dB edge.
            preset: seed, air_db and ceiling.

        Returns:
            (frames,) float32: `samples` below the cut-off, generated above it.
        """
        start, drawn = first_bin(cutoff_hz), first_drawn(cutoff_hz)
        filled = samples.copy()
        kept = stretch_that_sounds(samples)
        grain, samples = grain[kept], samples[kept]
        bins = spectrum(samples)[:, : seen_bins(cutoff_hz)]
        power = power_of(bins)
        silent = power.max(-1) <= 10 ** (SILENCE_DB / 10)
        if start >= BINS or silent.all():
            return filled
        upper = upper_octave(bins, cutoff_hz, len(samples))
        before, after = (min(HUSH_FRAMES, cut // HOP) for cut in (kept.start, len(filled) - kept.stop))
        heard = np.pad(power, ((before, after), (0, 0))) if before or after else power
        envelope = self.predictor.envelope(heard, cutoff_hz, take_of(preset.seed))
        envelope = envelope.part(slice(before, before + len(power)), drawn // BAND_BINS)
        balance = balance_db(cutoff_hz, preset)[drawn:] * np.float32(DB_TO_NEPER)
        copies, made = copied_up(bins, power, cutoff_hz), modulated_noise(grain, upper)
        made[:, :drawn] = 0
        draw_over(copies, made[:, drawn:], envelope, balance, start - drawn)
        made[silent] = 0
        filled[kept] += following(samples_of(made, len(samples)), upper)
        return filled


def _grain(window: Window, noise: NoiseField) -> Array:
    """(frames,) standard normal noise, drawn in the cells where a channel of the window sounds."""
    sounds = _sounding_clocks(window.samples)
    grain = np.zeros(window.samples.shape[1], np.float32)
    if len(sounds):
        first, end = sounds[0] * CLOCK_FRAMES // CELL_FRAMES, sounds[-1] * CLOCK_FRAMES // CELL_FRAMES + 1
        start = window.start // CELL_FRAMES + first
        drawn = noise("fine structure", window.group, int(start), int(end - first), (CELL_FRAMES,))
        grain[first * CELL_FRAMES : end * CELL_FRAMES] = drawn.reshape(-1)
    return grain


def stretch_that_sounds(samples: NDArray[np.float32]) -> slice:
    """The samples of a channel without the digital silence before and after it, in whole CLOCK_FRAMES.

    A window reaches beyond the ends of a clip, and a short clip's is mostly that. One CLOCK_FRAMES more stays
    on each side: an attack at the very start is measured against the silence before it.
    """
    sounds = _sounding_clocks(samples)
    if not len(sounds):
        return slice(0, CLOCK_FRAMES)
    first, end = max(int(sounds[0]) - 1, 0), int(sounds[-1]) + 2
    return slice(first * CLOCK_FRAMES, min(end * CLOCK_FRAMES, len(samples)))


def _sounding_clocks(samples: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which stretches of CLOCK_FRAMES are more than digital silence in any channel: of (..., frames)."""
    stretches = samples.reshape(-1, samples.shape[-1] // CLOCK_FRAMES, CLOCK_FRAMES)
    return np.flatnonzero(stretches.any(axis=(0, 2)))


def balance_db(cutoff_hz: float, preset: Preset) -> Array:
    """(BINS,) float32: what `air_db` and `ceiling` do to each bin.

    Air rises evenly over octaves from the cut-off to AIR_HZ, over AIR_OCTAVES at the least, and stays from
    there up. From the ceiling on the band falls by CEILING_DB over a sixth of an octave, and is empty above.
    """
    octaves = np.log2(np.maximum(np.arange(BINS), 1) * (BIN_HZ / cutoff_hz))
    span = max(math.log2(AIR_HZ / cutoff_hz), AIR_OCTAVES)
    balance = preset.air_db * (octaves / span).clip(0, 1)
    if preset.ceiling is not None:
        beyond = octaves - math.log2(preset.ceiling / cutoff_hz)
        balance -= CEILING_DB * np.maximum(6 * beyond, 0)
    return balance.astype(np.float32)


def load(device: str = "cpu") -> Draft:
    """The embedded model, ready to render; whatever the device, it runs on the CPU."""
    network = load_network(checkpoints.read(checkpoints.DRAFT), checkpoints.DRAFT)
    return Draft(Learned(network, checkpoints.digest(checkpoints.DRAFT)))

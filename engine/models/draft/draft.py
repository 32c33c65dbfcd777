"""`draft`: an envelope for the missing band, drawn over fine structure taken from the input.

The path of a window: samples -> spectrum -> envelope (level and noise share of each band in each frame) ->
fine structure (copy-up and noise, mixed by the noise share) -> spectrum -> samples -> attacks as sharp as the
input's. Every window is computed by itself, so batches and neighbours cannot change a result. So is every
channel, except that the noise of two channels is as much alike as they sound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from engine import checkpoints
from engine.models.draft.bands import (
    BAND_BINS,
    BIN_HZ,
    BINS,
    HOP,
    Array,
    first_bin,
    first_drawn,
    samples_of,
)
from engine.models.draft.drawing import draw_over
from engine.models.draft.envelope import Learned, Predictor, take_of
from engine.models.draft.fine_structure import (
    DB_TO_NEPER,
    copied_up,
    following,
    modulated_noise,
    upper_octave,
)
from engine.models.draft.grain import Heard, grains, hear
from engine.models.draft.predictor import load as load_network
from presets.schema import Preset
from render.upscaler import CELL_FRAMES, Audio, NoiseField, Step, StepHook, Window

Made = TypeVar("Made")

AIR_HZ, AIR_OCTAVES = 16000.0, 0.5
"""`air_db` applies in full from 16 kHz up, or from half an octave above the cut-off where that is higher."""
CEILING_DB = 60.0
"""Fall of the band for each sixth of an octave above the ceiling."""
SILENCE_DB = -80.0
"""A frame whose bins up to the cut-off are all below this (-130 dBFS and less) is silent, and stays so."""
FADE_FRAMES = CELL_FRAMES
"""0.64 s: levels are predicted from each window's own statistics, and those of neighbours may be 10 dB apart.
Over 24 seams of effects cut at 4 kHz, the change of level is 4.2 dB off the reference's with a fade of 40 ms,
3.0 with one of 0.32 s, 2.6 with this one, and 2.5 where there is no seam."""
THREADS = 2
"""Channels processed at a time, each with some 50 MB of memory."""
HUSH_FRAMES = 8
"""Frames of the silence before and after a sound that the predictor sees. Over 50 validation clips, cut at 4
and 8 kHz, excerpts of 1 s have an LSD-in of 1.347 with 8 frames, 1.343 with none, 1.358 with all of the
silence (134 frames around a clip). Clips of 5 s differ by 0.02 or less, but with none their music loses
another 0.6 to 1.1 dB of power."""


class Draft:
    """An Upscaler that draws a predicted envelope over the input's own fine structure.

    Args:
        predictor: where the envelope comes from.
    """

    name = "draft"
    body_cells = 8
    context_cells = 1
    fade_frames = FADE_FRAMES
    links_channels = True
    generates = True

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.digest = predictor.digest
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="draft")

    def batch(self, preset: Preset) -> int:
        """Channels are processed side by side, those of several windows too: THREADS windows of one
        channel."""
        return THREADS

    def steps(self, preset: Preset) -> int:
        """One step a window."""
        return 1

    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The windows with their high band filled in: same shapes, 48 kHz, the level of the input."""
        generated = []
        lean = [_without_copies(window) for window in windows]
        is_alone = sum(len(window.samples) for window in lean) == 1
        with ExitStack() as stack:

            def start(work: Callable[..., Made], *given: Any) -> Future[Made]:
                if is_alone:  # waiting for a thread takes a fifth longer where others want the cores
                    done: Future[Made] = Future()
                    done.set_result(work(*given))
                    return done
                future = self._threads.submit(work, *given)
                stack.callback(future.cancel)
                return future

            hearing = [[start(hear, samples, each.cutoff_hz) for samples in each.samples] for each in lean]
            drawing = []
            for window, channels in zip(lean, hearing, strict=True):
                heard = [channel.result() for channel in channels]
                drawing.append(
                    [
                        start(self.channel, *channel, window.cutoff_hz, preset)
                        for channel in zip(window.samples, heard, grains(window, heard, noise), strict=True)
                    ]
                )
            for window, futures in zip(windows, drawing, strict=True):
                made = np.stack([future.result() for future in futures])
                generated.append(np.repeat(made, len(window.samples) // len(made), axis=0))
                on_step(Step("draft", 1, 1))
        return generated

    def channel(self, samples: Array, heard: Heard, grain: Array, cutoff_hz: float, preset: Preset) -> Array:
        """One channel with its high band filled in.

        Args:
            samples: (frames,) float32 at 48 kHz, frames a multiple of CLOCK_FRAMES.
            heard: what `hear` found in them.
            grain: (frames,) float32 standard normal noise.
            cutoff_hz: the -6 dB edge.
            preset: seed, air_db and ceiling.

        Returns:
            (frames,) float32: `samples` below the cut-off, generated above it.
        """
        start, drawn = first_bin(cutoff_hz), first_drawn(cutoff_hz)
        filled = samples.copy()
        kept, bins, power = heard.kept, heard.bins, heard.power
        silent = power.max(-1) <= 10 ** (SILENCE_DB / 10)
        if start >= BINS or silent.all():
            return filled
        frames = kept.stop - kept.start
        upper = upper_octave(bins, cutoff_hz, frames)
        before, after = (min(HUSH_FRAMES, cut // HOP) for cut in (kept.start, len(filled) - kept.stop))
        within = np.pad(power, ((before, after), (0, 0))) if before or after else power
        envelope = self.predictor.envelope(within, cutoff_hz, take_of(preset.seed))
        envelope = envelope.part(slice(before, before + len(power)), drawn // BAND_BINS)
        balance = balance_db(cutoff_hz, preset)[drawn:] * np.float32(DB_TO_NEPER)
        copies, made = copied_up(bins, power, cutoff_hz), modulated_noise(grain[kept], upper)
        made[:, :drawn] = 0
        draw_over(copies, made[:, drawn:], envelope, balance, start - drawn)
        made[silent] = 0
        filled[kept] += following(samples_of(made, frames), upper)
        return filled


def _without_copies(window: Window) -> Window:
    """The window, or one channel of it where all are equal."""
    first = window.samples[:1]
    return replace(window, samples=first) if (window.samples == first).all() else window


def balance_db(cutoff_hz: float, preset: Preset) -> Array:
    """(BINS,) float32: the gain of each bin by `air_db` and `ceiling`, dB.

    Air rises evenly over octaves from the cut-off to AIR_HZ, over AIR_OCTAVES at the least, and stays from
    there up. From the ceiling on the band falls by CEILING_DB for each sixth of an octave.
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

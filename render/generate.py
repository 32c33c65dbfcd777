"""Takes windows through the model: read, encode, upscale, compare with the original, weight, filter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from presets.schema import RATE_HZ, Preset
from render.band.cutoff import Cutoff
from render.clip import Clip
from render.filters import Filter, added, highpass, made_good, seam
from render.limits import check_finite
from render.noise import PhiloxNoise
from render.restore import Restorer
from render.segments import Grid
from render.stereo import StereoPolicy
from render.upscaler import Audio, Step, Upscaler, Window

MODEL_PEAK = 0.5
"""AudioSR was trained on clips scaled to this peak; `Window.gain` scales this clip to it."""

FramesHook = Callable[[float], None]
"""Called with the frames that one step of a model took one window's channels on by; it cancels by raising."""


class Model:
    """Runs the model on windows of a clip: channels as the stereo policy groups them, windows in batches.

    Args:
        preset, upscaler: the knobs and the model.
        policy: how the model sees the channels.
        peak: of the whole source.
        correction: filter for the model's output; see render/like.py.

    Attributes:
        generates: whether anything is made at all.
        batch: windows worth handing over in one call.
    """

    def __init__(
        self,
        preset: Preset,
        upscaler: Upscaler,
        policy: StereoPolicy,
        peak: float,
        correction: Filter | None = None,
    ) -> None:
        self.generates = upscaler.generates
        self.batch = max(1, upscaler.batch(preset) // len(policy.groups))
        self._preset, self._upscaler, self._policy, self._correction = preset, upscaler, policy, correction
        self._gain = MODEL_PEAK / peak if peak else 1.0
        self._noise = PhiloxNoise(preset.seed)
        self._lock = threading.Lock()  # renderers of one clip work ahead in threads of their own

    def __call__(
        self, places: Sequence[tuple[Audio, int]], cutoff_hz: float, on_frames: FramesHook
    ) -> list[Audio]:
        """What the model makes of windows.

        Args:
            places: (channels, frames) of each window, and its first frame in the clip.
            cutoff_hz: where the original band ends.
            on_frames: called at each of the model's steps, see `FramesHook`.

        Returns:
            (encoded channels, frames) each.
        """
        windows = []
        for samples, start in places:
            encoded = self._policy.encode(samples)
            for channels, group in self._policy.groups:
                windows.append(Window(encoded[channels], start, cutoff_hz, group, self._gain))
        made: list[Audio] = []
        most = self._upscaler.batch(self._preset)
        with self._lock:
            for at in range(0, len(windows), most):
                batch = windows[at : at + most]
                frames = sum(window.samples.shape[1] for window in batch) / len(batch)

                def on_step(step: Step, frames: float = frames) -> None:
                    on_frames(frames * step.taken)

                made += self._upscaler.upscale(batch, self._noise, self._preset, on_step)
                for window, samples in zip(batch, made[at:], strict=True):
                    check_finite(samples, f"the model {self._upscaler.name}", window.start / RATE_HZ)
        if self._correction is not None:
            reach = self._correction.reach
            made = [self._correction(generated)[:, reach:-reach] for generated in made]
        each = len(self._policy.groups)
        return [np.concatenate(made[at : at + each]) for at in range(0, len(made), each)]


class Generator:
    """Renders any windows of a clip, in any order.

    Args:
        source: the clip at 48 kHz.
        grid: where its windows lie.
        preset, model: the knobs and the model.
        policy: how the model sees the channels.
        cutoff: where the original band ends, and how.
        on_frames: called at each of the model's steps, see `FramesHook`.
    """

    def __init__(
        self,
        source: Clip,
        grid: Grid,
        preset: Preset,
        model: Model,
        policy: StereoPolicy,
        cutoff: Cutoff,
        on_frames: FramesHook,
    ) -> None:
        self._source = source
        self._grid = grid
        self._preset = preset
        self._model = model
        self._spared = policy.spared
        assert cutoff.hz is not None
        self._cutoff_hz = cutoff.hz
        self._on_frames = on_frames
        slope = cutoff.slope if model.generates else None
        width = preset.crossover_octaves
        crossover_hz = max(cutoff.hz, slope.end_hz * 2 ** (-width / 2)) if slope else cutoff.hz
        matched_hz = crossover_hz if model.generates else None
        self._restorer = Restorer(preset, cutoff.hz, policy, slope, matched_hz)
        filters = [highpass(crossover_hz, width), seam(crossover_hz, width)]
        if slope:
            shape = replace(slope, noise_density=0.0)  # then clips of a batch that end alike share the filter
            filters.append(made_good(shape, cutoff.hz, crossover_hz, width))
        self.reach = max(each.reach for each in filters)
        self._highpass, self._seam, *self._made_good = (each.reaching(self.reach) for each in filters)
        self.batch = model.batch

    def __call__(self, indices: Sequence[int]) -> list[Audio]:
        """What each window adds to the clip, as `Segments` wants it: (channels, kept + 2 reach) float32."""
        heard = {index: self._source.read(*self._grid.extent(index)) for index in indices}
        gates = {index: self._gate(index, heard[index]) for index in indices}
        # The model need not see windows that the gate shuts out altogether.
        sounding = [index for index in indices if gates[index].any()]
        made: dict[int, Audio] = {}
        if self._preset.stem != "low":
            places = [(heard[index], self._grid.extent(index)[0]) for index in sounding]
            made = dict(zip(sounding, self._model(places, self._cutoff_hz, self._on_frames), strict=True))
        return [self._part(index, heard[index], made.get(index), gates[index]) for index in indices]

    def _gate(self, index: int, heard: Audio) -> Audio:
        start, _ = self._grid.extent(index)
        return self._restorer.gate(heard, start, *self._grid.kept(index))

    def _part(self, index: int, heard: Audio, made: Audio | None, gate: Audio) -> Audio:
        start, _ = self._grid.extent(index)
        kept, weights = self._grid.kept(index), self._grid.weights(index)
        difference, matched = self._restorer.difference(heard, made, start, *kept, gate)
        signals = [(self._highpass, difference * weights)]
        if matched is not None:
            signals.append((self._seam, matched * weights))
        if self._preset.stem != "high":
            original = self._restorer.original(heard, start, *kept)
            signals += [(made_good, original * weights) for made_good in self._made_good]
        part = added(signals)
        part[self._spared] = 0
        return part

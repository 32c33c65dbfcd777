"""Windows through the model: read, encode, upscale, compare with the original, weigh, filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from presets.schema import RATE_HZ, Preset
from render.band.bandwidth import Cutoff
from render.clip import Clip
from render.filters import Filter, added, highpass, made_good, seam
from render.limits import check_finite
from render.noise import PhiloxNoise
from render.restore import Restorer
from render.segments import Grid
from render.stereo import StereoPolicy
from render.upscaler import Audio, StepHook, Upscaler, Window

MODEL_PEAK = 0.5
"""The peak that AudioSR's training brought every clip to; `Window.gain` brings this one there."""


class Generator:
    """Renders windows of a clip, any of them, in any order.

    Args:
        source: the clip at 48 kHz.
        grid: where its windows lie.
        preset, upscaler: the knobs and the model.
        policy: how the model sees the channels.
        cutoff: where the band that is there ends, and how.
        peak: of the whole source.
        on_step: handed to the model.
        correction: what the generated band goes through first; see render/like.py.
    """

    def __init__(
        self,
        source: Clip,
        grid: Grid,
        preset: Preset,
        upscaler: Upscaler,
        policy: StereoPolicy,
        cutoff: Cutoff,
        peak: float,
        on_step: StepHook,
        correction: Filter | None = None,
    ) -> None:
        self._source = source
        self._grid = grid
        self._preset = preset
        self._upscaler = upscaler
        assert cutoff.hz is not None
        self._cutoff_hz = cutoff.hz
        self._gain = MODEL_PEAK / peak if peak else 1.0
        self._on_step = on_step
        self._noise = PhiloxNoise(preset.seed)
        self._policy = policy
        self._correction = correction
        slope = cutoff.slope if upscaler.generates else None
        width = preset.crossover_octaves
        crossover_hz = max(cutoff.hz, slope.end_hz * 2 ** (-width / 2)) if slope else cutoff.hz
        matched_hz = crossover_hz if upscaler.generates else None
        self._restorer = Restorer(preset, cutoff.hz, policy, slope, matched_hz)
        filters = [highpass(crossover_hz, width), seam(crossover_hz, width)]
        if slope:
            filters.append(made_good(slope, cutoff.hz, crossover_hz, width))
        self.reach = max(each.reach for each in filters)
        self._highpass, self._seam, *self._made_good = (each.reaching(self.reach) for each in filters)
        self.batch = max(1, upscaler.batch(preset) // len(policy.groups))

    def __call__(self, indices: Sequence[int]) -> list[Audio]:
        """What each window adds to the clip, as `Segments` wants it: (channels, kept + 2 reach) float32."""
        heard = {index: self._source.read(*self._grid.extent(index)) for index in indices}
        gates = {index: self._gate(index, heard[index]) for index in indices}
        # The model need not see what will be shut out altogether.
        sounding = [index for index in indices if gates[index].any()]
        made: dict[int, Audio] = {}
        if self._preset.stem != "low":
            made = dict(
                zip(
                    sounding,
                    self._upscale([(heard[k], self._grid.extent(k)[0]) for k in sounding]),
                    strict=True,
                )
            )
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
        return added(signals)

    def _upscale(self, places: list[tuple[Audio, int]]) -> list[Audio]:
        windows = []
        for samples, start in places:
            encoded = self._policy.encode(samples)
            for channels, group in self._policy.groups:
                windows.append(Window(encoded[channels], start, self._cutoff_hz, group, self._gain))
        made: list[Audio] = []
        most = self._upscaler.batch(self._preset)
        for at in range(0, len(windows), most):
            batch = windows[at : at + most]
            made += self._upscaler.upscale(batch, self._noise, self._preset, self._on_step)
            for window, samples in zip(batch, made[at:], strict=True):
                check_finite(samples, f"the model {self._upscaler.name}", window.start / RATE_HZ)
        if self._correction is not None:
            reach = self._correction.reach
            made = [self._correction(generated)[:, reach:-reach] for generated in made]
        each = len(self._policy.groups)
        return [np.concatenate(made[at : at + each]) for at in range(0, len(made), each)]

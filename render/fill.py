"""Fills holes: the model generates what a codec left out below the end of a band, as it does the band above.

Where a cell is empty (render/band/cells.py), b * m (g - x) is added to the output: b is a linear-phase
band-pass of the cell's band, m is open over the cell's frames and shut outside, and g is generated as if the
clip ended below its lowest hole. So nothing changes outside the cells, and the band above the cut-off is the
same as without filling.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from presets.report import FillReport
from presets.schema import Preset
from render.band.cells import CROSSOVER_OCTAVES, HOP, SILENT_POWER, SIZE, Cells, Heard, filled_stretches
from render.clip import Clip
from render.filters import added, band_passes
from render.generate import FramesHook, Model
from render.restore import Restorer, over_samples
from render.segments import Grid
from render.stereo import StereoPolicy
from render.upscaler import Audio


class HoleFiller:
    """Renders what is added to the holes of a clip, for any of its windows in any order.

    Args:
        source: the clip at 48 kHz.
        grid: where its windows lie.
        preset, model: the knobs and the model.
        policy: how the model sees the channels.
        cells: where holes may be.
        on_frames: called at each of the model's steps.
    """

    def __init__(
        self,
        source: Clip,
        grid: Grid,
        preset: Preset,
        model: Model,
        policy: StereoPolicy,
        cells: Cells,
        on_frames: FramesHook,
    ) -> None:
        self._source, self._grid, self._model, self._on_frames = source, grid, model, on_frames
        self._spared = policy.spared
        self._cells = cells
        self._from_hz = float(cells.edges_hz[0])
        # g - x is added whatever the stem is: `full` less `low` is `high`.
        self._restorer = Restorer(msgspec.structs.replace(preset, stem="full"), self._from_hz, policy)
        self._bands = band_passes(cells.edges_hz, CROSSOVER_OCTAVES)
        self.reach = self._bands[0].reach
        self.batch = model.batch
        self._empty = np.zeros((source.channels, -(-source.frames // HOP), len(self._bands)), bool)

    def __call__(self, indices: Sequence[int]) -> list[Audio]:
        """What each window adds to the clip, as `Segments` wants it: (channels, kept + 2 reach) float32."""
        samples = {index: self._source.read(*self._grid.extent(index)) for index in indices}
        heard = {index: self._hear(index, samples[index]) for index in indices}
        holed = [index for index in indices if heard[index].empty.any()]
        places = [(samples[index], self._grid.extent(index)[0]) for index in holed]
        made = dict(zip(holed, self._model(places, self._from_hz, self._on_frames), strict=True))
        return [self._part(index, samples[index], made.get(index), heard[index]) for index in indices]

    def report(self, lo: int, hi: int) -> FillReport:
        """What was filled of the samples [lo, hi) of the clip; times are in seconds from `lo` on."""
        spread = self.reach + SIZE
        first, end = max(lo - spread, 0) // HOP, -(-(hi + spread) // HOP)
        empty = self._empty[:, first:end]
        stretches, joined_s = filled_stretches(self._cells, empty, first, self.reach, lo, hi)
        share = float(empty.mean())
        between = f"between {self._from_hz:.0f} and {self._cells.edges_hz[-1]:.0f} Hz"
        reason = f"{100 * share:.1f} % of what lies {between} was a codec's holes, and is generated"
        return FillReport(reason, share, stretches, joined_s)

    def _hear(self, index: int, samples: Audio) -> Heard:
        """What the cells of a window hold, and which of them are to be filled."""
        heard = self._cells.heard(samples, self._grid.extent(index)[0])
        heard.empty[self._spared] = False
        # At the ends of the clip there is no room for what the filter spreads.
        room = -(-(self.reach + SIZE) // HOP)
        numbers = heard.first + np.arange(heard.empty.shape[1])
        heard.empty[:, (numbers < room) | (numbers >= self._empty.shape[1] - room)] = False
        lo, hi = self._grid.kept(index)
        kept = (numbers >= lo // HOP) & (numbers < hi // HOP)
        self._empty[:, numbers[kept]] = heard.empty[:, kept]
        return heard

    def _part(self, index: int, samples: Audio, made: Audio | None, heard: Heard) -> Audio:
        lo, hi = self._grid.kept(index)
        start, _ = self._grid.extent(index)
        if made is None:
            return np.zeros((len(samples), hi - lo + 2 * self.reach), np.float32)
        around = lo - 2 * SIZE, hi + 2 * SIZE
        gate = self._restorer.gate(samples, start, *around)
        difference, _ = self._restorer.difference(samples, made, start, *around, gate)
        opening = self._opening(difference, around[0], heard)
        difference = difference[:, 2 * SIZE : -2 * SIZE] * self._grid.weights(index)
        return added(
            [
                (
                    self._bands[band],
                    difference * over_samples(opening[:, :, band], heard.first, lo, hi, HOP),
                )
                for band in np.flatnonzero(heard.empty.any(axis=(0, 1)))
            ]
        )

    def _opening(self, difference: Audio, start: int, heard: Heard) -> NDArray[np.float32]:
        """(channels, frames, bands) for the frames heard: 0 outside the holes; in them 1, or less where the
        model made more than the codec can have left out."""
        power, first = self._cells.power(difference, start)
        at = slice(first - heard.first, first - heard.first + power.shape[1])
        opening = heard.empty.astype(np.float32)
        opening[:, at] *= np.sqrt(np.minimum(1, heard.most[:, at] / np.maximum(power, SILENT_POWER)))
        return opening

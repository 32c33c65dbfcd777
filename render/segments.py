"""A long clip as windows: where they lie, what of them is kept, how neighbours meet.

Windows lie on an absolute grid, so which window covers a place never depends on what else is rendered. A
window is its body and context on both sides; models are at their worst near the edges of what they see, so
the context is discarded. Neighbours meet in a short fade around the seam between their bodies.

The two sides of a fade add up to one in amplitude. That is right for signals that agree: neighbours see the
same samples and the same noise around their seam, since noise is keyed by position. (Measured on 14 clips cut
at 8 kHz: around a seam, the bands that `draft` gives the two neighbours correlate by 0.93 and more, 0.998 in
the median.) The model sets the length of the fade: neighbours that agree in all but level need a long one,
because a step of level is heard; neighbours that do not agree need a short one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from render.clip import Clip, read_padded
from render.upscaler import CELL_FRAMES, Audio


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the windows of a clip lie, in frames at 48 kHz.

    Attributes:
        frames: length of the clip.
        body_cells: cells of CELL_FRAMES kept of one window; the last body ends with the clip's last cell.
        context_cells: cells rendered on each side and discarded, except for half a fade.
        fade_frames: length of the fade at a seam; even, and at most a cell.
    """

    frames: int
    body_cells: int
    context_cells: int
    fade_frames: int

    @property
    def body_frames(self) -> int:
        """Frames from one seam to the next."""
        return self.body_cells * CELL_FRAMES

    def touching(self, lo: int, hi: int, reach: int) -> range:
        """Indices of the windows with a part in frames [lo, hi) when a filter spreads them by `reach`."""
        spread = self.fade_frames // 2 + reach
        count = -(-self.frames // self.body_frames)
        first = max((lo - spread) // self.body_frames, 0)
        return range(first, max(min(-(-(hi + spread) // self.body_frames), count), first))

    def extent(self, index: int) -> tuple[int, int]:
        """First frame and length of a window with its context; multiples of CELL_FRAMES."""
        first = index * self.body_cells
        cells = min(self.body_cells, -(-self.frames // CELL_FRAMES) - first)
        return (first - self.context_cells) * CELL_FRAMES, (cells + 2 * self.context_cells) * CELL_FRAMES

    def kept(self, index: int) -> tuple[int, int]:
        """The frames [lo, hi) of the clip a window has a part in: its body and half a fade on both sides."""
        half = self.fade_frames // 2
        lo, hi = index * self.body_frames - half, (index + 1) * self.body_frames + half
        return max(lo, 0), min(hi, self.frames)

    def weights(self, index: int) -> NDArray[np.float32]:
        """The window's share in each frame of `kept`; all windows' shares add up to 1 inside the clip."""
        lo, hi = self.kept(index)
        share = np.ones(hi - lo, np.float32)
        seam = raised_cosine(self.fade_frames)
        begin, end = index * self.body_frames, (index + 1) * self.body_frames
        if index > 0:
            _multiply(share, lo, begin - self.fade_frames // 2, seam)
        if end < self.frames:
            _multiply(share, lo, end - self.fade_frames // 2, 1 - seam)
        return share


def raised_cosine(frames: int) -> NDArray[np.float32]:
    """(frames,) rising from 0 to 1 as sin^2; with its mirror image it adds up to 1."""
    rise: NDArray[np.float32] = (np.sin((np.arange(frames) + 0.5) * np.pi / 2 / frames) ** 2).astype(
        np.float32
    )
    return rise


def _multiply(share: NDArray[np.float32], lo: int, at: int, ramp: NDArray[np.float32]) -> None:
    """Multiply `share`, which begins at frame `lo`, by `ramp`, which begins at frame `at`, where both are."""
    left, right = max(lo, at), min(lo + len(share), at + len(ramp))
    if left < right:
        share[left - lo : right - lo] *= ramp[left - at : right - at]


class WindowRenderer(Protocol):
    """Renders windows by their index on the grid.

    Attributes:
        reach: frames by which a filter spreads a window's part on each side.
        batch: windows worth rendering in one call.
    """

    reach: int
    batch: int

    def __call__(self, indices: Sequence[int]) -> list[Audio]:
        """Each window's weighted part, (channels, kept + 2 reach), from `grid.kept(index)[0] - reach` on."""
        ...


class Segments:
    """A clip at 48 kHz rendered window by window as it is read, one batch ahead in a thread of its own.

    What that thread raises is raised by the read that needs its batch. `close` it when done.

    Args:
        source: the clip the windows look at; gives rate, channels and length.
        grid: where the windows lie.
        renderer: what renders them.
        stop: no frame from here on will be read, so no window is rendered ahead for one.
    """

    def __init__(
        self,
        source: Clip,
        grid: Grid,
        renderer: WindowRenderer,
        stop: int,
    ) -> None:
        self.rate = source.rate
        self.channels = source.channels
        self.frames = source.frames
        self._grid = grid
        self._render = renderer
        self._reach = renderer.reach
        self._stop = stop
        self._ready: dict[int, Audio] = {}
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._ahead: tuple[range, Future[list[Audio]]] | None = None

    def close(self) -> None:
        """Waits for the batch under way, if there is one."""
        self._thread.shutdown()

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`. Reading forwards renders every window once."""
        return read_padded(self._read, self, start, frames)

    def _read(self, lo: int, hi: int) -> Audio:
        wanted = self._grid.touching(lo, hi, self._reach)
        last = max(wanted.stop, self._grid.touching(lo, self._stop, self._reach).stop)
        step = self._render.batch
        self._ready = {index: part for index, part in self._ready.items() if index >= wanted.start}
        total = np.zeros((self.channels, hi - lo), np.float32)
        for index in wanted:
            if index not in self._ready:
                batch = range(index, min(index + step, last))
                self._ready.update(zip(batch, self._rendered(batch), strict=True))
                self._begin(range(batch.stop, min(batch.stop + step, last)))
            part = self._ready[index]
            offset = self._grid.kept(index)[0] - self._reach
            left, right = max(lo, offset), min(hi, offset + part.shape[1])
            if left < right:
                total[:, left - lo : right - lo] += part[:, left - offset : right - offset]
        return total

    def _begin(self, batch: range) -> None:
        self._ahead = (batch, self._thread.submit(self._render, batch)) if batch else None

    def _rendered(self, batch: range) -> list[Audio]:
        if self._ahead is None:  # nothing runs ahead: a clip of one batch need not start the thread
            return self._render(batch)
        if self._ahead[0] != batch:
            self._begin(batch)
        return self._ahead[1].result()

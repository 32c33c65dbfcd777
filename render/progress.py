"""How far a render is: one count that never goes back, and the place where a cancel comes in."""

from __future__ import annotations

import threading

from presets.errors import Cancelled
from render.clip import Clip
from render.upscaler import Audio, Step, StepHook

ANALYSIS = 100
"""Steps of an analysis: half of them while levels are taken, half while the end of the band is sought."""


class Progress:
    """The steps of one render as its caller sees them: `analyse` up to 100, then `render` up to `of`.

    Args:
        on_step: the caller's hook; it cancels by raising.
        steps: how many steps the model will take in all.
    """

    def __init__(self, on_step: StepHook, steps: int) -> None:
        self._on_step = on_step
        self._steps = steps
        self._taken = 0
        self._step = 0
        self._ended = False
        self._lock = threading.Lock()  # the model's thread and the writer's both tell

    def levelled(self, share: float) -> None:
        """Levels have been taken of this share of the source."""
        self._reach("analyse", int(ANALYSIS / 2 * share))

    def searched(self, share: float) -> None:
        """The end of the band has been sought in this share of the source."""
        self._reach("analyse", int(ANALYSIS / 2 * (1 + share)))

    def learned(self, step: Step) -> None:
        """The model took a step on a recording that the render learns from."""
        self._reach("learn", ANALYSIS)

    def end(self) -> None:
        """The render is over, as it should be or not: a model still at work ahead of it is stopped."""
        self._ended = True

    def generated(self, step: Step) -> None:
        """The model took a step."""
        if self._ended:
            raise Cancelled("the render it works for is over")
        self._taken = min(self._taken + 1, self._steps)
        self._reach("render", ANALYSIS + self._taken)

    def written(self, share: float) -> None:
        """This share of the result has been written."""
        self._reach("render", ANALYSIS + int(self._steps * share))

    def _reach(self, stage: str, step: int) -> None:
        with self._lock:
            self._step = max(self._step, step)
            self._on_step(Step(stage, self._step, ANALYSIS + self._steps))


class Watched:
    """A clip that reports how far it has been read.

    Args:
        source: the clip.
        progress: told through `searched`.
    """

    def __init__(self, source: Clip, progress: Progress) -> None:
        self.rate = source.rate
        self.channels = source.channels
        self.frames = source.frames
        self._source = source
        self._progress = progress

    def read(self, start: int, frames: int) -> Audio:
        """See `Clip.read`."""
        samples = self._source.read(start, frames)
        self._progress.searched(min(max(start + frames, 0) / self.frames, 1.0))
        return samples

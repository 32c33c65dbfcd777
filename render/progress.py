"""How far a render has come: one count for all its stages, which goes forward as evenly in time as is known.

A cancel comes in through its hook.
"""

from __future__ import annotations

import threading
from itertools import accumulate

from presets.errors import Cancelled
from presets.schema import Preset
from render.upscaler import Step, StepHook, Upscaler

COUNT = 1000
"""Steps of a job, whatever its length."""

ANALYSIS, RESTORING, EFFECT, LOUDNESS, DELIVERY = 0.07, 0.35, 0.1, 0.9, 0.1
"""Work for each window that is not the model's: analysis, putting the low band back, an effect, loudness and
true peak, and what follows the render. In steps of `draft`, measured on a minute of stereo; a step of AudioSR
takes about as long. Plugins may take any time."""


class Progress:
    """The steps of one render as its caller sees them, up to COUNT less the work of its delivery.

    Args:
        on_step: the caller's hook; it cancels by raising.
        preset, upscaler: they tell which stages there are, and how long each takes.
    """

    def __init__(self, on_step: StepHook, preset: Preset, upscaler: Upscaler) -> None:
        self._on_step = on_step
        makes = upscaler.generates and preset.stem != "low"
        self._steps = upscaler.steps(preset) if makes else 0
        self._expected = 1.0
        asks = preset.delivery.loudness != "as-is" or preset.delivery.true_peak_dbtp is not None
        self._work = {
            "before": EFFECT * len(preset.effects.before),
            "analysis": ANALYSIS,
            "band": self._steps + RESTORING,
            "after": EFFECT * len(preset.effects.after),
            "loudness": LOUDNESS * asks,
            "delivery": DELIVERY,
        }
        self._ends = dict(zip(self._work, accumulate(self._work.values()), strict=True))
        self._taken = 0.0
        self._written = 0.0
        self._step = 0
        self._ended = False
        self._lock = threading.Lock()  # the model's thread and the writer's both report

    def before(self, step: Step) -> None:
        """The effects before the model took a step."""
        self._reach("effects", "before", step.step / step.of)

    def analysed(self, share: float) -> None:
        """This share of the source has been analysed."""
        self._reach("analyse", "analysis", share)

    def learned(self, frames: float) -> None:
        """The model took a step on a recording that the render learns from. It does not count."""
        self._reach("learn", "analysis", 1.0)

    def expect(self, frames: int) -> None:
        """The model will be given windows of so many frames together, less those that are silent."""
        self._expected = float(frames)

    def end(self) -> None:
        """The render is over, finished or not: stops a model that still works ahead of it."""
        self._ended = True

    def generated(self, frames: float) -> None:
        """The model took a window of so many frames a step on."""
        self._check()
        self._taken += frames
        self._reach_band()

    def filled(self, frames: float) -> None:
        """The model took a step in holes. It does not count: how many there will be is not known."""
        self._check()
        self._reach_band()

    def written(self, share: float) -> None:
        """This share of the band has been written."""
        self._written = share
        self._reach_band()

    def after(self, step: Step) -> None:
        """The effects after the model took a step."""
        self._reach("effects", "after", step.step / step.of)

    def measured(self, share: float) -> None:
        """This share of what loudness and true peak need has been measured."""
        self._reach("loudness", "loudness", share)

    def _check(self) -> None:
        if self._ended:
            raise Cancelled("the render it works for is over")

    def _reach_band(self) -> None:
        # What has been written was silent where the model took no steps for it.
        steps = max(self._taken / self._expected, self._steps * self._written)
        work = min(steps, self._steps) + RESTORING * self._written
        self._reach("render", "band", work / self._work["band"])

    def _reach(self, stage: str, part: str, share: float) -> None:
        done = self._ends[part] - self._work[part] * (1 - share)
        with self._lock:
            self._step = max(self._step, int(COUNT * done / self._ends["delivery"]))
            self._on_step(Step(stage, self._step, COUNT))

"""How far a render has come: one count that never goes back. A cancel comes in through its hook."""

from __future__ import annotations

import threading

from presets.errors import Cancelled
from render.upscaler import Step, StepHook

ANALYSIS = 100
"""Steps of an analysis."""


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
        self._lock = threading.Lock()  # the model's thread and the writer's both report

    def analysed(self, share: float) -> None:
        """This share of the source has been analysed."""
        self._reach("analyse", int(ANALYSIS * share))

    def learned(self, step: Step) -> None:
        """The model took a step on a recording that the render learns from."""
        self._reach("learn", ANALYSIS)

    def end(self) -> None:
        """The render is over, finished or not: stops a model that still works ahead of it."""
        self._ended = True

    def generated(self, step: Step) -> None:
        """The model took a step."""
        self._check()
        self._taken = min(self._taken + 1, self._steps)
        self._reach("render", ANALYSIS + self._taken)

    def filled(self, step: Step) -> None:
        """The model took a step in holes. It does not count: how many there will be is not known."""
        self._check()
        self._reach("render", self._step)

    def written(self, share: float) -> None:
        """This share of the result has been written."""
        self._reach("render", ANALYSIS + int(self._steps * share))

    def _check(self) -> None:
        if self._ended:
            raise Cancelled("the render it works for is over")

    def _reach(self, stage: str, step: int) -> None:
        with self._lock:
            self._step = max(self._step, step)
            self._on_step(Step(stage, self._step, ANALYSIS + self._steps))

"""The model that generates nothing: it returns its input. For tests, benchmarks and plugin checks."""

from __future__ import annotations

from collections.abc import Sequence

from presets.schema import Preset
from render.upscaler import SHORT_FADE, Audio, NoiseField, Step, StepHook, Window


class Null:
    """An Upscaler whose output is its input (a copy, so that nothing is shared)."""

    name = "null"
    digest = "none"
    body_cells = 8
    context_cells = 1
    fade_frames = SHORT_FADE
    links_channels = True
    generates = False

    def batch(self, preset: Preset) -> int:
        """Windows gain nothing from each other; four at a time keep calls few."""
        return 4

    def steps(self, preset: Preset) -> int:
        """One step a window."""
        return 1

    def upscale(
        self, windows: Sequence[Window], noise: NoiseField, preset: Preset, on_step: StepHook
    ) -> list[Audio]:
        """The windows' own samples: (channels, frames) float32 each."""
        generated = []
        for window in windows:
            generated.append(window.samples.copy())
            on_step(Step("null", 1, 1))
        return generated

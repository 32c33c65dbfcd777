"""Progress as a caller sees it: even in the work that is done, whatever the stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from presets.schema import make
from render.clip import ArrayClip
from render.progress import COUNT, Progress
from render.render import render
from render.upscaler import Step

CHAIN = {"before": [{"name": "Gain"}], "after": [{"name": "Gain"}, {"name": "Invert"}]}


@pytest.fixture
def told(programme: Any, noise_model: Any) -> Any:
    """Renders a clip; at each step, the share told, and the share of the model's work that was done."""

    def render_it(**knobs: Any) -> list[tuple[Step, float]]:
        samples = programme(16)
        model = noise_model()
        frames: list[tuple[Step, int]] = []

        def on_step(step: Step) -> None:
            frames.append((step, sum(window.samples.size for window in model.seen)))

        render(ArrayClip(samples, 48000), make(cutoff=4000.0, **knobs), model, on_step)
        return [(step, done / frames[-1][1]) for step, done in frames]

    return render_it


def test_half_the_models_work_is_half_of_the_count(told: Any) -> None:
    steps = told()
    assert all(step.step < 0.05 * step.of for step, _ in steps if step.stage == "analyse")
    for step, done in steps:
        if step.stage == "render":
            assert abs(step.step / step.of - done) < 0.25, (step, done)


def test_silence_that_the_model_never_sees_counts_as_it_is_written(noise_model: Any) -> None:
    """Of ten windows, the first five are silent."""
    steps: list[int] = []
    progress = Progress(lambda step: steps.append(step.step), make(), noise_model())
    progress.expect(10 * 1000)
    progress.analysed(1.0)
    for written in (0.1, 0.2, 0.3, 0.4, 0.5):
        progress.written(written)
    assert 400 < steps[-1] < 600
    for written in (0.6, 0.7, 0.8, 0.9, 1.0):
        for _ in range(2):
            progress.generated(1000)
        progress.written(written)
    assert np.diff(steps).min() >= 0
    assert 900 < steps[-1] < COUNT


@pytest.mark.parametrize("knobs", [{"effects": CHAIN}, {"delivery": {"loudness": "match-input"}}])
def test_effects_and_loudness_are_part_of_the_same_count(told: Any, knobs: dict[str, Any]) -> None:
    steps = [step for step, _ in told(**knobs)]
    assert {step.of for step in steps} == {1000}
    assert [step.step for step in steps] == sorted(step.step for step in steps)
    assert steps[-1].stage == ("effects" if "effects" in knobs else "loudness")
    assert 0.9 < steps[-1].step / steps[-1].of < 1
    assert len(np.unique([step.step for step in steps if step.stage == steps[-1].stage])) > 5

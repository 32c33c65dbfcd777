"""Progress as a caller sees it: even in the work that is done, whatever the stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from presets.schema import make
from render.clip import ArrayClip
from render.render import render
from render.upscaler import Step

CHAIN = {"before": [{"name": "Gain"}], "after": [{"name": "Gain"}, {"name": "Invert"}]}


@pytest.fixture
def told(programme: Any, noise_model: Any) -> Any:
    """Renders a clip; at each step, the share told, and the share of the model's work that was done."""

    def render_it(samples: Any = None, **knobs: Any) -> list[tuple[Step, float]]:
        samples = programme(16) if samples is None else samples
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
            assert abs(step.step / step.of - done) < 0.2, (step, done)


def test_silence_that_the_model_never_sees_counts_as_it_is_written(told: Any, programme: Any) -> None:
    samples = programme(16)
    samples[:, : samples.shape[1] // 2] = 0
    steps = told(samples)
    first = next(step.step / step.of for step, done in steps if done)
    assert 0.3 < first < 0.6


@pytest.mark.parametrize("knobs", [{"effects": CHAIN}, {"delivery": {"loudness": "match-input"}}])
def test_effects_and_loudness_are_part_of_the_same_count(told: Any, knobs: dict[str, Any]) -> None:
    steps = [step for step, _ in told(**knobs)]
    assert {step.of for step in steps} == {1000}
    assert [step.step for step in steps] == sorted(step.step for step in steps)
    assert steps[-1].stage == ("effects" if "effects" in knobs else "loudness")
    assert 0.9 < steps[-1].step / steps[-1].of < 1
    assert len(np.unique([step.step for step in steps if step.stage == steps[-1].stage])) > 5

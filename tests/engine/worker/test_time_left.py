"""The time left, from steps at known times."""

from __future__ import annotations

from itertools import accumulate

import pytest

from engine.worker.time_left import TimeLeft
from render.upscaler import Step

OF = 1000


def estimates(stages: list[tuple[str, int, float]]) -> list[tuple[str, float | None, float]]:
    """Stages of (name, steps, seconds a step) in turn: at each step the stage, the estimate and the truth."""
    paces = [(name, pace_s) for name, steps, pace_s in stages for _ in range(steps)]
    times_s = list(accumulate(pace_s for _, pace_s in paces))
    left = TimeLeft()
    return [
        (name, left.after(Step(name, number, OF), now_s), times_s[-1] - now_s)
        for number, ((name, _), now_s) in enumerate(zip(paces, times_s, strict=True), start=1)
    ]


@pytest.mark.parametrize("analysis_s", [0.0001, 0.01, 1.0])
def test_the_time_left_is_the_renders_own_however_fast_the_analysis_was(analysis_s: float) -> None:
    told = estimates([("decode", 1, 3.0), ("analyse", 99, analysis_s), ("render", 900, 0.02)])
    assert {left_s for stage, left_s, _ in told if stage != "render"} == {None}
    for _, left_s, really_s in [each for each in told if each[0] == "render"][1:]:
        assert left_s == pytest.approx(really_s)


def test_first_steps_that_were_slow_are_forgotten() -> None:
    told = estimates([("analyse", 50, 0.001), ("render", 20, 1.0), ("render", 930, 0.01)])
    for _, left_s, really_s in told[400:]:
        assert left_s == pytest.approx(really_s)


def test_silence_at_the_start_is_forgotten() -> None:
    told = estimates([("analyse", 50, 0.001), ("render", 450, 0.0001), ("render", 500, 0.1)])
    for _, left_s, really_s in told[760:]:
        assert left_s == pytest.approx(really_s)


def test_between_two_steps_the_time_runs_down() -> None:
    left = TimeLeft()
    left.after(Step("render", 100, OF), 0.0)
    assert left.after(Step("render", 100, OF), 5.0) is None
    assert left.after(Step("render", 400, OF), 30.0) == pytest.approx(60.0)
    assert left.after(Step("render", 400, OF), 40.0) == pytest.approx(50.0)
    assert left.after(Step("render", 400, OF), 400.0) == 0.0


def test_a_job_that_begins_anew_is_timed_anew() -> None:
    left = TimeLeft()
    for number in range(100, 900):
        left.after(Step("render", number, OF), number * 0.01)
    assert left.after(Step("analyse", 10, OF), 9.0) is None
    left.after(Step("render", 100, OF), 10.0)
    assert left.after(Step("render", 200, OF), 20.0) == pytest.approx(80.0)

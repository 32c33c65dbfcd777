from __future__ import annotations

from itertools import pairwise

import pytest

from engine.models.audiosr.economy import Prediction, predictions


@pytest.mark.parametrize("steps", [1, 2, 12, 50, 1000])
def test_by_default_every_step_is_guided_and_whole(steps: int) -> None:
    assert predictions(steps, 3.5) == [Prediction(3.5, True)] * steps


@pytest.mark.parametrize("interval", range(1, 11))
@pytest.mark.parametrize("steps", [1, 3, 12, 50, 999])
def test_one_step_in_so_many_is_whole_and_the_first_is(steps: int, interval: int) -> None:
    plan = predictions(steps, 1.0, cache_interval=interval)
    assert len(plan) == steps
    assert plan[0].whole
    assert sum(step.whole for step in plan) == -(-steps // interval)


def test_whole_steps_are_dense_where_the_noise_is() -> None:
    whole = [at for at, step in enumerate(predictions(50, 1.0, cache_interval=3)) if step.whole]
    gaps = [there - here for here, there in pairwise(whole)]
    assert gaps[0] == 1
    assert gaps[-1] == 4
    assert sum(at < 25 for at in whole) > len(whole) / 2


@pytest.mark.parametrize(("share", "guided"), [(0.0, 0), (0.01, 1), (0.5, 6), (0.51, 7), (1.0, 12)])
def test_guidance_stops_after_its_share_of_the_steps(share: float, guided: int) -> None:
    plan = predictions(12, 2.0, guided_share=share)
    assert [step.scale for step in plan] == [2.0] * guided + [1.0] * (12 - guided)


def test_the_first_step_without_guidance_is_whole() -> None:
    """Earlier outputs of the coarse levels are of a batch with and without the condition, and do not fit."""
    plan = predictions(50, 2.0, guided_share=0.5, cache_interval=10)
    assert plan[25] == Prediction(1.0, True)
    assert sum(step.whole for step in plan) == 6


def test_a_share_of_no_guidance_costs_no_whole_step() -> None:
    assert predictions(50, 1.0, 0.25, 10) == predictions(50, 1.0, 1.0, 10)

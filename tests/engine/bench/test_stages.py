from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.bench.stages import timed_stages


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def inner() -> str:
    busy(0.04)
    return "done"


def outer() -> str:
    busy(0.02)
    return inner()


STAGES = {"outer": [f"{__name__}:outer"], "inner": [f"{__name__}:inner"]}


def test_a_stage_is_told_without_those_within_it_and_over_all_threads() -> None:
    this = sys.modules[__name__]
    with timed_stages(STAGES) as clock, ThreadPoolExecutor(2) as threads:
        done = [threads.submit(lambda: this.outer()) for _ in range(2)]
        assert [each.result() for each in done] == ["done", "done"]
    assert clock.cpu_s["outer"] == pytest.approx(0.04, abs=0.02)
    assert clock.cpu_s["inner"] == pytest.approx(0.08, abs=0.02)


def test_functions_are_as_they_were_afterwards_also_where_one_is_missing() -> None:
    before = outer
    with pytest.raises(AttributeError), timed_stages({**STAGES, "gone": [f"{__name__}:gone"]}):
        pass
    assert outer is before

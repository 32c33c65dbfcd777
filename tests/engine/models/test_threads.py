from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from engine.models.draft import draft
from engine.models.threads import one_thread_each
from presets.errors import Cancelled
from presets.schema import Preset
from render.noise import PhiloxNoise
from render.upscaler import CELL_FRAMES, Step, Window


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_blocks_that_overlap_take_one_thread_each_and_leave_none_behind() -> None:
    inside, end = threading.Event(), threading.Event()
    seen = []

    def other() -> None:
        with one_thread_each():
            inside.set()
            end.wait(10)
            seen.append(torch.get_num_threads())

    with one_thread_each():
        assert torch.get_num_threads() == 1
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(10)
    end.set()
    thread.join()
    assert seen == [1]
    assert torch.get_num_threads() == 3


def test_an_error_in_a_block_leaves_no_trace() -> None:
    with pytest.raises(ValueError, match="no"), one_thread_each():
        raise ValueError("no")
    assert torch.get_num_threads() == 3


def test_a_render_of_draft_leaves_the_threads_as_they_were_also_when_it_is_cancelled() -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal((2, 3 * CELL_FRAMES)).astype(np.float32)
    windows = [Window(samples, n * CELL_FRAMES, 8000.0, 0) for n in range(3)]
    steps = 0

    def cancel(step: Step) -> None:
        nonlocal steps
        steps += 1
        raise Cancelled("enough")

    model = draft.load()
    with pytest.raises(Cancelled):
        model.upscale(windows, PhiloxNoise(0), Preset(), cancel)
    assert steps == 1
    assert torch.get_num_threads() == 3
    made = model.upscale(windows, PhiloxNoise(0), Preset(), lambda step: None)
    assert [each.shape for each in made] == [samples.shape] * 3
    assert torch.get_num_threads() == 3

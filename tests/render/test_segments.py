from __future__ import annotations

import threading
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import pytest

from engine.models.draft import draft
from presets.schema import make
from render.clip import ArrayClip
from render.render import render
from render.segments import Grid, Segments
from render.upscaler import CELL_FRAMES, SHORT_FADE, Audio

BODY = 2 * CELL_FRAMES
LENGTHS = [
    1,
    2,
    500,
    CELL_FRAMES,
    BODY - 1,
    BODY,
    BODY + 1,
    BODY + 300,
    2 * BODY + SHORT_FADE // 2,
    3 * BODY + 777,
]


def windows(grid: Grid) -> range:
    return grid.touching(0, grid.frames, 0)


@pytest.mark.parametrize("fade_frames", [SHORT_FADE, CELL_FRAMES])
@pytest.mark.parametrize("frames", LENGTHS)
def test_shares_add_up_to_one_everywhere(frames: int, fade_frames: int) -> None:
    grid = Grid(frames, 2, 1, fade_frames)
    total = np.zeros(frames)
    for index in windows(grid):
        lo, hi = grid.kept(index)
        total[lo:hi] += grid.weights(index)
    assert np.abs(total - 1).max() < 1e-6


@pytest.mark.parametrize("frames", LENGTHS)
def test_windows_lie_on_the_grid_with_their_context(frames: int) -> None:
    grid = Grid(frames, 2, 1, SHORT_FADE)
    for index in windows(grid):
        start, length = grid.extent(index)
        assert start == index * BODY - CELL_FRAMES
        assert length % CELL_FRAMES == 0
        lo, hi = grid.kept(index)
        assert start + CELL_FRAMES - SHORT_FADE <= lo
        assert hi <= start + length - CELL_FRAMES + SHORT_FADE
    assert windows(grid).stop == -(-frames // BODY)


def test_a_short_clip_takes_a_short_window() -> None:
    assert Grid(4800, 8, 1, SHORT_FADE).extent(0) == (-CELL_FRAMES, 3 * CELL_FRAMES)


class Recorder:
    """Renders the ramp 0, 1, 2, ... as weighted parts, without a filter's spread."""

    reach = 0

    def __init__(self, grid: Grid, batch: int) -> None:
        self.grid, self.batch = grid, batch
        self.calls: list[list[int]] = []

    def __call__(self, indices: Sequence[int]) -> list[Audio]:
        self.calls.append(list(indices))
        return [
            (np.arange(*self.grid.kept(index)) * self.grid.weights(index))[None].astype(np.float32)
            for index in indices
        ]


def segments(frames: int, batch: int = 1, stop: int | None = None) -> tuple[Segments, Recorder]:
    grid = Grid(frames, 2, 1, SHORT_FADE)
    recorder = Recorder(grid, batch)
    return Segments(ArrayClip(np.zeros((1, frames)), 48000), grid, recorder, stop or frames), recorder


def test_the_windows_join_to_the_signal_they_were_cut_from() -> None:
    clip, recorder = segments(5 * BODY + 99)
    joined = np.concatenate([clip.read(at, 10000) for at in range(0, clip.frames, 10000)], axis=1)[
        0, : clip.frames
    ]
    assert np.abs(joined - np.arange(clip.frames)).max() < 0.05
    assert recorder.calls == [[0], [1], [2], [3], [4], [5]]


def test_a_selection_renders_the_windows_it_touches_and_no_other() -> None:
    for lo, frames, windows in (
        (3 * BODY + 5000, 1000, [[3]]),
        (4 * BODY - 10, 20, [[3], [4]]),
        (4 * BODY + SHORT_FADE // 2, 20, [[4]]),
    ):
        clip, recorder = segments(9 * BODY, stop=lo + frames)
        clip.read(lo, frames)
        clip.close()
        assert recorder.calls == windows


def test_batches_look_ahead_but_not_past_the_selection() -> None:
    clip, recorder = segments(9 * BODY, batch=3, stop=5 * BODY - SHORT_FADE)
    for at in range(BODY + 5000, 5 * BODY - SHORT_FADE, 20000):
        clip.read(at, 1000)
    assert recorder.calls == [[1, 2, 3], [4]]


def test_the_next_batch_is_made_while_this_one_is_used() -> None:
    clip, recorder = segments(6 * BODY, batch=2)
    clip.read(0, 100)
    clip.close()
    assert recorder.calls == [[0, 1], [2, 3]]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_what_fails_ahead_fails_the_read_that_needs_it() -> None:
    class Failing(Recorder):
        def __call__(self, indices: Sequence[int]) -> list[Audio]:
            if 1 in indices:
                raise RuntimeError("the second window")
            return super().__call__(indices)

    grid = Grid(6 * BODY, 2, 1, SHORT_FADE)
    clip = Segments(ArrayClip(np.zeros((1, grid.frames)), 48000), grid, Failing(grid, 1), grid.frames)
    assert clip.read(0, 100).shape == (1, 100)
    with pytest.raises(RuntimeError, match="the second window"):
        clip.read(BODY, 100)
    clip.close()


@pytest.mark.parametrize(
    ("rate", "rate_out", "fade_frames"),
    [
        (48000, 48000, CELL_FRAMES),
        (44100, 48000, SHORT_FADE),
        (44100, 44100, CELL_FRAMES),
        (96000, 88200, SHORT_FADE),
    ],
)
def test_a_selection_is_that_stretch_of_the_full_render(
    rate: int, rate_out: int, fade_frames: int, nine_seconds: Any, noise_model: Any, rendered: Any
) -> None:
    source = nine_seconds(rate)
    whole = rendered(source, noise_model(batch=4, fade_frames=fade_frames), cutoff=4000.0, rate=rate_out)
    for first, end in ((0, 1000), (150000, 250001), (61439, 61441), (380000, 10**9)):
        ends = {"start": f"{first}smp", "end": f"{end}smp"}
        model = noise_model(batch=1, fade_frames=fade_frames)
        part = rendered(source, model, cutoff=4000.0, rate=rate_out, **ends)
        stretch = slice(ceil(first * rate_out / rate), ceil(min(end, source.frames) * rate_out / rate))
        assert np.array_equal(part, whole[:, stretch])


def test_a_selection_renders_only_the_windows_it_touches(nine_seconds: Any, noise_model: Any) -> None:
    model = noise_model(batch=1)
    render(nine_seconds(48000), make(cutoff=4000.0, start=2.7, end=3.2), model, lambda step: None)
    assert [window.start for window in model.seen] == [2 * BODY - CELL_FRAMES]
    model = noise_model(batch=5)
    render(nine_seconds(44100), make(cutoff=4000.0, start=3.0, end=4.5, rate=44100), model, lambda step: None)
    assert [window.start for window in model.seen] == [2 * BODY - CELL_FRAMES, 3 * BODY - CELL_FRAMES]


def test_the_model_sees_one_level_and_one_cut_off(nine_seconds: Any, noise_model: Any) -> None:
    source = nine_seconds(48000)
    peak = float(np.abs(source.read(0, source.frames)).max())
    model = noise_model()
    render(source, make(cutoff="auto", end=2.0), model, lambda step: None)
    assert len({(window.gain, window.cutoff_hz) for window in model.seen}) == 1
    assert model.seen[0].gain == pytest.approx(0.5 / peak)
    assert model.seen[0].cutoff_hz == pytest.approx(4000, rel=0.08)


def test_windows_whose_levels_differ_make_no_step_where_the_fade_is_that_of_draft(
    nine_seconds: Any, noise_model: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    """Every other window is 10 dB louder; the band changes by less than 4 dB from one 80 ms to the next."""

    def steps_db(fade_frames: int) -> Any:
        model = noise_model(batch=1, fade_frames=fade_frames)
        upscale = model.upscale

        def uneven(windows: Any, *rest: Any) -> list[Audio]:
            model.amount = 0.01 if (windows[0].start + CELL_FRAMES) // BODY % 2 else 0.0316
            return upscale(windows, *rest)

        model.upscale = uneven
        band = above(rendered(nine_seconds(48000), model, cutoff=4000.0, stem="high"), 5000)[:, 3840:-3840]
        return np.abs(np.diff([rms_db(band[:, at : at + 3840]) for at in range(0, band.shape[1], 3840)]))

    assert steps_db(SHORT_FADE).max() > 7
    assert steps_db(draft.FADE_FRAMES).max() < 4


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_batches_do_not_matter(batch: int, nine_seconds: Any, noise_model: Any, rendered: Any) -> None:
    source = nine_seconds(48000)
    once = rendered(source, noise_model(batch=3), cutoff=4000.0)
    assert np.array_equal(rendered(source, noise_model(batch=batch, links=batch < 7), cutoff=4000.0), once)


def test_window_sizes_make_one_texture(
    nine_seconds: Any, noise_model: Any, rendered: Any, rms_db: Any
) -> None:
    source = nine_seconds(48000)
    short, long = (rendered(source, noise_model(body_cells=cells), cutoff=4000.0) for cells in (1, 5))
    assert rms_db(short - long) < -100


def test_a_seed_repeats_and_another_differs(
    nine_seconds: Any, noise_model: Any, rendered: Any, rms_db: Any
) -> None:
    source = nine_seconds(48000)
    one, again, other = (rendered(source, noise_model(), cutoff=4000.0, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one, again)
    assert rms_db(one - other) > -30


def test_a_model_whose_level_is_off_leaves_no_step(
    programme: Any, noise_model: Any, rendered: Any, above: Any, rms_db: Any
) -> None:
    source = ArrayClip(programme(4), 48000)
    right = rms_db(above(rendered(source, noise_model(amount=0.01), cutoff=4000.0), 5000))
    soft = rms_db(above(rendered(source, noise_model(level=0.5, amount=0.005), cutoff=4000.0), 5000))
    assert soft == pytest.approx(right, abs=0.2)

"""Filled holes: in signals with known holes, and in a clip that LAME left holes in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.models.draft.draft import load as load_draft
from engine.models.null import Null
from presets.report import FilledCell
from presets.schema import make
from render.clip import ArrayClip, Clip, open_clip
from render.render import Rendered, render
from render.upscaler import Audio, Upscaler

DEV = Path(__file__).parents[3] / "shared" / "eval" / "dev"
RATE = 48000
SHELF_HZ = 12000.0
HOLES = ((8500.0, 12000.0), ((1.5, 1.7), (2.2, 2.5), (3.3, 3.6), (4.2, 4.4)))
"""A band in Hz, and the seconds in which it is left out: a fifth of the time."""


def noise(low_hz: float, high_hz: float, seconds: float = 6.0, channels: int = 2) -> Audio:
    """(channels, frames) of noise between two frequencies, cut from white noise of -38 dB a channel."""
    frames = round(seconds * RATE)
    bins = np.fft.rfft(0.012 * np.random.default_rng(int(low_hz)).standard_normal((channels, frames)))
    hz = np.fft.rfftfreq(frames, 1 / RATE)
    bins[:, (hz < low_hz) | (hz >= high_hz)] = 0
    return np.asarray(np.fft.irfft(bins, frames), np.float32)


def holed(shelf_hz: float = SHELF_HZ, scale: float = 1.0) -> Audio:
    """Noise up to a shelf, with HOLES at its upper end; their frequencies are multiplied by `scale`."""
    low_hz = HOLES[0][0] * scale
    upper = noise(low_hz, shelf_hz)
    for begin_s, end_s in HOLES[1]:
        fade = np.sin(np.linspace(0, np.pi / 2, 480, dtype=np.float32)) ** 2
        begin, end = round(begin_s * RATE), round(end_s * RATE)
        upper[:, begin : begin + 480] *= fade[::-1]
        upper[:, end - 480 : end] *= fade
        upper[:, begin + 480 : end - 480] = 0
    return noise(20, low_hz) + upper


def both(source: Clip, model: Upscaler, **knobs: Any) -> tuple[Rendered, Rendered]:
    """The render without `fill_holes`, and with it."""
    plain, filled = (
        render(source, make(fill_holes=fill, **knobs), model, lambda _: None) for fill in (False, True)
    )
    return plain, filled


def samples(done: Rendered) -> Audio:
    return done.clip.read(0, done.clip.frames)


def level_db(sound: Audio, low_hz: float, high_hz: float, begin_s: float, end_s: float) -> float:
    part = sound[:, round(begin_s * RATE) : round(end_s * RATE)]
    power = np.abs(np.fft.rfft(part * np.hanning(part.shape[1]))) ** 2 / part.shape[1]
    hz = np.fft.rfftfreq(part.shape[1], 1 / RATE)
    return float(10 * np.log10(power[:, (hz > low_hz) & (hz < high_hz)].mean() + 1e-20))


def outside_db(change: Audio, cells: tuple[FilledCell, ...], beside: Audio) -> float:
    """The part of a change outside the cells, in time or frequency, in dB over another sound.

    In frames of 85 ms under a window whose side lobes are 130 dB down, to within its width of 100 Hz.
    """
    size, hop, width_hz = 4096, 1024, 100.0
    window = np.kaiser(size, 18)
    hz = np.fft.rfftfreq(size, 1 / RATE)

    def powers(sound: Audio) -> np.ndarray:
        framed = np.lib.stride_tricks.sliding_window_view(sound.astype(float), size, axis=1)[:, ::hop]
        return np.abs(np.fft.rfft(framed * window)) ** 2

    found = powers(change)
    begins = np.arange(found.shape[1]) * hop
    for cell in cells:
        frames = (begins + size > cell.start_s * RATE) & (begins < cell.end_s * RATE)
        band = (hz > cell.low_hz - width_hz) & (hz < cell.high_hz + width_hz)
        found[cell.channel, np.ix_(frames, band)[0], np.ix_(frames, band)[1]] = 0
    return float(10 * np.log10(found.sum() / powers(beside).sum() + 1e-30))


@pytest.fixture
def model(noise_model: Callable[..., Upscaler]) -> Upscaler:
    return noise_model(level=0.0, amount=0.012)


def test_a_hole_is_filled_to_the_level_of_what_is_kept(model: Upscaler) -> None:
    source = holed()
    plain, filled = both(ArrayClip(source, RATE), model)
    assert plain.report.filled is None
    assert filled.report.cutoff_hz == plain.report.cutoff_hz == pytest.approx(SHELF_HZ, abs=150)
    kept_db = level_db(source, 9000, 11500, 2.7, 3.1)
    assert level_db(samples(plain), 9000, 11500, 2.3, 2.4) < kept_db - 60
    assert level_db(samples(filled), 9000, 11500, 2.3, 2.4) == pytest.approx(kept_db, abs=3)


def test_holes_in_an_lfe_stay(model: Upscaler) -> None:
    source = np.repeat(holed(), 3, axis=0)
    clip = ArrayClip(source, RATE)
    done = render(clip, make(fill_holes=True), model, lambda _: None, mask=0x3F)
    change = samples(done) - source
    assert not change[3].any()
    assert level_db(change[:1], 9000, 11500, 2.3, 2.4) > level_db(source, 9000, 11500, 2.7, 3.1) - 6


def test_cells_outside_the_holes_are_the_originals(model: Upscaler) -> None:
    source = holed()
    plain, filled = both(ArrayClip(source, RATE), model)
    report = filled.report.filled
    assert report is not None
    assert report.joined_s == 0
    assert {cell.channel for cell in report.cells} == {0, 1}
    assert 0.1 < report.share < 0.3
    for cell in report.cells:  # each covers one of the holes and the spread of a filter
        assert any(begin - 0.1 < cell.start_s < cell.end_s < end + 0.1 for begin, end in HOLES[1])
        assert cell.low_hz > HOLES[0][0] * 0.97
    assert outside_db(samples(filled) - samples(plain), report.cells, source) < -110


def test_a_selection_is_that_stretch_of_the_whole(model: Upscaler) -> None:
    clip = ArrayClip(holed(), RATE)
    whole = render(clip, make(fill_holes=True), model, lambda _: None)
    part = render(clip, make(fill_holes=True, start=2.0, end=3.0), model, lambda _: None)
    assert np.array_equal(samples(part), samples(whole)[:, 2 * RATE : 3 * RATE])
    assert part.report.filled is not None
    cells = part.report.filled.cells
    assert cells
    assert all(0.1 < cell.start_s < cell.end_s < 0.6 for cell in cells)  # the hole at 2.2 s, less 2 s


def test_the_stems_add_up(model: Upscaler) -> None:
    clip = ArrayClip(holed(), RATE)
    full, high, low = (
        samples(render(clip, make(fill_holes=True, stem=stem), model, lambda _: None))
        for stem in ("full", "high", "low")
    )
    inside = slice(RATE // 2, -RATE // 2)  # each stem's ends are contained separately, see render/edges.py
    assert np.abs(full - high - low)[:, inside].max() < 1e-6
    assert level_db(high, 9000, 11500, 2.3, 2.4) > -50


def test_a_full_band_is_filled_where_nothing_is_to_be_made_above(model: Upscaler) -> None:
    source = holed(19000.0, 1.6)
    plain, filled = both(ArrayClip(source, RATE), model)
    assert np.array_equal(samples(plain), source)
    assert not filled.report.generated
    assert filled.report.filled is not None
    assert filled.report.filled.cells
    assert outside_db(samples(filled) - source, filled.report.filled.cells, source) < -110


@pytest.mark.parametrize("cutoff", [11000.0, "rolloff"])
def test_holes_below_a_cutoff_that_was_asked_for_are_found(model: Upscaler, cutoff: Any) -> None:
    _, filled = both(ArrayClip(holed(), RATE), model, cutoff=cutoff)
    assert filled.report.filled is not None
    assert filled.report.filled.cells
    assert max(cell.high_hz for cell in filled.report.filled.cells) < 1.02 * filled.report.cutoff_hz


def test_without_holes_nothing_changes_and_it_says_so(model: Upscaler) -> None:
    plain, filled = both(ArrayClip(noise(20, SHELF_HZ), RATE), model)
    assert np.array_equal(samples(plain), samples(filled))
    assert filled.report.filled is not None
    assert filled.report.filled.cells == ()
    assert "no holes" in filled.report.filled.reason


def test_a_model_that_generates_nothing_fills_nothing() -> None:
    plain, filled = both(ArrayClip(holed(), RATE), Null())
    assert np.array_equal(samples(plain), samples(filled))
    assert filled.report.filled is None


def test_a_cancel_while_holes_are_filled_stops(model: Upscaler) -> None:
    steps = 0

    def stop(step: Any) -> None:
        nonlocal steps
        steps += step.stage == "render"
        if steps > 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        render(ArrayClip(holed(19000.0, 1.6), RATE), make(fill_holes=True), model, stop)


@pytest.mark.skipif(
    not (DEV.exists() and shutil.which("lame") and shutil.which("ffmpeg")),
    reason="needs ffmpeg, lame and the evaluation clips beside this checkout",
)
@pytest.mark.parametrize("rate", [44100, 48000])
def test_what_lame_leaves_out_is_filled_and_the_rest_is_its_own(tmp_path: Path, rate: int) -> None:
    wav, mp3, decoded = (tmp_path / name for name in ("a.wav", "a.mp3", "b.wav"))
    clip = DEV / "music" / "aeromamba_musdb_ref480.flac"
    cut = ["ffmpeg", "-v", "error", "-i", str(clip), "-t", "8", "-ar", "44100", "-ac", "2", str(wav)]
    subprocess.run(cut, check=True)
    subprocess.run(["lame", "--quiet", "-b", "96", str(wav), str(mp3)], check=True)
    subprocess.run(["lame", "--quiet", "--decode", str(mp3), str(decoded)], check=True)
    with open_clip(decoded) as source:
        plain, filled = both(source, load_draft(), rate=rate)
    report = filled.report.filled
    assert report is not None
    assert report.cells
    if rate == RATE:
        change = samples(filled) - samples(plain)
        assert outside_db(change, report.cells, samples(plain)) < -100
        assert outside_db(change, (), samples(plain)) > -90

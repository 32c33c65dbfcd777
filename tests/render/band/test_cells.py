from __future__ import annotations

import numpy as np
import pytest

from render.band.cells import HOP, MOST_LISTED, SIZE, Cells, filled_stretches, holed_cells
from render.band.cutoff import Cutoff
from render.band.holes import Holes

RATE = 48000
CELLS = Cells(8000 * 2.0 ** (np.arange(7) / 12), 24000.0)


def test_the_bands_reach_from_the_lowest_hole_to_the_cutoff() -> None:
    cells = holed_cells(
        Cutoff(11000.0, "auto", "", nyquist_hz=24000.0, holes=Holes(11500, 11000, 11500, 8000.0, 0.1))
    )
    assert cells is not None
    assert cells.edges_hz[-1] == 11000
    assert 8000 <= cells.edges_hz[0] < 8500
    assert holed_cells(Cutoff(11000.0, "auto", "", holes=Holes(11500, 11000, 11500, 11200.0, 0.1))) is None
    assert holed_cells(Cutoff(11000.0, "auto", "", holes=Holes(11500, 11000, 11500, None, 0.0))) is None
    assert holed_cells(Cutoff(None, "auto", "")) is None


def test_what_sounds_is_no_hole_and_a_dark_sound_has_none() -> None:
    rng = np.random.default_rng(1)
    bright = rng.standard_normal((1, RATE)).astype(np.float32) * 0.1
    assert not CELLS.heard(bright, 0).empty.any()
    dark = np.fft.irfft(np.fft.rfft(bright) * np.geomspace(1, 1e-5, RATE // 2 + 1), RATE).astype(np.float32)
    assert not CELLS.heard(dark, 0).empty.any()
    assert not CELLS.heard(np.zeros((2, RATE), np.float32), 0).empty.any()


def test_a_stretch_is_heard_alike_wherever_it_begins() -> None:
    sound = np.random.default_rng(2).standard_normal((2, 8 * SIZE)).astype(np.float32)
    sound[:, 3 * SIZE : 5 * SIZE] = np.sin(np.arange(2 * SIZE) * 0.9) * 0.1
    whole, part = CELLS.heard(sound, 0), CELLS.heard(sound[:, 3 * HOP :], 3 * HOP)
    at = part.first - whole.first
    assert at == 3
    assert np.array_equal(whole.empty[:, at:], part.empty)


def test_cells_are_told_with_what_a_filter_spreads_and_cut_to_the_result() -> None:
    empty = np.zeros((2, 40, 6), bool)
    empty[1, 10:13, 2] = empty[0, :2, 0] = True
    (early, later), joined_s = filled_stretches(CELLS, empty, 5, 100, 5 * HOP, 45 * HOP)
    assert joined_s == 0
    assert (early.channel, early.start_s) == (0, 0)
    assert later.channel == 1
    assert later.start_s * RATE == pytest.approx(10 * HOP - HOP // 2 - 100)
    assert later.end_s * RATE == pytest.approx(12 * HOP - HOP // 2 + SIZE + 100)
    assert later.low_hz < CELLS.edges_hz[2] < CELLS.edges_hz[3] < later.high_hz


def test_too_many_cells_are_told_together_and_none_is_lost() -> None:
    empty = np.random.default_rng(3).random((2, 20000, 6)) < 0.3
    cells, joined_s = filled_stretches(CELLS, empty, 0, 0, 0, 20000 * HOP)
    assert len(cells) <= MOST_LISTED
    assert joined_s > 0
    covered = np.zeros_like(empty)
    for cell in cells:
        band = int(np.argmin(np.abs(CELLS.edges_hz - cell.low_hz)))
        covered[cell.channel, int(cell.start_s * RATE / HOP) : int(cell.end_s * RATE / HOP) + 1, band] = True
    assert covered[empty].all()

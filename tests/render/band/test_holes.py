from __future__ import annotations

import numpy as np
import pytest

from render.band.holes import find_holes
from render.band.spectrum import BANDS_PER_OCTAVE

EDGES_HZ = 1000 * 2.0 ** (np.arange(4 * BANDS_PER_OCTAVE + 1) / BANDS_PER_OCTAVE)
RNG = np.random.default_rng(1)


def sound(share: float, from_hz: float, shelf_hz: float = 12000.0, floor_db: float = -120.0) -> np.ndarray:
    """(400, bands) of sound at -60 dB up to the shelf; a `share` of the frames ends at `from_hz` instead."""
    powers = 10 ** (RNG.normal(-60, 3, (400, len(EDGES_HZ) - 1)) / 10)
    ends = np.where(np.arange(400) < share * 400, from_hz, shelf_hz)
    powers[EDGES_HZ[:-1] >= ends[:, None]] = 10 ** (floor_db / 10)
    return powers.astype(np.float32)


def test_a_shelf_without_holes_is_the_end() -> None:
    holes = find_holes(sound(0, 8000), EDGES_HZ, 12000)
    assert (holes.shelf_hz, holes.from_hz, holes.lowest_hz, holes.share) == (12000, 12000, None, 0)


@pytest.mark.parametrize(
    ("share", "shelf_hz", "from_hz"), [(0.3, 12000, 12000), (0.65, 12000, 10000), (0.85, 10000, 10000)]
)
def test_what_most_frames_leave_out_lies_above_the_cutoff(
    share: float, shelf_hz: float, from_hz: float
) -> None:
    holes = find_holes(sound(share, 10000), EDGES_HZ, 12000)
    assert holes.shelf_hz == pytest.approx(shelf_hz, rel=0.015)
    assert holes.from_hz == pytest.approx(from_hz, rel=0.015)
    assert holes.lowest_hz is None or holes.lowest_hz == pytest.approx(10000, rel=0.015)


def test_what_nearly_all_frames_leave_out_is_no_part_of_the_band_however_loud_the_others() -> None:
    powers = sound(0.9, 10000)
    powers[360:] *= 10  # the frames that reach 12 kHz, with most of the power
    assert find_holes(powers, EDGES_HZ, 12000).shelf_hz == pytest.approx(10000, rel=0.015)


def test_attacks_that_reach_above_the_low_pass_do_not_raise_the_shelf() -> None:
    powers = sound(0.6, 10000)
    above = EDGES_HZ[:-1] >= 10000
    powers[240:, above] *= 0.2  # an attack fills only a part of a frame
    assert find_holes(powers, EDGES_HZ, 12000).shelf_hz == pytest.approx(10000, rel=0.015)


def test_a_band_of_which_an_edge_leaves_less_than_a_quarter_is_no_part_of_the_shelf() -> None:
    powers = sound(0.95, 10000)  # the others are attacks
    edge = int(np.flatnonzero(EDGES_HZ[:-1] >= 10000)[0]) - 1
    for left, shelf_hz in ((0.1, EDGES_HZ[edge]), (0.5, EDGES_HZ[edge + 1])):
        partly = powers.copy()
        partly[:, edge] *= left  # in every frame, so that no frame lacks the whole band
        assert find_holes(partly, EDGES_HZ, 12000).shelf_hz == shelf_hz


def test_where_an_encoder_kept_a_part_only_from_a_step_on_is_told() -> None:
    powers = sound(0.4, 10000)
    above = EDGES_HZ[:-1] >= 10000
    powers[160:, above] *= 0.4  # the other frames lack 4 dB there, all frames together 6
    holes = find_holes(powers, EDGES_HZ, 12000)
    assert holes.kept_hz == pytest.approx(10000, rel=0.015)
    assert (holes.shelf_hz, holes.from_hz) == (12000, 12000)
    powers[160:, above] *= 2.5
    assert find_holes(powers, EDGES_HZ, 12000).kept_hz == 12000


def test_what_loud_moments_leave_out_is_no_part_of_the_band() -> None:
    powers = sound(0.3, 10000)
    powers[:120] *= 10  # the third of the frames that ends at 10 kHz
    holes = find_holes(powers, EDGES_HZ, 12000)
    assert holes.shelf_hz == pytest.approx(10000, rel=0.015)
    assert holes.from_hz == holes.shelf_hz
    powers[:120] /= 100
    assert find_holes(powers, EDGES_HZ, 12000).shelf_hz == 12000


def test_a_quiet_hole_is_one_where_it_is_as_empty_as_what_is_above_the_shelf() -> None:
    assert find_holes(sound(0.7, 10000, floor_db=-95), EDGES_HZ, 12000).from_hz < 10200
    assert find_holes(sound(0.7, 10000, floor_db=-75), EDGES_HZ, 12000).from_hz == 12000


def test_pauses_are_no_holes() -> None:
    powers = sound(0, 8000)
    powers[:300] *= 1e-5
    assert find_holes(powers, EDGES_HZ, 12000).share == 0

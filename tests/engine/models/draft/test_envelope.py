import numpy as np

from engine.models.draft.bands import BANDS
from engine.models.draft.envelope import take_of, without_lines


def test_a_single_band_does_not_stand_out_but_slopes_and_steps_stay() -> None:
    bands = np.arange(BANDS, dtype=np.float32)
    slope = np.float32(-0.02) * bands
    step = np.where(bands < 60, 0, -1).astype(np.float32)
    line = slope.copy()
    line[105] += 0.15
    cleared = without_lines(np.stack([slope, step, line]))
    assert np.array_equal(cleared[0], slope)
    assert np.array_equal(cleared[1], step)
    assert np.abs(cleared[2] - slope).max() <= 0.02


def test_a_seed_takes_one_contour_in_all_windows() -> None:
    assert [take_of(seed) for seed in (0, 1, 4, 5, 2**63 - 1)] == [0, 1, 4, 0, 2]

from __future__ import annotations

import numpy as np

from render.noise import PhiloxNoise


def test_a_cell_depends_on_its_place_alone() -> None:
    stretch = PhiloxNoise(7)("x_T", 0, -5, 10, (4, 3))
    assert stretch.shape == (10, 4, 3)
    assert stretch.dtype == np.float32
    field = PhiloxNoise(7)
    field("x_T", 1, 3, 2, (1000,))
    assert np.array_equal(field("x_T", 0, 2, 1, (4, 3))[0], stretch[7])
    assert np.array_equal(field("x_T", 0, -5, 1, (4, 3))[0], stretch[0])


def test_seed_name_group_and_cell_each_make_other_noise() -> None:
    base = PhiloxNoise(7)("x_T", 0, 0, 1, (4096,))[0]
    others = [
        PhiloxNoise(8)("x_T", 0, 0, 1, (4096,))[0],
        PhiloxNoise(7)("step 1", 0, 0, 1, (4096,))[0],
        PhiloxNoise(7)("x_T", 1, 0, 1, (4096,))[0],
        PhiloxNoise(7)("x_T", 0, 1, 1, (4096,))[0],
        PhiloxNoise(7)("x_T", 0, -1, 1, (4096,))[0],
    ]
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.08


def test_it_is_standard_normal_and_white() -> None:
    cells = PhiloxNoise(2**63 - 1)("x", 0, 0, 64, (8192,)).astype(np.float64).ravel()
    assert abs(cells.mean()) < 0.007
    assert abs(cells.std() - 1) < 0.005
    assert abs((cells**4).mean() - 3) < 0.06
    assert np.abs(np.correlate(cells[:5000], cells[:5000], "full")[5000:5100]).max() / 5000 < 0.08


def test_a_value_that_must_never_change() -> None:
    first = np.random.Generator(np.random.Philox(counter=[0, 0, 3, 9], key=PHILOX_KEY)).standard_normal(
        5, np.float32
    )
    assert np.array_equal(PhiloxNoise(42)("x_T", 3, 9, 1, (5,))[0], first)


PHILOX_KEY = np.frombuffer(bytes.fromhex("164f2abb2c8f4358709e63631dd74057"), "<u8").astype(np.uint64)

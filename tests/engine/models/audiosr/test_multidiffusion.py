from __future__ import annotations

import torch

from engine.models.audiosr.multidiffusion import JointLatent


def test_rows_of_different_voices_lie_apart() -> None:
    joint = JointLatent([(0, 4), (2, 4)], [(0, 0), (0, 1)])
    assert joint.stretches == [((0, 0), (0, 4)), ((0, 1), (2, 4))]
    z = torch.arange(8.0).reshape(1, 1, 8, 1)
    assert [row.flatten().tolist() for row in joint.rows_of(z)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert torch.equal(joint.average(joint.rows_of(z)), z)


def test_overlapping_rows_of_one_voice_share_cells_and_are_averaged() -> None:
    joint = JointLatent([(6, 4), (-2, 4), (0, 4)], [(3, 0)] * 3)
    assert joint.stretches == [((3, 0), (-2, 6)), ((3, 0), (6, 4))]
    rows = joint.rows_of(torch.arange(10.0).reshape(1, 1, 10, 1))
    assert [row.flatten().tolist() for row in rows] == [[6, 7, 8, 9], [0, 1, 2, 3], [2, 3, 4, 5]]
    ones, twos = torch.ones(1, 2, 4, 3), torch.full((1, 2, 4, 3), 2.0)
    averaged = joint.average([ones, ones, twos])
    assert averaged.shape == (1, 2, 10, 3)
    assert averaged[0, 0, :, 0].tolist() == [1, 1, 1.5, 1.5, 2, 2, 1, 1, 1, 1]


def test_a_row_inside_another_adds_no_length() -> None:
    joint = JointLatent([(0, 10), (3, 2), (4, 6)], [(0, 0)] * 3)
    assert joint.stretches == [((0, 0), (0, 10))]
    assert joint.cells == 10

from dataclasses import replace

import pytest
import torch

from engine.models.draft.bands import BANDS
from engine.models.draft.features import TEXTURES
from engine.models.draft.predictor import CONTOURS
from engine.training.draft.losses import FINE_STRUCTURE, Losses, Weights, losses

NONE = Weights(loudness=0, moments=0, texture=0, dynamics=0, contour=0)


def compared(
    answer: torch.Tensor,
    level: torch.Tensor,
    weight: torch.Tensor | None = None,
    contours: torch.Tensor | None = None,
    parts: Weights = NONE,
) -> Losses:
    """The losses of an output whose texture is off by 0.25."""
    texture = torch.zeros(*level.shape[:2], TEXTURES)
    return losses(
        torch.cat([answer, texture], -1),
        torch.zeros(len(level), CONTOURS, BANDS) if contours is None else contours,
        level,
        texture + 0.25,
        torch.ones_like(level) if weight is None else weight,
        parts,
    )


def test_a_constant_error_is_the_distance_in_tens_of_db() -> None:
    level = torch.randn(2, 7, BANDS) * 0.3 - 1
    found = compared(level + 0.3, level, parts=replace(NONE, texture=2.0))
    assert float(found.distance) == pytest.approx(0.6, abs=1e-3)
    assert float(found.texture) == pytest.approx(0.25, abs=1e-3)
    assert float(found.total) == pytest.approx((0.6**2 + FINE_STRUCTURE**2) ** 0.5 + 2.0 * 0.25, abs=1e-3)


def test_what_has_no_weight_does_not_count() -> None:
    level = torch.zeros(1, 10, BANDS)
    answer = torch.zeros(1, 10, BANDS)
    answer[:, :, :64] = 2.0
    answer[:, :5] = 3.0
    weight = torch.ones(1, 10, BANDS)
    weight[:, :, :64] = 0
    weight[:, :5] = 0
    found = compared(answer, level, weight)
    assert float(found.total) == pytest.approx(FINE_STRUCTURE, abs=1e-3)
    assert float(found.loudness) == pytest.approx(0.0, abs=1e-3)
    assert float(found.contour) == pytest.approx(0.0, abs=2e-3)


def test_the_mean_of_decibels_is_short_of_power_and_louder_peaks_mend_it() -> None:
    """A band is loud in one frame of ten, so its mean level is 26 dB below its power. The distance prefers an
    output at the mean level to one with the right power; loudness prefers the right power."""
    level = torch.full((1, 50, BANDS), -2.0)
    level[:, ::10] = 0.0
    flat = torch.full_like(level, float(level.mean()))
    loud = torch.full_like(level, -0.5)
    assert compared(flat, level).distance < compared(loud, level).distance
    assert float(compared(loud, level).loudness) < 0.1
    assert float(compared(flat, level).loudness) > 1.5


def test_moments_see_when_a_band_is_loud_and_loudness_only_how_loud() -> None:
    level = torch.full((1, 50, BANDS), -1.0)
    level[:, 10:15] = 0.0
    late = compared(level.roll(20, 1), level)
    assert float(late.loudness) == pytest.approx(0.0, abs=1e-3)
    assert float(late.moments) > 0.1
    assert float(compared(level, level).moments) == pytest.approx(0.0, abs=1e-3)


def test_the_best_contour_is_what_counts_and_it_learns_most() -> None:
    level = torch.zeros(1, 8, BANDS)
    answer = level - 0.5
    contours = torch.zeros(1, CONTOURS, BANDS)
    contours[:, 2] = 0.4
    contours.requires_grad_()
    found = compared(answer, level, contours=contours, parts=replace(NONE, contour=1.0))
    torch.autograd.backward(found.total)
    assert contours.grad is not None
    size = contours.grad.abs().sum((0, 2))
    assert float(size[2]) > 5 * float(size[0]) > 0
    assert float(compared(answer, level, contours=contours.detach()).contour) < 0.3


def test_nothing_to_learn_from_gives_zero_and_a_finite_gradient() -> None:
    answer = torch.zeros(1, 10, BANDS, requires_grad=True)
    level = torch.zeros(1, 10, BANDS)
    found = compared(answer, level, torch.zeros(1, 10, BANDS), parts=Weights())
    torch.autograd.backward(found.total)
    assert answer.grad is not None
    assert torch.isfinite(answer.grad).all()


def test_dynamics_follow_the_loud_moments_and_not_the_level() -> None:
    level = torch.full((1, 50, BANDS), -1.0)
    level[:, ::10] = 0.0
    assert float(compared(level + 0.4, level).dynamics) == pytest.approx(0.0, abs=1e-3)
    assert float(compared(torch.full_like(level, -0.5), level).dynamics) > 0.8
    assert float(compared(level.roll(5, 1), level).dynamics) > 0.9

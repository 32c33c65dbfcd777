import pytest
import torch

from engine.models.draft.bands import BANDS
from engine.models.draft.features import TEXTURES
from engine.training.predictor_losses import FINE_STRUCTURE, Weights, losses


def test_a_constant_error_is_the_distance_and_the_bias_in_tens_of_db() -> None:
    level = torch.randn(2, 7, BANDS)
    outputs = torch.cat([level + 0.3, torch.zeros(2, 7, TEXTURES)], -1)
    weight = torch.ones(2, 7, BANDS)
    found = losses(outputs, level, torch.full((2, 7, TEXTURES), 0.25), weight, Weights(0.5, 2.0, 0.0))
    assert float(found.distance) == pytest.approx(0.6, abs=1e-3)
    assert float(found.bias) == pytest.approx(0.6, abs=1e-3)
    assert float(found.texture) == pytest.approx(0.25, abs=1e-3)
    shaped = (0.6**2 + FINE_STRUCTURE**2) ** 0.5
    assert float(found.total) == pytest.approx(shaped + 0.5 * 0.6 + 2.0 * 0.25, abs=1e-3)


def test_what_has_no_weight_does_not_count() -> None:
    level = torch.zeros(1, 4, BANDS)
    outputs = torch.zeros(1, 4, BANDS + TEXTURES)
    outputs[:, :, :64] = 5.0
    outputs[:, 0] = 9.0
    weight = torch.ones(1, 4, BANDS)
    weight[:, :, :64] = 0
    weight[:, 0] = 0
    found = losses(outputs, level, torch.zeros(1, 4, TEXTURES), weight, Weights(1.0, 1.0, 0.0))
    assert float(found.total) == pytest.approx(FINE_STRUCTURE, abs=1e-3)


def test_errors_of_opposite_sign_are_no_bias() -> None:
    level = torch.zeros(1, 10, BANDS)
    outputs = torch.zeros(1, 10, BANDS + TEXTURES)
    outputs[:, ::2, :BANDS], outputs[:, 1::2, :BANDS] = 0.5, -0.5
    found = losses(
        outputs, level, torch.zeros(1, 10, TEXTURES), torch.ones(1, 10, BANDS), Weights(1.0, 0.0, 0.0)
    )
    assert float(found.bias) == pytest.approx(0.0, abs=1e-5)
    assert float(found.distance) == pytest.approx(1.0, abs=1e-3)


def test_nothing_to_learn_from_gives_zero_and_a_finite_gradient() -> None:
    outputs = torch.zeros(1, 3, BANDS + TEXTURES, requires_grad=True)
    weight = torch.zeros(1, 3, BANDS)
    found = losses(outputs, torch.zeros(1, 3, BANDS), torch.zeros(1, 3, TEXTURES), weight, Weights())
    found.total.backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


def test_dynamics_follow_the_loud_moments_and_not_the_level() -> None:
    level = torch.full((1, 50, BANDS), -1.0)
    level[:, ::10] = 0.0
    weight, texture = torch.ones_like(level), torch.zeros(1, 50, TEXTURES)

    def dynamics(answer: torch.Tensor) -> float:
        outputs = torch.cat([answer, texture], -1)
        return float(losses(outputs, level, texture, weight, Weights()).dynamics)

    assert dynamics(level + 0.4) == pytest.approx(0.0, abs=1e-3)
    assert dynamics(torch.full_like(level, -0.5)) > 0.8
    assert dynamics(level.roll(5, 1)) > 0.9

"""Samplers on data from one Gaussian, for which the best velocity, and the latent that each noise flows to,
have closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.models.audiosr import sampler
from presets.errors import Cancelled
from presets.knobs import Sampler

MEAN, STD = 0.7, 0.6


def gaussian_velocity(z: Tensor, t: float) -> Tensor:
    """The velocity that a perfect network predicts for data from N(MEAN, STD^2)."""
    power = float(sampler.abar(t))
    alpha, sigma = math.sqrt(power), math.sqrt(1 - power)
    z0 = (alpha * STD**2 * z + sigma**2 * MEAN) / (power * STD**2 + 1 - power)
    return alpha * (z - alpha * z0) / sigma - sigma * z0


def flow(z: Tensor, here: float, there: float) -> Tensor:
    """The probability flow of z from abar `here` to abar `there`, which keeps each quantile."""
    quantile = (z - math.sqrt(here) * MEAN) / math.sqrt(here * STD**2 + 1 - here)
    return math.sqrt(there) * MEAN + math.sqrt(there * STD**2 + 1 - there) * quantile


def deterministic_ddim(z: Tensor, plan: list[sampler.Level]) -> Tensor:
    return sampler.ddim(gaussian_velocity, z, plan, 0.0, no_noise)


def dpmpp_2m(z: Tensor, plan: list[sampler.Level]) -> Tensor:
    return sampler.dpmpp_2m(gaussian_velocity, z, plan)


def unipc(z: Tensor, plan: list[sampler.Level]) -> Tensor:
    return sampler.unipc(gaussian_velocity, z, plan)


def no_noise(index: int) -> Tensor:
    raise AssertionError("a deterministic sampler asked for noise")


def even_in_log_snr(steps: int) -> list[sampler.Level]:
    """Levels evenly spaced in log-SNR from -2 to 2, at fractional timesteps found by inverting the cosine."""
    power = 1 / (1 + np.exp(-2 * np.linspace(-2, 2, steps + 1)))
    turns = np.arccos(np.sqrt(power) * math.cos(0.008 / 1.008 * math.pi / 2)) * 2 / np.pi
    t = (turns * 1.008 - 0.008) * 1000 - 1
    return sampler.levels(t[:-1], final_abar=float(power[-1]))


Z = torch.linspace(-2, 2, 9, dtype=torch.float64)
Solve = Callable[[Tensor, list[sampler.Level]], Tensor]


@pytest.mark.parametrize(("solve", "order"), [(deterministic_ddim, 1), (dpmpp_2m, 2), (unipc, 3)])
def test_error_falls_with_the_order_of_the_solver(solve: Solve, order: int) -> None:
    errors = []
    for steps in (40, 80):
        plan = even_in_log_snr(steps)
        exact = flow(Z, plan[0].abar, plan[-1].abar_next)
        errors.append(float((solve(Z, plan) - exact).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(
    ("solve", "spacing"),
    [
        (deterministic_ddim, sampler.trailing),
        (dpmpp_2m, sampler.trailing_log_snr),
        (unipc, sampler.trailing_log_snr),
    ],
)
@pytest.mark.parametrize(("steps", "tolerance"), [(50, 0.04), (300, 0.01), (999, 0.002), (1000, 0.002)])
def test_many_steps_arrive_at_the_clean_latent(
    solve: Solve, spacing: Callable[[int], list[sampler.Level]], steps: int, tolerance: float
) -> None:
    exact = flow(Z, 0.0, 1.0)
    assert float((solve(Z, spacing(steps)) - exact).abs().max()) < tolerance


@pytest.mark.parametrize("solve", [dpmpp_2m, unipc])
def test_twelve_steps_of_a_higher_order_beat_fifty_of_ddim(solve: Solve) -> None:
    exact = flow(Z, 0.0, 1.0)
    error = float((solve(Z, sampler.trailing_log_snr(12)) - exact).abs().max())
    assert error < float((deterministic_ddim(Z, sampler.trailing(50)) - exact).abs().max())


def test_one_step_is_the_one_step_estimate_of_the_data() -> None:
    everywhere = [sampler.trailing(1), sampler.trailing_log_snr(1), sampler.trailing_log_snr(1)]
    for solve, plan in zip((deterministic_ddim, dpmpp_2m, unipc), everywhere, strict=True):
        (t, power, _) = plan[0]
        z0, _ = sampler.data_and_noise(Z, gaussian_velocity(Z, t), power)
        torch.testing.assert_close(solve(Z, plan), z0)
    assert [plan[0].t for plan in everywhere] == [999, 998, 998]


@pytest.mark.parametrize("spacing", [sampler.trailing, sampler.trailing_log_snr])
def test_every_count_of_steps_is_a_descent_to_clean(spacing: Callable[[int], list[sampler.Level]]) -> None:
    first = 999 if spacing is sampler.trailing else 998
    for steps in range(1, 1001):
        plan = spacing(steps)
        t = np.array([level.t for level in plan])
        assert len(plan) == steps
        assert t[0] == first
        assert t[-1] >= 0
        assert np.all(np.diff(t) < 0)
        assert plan[-1].abar_next == 1
        assert all(level.abar < level.abar_next for level in plan)
        assert [level.abar for level in plan[1:]] == [level.abar_next for level in plan[:-1]]


def test_schedule_is_a_cosine_that_ends_in_pure_noise() -> None:
    power = sampler.abar(np.arange(1000.0))
    assert power[999] == 0
    assert power[0] == pytest.approx(1 - 4.1e-5, abs=1e-6)
    beta = 1 - power[1:] / power[:-1]
    assert np.all(np.diff(beta) > 0)
    assert beta[-1] == 1


def test_ancestral_ddim_draws_from_the_data() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(index: int) -> Tensor:
        return torch.randn(100_000, generator=generator, dtype=torch.float64)

    z = sampler.ddim(gaussian_velocity, draw(-1), sampler.trailing(100), 1.0, draw)
    assert float(z.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(z.std()) == pytest.approx(STD, abs=0.02)


def test_noise_is_asked_for_once_a_step_by_its_index() -> None:
    asked: list[int] = []

    def draw(index: int) -> Tensor:
        asked.append(index)
        return torch.zeros_like(Z)

    sampler.ddim(gaussian_velocity, Z, sampler.trailing(4), 1.0, draw)
    assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize("solve", [sampler.dpmpp_2m, sampler.unipc])
def test_one_velocity_a_step_is_asked_for_and_its_error_ends_the_sampling(
    solve: Callable[..., Tensor],
) -> None:
    asked: list[float] = []

    def velocity(z: Tensor, t: float) -> Tensor:
        asked.append(t)
        if len(asked) == 3:
            raise Cancelled("enough")
        return gaussian_velocity(z, t)

    with pytest.raises(Cancelled):
        solve(velocity, Z, sampler.trailing_log_snr(10))
    assert len(asked) == 3


def test_guidance_extrapolates() -> None:
    generator = torch.Generator().manual_seed(0)
    with_condition, empty = torch.randn(2, 3, 4, 8, 8, generator=generator)
    assert torch.equal(sampler.guide(with_condition, empty, 1.0), empty + (with_condition - empty))
    guided = sampler.guide(with_condition, empty, 3.5)
    torch.testing.assert_close(guided, 3.5 * with_condition - 2.5 * empty, rtol=1e-4, atol=1e-5)


def test_every_sampler_that_the_knob_names_is_there() -> None:
    assert {"ddim", *sampler.SOLVERS} == set(get_args(Sampler))

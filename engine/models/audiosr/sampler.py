"""Noise schedule and samplers of the diffusion, as functions of a velocity prediction.

A latent at step t is z_t = alpha z_0 + sigma e with alpha^2 = abar(t), sigma^2 = 1 - abar(t); the network
predicts v = alpha e - sigma z_0 (Salimans and Ho 2022), so that z_0 = alpha z_t - sigma v and
e = sigma z_t + alpha v. The schedule is the cosine, which reaches abar = 0 (zero terminal SNR) at t = 999;
timesteps are spaced from the noisy end ("trailing", Lin et al. 2023). Nothing here knows of audio.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

TRAINING_STEPS = 1000

Velocity = Callable[[Tensor, float], Tensor]
"""(z_t, t) -> v, of z_t's shape."""

Noise = Callable[[int], Tensor]
"""Index of the step -> standard normal noise of the latent's shape."""


class Level(NamedTuple):
    """A step to take: the timestep the network is asked at, abar there, and abar where the step leads."""

    t: float
    abar: float
    abar_next: float


def abar(t: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Cumulative signal power at step t: cos^2 of ((t + 1) / 1000 + 0.008) / 1.008 quarter turns, over its
    value at t = -1. Exactly 0 at t = 999; fractional steps are allowed."""
    quarter_turns = ((np.asarray(t, np.float64) + 1) / TRAINING_STEPS + 0.008) / 1.008
    power = np.cos(quarter_turns * np.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    return np.where(quarter_turns >= 1, 0.0, power)


def trailing(steps: int) -> list[Level]:
    """`steps` (1..1000) levels from t = 999, evenly spaced; the last one leads to the clean latent."""
    t = np.round(TRAINING_STEPS * (1 - np.arange(steps) / steps)) - 1
    return levels(t, final_abar=1.0)


def trailing_log_snr(steps: int) -> list[Level]:
    """As `trailing`, from t = 998: at 999 the log-SNR is minus infinity. Fractional for 1000 steps only."""
    t = 998 - 999 * np.arange(steps) / steps
    return levels(np.round(t) if steps < TRAINING_STEPS else np.maximum(t, 0.0), final_abar=1.0)


def levels(timesteps: NDArray[np.float64], final_abar: float) -> list[Level]:
    """The levels of descending `timesteps`, the last of which leads to `final_abar`."""
    power = abar(timesteps)
    return [
        Level(float(t), float(here), float(there))
        for t, here, there in zip(timesteps, power, [*power[1:], final_abar], strict=True)
    ]


def guide(v_condition: Tensor, v_empty: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance on v, v_empty + scale (v_condition - v_empty).

    Args:
        v_condition: (B, ...) prediction given the condition.
        v_empty: prediction given the empty condition.
        scale: 1 is no guidance.
    """
    return v_empty + scale * (v_condition - v_empty)


def ddim(velocity: Velocity, z: Tensor, plan: Sequence[Level], eta: float, noise: Noise) -> Tensor:
    """DDIM (Song et al. 2020, equations 12 and 16).

    Args:
        velocity: the model.
        z: the latent at the first level; standard normal.
        plan: levels from noisy to clean.
        eta: 0 is deterministic, 1 draws as much noise as ancestral sampling.
        noise: of step i; not called when eta is 0.
    """
    for index, level in enumerate(plan):
        z0, e = data_and_noise(z, velocity(z, level.t), level.abar)
        sigma, there = ddim_sigma(level, eta), level.abar_next
        z = math.sqrt(there) * z0 + math.sqrt(max(1 - there - sigma**2, 0.0)) * e
        if eta > 0:
            z = z + sigma * noise(index)
    return z


def ddim_sigma(level: Level, eta: float) -> float:
    """Standard deviation of the noise DDIM adds on leaving `level`."""
    _, here, there = level
    return eta * math.sqrt((1 - there) / (1 - here) * (1 - here / there))


def data_and_noise(z: Tensor, v: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """The clean latent and the noise that z and v imply where abar is `power`."""
    alpha, sigma = math.sqrt(power), math.sqrt(1 - power)
    return alpha * z - sigma * v, sigma * z + alpha * v


def log_snr(power: float) -> float:
    """Half the log-SNR, log(alpha / sigma), where abar is `power`; infinite at 1."""
    return math.inf if power >= 1 else 0.5 * math.log(power / (1 - power))


def dpmpp_2m(velocity: Velocity, z: Tensor, plan: Sequence[Level]) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order, one evaluation a step.

    The first step and the one to zero noise are first order. Arguments as `ddim`; no level may have abar 0.
    """
    previous: tuple[Tensor, float] | None = None
    for t, here, there in plan:
        z0, _ = data_and_noise(z, velocity(z, t), here)
        h = log_snr(there) - log_snr(here)
        estimate = z0
        if previous is not None and math.isfinite(h):
            earlier_z0, earlier_h = previous
            estimate = z0 + 0.5 * h / earlier_h * (z0 - earlier_z0)
        z = _exponential_step(z, estimate, here, there, h)
        previous = z0, h
    return z


def unipc(velocity: Velocity, z: Tensor, plan: Sequence[Level]) -> Tensor:
    """UniPC (Zhao et al. 2023), second-order predictor and corrector with B(h) = e^h - 1 on the data.

    Each evaluation corrects the step that led to it before it predicts the next. Arguments as `dpmpp_2m`.
    """
    history: list[tuple[Tensor, float]] = []  # (z_0 estimate, log-SNR) of the evaluations, latest last
    origin, origin_power = z, 0.0
    for t, here, there in plan:
        z0, _ = data_and_noise(z, velocity(z, t), here)
        if history:
            z = _corrected(origin, origin_power, here, history, z0)
        history = [*history[-1:], (z0, log_snr(here))]
        h = log_snr(there) - log_snr(here)
        estimate = z0
        if len(history) == 2 and math.isfinite(h):
            earlier_z0, earlier = history[0]
            estimate = z0 + 0.5 * h * (z0 - earlier_z0) / (log_snr(here) - earlier)
        origin, origin_power = z, here
        z = _exponential_step(z, estimate, here, there, h)
    return z


def _exponential_step(z: Tensor, z0: Tensor, here: float, there: float, h: float) -> Tensor:
    """The exact solution over one step along which the estimate of the data is constant."""
    return math.sqrt((1 - there) / (1 - here)) * z - math.sqrt(there) * math.expm1(-h) * z0


def _corrected(
    z: Tensor, here: float, there: float, history: Sequence[tuple[Tensor, float]], arrived: Tensor
) -> Tensor:
    """The step from `here` to `there` again, now that the data estimate at its end is known (UniC)."""
    z0, start = history[-1]
    h = log_snr(there) - start
    base = math.expm1(-h)
    gain_arrived, estimate = 0.5, z0
    if len(history) == 2:
        earlier_z0, earlier = history[0]
        r = (earlier - start) / h
        first = base / -h - 1
        second = first / -h - 0.5
        # rho solves [1 1; r 1] rho = (phi_1, 2 phi_2) / B(h), the order conditions
        rhs = first / base, 2 * second / base
        gain_earlier = (rhs[0] - rhs[1]) / (1 - r)
        gain_arrived = rhs[0] - gain_earlier
        estimate = estimate + gain_earlier / r * (earlier_z0 - z0)
    return _exponential_step(z, estimate + gain_arrived * (arrived - z0), here, there, h)


SOLVERS: dict[str, Callable[[Velocity, Tensor, Sequence[Level]], Tensor]] = {
    "dpmpp_2m": dpmpp_2m,
    "unipc": unipc,
}
"""The values of the knob `sampler` other than `ddim`, which alone draws noise in its steps; each takes a plan
of `trailing_log_snr`."""

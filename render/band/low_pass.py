"""The low-pass that ended a spectrum, by the best fit: its -6 dB edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEEP, GENTLE = (32, 36, 40, 48, 60, 72, 120, 240, 600), (6, 8, 10, 12, 14, 17, 20, 24, 28)
"""Orders, 6 dB an octave each: from 32 on they lose 30 dB within a sixth of an octave, as a cliff does."""

LEAST_PASSED = 41.0
"""Nepers of power beyond which a low-pass is taken to lose no more: 178 dB."""

Floats = NDArray[np.floating[Any]]


def fit(
    level_db: Floats, floor: float, first: int, per_octave: int, orders: tuple[int, ...]
) -> tuple[float, float]:
    """The low-pass, over a straight trend and a floor, that makes a spectrum most nearly: all edges and all
    orders at once, as (edges, orders, bands).

    Args:
        level_db: (bands,) of the spectrum.
        floor: power.
        first: number of the first band, counted from the one above which the fall is looked for.
        per_octave: bands an octave.
        orders: STEEP or GENTLE.

    Returns:
        The cost of the best fit, and its -6 dB edge in octaves above the lower end of band 0; an infinite
        cost where there is nothing to fit.
    """
    passes = _low_passes(first, first + len(level_db), per_octave, orders)
    if passes is None:
        return np.inf, 0.0
    # The straight line through what passes, by least squares; 0.3 holds its slope back.
    count, x, xx = passes.count, passes.x, passes.xx
    y, xy = np.moveaxis((level_db @ passes.weighed)[:, None] - passes.line, -1, 0)
    scale = count * (xx + 0.3) - x**2
    start, slope = ((xx + 0.3) * y - x * xy) / scale, (count * xy - x * y) / scale
    fitted = (slope * np.log(10) / 10).astype(np.float32)[..., None] * passes.octaves
    fitted += (start * np.log(10) / 10).astype(np.float32)[..., None]
    np.exp(fitted, out=fitted)
    fitted /= passes.fall
    fitted += np.float32(floor)
    error = np.log(fitted, out=fitted)
    error *= -10 / np.log(10)
    error += level_db.astype(np.float32)
    np.abs(error, out=error)
    squared = np.minimum(error, 1.5)
    error *= 2
    error -= squared
    cost = np.einsum("ijk,ijk->ij", squared, error)
    edge, _ = np.unravel_index(int(cost.argmin()), cost.shape)
    return float(cost.min()), float(passes.edges[edge])


@dataclass(frozen=True, slots=True)
class _LowPasses:
    """Low-passes of some orders and all edges near a band, over the bands about it: what no clip changes.

    Attributes:
        octaves: (bands,) float32 from the lower end of the band.
        edges: (edges,) octaves from there.
        fall: (edges, orders, bands) float32 by how much the power is less.
        weighed: (edges, bands, 2) the bands that pass, and their octaves, for a line by least squares.
        line: that of the falls: (edges, orders, 2) sums.
        count, x, xx: (edges, 1) sums of the bands that pass, of their octaves and of the squares.
    """

    octaves: NDArray[np.float32]
    edges: Floats
    fall: NDArray[np.float32]
    weighed: Floats
    line: Floats
    count: Floats
    x: Floats
    xx: Floats


@lru_cache(maxsize=16)
def _low_passes(first: int, end: int, per_octave: int, orders: tuple[int, ...]) -> _LowPasses | None:
    """The low-passes over bands `first` to `end`, counted from the one where they end; None without edges."""
    octaves = (np.arange(first, end) + 0.5) / per_octave
    edges = np.arange(-0.25, 0.06, 1 / 144) if orders is STEEP else np.arange(-0.6, 0, 1 / 48)
    passed = octaves < edges[:, None]
    edges, passed = edges[passed.sum(axis=1) >= 6], passed[passed.sum(axis=1) >= 6]
    if not len(edges):
        return None
    # In single precision: within 1e-4 dB of double, at a sixth of its cost.
    beyond = np.minimum(octaves - edges[:, None, None], 2.0) * np.array(orders)[:, None]
    fall = np.exp(np.minimum(beyond * np.log(4.0), LEAST_PASSED).astype(np.float32))
    fall *= 3
    fall += 1
    weighed = np.stack([passed * octaves**power for power in (0, 1)], axis=-1)
    count, x, xx = (np.sum(passed * octaves**power, axis=-1)[:, None] for power in (0, 1, 2))
    line = (np.log(fall) * (-10 / np.log(10))) @ weighed
    return _LowPasses(octaves.astype(np.float32), edges, fall, weighed, line, count, x, xx)

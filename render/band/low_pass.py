"""Fits the low-pass that ended a spectrum, for its -6 dB edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEEP, GENTLE = (32, 36, 40, 48, 60, 72, 120, 240, 600), (6, 8, 10, 12, 14, 17, 20, 24, 28)
"""Orders that are tried, each 6 dB an octave: from 32 on they lose 30 dB within a sixth of an octave, as a
cliff does."""

MOST_LOST = 41.0
"""Greatest loss of a low-pass in nepers of power, 178 dB: what it would lose beyond is not counted."""

Floats = NDArray[np.floating[Any]]


def fit(
    level_db: Floats, floor: float, first: int, per_octave: int, orders: tuple[int, ...]
) -> tuple[float, float]:
    """The low-pass that, with a straight trend and a floor, comes closest to a spectrum.

    All edges and orders are tried at once, in arrays of (edges, orders, bands).

    Args:
        level_db: (bands,) of the spectrum.
        floor: its power.
        first: number of the first band; band 0 is the one where the fall begins.
        per_octave: bands an octave.
        orders: STEEP or GENTLE.

    Returns:
        The cost of the best fit, infinite where there is nothing to fit; and its -6 dB edge in octaves above
        the lower end of band 0.
    """
    passes = _low_passes(first, first + len(level_db), per_octave, orders)
    if passes is None:
        return np.inf, 0.0
    # The least-squares line through the bands that pass; 0.3 regularises its slope.
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
    """Low-passes of some orders and all edges near band 0: the part of a fit that is the same for all clips.

    Attributes:
        octaves: (bands,) float32 above the lower end of band 0.
        edges: (edges,) octaves above the same.
        fall: (edges, orders, bands) float32 factors by which the power is reduced.
        weighed: (edges, bands, 2) 1 and the octaves for bands that pass, else 0: the weights of the sums that
            a least-squares line needs.
        line: (edges, orders, 2) these sums of the falls in dB.
        count, x, xx: (edges, 1) the number of bands that pass, and the sums of their octaves and their
            squares.
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
    """The low-passes over bands `first` to `end`, see `fit`; None where no edge has bands enough below it."""
    octaves = (np.arange(first, end) + 0.5) / per_octave
    edges = np.arange(-0.25, 0.06, 1 / 144) if orders is STEEP else np.arange(-0.6, 0, 1 / 48)
    passed = octaves < edges[:, None]
    edges, passed = edges[passed.sum(axis=1) >= 6], passed[passed.sum(axis=1) >= 6]
    if not len(edges):
        return None
    # In single precision: within 1e-4 dB of double, at a sixth of its cost.
    beyond = np.minimum(octaves - edges[:, None, None], 2.0) * np.array(orders)[:, None]
    fall = np.exp(np.minimum(beyond * np.log(4.0), MOST_LOST).astype(np.float32))
    fall *= 3
    fall += 1
    weighed = np.stack([passed * octaves**power for power in (0, 1)], axis=-1)
    count, x, xx = (np.sum(passed * octaves**power, axis=-1)[:, None] for power in (0, 1, 2))
    line = (np.log(fall) * (-10 / np.log(10))) @ weighed
    return _LowPasses(octaves.astype(np.float32), edges, fall, weighed, line, count, x, xx)

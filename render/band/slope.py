"""How much the input's own low-pass took where its band ends.

From the cut-off on the original falls, but what is left of it is worth more than anything generated: raised
by what the filter took, it is the original. The filter is found in the clip's spectrum: of a family of
low-passes, it is the one whose removal leaves the most natural contour, by the likelihood of a Gaussian
process (Rasmussen and Williams 2006, 2.2) that was measured on full-band recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.band.cliff import FLOOR_CLIFF_DB, loudest, lower_quartile
from render.band.spectrum import SIXTH, Powers, decibels

Floats = NDArray[np.floating[Any]]

MOST_DB = 42.0
"""The greatest loss that is made good: the effect of an error in the filter's order grows with the loss."""
FITTED_DB = 50.0
"""The greatest loss that the fit looks at: deeper down, windowed sincs and elliptic filters rise again."""
ABOVE_FLOOR_DB = 12.0
"""How far the signal must stand above the floor beyond the slope: noise then adds 0.3 dB to its power."""
QUIET_DB = 25.0
"""Frames this many dB below the loud ones do not count: their slope soon drowns in the floor."""
LEAST_OCTAVES = 1 / 48
"""A slope shorter than this, one band, is an edge: nothing of the original is left on it."""
SILENT_DB = -150.0
"""A floor of less power per bin than this is the rounding of 32-bit floats, not noise."""
BELOW_OCTAVES = (0.1, 0.35)
"""Range below the edge, in octaves, over which the signal's level is taken."""
FLOOR_EVEN_DB, FLOOR_BANDS, FLOOR_END_DB = 3.0, 4, 20.0
"""A floor varies by less than FLOOR_EVEN_DB over FLOOR_BANDS, and ends where it falls by FLOOR_END_DB within
as many bands and stays there: above a converter's own low-pass there is less than just beyond the slope."""
HANN_BINS = 1.5
"""Noise bandwidth of a Hann window."""
ALONE_NEPERS = 9.0
"""From this x on cosh x is exp(x) / 2 in single precision."""
DEEPEST_NEPERS = 40.0
"""Greatest loss of a filter of the family: this many nepers of amplitude and 5 dB, 352 dB in all."""

CONTOUR_OCTAVES = 1.0
"""How far below the edge the contour is looked at."""
TILT_DB, TILT_SPREAD_DB = -5.0, 6.0
"""Tilt of a contour, dB per octave: mean and standard deviation over 141 full-band recordings."""
WANDER_DB, GRAIN_DB = 3.0, 1.5
"""Around its line a contour wanders by WANDER_DB per octave (Brownian); single bands stray from that by
GRAIN_DB. In the same recordings, levels a third of an octave apart differ by 3.3 dB beside the tilt,
neighbouring bands by 1.7."""
OUTLIER = 4.0
"""Deviations of more than this many standard deviations count in proportion, not squared (Huber 1964): they
are partials."""
EDGE_DB, BEYOND_EDGE_DB = 6.0, 10.0
"""At the cliff's edge a filter takes EDGE_DB or more; BEYOND_EDGE_DB is the mean of what is beyond that, over
six filters, Butterworth to elliptic, on 110 recordings. This prior counts where a contour is unlike those
that were measured: a single note or voice has peaks and gaps that many filters explain equally well, and a
filter that took 30 dB would be found in the gap before a partial. With it, more than 6 dB too much is made
good in 2 % of the cases; without it, in 4 %."""
OFFSETS = np.concatenate([np.arange(-60, -20, 3), np.arange(-20, 13)]) / 96
ORDERS = np.geomspace(3, 240, 23)
RIPPLES = (0.05, 0.9, 0.96)
"""Where a low-pass of the family begins to fall, as a share of its edge: a Butterworth one does from the
start, a Chebyshev one (0.05 dB of ripple, order 8, run forwards and backwards) from 0.96 of its edge."""
FINER = ((1 / 192, 0.1), (1 / 384, 0.05))
"""Steps of offset (octaves) and of order (nepers) of two finer searches around the best point so far."""


@dataclass(frozen=True, slots=True)
class Slope:
    """The slope of the input's filter: a Chebyshev low-pass of the first kind, which nears a Butterworth one
    as `ripple_share` nears 0.

    Attributes:
        edge_hz: where it has taken 6 dB.
        order: of the filter; 20 order dB a decade far above its edge.
        ripple_share: where the fall begins, as a share of the edge (on the bilinear transform's axis).
        nyquist_hz: of the source; a digital filter has taken everything there.
        end_hz: up to here the input is more than noise; above it nothing can be made good.
        noise_density: mean square per Hz of the noise beyond the slope, channels added, raised by what is
            made good at the slope's end and by the signal's tilt from below the edge to there; 0 for silence.
    """

    edge_hz: float
    order: float
    ripple_share: float
    nyquist_hz: float
    end_hz: float
    noise_density: float

    def loss_db(self, hz: Floats) -> Floats:
        """How much the filter took at `hz`."""
        edge = _analogue(np.array(self.edge_hz), self.nyquist_hz)
        return _loss_db(_analogue(hz, self.nyquist_hz) / edge, self.order, self.ripple_share)


def find_slope(
    powers: Powers, edges_hz: Floats, edge_hz: float, bin_hz: float, nyquist_hz: float
) -> Slope | None:
    """The slope at a cliff's edge, or None where nothing of the input is left above it.

    Args:
        powers: (frames, bands) mean power per bin of the frames that sound; a full-scale sine peaks at 1.
        edges_hz: (bands + 1,) the bands' edges.
        edge_hz: the cliff's.
        bin_hz: width of a bin.
        nyquist_hz: of the source.
    """
    hz = np.sqrt(edges_hz[1:] * edges_hz[:-1])
    octaves = np.log2(hz / edge_hz)
    below = (octaves > -BELOW_OCTAVES[1]) & (octaves < -BELOW_OCTAVES[0])
    sounds = powers[:, below].sum(axis=1)
    counts = sounds > sounds[loudest(sounds)].mean() * 10 ** (-QUIET_DB / 10)
    loud = powers[counts].astype(np.float64)
    level: Floats = decibels(loud, out=loud).mean(axis=0)
    most_db = float(level[below].mean()) - FLOOR_CLIFF_DB
    top = _floor_top(level, int(np.searchsorted(octaves, 0.0)), most_db)
    hz, octaves, level, below = hz[:top], octaves[:top], level[:top], below[:top]
    beyond = level[octaves > 0.5] if top == powers.shape[1] else level[-FLOOR_BANDS:]
    if beyond.size < FLOOR_BANDS:  # near the Nyquist frequency: its last bands hold the resampler's own end
        beyond = level[-SIXTH:-FLOOR_BANDS]
    floor_db = -float(lower_quartile(-beyond))
    drowned = (octaves > 0) & (level < floor_db + ABOVE_FLOOR_DB)
    natural: Floats = level[below].mean() + TILT_DB * (octaves + np.mean(BELOW_OCTAVES))
    end = -1
    for _ in range(2):
        over = np.flatnonzero(drowned | ((octaves > 0) & (natural - level > FITTED_DB)))
        before, end = end, int(over[0]) if over.size else len(octaves)
        if end == before:  # the same bands would give the same filter
            break
        fitted = np.flatnonzero((octaves > -CONTOUR_OCTAVES) & (np.arange(len(octaves)) < end))
        if not fitted.size or octaves[fitted[-1]] < LEAST_OCTAVES:
            return None
        offset, order, ripple_share = _fit(hz[fitted], octaves[fitted], level[fitted], edge_hz, nyquist_hz)
        slope = Slope(edge_hz * 2**offset, order, ripple_share, nyquist_hz, 0.0, 0.0)
        lost = slope.loss_db(hz)
        natural = _line((level + lost)[fitted], octaves[fitted], octaves)
    taken = fitted[lost[fitted] <= MOST_DB]
    end_hz = float(hz[taken[-1]])
    if end_hz < slope.edge_hz * 2**LEAST_OCTAVES:
        return None
    noise_density = 0.0
    if floor_db > SILENT_DB:
        tilt_db = float(natural[taken[-1]] - natural[below].mean())
        raised_db = floor_db + float(lost[taken[-1]]) - tilt_db
        noise_density = 10 ** (raised_db / 10) / (2 * HANN_BINS * bin_hz)
    return Slope(slope.edge_hz, order, ripple_share, nyquist_hz, end_hz, noise_density)


def _floor_top(level: Floats, first: int, most_db: float) -> int:
    """How many bands lie below the end of a floor of at most `most_db` above band `first`; all of them where
    no floor ends."""
    ends = np.arange(first + FLOOR_BANDS, len(level) - FLOOR_BANDS)
    if not len(ends):
        return len(level)
    floors = np.lib.stride_tricks.sliding_window_view(level, FLOOR_BANDS)[ends - FLOOR_BANDS]
    lowest, highest = floors.min(axis=1), floors.max(axis=1)
    beyond = np.maximum.accumulate(level[::-1])[::-1][ends + FLOOR_BANDS]
    is_end = (highest < most_db) & (highest - lowest < FLOOR_EVEN_DB) & (lowest - beyond > FLOOR_END_DB)
    return int(ends[is_end.argmax()]) if is_end.any() else len(level)


def _fit(
    hz: Floats, octaves: Floats, level: Floats, edge_hz: float, nyquist_hz: float
) -> tuple[float, float, float]:
    """Edge (in octaves above `edge_hz`), order and ripple share of the low-pass whose removal makes `level`
    the most natural contour. A small loss at the edge is more likely than a great one, see EDGE_DB."""
    whiten = _whitening(octaves.tobytes())
    strange = (level - level.mean() - TILT_DB * octaves).astype(np.float32)
    edge = int(np.searchsorted(octaves, 0.0))
    grain = 0.0

    def best(losses: NDArray[np.float32], offsets: Floats, orders: Floats) -> tuple[float, float, float]:
        nonlocal grain
        restored = losses + strange
        away = (restored.reshape(-1, len(hz)) @ whiten).reshape(restored.shape)
        np.abs(away, out=away)
        squared = np.minimum(away, OUTLIER, out=restored)
        away *= 2
        away -= squared
        cost = np.einsum("hijk,hijk->hij", squared, away)
        # By what factor the contour strays further than those that were measured.
        grain = grain or max(1.0, float(cost.min()) / len(hz))
        cost += (grain - 1) * 2 / BEYOND_EDGE_DB * np.maximum(losses[..., edge] - EDGE_DB, 0)
        ripple, offset, order = np.unravel_index(int(cost.argmin()), cost.shape)
        return float(offsets[offset]), float(orders[order]), RIPPLES[ripple]

    analogue = _analogue(hz, nyquist_hz)
    found = best(_coarse_losses_db(analogue.tobytes(), edge_hz, nyquist_hz), OFFSETS, ORDERS)
    for octave, neper in FINER:
        offsets = found[0] + octave * np.arange(-3, 4)
        orders = found[1] * np.exp(neper * np.arange(-2, 3))
        found = best(
            _losses_db(analogue, _analogue(edge_hz * 2**offsets, nyquist_hz), orders), offsets, orders
        )
    return found


@lru_cache(maxsize=8)
def _whitening(octaves: bytes) -> NDArray[np.float32]:
    """The (n, n) matrix that makes the deviations of a natural contour at these (n,) octaves independent."""
    at = np.frombuffer(octaves)
    above_start = at + CONTOUR_OCTAVES
    covariance = WANDER_DB**2 * np.minimum.outer(above_start, above_start)
    covariance += TILT_SPREAD_DB**2 * np.outer(at, at) + GRAIN_DB**2 * np.eye(len(at))
    covariance += 100.0**2  # the level itself: anything
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)).T.astype(np.float32))


@lru_cache(maxsize=8)
def _coarse_losses_db(analogue: bytes, edge_hz: float, nyquist_hz: float) -> NDArray[np.float32]:
    """`_losses_db` on the coarse grid, 0.7 MB each, kept for the next clip: edges come in steps, and the
    clips of a batch often end alike."""
    return _losses_db(np.frombuffer(analogue), _analogue(edge_hz * 2**OFFSETS, nyquist_hz), ORDERS)


def _line(values: Floats, at: Floats, wanted: Floats) -> Floats:
    """The least-squares line through a few values, where it is `wanted`; NumPy's own takes ten times as
    long."""
    middle = at.mean()
    away = at - middle
    return np.asarray(values.mean() + (away @ values) / (away @ away) * (wanted - middle))


def _analogue(hz: Floats, nyquist_hz: float) -> Floats:
    """Where frequencies of a digital filter lie on the axis of its analogue prototype (bilinear
    transform)."""
    return np.asarray(np.tan(np.pi / 2 * np.minimum(hz / nyquist_hz, 0.999)))


def _loss_db(ratio: Floats, order: Any, ripple_share: float) -> Floats:
    """10 log10(1 + 3 (T(ratio / ripple_share) / T(1 / ripple_share))^2), where T(x) = cosh(order arcosh(x))
    is Chebyshev's polynomial of `order`. Below x = 1, where it is at most 1, it is taken as 1."""

    def log_cosh(x: Floats) -> Floats:
        angle = order * np.arccosh(np.maximum(x, 1.0))
        return np.asarray(angle + np.log1p(np.exp(-2 * angle)))

    rise = log_cosh(ratio / ripple_share) - log_cosh(np.array(1 / ripple_share))
    return np.asarray(10 / np.log(10) * np.logaddexp(0.0, np.log(3.0) + 2 * rise))


def _losses_db(analogue: Floats, edges: Floats, orders: Floats) -> NDArray[np.float32]:
    """`_loss_db` of many filters at once, in single precision: a tenth of its cost, 0.001 dB from it, and
    never above DEEPEST_NEPERS.

    The quotient of two cosh is built from cosh x = exp(x) (1 + exp(-2 x)) / 2. The two angles are subtracted
    before they are multiplied by the order, so that nothing cancels.

    Args:
        analogue: (n,) where the losses are wanted.
        edges: (edges,) on the same axis.
        orders: (orders,).

    Returns:
        (RIPPLES, edges, orders, n).
    """
    ripples = np.array(RIPPLES)[:, None, None, None]
    ratio = analogue / edges[:, None, None]
    angle, angle_at_edge = np.arccosh(np.maximum(ratio / ripples, 1.0)), np.arccosh(1 / ripples)
    orders_32 = orders.astype(np.float32)[:, None]
    quotient = orders_32 * (angle - angle_at_edge).astype(np.float32)
    np.minimum(quotient, DEEPEST_NEPERS, out=quotient)
    np.exp(quotient, out=quotient)
    if orders.min() * angle.min() < ALONE_NEPERS:
        small = orders_32 * (-2 * angle).astype(np.float32)
        np.exp(small, out=small)
        small += 1
        quotient *= small
    quotient *= (np.sqrt(3.0) / (1 + np.exp(-2 * orders[:, None] * angle_at_edge))).astype(np.float32)
    quotient *= quotient
    quotient += 1
    np.log(quotient, out=quotient)
    quotient *= np.float32(10 / np.log(10))
    return np.asarray(quotient)

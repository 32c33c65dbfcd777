"""What is wrong with a recording, in one pass: DC, clipping, hum, noise floor, its real bits and channels.

Each figure is one that an engineer can check with other tools; the thresholds that turn it into a finding
stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from render.clip import Clip
from render.upscaler import Audio

Stereo = Literal["mono file", "stereo", "mono as stereo", "one side silent", "sides inverted", "surround"]

PIECE_S = 4.0
FLOOR_BLOCK_S = 0.05
CLIP_RUN = 3
"""Fewest equal samples in a row that count as clipped: fewer happen by chance at 16 bits."""
CLIP_LEVEL = 0.1
CLIP_STEP = 5e-4
"""The samples beside such a run lie below it by more than this share of the peak: a sine's top is flat
too."""
MAINS_HZ = (50.0, 60.0)
HUM_DB = 12.0
"""A mains line stands this far above the median of the 10 Hz around it; two of the first four must, an odd
one among them."""
HUM_LINES = 4
HUM_BLOCK_S = 1.4
SAME_DB = -90.0
"""Channels whose difference is this far below their sum are one channel."""


@dataclass(frozen=True, slots=True)
class Hum:
    """Mains hum: the mains frequency, and the level of its first lines together, dBFS (of RMS)."""

    hz: float
    dbfs: float


@dataclass(frozen=True, slots=True)
class Faults:
    """What the pass finds.

    Attributes:
        peak_dbfs: of the samples; None for silence.
        dc: the mean of each channel, full scale +-1.
        clipped_runs, clipped_samples: flat tops of three samples and more, and the samples in them.
        noise_floor_dbfs: RMS of the quietest twentieth of the 50 ms blocks that are not digital silence; a
            floor only where the recording has pauses. None for silence.
        bits: the fewest bits that hold every sample exactly; None where 24 do not.
        hum: mains hum in the quiet quarter of the file, if any.
        stereo: how the channels relate to each other.
        correlation: of the first two channels, -1 to 1; None for mono and silence.
    """

    peak_dbfs: float | None
    dc: tuple[float, ...]
    clipped_runs: int
    clipped_samples: int
    noise_floor_dbfs: float | None
    bits: int | None
    hum: Hum | None
    stereo: Stereo
    correlation: float | None


def find_faults(clip: Clip) -> Faults:
    """Reads the whole clip once, piece by piece.

    Args:
        clip: any rate, 1 to 8 channels.
    """
    frames, block = max(1, round(PIECE_S * clip.rate)), max(1, round(FLOOR_BLOCK_S * clip.rate))
    frames = frames // block * block or block
    peak = max((float(np.abs(piece).max()) for piece in _pieces(clip, frames)), default=0.0)
    sums, products = np.zeros(clip.channels), np.zeros((clip.channels, clip.channels))
    levels: list[NDArray[np.float64]] = []
    lines: list[tuple[float, NDArray[np.float64]]] = []
    runs = samples = 0
    bits: int | None = 1
    hum_frames = round(HUM_BLOCK_S * clip.rate)
    for piece in _pieces(clip, frames):
        wide = piece.astype(np.float64)
        sums += wide.sum(axis=1)
        products += wide @ wide.T
        whole = wide[:, : wide.shape[1] // block * block]
        levels.append(np.sqrt((whole.reshape(clip.channels, -1, block) ** 2).mean(axis=(0, 2))))
        starts = range(0, wide.shape[1] - hum_frames + 1, hum_frames)
        lines += [_low_lines(wide[:, start : start + hum_frames], clip.rate) for start in starts]
        if peak > CLIP_LEVEL:
            found = [_flat_tops(channel, peak) for channel in piece]
            runs, samples = runs + sum(f[0] for f in found), samples + sum(f[1] for f in found)
        if bits is not None:
            bits = _bits(wide, bits)
    loud = np.concatenate(levels) if levels else np.zeros(0)
    loud = loud[loud > 0]
    return Faults(
        peak_dbfs=_dbfs(peak),
        dc=tuple(float(mean) for mean in sums / max(clip.frames, 1)),
        clipped_runs=runs,
        clipped_samples=samples,
        noise_floor_dbfs=_dbfs(float(np.percentile(loud, 5))) if len(loud) else None,
        bits=bits,
        hum=_hum(lines, clip.rate),
        stereo=_stereo(products),
        correlation=_correlation(products),
    )


def _pieces(clip: Clip, frames: int) -> Iterator[Audio]:
    for start in range(0, clip.frames, frames):
        yield clip.read(start, min(frames, clip.frames - start))


def _flat_tops(channel: NDArray[np.float32], peak: float) -> tuple[int, int]:
    """The runs of CLIP_RUN or more equal samples near the peak, and the samples in them."""
    high = np.abs(channel) >= 0.99 * peak
    same = np.zeros(len(channel) + 1, bool)
    same[1:-1] = high[1:] & (channel[1:] == channel[:-1])
    edges = np.flatnonzero(np.diff(same.astype(np.int8)))
    runs = samples = 0
    for first, last in zip(edges[::2], edges[1::2], strict=True):  # channel[first:last + 1] are equal
        beside = [abs(float(channel[at])) for at in (first - 1, last + 1) if 0 <= at < len(channel)]
        steep = all(abs(float(channel[first])) - level > CLIP_STEP * peak for level in beside)
        if last - first + 1 >= CLIP_RUN and steep:
            runs, samples = runs + 1, samples + int(last - first + 1)
    return runs, samples


def _bits(samples: NDArray[np.float64], at_least: int) -> int | None:
    """The fewest bits, not below `at_least`, on whose grid all samples lie; None where 24 are too few."""
    for bits in range(at_least, 25):
        scaled = samples * 2.0 ** (bits - 1)
        if np.array_equal(scaled, np.rint(scaled)):
            return bits
    return None


def _low_lines(samples: NDArray[np.float64], rate: int) -> tuple[float, NDArray[np.float64]]:
    """The power of a block, and its spectrum up to 300 Hz as mean squares a bin, channels added."""
    from scipy import fft

    window = np.hanning(samples.shape[1] + 1)[:-1]
    bins = fft.rfft(samples * window, axis=1)[:, : 1 + round(300 * samples.shape[1] / rate)]
    power = (bins.real**2 + bins.imag**2).sum(axis=0) * 2 / (samples.shape[1] * (window**2).sum())
    return float((samples**2).mean()), np.asarray(power)


def _hum(blocks: list[tuple[float, NDArray[np.float64]]], rate: int) -> Hum | None:
    """The mains hum whose lines stand out in the quiet quarter of the blocks, where no bass covers them."""
    sounding = sorted((block for block in blocks if block[0] > 0), key=lambda block: block[0])
    if not sounding:
        return None
    power = np.mean([block[1] for block in sounding[: max(1, len(sounding) // 4)]], axis=0)
    bin_hz = rate / round(HUM_BLOCK_S * rate)
    best: Hum | None = None
    for mains_hz in MAINS_HZ:
        total, seen = 0.0, set[int]()
        for line in range(1, HUM_LINES + 1):
            at, near, far = (round(hz / bin_hz) for hz in (line * mains_hz, 2.0, 10.0))
            around = np.concatenate([power[at - far : at - near], power[at + near + 1 : at + far + 1]])
            level = float(power[at - 1 : at + 2].max())
            if level > 10 ** (HUM_DB / 10) * float(np.median(around)):
                total += float(power[at - near : at + near + 1].sum())
                seen.add(line)
        dbfs = _dbfs(total**0.5)
        if len(seen) > 1 and seen & {1, 3} and dbfs is not None and (best is None or dbfs > best.dbfs):
            best = Hum(mains_hz, dbfs)
    return best


def _stereo(products: NDArray[np.float64]) -> Stereo:
    if len(products) != 2:
        return "mono file" if len(products) == 1 else "surround"
    (left, cross), (_, right) = products
    together, apart = left + right + 2 * cross, left + right - 2 * cross
    same = 10 ** (SAME_DB / 10)
    if min(left, right) <= same * max(left, right):
        return "one side silent" if max(left, right) > 0 else "mono as stereo"
    if apart <= same * together:
        return "mono as stereo"
    return "sides inverted" if together <= same * apart else "stereo"


def _correlation(products: NDArray[np.float64]) -> float | None:
    if len(products) < 2 or products[0, 0] * products[1, 1] <= 0:
        return None
    return float(products[0, 1] / np.sqrt(products[0, 0] * products[1, 1]))


def _dbfs(level: float) -> float | None:
    return float(20 * np.log10(level)) if level > 0 else None

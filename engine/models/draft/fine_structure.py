"""The fine structure of the high band, over which the envelope is drawn.

Two sources are mixed. Copy-up: the band below the cut-off, whitened and repeated upwards in steps of the
distance of its partials, so that partials stay in tune and onsets are the input's own. Noise: keyed by
position and shaped in time by the input's envelope, so that it is as sharp as the input. Both are white over
every band of the envelope.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from engine.models.draft.bands import (
    BAND_BINS,
    BIN_HZ,
    BINS,
    N_FFT,
    Array,
    Bins,
    band_power,
    exp_over_bins,
    first_bin,
    first_drawn,
    group_means,
    level_db,
    moving_mean,
    overlapped,
    power_of,
    spectrum,
)
from render.filters import fast_length

SOURCE_TOP = 0.95
"""The copied band ends at this share of the cut-off: above it the input's filter already attenuates."""
PERIOD_FRAMES = 17
"""Frames over which the distance of partials is measured: 0.18 s."""
LEVEL_RANGE_DB = (-10.0, 20.0)
"""For that, levels relative to the envelope are clipped to this range."""
REGULAR = 0.25
"""Partials count as regular above this autocorrelation of the spectrum."""
BLOCK = 32
"""Samples for one value of the temporal envelope: 0.67 ms."""
SLOW_BLOCKS = 75
"""50 ms: slower changes belong to the envelope in frames."""
HEARD, HEARD_SHARE = (0.4, 0.6, 11 / 12, 1.0), (0.0, 1.0, 1.0, 0.0)
"""Weight of a bin in the fast envelope, by its frequency as a share of the cut-off. With steep ends the
octave would ring: 5 ms before an attack it would hold -30 dB of it. Its lower part bridges a codec's
holes."""
FOLLOWING = 0.6
"""How far a generated band's fast envelope is moved towards the input's, 0 to 1."""
BEFORE_BLOCKS = 45
"""30 ms: a frame of the spectrum spreads an attack this far ahead of it, and a sound masks what comes after
it for about as long."""
ATTACK_BLOCKS = 5
BEFORE_DB = 6.0
"""How far a band's fast envelope, over ATTACK_BLOCKS (3 ms), may lie above the input's before an attack."""
POWER_TINY = np.float32(1e-14)
NOISE_SCALE = 1 / math.sqrt(3 / 8 * N_FFT)
"""Brings the bins of unit noise to a mean power of 1, from 3/8 N_FFT, which it has through a Hann window."""
DB_TO_NEPER = math.log(10) / 20


def copied_up(bins: Bins, power: Array, cutoff_hz: float) -> Bins:
    """The upper part of the band below the cut-off, whitened and repeated up to 24 kHz.

    Where partials are regularly spaced (it takes about five to tell), copies are moved by multiples of their
    distance, so that they go on in tune.

    Args:
        bins: (T, `seen_bins` or more) complex64.
        power: of them.
        cutoff_hz: their -6 dB edge.

    Returns:
        (T, BINS - first) complex64 from bin `first_drawn(cutoff_hz)` on, with mean power 1 in every band.
    """
    top, end = _source_top(cutoff_hz), _source_end(cutoff_hz)
    white = whitened(bins[:, 1:end], power[:, 1:end])
    period = copy_distance(white[:, : top - 1])[:, None]
    target = np.arange(first_drawn(cutoff_hz), BINS, dtype=np.float32)
    shift = (target - (top - 1)) / period
    np.ceil(shift, out=shift)
    shift *= period
    np.rint(shift, out=shift)
    frame = np.arange(len(white), dtype=np.float32)[:, None] * white.shape[1]
    source = np.subtract(frame + (target - 1), shift, out=shift).astype(np.intp)
    copies = np.empty(source.shape, np.complex64)
    return white.ravel().take(source, out=copies, mode="clip")


def seen_bins(cutoff_hz: float) -> int:
    """How many bins of the input's spectrum are used."""
    return max(first_bin(cutoff_hz), _source_end(cutoff_hz))


def _source_top(cutoff_hz: float) -> int:
    return int(SOURCE_TOP * cutoff_hz / BIN_HZ)


def _source_end(cutoff_hz: float) -> int:
    """The end of the last band that is copied from: whole bands are whitened."""
    return (_source_top(cutoff_hz) // BAND_BINS + 1) * BAND_BINS + 1


def copy_distance(white: Bins) -> Array:
    """By how many bins to move a copy: the lag at which the autocorrelation of the spectrum's levels over
    0.18 s is highest, or half of `top` where partials are not regular.

    Args:
        white: (T, top - 1) complex64, whitened, from bin 1 up to the cut-off.

    Returns:
        (T,) float32, between a fifth and five eighths of `top`.
    """
    top = white.shape[1] + 1
    level = level_db(power_of(white[:, top // 8 - 1 :]))
    np.clip(level, *LEVEL_RANGE_DB, out=level)
    size = level.shape[1]
    padded = np.zeros((len(level), fast_length(2 * size)), np.float32)
    np.subtract(level, level.mean(-1, keepdims=True), out=padded[:, :size])
    waves = np.fft.rfft(padded, norm="forward")
    waves *= waves.conj()
    products = np.asarray(np.fft.irfft(waves, padded.shape[1]), np.float32)
    lags = np.arange(top // 5, 5 * top // 8)
    moved = moving_mean(products[:, lags[0] : lags[-1] + 1], PERIOD_FRAMES)
    still = moving_mean(products[:, :1], PERIOD_FRAMES)
    likeness = moved / (still * ((size - lags) / size).astype(np.float32) + np.float32(1e-9))
    frame, at = np.arange(len(likeness)), likeness[:, 1:-1].argmax(-1) + 1
    before, here, after = (likeness[frame, at + step] for step in (-1, 0, 1))
    peak = (0.5 * (before - after) / (before - 2 * here + after - 1e-9)).clip(-0.5, 0.5)
    return np.asarray(np.where(here > REGULAR, lags[at] + peak, top // 2), np.float32)


def whitened(bins: Bins, power: Array) -> Bins:
    """The bins of some bands, from bin 1 on, divided by their envelope; `power` is that of the bins."""
    return np.asarray(bins * exp_over_bins(level_db(band_power(power)) * np.float32(-DB_TO_NEPER)))


def upper_octave(bins: Bins, cutoff_hz: float, frames: int) -> Array:
    """The power over time of the octave below the cut-off: (T, bins) complex64 -> (frames / BLOCK,) mean
    squares.

    They are those of its analytic signal, shifted down and at the lowest rate that holds it. Both ends of the
    octave are gentle, see HEARD.
    """
    first, weights = _heard(cutoff_hz)
    size = max(1 << (len(weights) - 1).bit_length(), N_FFT // BLOCK)
    padded = np.zeros((len(bins), size), np.complex64)  # a transform that pads by itself takes twice as long
    np.multiply(bins[:, first : first + len(weights)], weights, out=padded[:, : len(weights)])
    power = power_of(overlapped(np.fft.ifft(padded), frames * size // N_FFT))
    return group_means(power, BLOCK * size // N_FFT) * np.float32(2 * (size / N_FFT) ** 2)


@lru_cache(maxsize=16)
def _heard(cutoff_hz: float) -> tuple[int, Array]:
    """The first of the bins that `upper_octave` uses, and their weights."""
    first, end = int(HEARD[0] * cutoff_hz / BIN_HZ) + 1, math.ceil(cutoff_hz / BIN_HZ)
    rise = np.interp(np.arange(first, end) * (BIN_HZ / cutoff_hz), HEARD, HEARD_SHARE)
    return first, np.square(np.sin(np.pi / 2 * rise)).astype(np.float32)


def modulated_noise(noise: Array, upper: Array) -> Bins:
    """Noise with the fast part of the input's temporal envelope: changes faster than the envelope's frames.

    Args:
        noise: (frames,) float32, standard normal; frames is a multiple of BLOCK.
        upper: (frames / BLOCK,) float32, mean squares of the input's upper octave.

    Returns:
        (T, BINS) complex64 with mean power 1.
    """
    gain = np.minimum(np.sqrt(flutter(upper, 1)), np.float32(8.0))
    return spectrum(noise * over_samples(gain * np.float32(NOISE_SCALE)))


def following(band: Array, upper: Array) -> Array:
    """Moves the fast envelope of a generated band towards that of the input's upper octave: noise has a
    random one of its own, which blurs attacks. MPEG-D USAC does so (ISO/IEC 23003-3, inter-TES).

    Before an attack the band stays within BEFORE_DB of the input, however far that falls: a predicted
    envelope already rises in the frames that reach into the attack.

    Args:
        band: (frames,) float32; frames is a multiple of BLOCK.
        upper: (frames / BLOCK,) float32, mean squares of the input's upper octave.
    """
    power = block_power(band)
    drawn = (np.sqrt(flutter(upper, 3)) / flutter(power, 3)) ** np.float32(FOLLOWING / 2)
    gain: Array = np.asarray(drawn.clip(0.2, 5.0))
    power *= np.square(gain)
    most = without_gaps(moving_mean(upper, ATTACK_BLOCKS)) + POWER_TINY
    most *= np.float32(10 ** (BEFORE_DB / 10)) / (moving_mean(upper, SLOW_BLOCKS) + POWER_TINY)
    gain *= np.sqrt(np.minimum(most / flutter(power, ATTACK_BLOCKS), 1))
    return np.asarray(band * over_samples(gain))


def block_power(samples: Array) -> Array:
    """Mean squares of blocks: (frames,) -> (frames / BLOCK,)."""
    return group_means(np.square(samples), BLOCK)


def flutter(power: Array, blocks: int) -> Array:
    """Power over `blocks` blocks (odd) relative to that over 50 ms: (n,) -> (n,)."""
    return np.asarray(
        (moving_mean(power, blocks) + POWER_TINY) / (moving_mean(power, SLOW_BLOCKS) + POWER_TINY)
    )


def without_gaps(power: Array) -> Array:
    """The lesser of the largest power in the BEFORE_BLOCKS up to each block and in those from it on: (n,).

    This fills a codec's holes and the gaps between a voice's pulses; before an attack and after an end power
    does not change.
    """
    before = _largest_ahead(power[::-1], BEFORE_BLOCKS)[::-1]
    return np.minimum(before, _largest_ahead(power, BEFORE_BLOCKS))


def _largest_ahead(values: Array, width: int) -> Array:
    """The largest of the `width` values from each on, by runs that double in length."""
    largest, length = values.copy(), 1
    while length < width:
        step = min(length, width - length)
        largest[:-step] = np.maximum(largest[:-step], largest[step:])
        length += step
    return largest


def over_samples(blocks: Array) -> Array:
    """Values of blocks, interpolated linearly between their centres: (n,) -> (n * BLOCK,)."""
    held = np.concatenate([blocks[:1], blocks, blocks[-1:]])
    ramp = ((np.arange(BLOCK) + 0.5) / BLOCK).astype(np.float32)
    line = np.diff(held)[:, None] * ramp
    line += held[:-1, None]
    return line.ravel()[BLOCK // 2 : -BLOCK // 2]

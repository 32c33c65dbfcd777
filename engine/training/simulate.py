"""From a full-band clip to a pair: the clip as it may have been recorded, and a band-limited copy of it.

AudioSR (Liu et al. 2023, section 4) draws the cut-off from 2 to 16 kHz and the filter from Chebyshev,
elliptic, Butterworth and boxcar of order 2 to 10. Real material differs in more than its cut-off, so the clip
itself is varied first: speed, equalisation, room, a noise floor up to 24 kHz (in the input too, where a
network can find it), gain, silence around it; and some copies go through a codec. The clip itself always
stays a full band. Filters are applied in the frequency domain, with zero phase: a predictor of levels sees
only the magnitude of a filter.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presets.schema import RATE_HZ

Array = NDArray[np.float32]
FULL_BAND_HZ = 24000.0
LINES = 4097
GRID_HZ = np.linspace(0, FULL_BAND_HZ, LINES)
CIRCLE = np.exp(1j * np.pi / FULL_BAND_HZ * GRID_HZ)
"""Where the frequencies of the grid lie in the z-plane: (LINES,)."""
ROOM_S = (0.15, 1.2)
"""Reverberation times of rooms, drawn evenly in octaves."""


@dataclass(frozen=True, slots=True)
class Variation:
    """How far a clip is varied; probabilities are 0 to 1, levels in dB.

    Attributes:
        cutoff_hz: lowest and highest cut-off, drawn evenly in octaves.
        speed: share of clips played at another speed, and its range in octaves; played faster, a coded clip
            fills the band that its codec had emptied.
        ltass: range of the share, drawn evenly, of a package's distance from the long-term average speech
            spectrum that is corrected; 1 brings it to the average, (0, 0) leaves it. For recordings of
            speech.
        tilt: share of clips whose balance is changed, and the range of the slope, dB an octave.
        room: share of clips put into a room, and the range of its level, dB below the clip's.
        gain: share of clips made louder or quieter, and the range of the gain, dB.
        floor: share of clips laid on a noise floor, and the range of the floor, dBFS RMS.
        hiss: range of the floor's rise above 6 kHz, dB an octave; below 0 it does not rise.
        edge: share of clips that begin or end within the window.
        codec: share of clips whose copies went through a codec.
    """

    cutoff_hz: tuple[float, float] = (1500.0, 18000.0)
    speed: tuple[float, float, float] = (0.3, -0.25, 0.25)
    ltass: tuple[float, float] = (0.0, 0.0)
    tilt: tuple[float, float, float] = (0.5, -2.0, 2.0)
    room: tuple[float, float, float] = (0.15, -24.0, -4.0)
    gain: tuple[float, float, float] = (0.6, -18.0, 6.0)
    floor: tuple[float, float, float] = (0.3, -95.0, -50.0)
    hiss: tuple[float, float] = (-4.0, 7.0)
    edge: float = 0.3
    codec: float = 0.03


@dataclass(frozen=True, slots=True)
class Varied:
    """A full-band clip as it may have been recorded.

    Attributes:
        samples: (frames,) float32.
        band_edge_hz: above it the clip holds nothing: its own edge, moved by its speed.
    """

    samples: Array
    band_edge_hz: float


@dataclass(frozen=True, slots=True)
class Cut:
    """How a band-limited copy of a clip is cut off.

    Attributes:
        magnitude: (LINES,) float32, the low-pass on an even grid from 0 to 24 kHz.
        cutoff_hz: the -6 dB edge as a detector would give it.
    """

    magnitude: Array
    cutoff_hz: float

    def of(self, samples: Array) -> Array:
        """(frames,) float32, cut off."""
        spectrum = np.fft.rfft(samples)
        return np.fft.irfft(spectrum * on(self.magnitude, len(spectrum)), len(samples)).astype(np.float32)


FILTERS = ("chebyshev", "elliptic", "butterworth", "boxcar")


def response(kind: str, order: int, cutoff_hz: float, twice: bool) -> Array:
    """Magnitude of a low-pass, applied once or forward and backward: (LINES,) float32.

    Args:
        kind: one of FILTERS; Chebyshev has 0.05 dB of ripple, elliptic that and a stop band of -80 dB.
        order: 2 to 10; boxcar has none.
        cutoff_hz: the filter's nominal edge.
        twice: forward and backward.
    """
    from scipy import signal

    if kind == "boxcar":
        return (cutoff_hz >= GRID_HZ).astype(np.float32)
    if kind == "chebyshev":
        zeros, poles, gain = signal.cheby1(order, 0.05, cutoff_hz, fs=RATE_HZ, output="zpk")
    elif kind == "elliptic":
        zeros, poles, gain = signal.ellip(order, 0.05, 80, cutoff_hz, fs=RATE_HZ, output="zpk")
    else:
        zeros, poles, gain = signal.butter(order, cutoff_hz, fs=RATE_HZ, output="zpk")
    magnitude = gain * np.prod([_distance(zero) for zero in zeros], axis=0)
    magnitude /= np.prod([_distance(pole) for pole in poles], axis=0)
    return np.asarray(magnitude ** (2 if twice else 1), np.float32)


def _distance(root: complex) -> NDArray[np.float64]:
    """How far each frequency of the grid lies from a zero or a pole, on the unit circle."""
    return np.asarray(np.abs(CIRCLE - root))


def edge_hz(magnitude: Array) -> float:
    """The -6 dB edge of a low-pass: the highest frequency it lets through at half its amplitude."""
    return float(GRID_HZ[np.flatnonzero(magnitude >= 0.5)[-1]])


def on(curve: Array, lines: int) -> Array:
    """A curve on the even grid, interpolated at `lines` frequencies from 0 to 24 kHz."""
    return np.interp(np.linspace(0, LINES - 1, lines), np.arange(LINES), curve).astype(np.float32)


def tilt_curve(rng: np.random.Generator, low_db: float, high_db: float) -> Array:
    """A smooth random balance, a line in dB over octaves and two slow waves: (LINES,) magnitude."""
    octaves = np.log2(np.maximum(GRID_HZ, 60.0) / 1000.0)
    curve_db = rng.uniform(low_db, high_db) * octaves
    for span in (0.8, 0.3):
        curve_db += rng.normal(0, (high_db - low_db) / 4) * np.sin(
            octaves / span + rng.uniform(0, 2 * math.pi)
        )
    return np.asarray(10 ** (curve_db / 20), np.float32)


def through_codec(rng: np.random.Generator, samples: Array) -> Array:
    """A round trip through MP3, Vorbis or Opus at a random quality, aligned to the input."""
    import soundfile as sf
    from scipy import fft

    container, subtype = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS"))[rng.integers(3)]
    memory = io.BytesIO()
    with sf.SoundFile(
        memory, "w", RATE_HZ, 1, subtype, format=container, compression_level=float(rng.uniform(0.2, 0.95))
    ) as file:
        file.write(np.clip(samples, -1, 1))
    memory.seek(0)
    decoded, _ = sf.read(memory, dtype="float32")
    size = len(samples)
    likeness = fft.irfft(fft.rfft(decoded, 2 * size) * fft.rfft(samples, 2 * size).conj())
    shift = int(np.argmax(likeness[:4096]))
    return np.pad(decoded[shift : shift + size], (0, max(0, size - len(decoded[shift : shift + size]))))


def varied(
    rng: np.random.Generator, clip: Array, frames: int, band_edge_hz: float, variation: Variation
) -> Varied:
    """A clip varied in speed, balance, room, floor, gain and edges.

    Args:
        rng: the only source of chance.
        clip: (n,) float32 at 48 kHz, n from `frames_needed`: n / frames is how much faster it is played.
        frames: length of the result.
        band_edge_hz: where the clip's own band ends.
        variation: how far to go.
    """
    from scipy import fft

    lines = frames // 2 + 1
    speed = len(clip) / frames
    spectrum = fft.rfft(clip)[:lines] / np.float32(speed)
    spectrum = np.pad(spectrum, (0, lines - len(spectrum)))
    if rng.random() < variation.tilt[0]:
        spectrum *= on(tilt_curve(rng, *variation.tilt[1:]), lines)
    if rng.random() < variation.room[0]:
        spectrum *= _room(rng, frames, variation)
    if rng.random() < variation.floor[0]:
        spectrum += _floor(rng, spectrum, variation)
    reference = fft.irfft(spectrum, frames)
    reference *= _gain(rng, reference, variation)
    if rng.random() < variation.edge:
        _cut_edges(rng, reference)
    return Varied(reference, min(band_edge_hz * speed, FULL_BAND_HZ))


def cut(rng: np.random.Generator, variation: Variation) -> Cut:
    """A random cut-off: one in two as the measuring protocol makes it, the others by any filter."""
    kind, order, twice = FILTERS[rng.integers(4)], int(rng.integers(2, 11)), bool(rng.random() < 0.5)
    if rng.random() < 0.5:
        kind, order, twice = "chebyshev", 8, True
    low, high = variation.cutoff_hz
    magnitude = response(kind, order, float(low * (high / low) ** rng.random()), twice)
    found = edge_hz(magnitude) * (rng.uniform(0.95, 1.03) if rng.random() < 0.5 else 1.0)
    return Cut(magnitude, min(found, 23500.0))


def frames_needed(rng: np.random.Generator, frames: int, variation: Variation) -> int:
    """How many frames of a clip make `frames` at a random speed: a multiple of 3072, for fast transforms."""
    share, slowest, fastest = variation.speed
    speed = 2 ** rng.uniform(slowest, fastest) if rng.random() < share else 1.0
    return round(frames * speed / 3072) * 3072


def _gain(rng: np.random.Generator, samples: Array, variation: Variation) -> np.float32:
    share, low, high = variation.gain
    peak = float(np.abs(samples).max()) + 1e-9
    gain = 10 ** (rng.uniform(low, high) / 20) if rng.random() < share else 1.0
    return np.float32(min(gain, 0.99 / peak))


def _cut_edges(rng: np.random.Generator, samples: Array) -> None:
    """Silence before, after, or on both sides: at most a third of the window each."""
    third = len(samples) // 3
    side = rng.integers(3)
    if side != 1:
        samples[: rng.integers(third)] = 0
    if side != 0:
        samples[len(samples) - int(rng.integers(third)) :] = 0


def _room(rng: np.random.Generator, frames: int, variation: Variation) -> NDArray[np.complex64]:
    """The spectrum of a direct sound and noise that dies away, faster at first."""
    from scipy import fft

    _, low, high = variation.room
    rt_s = ROOM_S[0] * (ROOM_S[1] / ROOM_S[0]) ** rng.random()
    time_s = np.arange(min(frames, round(rt_s * RATE_HZ))) / RATE_HZ
    response = np.zeros(frames, np.float32)
    for share, part in ((0.5, 1.0), (0.5, 0.4)):
        tail = rng.standard_normal(len(time_s), dtype=np.float32) * 10 ** (-3 * time_s / (rt_s * part))
        response[: len(tail)] += share * tail / math.sqrt(float(np.sum(tail**2)))
    response *= 10 ** (rng.uniform(low, high) / 20)
    response[0] = 1.0
    return np.asarray(fft.rfft(response), np.complex64)


def _floor(
    rng: np.random.Generator, spectrum: NDArray[np.complex64], variation: Variation
) -> NDArray[np.complex64]:
    """The spectrum of stationary noise, at least 20 dB below the clip.

    Rooms rumble below 300 Hz; above 6 kHz, microphones and converters often hiss more.
    """
    _, low, high = variation.floor
    lines = len(spectrum)
    frames = 2 * (lines - 1)
    mean_square = 2 * float(np.vdot(spectrum, spectrum).real) / frames**2
    level_db = min(rng.uniform(low, high), 10 * math.log10(mean_square + 1e-12) - 20)
    rumble = np.where(GRID_HZ < 300, (np.maximum(GRID_HZ, 30.0) / 300) ** -rng.uniform(0, 1.2), 1.0)
    hiss = (np.maximum(GRID_HZ, 6000.0) / 6000.0) ** (max(0.0, rng.uniform(*variation.hiss)) / 6.02)
    scale = np.asarray(10 ** (level_db / 20) * tilt_curve(rng, -2.0, 2.0) * rumble * hiss, np.float32)
    noise = rng.standard_normal(2 * lines, dtype=np.float32).view(np.complex64)
    return noise * (on(scale, lines) * np.float32(math.sqrt(frames / 2)))

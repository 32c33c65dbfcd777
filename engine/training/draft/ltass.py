"""The long-term average speech spectrum (LTASS), and the correction that brings a package of recordings to
it.

Microphones, rooms and codecs colour a whole package alike: most packages of the corpus are darker than
average speech, by up to 14 dB at 16 kHz, and two are brighter. A network trained on them takes their colour
for that of speech. What is corrected is a package's own colour, measured over many clips; the balance of a
single word belongs to what was said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.training.data import Clip, Corpus
from engine.training.simulate import GRID_HZ, Array, on
from presets.schema import RATE_HZ

LTASS_DB = {
    1000: 53.7,
    1250: 53.0,
    1600: 52.0,
    2000: 48.7,
    2500: 48.1,
    3150: 46.8,
    4000: 45.6,
    5000: 44.5,
    6300: 44.3,
    8000: 43.7,
    10000: 43.4,
    12500: 41.3,
    16000: 40.7,
}
"""Level of speech in thirds of an octave, dB SPL, by their centres in Hz: women and men of twelve languages
together (Byrne et al. 1994, An international comparison of long-term average speech spectra, JASA 96)."""
CENTRES_HZ = np.array(list(LTASS_DB), np.float64)
UPPER_HZ = CENTRES_HZ * 2 ** (1 / 6)
ALIGNED = (CENTRES_HZ >= 2500) & (CENTRES_HZ <= 4000)
"""Where levels are compared: below the lowest common cut-off, above the pitch and the first formants."""
GREATEST_DB = 15.0
"""Limit of a correction. The corpus's packages of more than a few clips lie within; more is a fault, not a
colour."""
MEASURED_CLIPS, MEASURED_S = 100, 10
"""Clips measured of a package, evenly spread over it, and how much of each."""
FFT = 4096


def third_octaves_db(samples: Array) -> NDArray[np.float64]:
    """Mean power of (n,) samples at 48 kHz in the bands of LTASS_DB, dB: (13,)."""
    from scipy import fft

    blocks = np.pad(samples, (0, -len(samples) % FFT)).reshape(-1, FFT) * np.hanning(FFT).astype(np.float32)
    power = np.square(np.abs(fft.rfft(blocks))).mean(0)
    hz = fft.rfftfreq(FFT, 1 / RATE_HZ)
    inside = (hz >= CENTRES_HZ[:, None] / 2 ** (1 / 6)) & (hz < UPPER_HZ[:, None])
    return np.asarray(10 * np.log10(inside @ power + 1e-12), np.float64)


def correction_db(levels_db: NDArray[np.float64], band_edge_hz: float) -> Array:
    """The gain that brings recordings to the LTASS: (LINES,) dB on the even grid.

    Args:
        levels_db: (clips, 13), see `third_octaves_db`; their median counts, each aligned over 2.5 to 4 kHz.
        band_edge_hz: where the recordings' band ends. The gain of the last whole third below is held, and
            nothing is raised above.
    """
    aligned_db = levels_db - levels_db[:, ALIGNED].mean(1, keepdims=True)
    average_db = np.array(list(LTASS_DB.values()))
    gain_db = average_db - average_db[ALIGNED].mean() - np.median(aligned_db, axis=0)
    known = band_edge_hz >= UPPER_HZ
    octaves = np.log2(np.maximum(GRID_HZ, 1.0))
    curve_db = np.interp(octaves, np.log2(CENTRES_HZ[known]), gain_db[known].clip(-GREATEST_DB, GREATEST_DB))
    return np.asarray(np.where(band_edge_hz >= GRID_HZ, curve_db, np.minimum(curve_db, 0)), np.float32)


def corrections_db(corpus: Corpus, clips: Sequence[Clip]) -> Mapping[str, Array]:
    """The correction of every package among `clips`, by its name: a function of the pack alone."""
    packages: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        packages[clip.package].append(clip)
    found = {}
    for name, own in packages.items():
        heard = [own[k] for k in np.unique(np.linspace(0, len(own) - 1, MEASURED_CLIPS).round().astype(int))]
        levels_db = [
            third_octaves_db(corpus.read(clip, 0, min(clip.frames, MEASURED_S * RATE_HZ))) for clip in heard
        ]
        edge_hz = float(np.median([clip.band_edge_hz for clip in heard]))
        found[name] = correction_db(np.stack(levels_db), edge_hz)
    return found


def equalised(samples: Array, gain_db: Array) -> Array:
    """(n,) samples through a gain of (LINES,) dB on the even grid, with zero phase: (n,) float32."""
    from scipy import fft

    spectrum = fft.rfft(samples)
    gain = np.asarray(10 ** (gain_db / 20), np.float32)
    return np.asarray(fft.irfft(spectrum * on(gain, len(spectrum)), len(samples)), np.float32)

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from engine.models.draft.features import SPREAD_DB
from engine.training.data import Corpus, pack
from engine.training.draft.examples import Examples, examine
from engine.training.draft.ltass import (
    GREATEST_DB,
    LTASS_DB,
    correction_db,
    corrections_db,
    equalised,
    third_octaves_db,
)
from engine.training.simulate import GRID_HZ, Array, Variation

SECONDS = 3
CENTRES_HZ = np.array(list(LTASS_DB), float)
AVERAGE_DB = np.array(list(LTASS_DB.values()))
NEVER = (0.0, 0.0, 0.0)
STILL = Variation(speed=NEVER, tilt=NEVER, room=NEVER, gain=NEVER, floor=NEVER, edge=0, codec=0)
BANDS_HZ = 187.5 * (np.arange(128) + 0.5)


def voice(seed: int, tilt_db: float) -> Array:
    """Noise with the long-term spectrum of speech, tilted by `tilt_db` an octave from 3.15 kHz up."""
    hz = np.fft.rfftfreq(SECONDS * 48000, 1 / 48000)
    density_db = np.interp(np.log(hz + 1), np.log(CENTRES_HZ), AVERAGE_DB - 10 * np.log10(CENTRES_HZ))
    density_db += tilt_db * np.log2(np.maximum(hz, 3150) / 3150)
    rng = np.random.default_rng(seed)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(SECONDS * 48000)) * 10 ** (density_db / 20))
    return np.asarray(noise * rng.uniform(0.02, 0.1) / noise.std(), np.float32)


def off_average_db(samples: Array) -> np.ndarray:
    """Third-octave levels of a clip minus those of average speech, set to 0 dB around 3.15 kHz."""
    found = third_octaves_db(samples) - AVERAGE_DB
    return np.asarray(found - found[4:7].mean())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech of two packages, 3 dB an octave too dark and too bright; narration and music, 3 dB too dark."""
    root = tmp_path_factory.mktemp("voices")
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "domain", "package", "split"])
        for domain, package, tilt_db in (
            ("speech", "dark", -3.0),
            ("speech", "bright", 3.0),
            ("narration", "dark", -3.0),
            ("music", "dark", -3.0),
        ):
            for k in range(5):
                sf.write(root / f"{domain}-{package}{k}.wav", voice(k, tilt_db), 48000, subtype="PCM_24")
                writer.writerow([f"{domain}-{package}{k}.wav", domain, package, "train"])
    pack([root / "manifest.csv"], root / "pack")
    return root / "pack"


def test_a_package_of_known_tilt_is_brought_to_the_average_of_speech(corpus: Path) -> None:
    part = Corpus(corpus, 0.0, False, {"speech": 1.0})
    found = corrections_db(part, part.clips["speech"])
    assert set(found) == {"dark", "bright"}
    for package, tilt_db in (("dark", -3.0), ("bright", 3.0)):
        wanted_db = -tilt_db * np.log2(np.maximum(CENTRES_HZ, 3150) / 3150)
        assert np.abs(np.interp(CENTRES_HZ, GRID_HZ, found[package]) - wanted_db).max() < 1.0
        clip = next(clip for clip in part.clips["speech"] if clip.package == package)
        samples = part.read(clip, 0, clip.frames)
        assert abs(off_average_db(samples)[-1]) > 6
        assert np.abs(off_average_db(equalised(samples, found[package]))).max() < 1.0
        assert np.abs(off_average_db(equalised(samples, np.float32(0.0) * found[package]))[-1]) > 6


def test_a_clip_unlike_its_package_keeps_its_balance() -> None:
    """A clip of nothing but s is bright in any package; the package's curve does not remove that."""
    levels_db = np.stack([AVERAGE_DB] * 6 + [AVERAGE_DB + 20 * (CENTRES_HZ > 5000)])
    assert np.abs(correction_db(levels_db, 24000.0)).max() < 0.1


def test_a_correction_is_bounded_and_held_above_its_last_third() -> None:
    far_db = AVERAGE_DB - 40 * (CENTRES_HZ > 9000) + 40 * (CENTRES_HZ < 1100)
    curve_db = correction_db(far_db[None], 24000.0)
    assert curve_db[GRID_HZ > 10000].min() == curve_db[GRID_HZ > 10000].max() == GREATEST_DB
    assert curve_db[GRID_HZ < 1000].max() == curve_db[GRID_HZ < 1000].min() == -GREATEST_DB


def test_nothing_is_raised_where_a_packages_band_has_ended() -> None:
    """The end of the band, a fall of 60 dB, is not corrected either."""
    coded_db = AVERAGE_DB - 6.0 * (CENTRES_HZ > 7000) - 60.0 * (CENTRES_HZ > 15000)
    curve_db = correction_db(coded_db[None], 15000.0)
    below, above = (GRID_HZ > 8000) & (GRID_HZ < 15000), GRID_HZ > 15000
    assert curve_db[below] == pytest.approx(6.0, abs=0.1)
    assert curve_db[above].max() == 0.0
    bright_db = AVERAGE_DB + 6.0 * (CENTRES_HZ > 7000)
    assert correction_db(bright_db[None], 15000.0)[above] == pytest.approx(-6.0, abs=0.1)


def test_examples_of_a_voice_are_as_bright_as_speech_and_music_stays_as_it_is(corpus: Path) -> None:
    def rise_db(domain: str, ltass: tuple[float, float]) -> float:
        """Target level at 12 to 15 kHz minus that at 2.5 to 4 kHz, dB; the mean of two clips."""
        part = Corpus(corpus, 0.0, False, {domain: 1.0})
        variations = {"narration": replace(STILL, ltass=ltass), "music": STILL}
        examples = Examples(part, 0, 2 * 30720, variations, 0.0)
        level_db = SPREAD_DB * np.mean(
            [examine(examples[k])["level"].mean((0, 1)).numpy() for k in (0, 1)], axis=0
        )
        high, low = (BANDS_HZ > 12000) & (BANDS_HZ < 15000), (BANDS_HZ > 2500) & (BANDS_HZ < 4000)
        return float(level_db[high].mean() - level_db[low].mean())

    wanted_db = 3.0 * np.log2(13400 / 3150)
    dark_db = rise_db("narration", (0.0, 0.0))
    assert rise_db("narration", (1.0, 1.0)) - dark_db == pytest.approx(wanted_db, abs=1.0)
    assert rise_db("narration", (0.5, 0.5)) - dark_db == pytest.approx(wanted_db / 2, abs=1.0)
    assert rise_db("music", (1.0, 1.0)) == pytest.approx(rise_db("music", (0.0, 0.0)), abs=1e-6)

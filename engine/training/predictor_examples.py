"""From varied clips to training examples: features, the envelope they should give, and where it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from engine.models.draft.bands import (
    BAND_BINS,
    BIN_HZ,
    BINS,
    FLOOR_DB,
    band_centres_hz,
    band_power,
    level_db,
    power_of,
    spectrum,
)
from engine.models.draft.features import (
    NOISE_TEXTURE_DB,
    SPREAD_DB,
    above,
    active_frames,
    features,
    texture_db,
)
from engine.training.data import Clip, Corpus
from engine.training.ltass import corrections_db, equalised
from engine.training.simulate import Array, Cut, Variation, Varied, cut, frames_needed, on, varied

QUIET_WEIGHT = 0.05
"""What a frame counts that does not sound."""
UNCORRECTED = (0.0, 0.0)
"""A range of `Variation.ltass` for which no spectrum is measured."""
COPIES = 4
"""Band-limited copies made of one clip: preparing a clip costs as much as learning from it."""


def examine(clip: Varied, cuts: Sequence[Cut]) -> dict[str, Tensor]:
    """The training examples that band-limited copies of one clip make.

    Args:
        clip: the clip.
        cuts: its C copies.

    Returns:
        frames (C, T, PER_FRAME) and window (C, PER_WINDOW), see `Features`; level (C, T, BANDS) and texture
        (C, T, TEXTURES), what the network should give; weight (C, T, BANDS), where it counts: above the
        copy's cut-off, and below the clip's own edge.
    """
    power = _power(clip.samples)
    bins_db = level_db(power)
    level, texture = level_db(band_power(power[:, 1:])), texture_db(bins_db) / NOISE_TEXTURE_DB - 1
    counts = torch.where(active_frames(power), 1.0, QUIET_WEIGHT) * (bins_db.amax(-1) > FLOOR_DB + 10)
    told = band_centres_hz() < clip.band_edge_hz - BAND_BINS * BIN_HZ
    examples: dict[str, list[Tensor]] = {
        name: [] for name in ("frames", "window", "level", "texture", "weight")
    }
    for copy in cuts:
        source = power if copy.source is clip.samples else _power(copy.source)
        given = features(source * torch.from_numpy(on(copy.magnitude, BINS)) ** 2, copy.cutoff_hz)
        examples["frames"].append(given.frames.half())
        examples["window"].append(given.window)
        examples["level"].append(((level - given.reference_db) / SPREAD_DB).half())
        examples["texture"].append(texture.half())
        examples["weight"].append((counts[:, None] * (told * above(copy.cutoff_hz))).half())
    return {name: torch.stack(values) for name, values in examples.items()}


def _power(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Tensor:
    return power_of(spectrum(torch.from_numpy(samples)))


class Examples(Dataset[dict[str, Tensor]]):
    """Clip k of a run, cut off at COPIES frequencies: a function of the seed and k.

    Args:
        corpus: where clips come from.
        seed: of the run.
        frames: length of a window.
        variations: how clips are varied, by domain; the defaults where none is given.
        mixed: share of clips that have another one mixed in (a voice over music, an effect over ambience), 3
            to 20 dB down.
    """

    def __init__(
        self, corpus: Corpus, seed: int, frames: int, variations: Mapping[str, Variation], mixed: float
    ) -> None:
        self.corpus, self.seed, self.frames, self.mixed = corpus, seed, frames, mixed
        self.variations = variations
        self.corrections_db = {
            domain: corrections_db(corpus, clips)
            for domain, clips in corpus.clips.items()
            if self._variation(domain).ltass != UNCORRECTED
        }

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The examples of clip `index`, see `examine`."""
        rng = np.random.default_rng([self.seed, index])
        clip, start = self.corpus.draw(rng)
        variation = self._variation(clip.domain)
        count = frames_needed(rng, self.frames, variation)
        samples, edge_hz = self._read(rng, clip, start, count), clip.band_edge_hz
        if rng.random() < self.mixed:
            other, start = self.corpus.draw(rng)
            gain = np.float32(10 ** (rng.uniform(-20, -3) / 20))
            samples += self._read(rng, other, start, count) * gain
            edge_hz = min(edge_hz, other.band_edge_hz)
        whole = varied(rng, samples, self.frames, edge_hz, variation)
        return examine(whole, [cut(rng, whole.samples, variation) for _ in range(COPIES)])

    def _variation(self, domain: str) -> Variation:
        return self.variations.get(domain, Variation())

    def _read(self, rng: np.random.Generator, clip: Clip, start: int, count: int) -> Array:
        """`count` frames of a clip, brought nearer to the average of speech where its domain says so."""
        samples = self.corpus.read(clip, start, count)
        if clip.domain not in self.corrections_db:
            return samples
        strength = np.float32(rng.uniform(*self._variation(clip.domain).ltass))
        return equalised(samples, strength * self.corrections_db[clip.domain][clip.package])


def collated(drawn: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch: the examples of several clips one after another."""
    return {name: torch.cat([examples[name] for examples in drawn]) for name in drawn[0]}

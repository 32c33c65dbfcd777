"""From varied clips to training examples: features, the envelope to be predicted, and its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from engine.models.draft.bands import BAND_BINS, BIN_HZ, BINS, FLOOR_DB, band_centres_hz
from engine.models.draft.features import NOISE_TEXTURE_DB, SPREAD_DB
from engine.training.data import Clip, Corpus
from engine.training.draft.features import active, band_levels, features, level_db, powers, textures
from engine.training.draft.ltass import corrections_db, equalised
from engine.training.simulate import Array, Variation, cut, frames_needed, on, through_codec, varied

QUIET_WEIGHT = 0.05
"""Weight of a frame that does not sound."""
UNCORRECTED = (0.0, 0.0)
"""The range of `Variation.ltass` for which no spectrum is measured."""
COPIES = 4
"""Band-limited copies made of one clip: reading and varying it costs more than cutting it off."""


class Batch(NamedTuple):
    """N clips, each with C band-limited copies.

    Attributes:
        clip: (N, frames), the full band.
        source: (N, frames), what the copies are cut from: the clip, or a codec's version of it.
        magnitude: (N, C, BINS), the copies' low-passes.
        cutoff_hz: (N, C), their -6 dB edges.
        band_edge_hz: (N,), above which the clips hold nothing to learn.
    """

    clip: Tensor
    source: Tensor
    magnitude: Tensor
    cutoff_hz: Tensor
    band_edge_hz: Tensor


def examine(batch: Batch) -> dict[str, Tensor]:
    """The N C training examples of a batch, on its device.

    Returns:
        frames (N C, T, PER_FRAME) and window (N C, PER_WINDOW), see `Features`; level (N C, T, BANDS) and
        texture (N C, T, TEXTURES), the targets; weight (N C, T, BANDS), above 0 where a level counts: above
        the copy's cut-off, and below the clip's own edge.
    """
    copies, device = batch.cutoff_hz.shape[1], batch.clip.device
    power = powers(batch.clip)
    bins_db = level_db(power)
    counts = torch.where(active(power), 1.0, QUIET_WEIGHT) * (bins_db.amax(-1) > FLOOR_DB + 10)
    centres_hz = torch.from_numpy(band_centres_hz()).to(device)
    known = centres_hz < batch.band_edge_hz[:, None] - BAND_BINS * BIN_HZ
    cutoff_hz = batch.cutoff_hz.flatten()
    above = ((centres_hz - cutoff_hz[:, None]) / (BAND_BINS * BIN_HZ) + 0.5).clamp(0, 1)
    given = (powers(batch.source)[:, None] * batch.magnitude.square()[:, :, None]).flatten(0, 1)
    frames, window, reference_db = features(given, cutoff_hz)
    level, texture, counts, known = (
        of_clip.repeat_interleave(copies, 0)
        for of_clip in (band_levels(power), textures(bins_db) / NOISE_TEXTURE_DB - 1, counts, known)
    )
    return {
        "frames": frames,
        "window": window,
        "level": (level - reference_db[:, None, None]) / SPREAD_DB,
        "texture": texture,
        "weight": counts[..., None] * (known * above)[:, None],
    }


class Examples(Dataset[Batch]):
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

    def __getitem__(self, index: int) -> Batch:
        """Clip `index`, a batch of one."""
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
        coded = rng.random() < variation.codec
        source = through_codec(rng, whole.samples) if coded else whole.samples
        cuts = [cut(rng, variation) for _ in range(COPIES)]
        return Batch(
            torch.from_numpy(whole.samples)[None],
            torch.from_numpy(source)[None],
            torch.from_numpy(np.stack([on(copy.magnitude, BINS) for copy in cuts]))[None],
            torch.tensor([[copy.cutoff_hz for copy in cuts]]),
            torch.tensor([whole.band_edge_hz]),
        )

    def _variation(self, domain: str) -> Variation:
        return self.variations.get(domain, Variation())

    def _read(self, rng: np.random.Generator, clip: Clip, start: int, count: int) -> Array:
        """`count` frames of a clip, brought nearer to the average of speech where its domain says so."""
        samples = self.corpus.read(clip, start, count)
        if clip.domain not in self.corrections_db:
            return samples
        strength = np.float32(rng.uniform(*self._variation(clip.domain).ltass))
        return equalised(samples, strength * self.corrections_db[clip.domain][clip.package])


def collated(drawn: Sequence[Batch]) -> Batch:
    """One batch of several."""
    return Batch(*(torch.cat(parts) for parts in zip(*drawn, strict=True)))

"""What the networks of AudioSR learn from: crops of a corpus at 48 kHz and band-limited copies of them.

The simulation is the paper's (Liu et al. 2023, section 4): cut-off even between 2 and 16 kHz, Chebyshev,
elliptic, Butterworth or boxcar, order 2 to 10.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from engine.models.audiosr import mel
from engine.training.corpus_config import CorpusConfig, part_of
from engine.training.data import Corpus
from engine.training.simulate import FILTERS, Array, on, response
from engine.training.task import Task
from presets.errors import UsageError
from presets.schema import RATE_HZ
from render.generate import MODEL_PEAK

CUTOFF_HZ = (2000.0, 16000.0)
ORDERS = (2, 10)

PEAK_RANGE_DB = (-24.0, 0.0)
"""Peak of a crop relative to MODEL_PEAK: a render brings a whole clip's peak there, and a crop of it, above
all of a quiet passage, stays below."""

FASTEST = 1.25
"""Coded clips end below 20 kHz; played a quarter faster, they fill the band to 24."""

VALIDATION_SEED = 1_000_003


def lowpassed(rng: np.random.Generator, samples: Array) -> tuple[Array, float]:
    """A band-limited copy of (frames,) samples, without delay, and the filter's nominal edge in Hz."""
    kind = FILTERS[rng.integers(len(FILTERS))]
    order, cutoff_hz = int(rng.integers(ORDERS[0], ORDERS[1] + 1)), float(rng.uniform(*CUTOFF_HZ))
    spectrum = np.fft.rfft(samples)
    magnitude = on(response(kind, order, cutoff_hz, twice=False), len(spectrum))
    return np.fft.irfft(spectrum * magnitude, len(samples)).astype(np.float32), cutoff_hz


class FullCrops(Dataset[dict[str, Tensor]]):
    """Crop k of a run: a function of the seed and k.

    Items hold `full`, (frames,) float32 with its peak 0 to 24 dB below the level AudioSR works at, and
    `cutoff_hz`, (), a frequency below which its band may count as known.

    Args:
        corpus: where crops come from.
        seed: of the run.
        frames: length of a crop.
        faster: share of the crops that are played faster, by up to FASTEST.
    """

    def __init__(self, corpus: Corpus, seed: int, frames: int, faster: float = 0.0) -> None:
        self.corpus, self.seed, self.frames, self.faster = corpus, seed, frames, faster

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Crop `index`."""
        rng = np.random.default_rng([self.seed, index])
        samples = self.drawn(rng)
        return {
            "full": torch.from_numpy(samples),
            "cutoff_hz": torch.tensor(rng.uniform(*CUTOFF_HZ), dtype=torch.float32),
        }

    def drawn(self, rng: np.random.Generator) -> Array:
        """(frames,) float32, a crop at a level of its own."""
        clip, start = self.corpus.draw(rng)
        speed = rng.uniform(1, FASTEST) if self.faster and rng.random() < self.faster else 1.0
        samples = self.corpus.read(clip, start, round(self.frames * speed / mel.HOP) * mel.HOP)
        if len(samples) > self.frames:
            spectrum = np.fft.rfft(samples)[: self.frames // 2 + 1] * (self.frames / len(samples))
            samples = np.fft.irfft(spectrum, self.frames).astype(np.float32)
        peak = float(np.abs(samples).max())
        if peak > 0:
            samples *= np.float32(MODEL_PEAK / peak * 10 ** (rng.uniform(*PEAK_RANGE_DB) / 20))
        return samples


class Crops(FullCrops):
    """Crops with `low`, a band-limited copy of each, whose filter has its edge at `cutoff_hz`."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Crop `index`."""
        rng = np.random.default_rng([self.seed, index])
        samples = self.drawn(rng)
        low, cutoff_hz = lowpassed(rng, samples)
        return {
            "full": torch.from_numpy(samples),
            "low": torch.from_numpy(low),
            "cutoff_hz": torch.tensor(cutoff_hz),
        }


class CropConfig(CorpusConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration of a run on crops: what it has beside CorpusConfig.

    Attributes:
        crop_s: length of an example, seconds; a multiple of 0.08.
    """

    crop_s: float


class CropTask(Task):
    """What trainers on crops have in common.

    Args:
        config: what to do; its corpus is packed.

    Raises:
        UsageError: crops that are not whole latent cells.
    """

    def __init__(self, config: CropConfig) -> None:
        torch.manual_seed(config.seed)
        self.schedule = self._corpus = config
        self.frames = whole_cells(config.crop_s)

    def examples(self, validation: bool) -> Dataset[dict[str, Tensor]]:
        """Crops of the corpus."""
        seed = VALIDATION_SEED if validation else self._corpus.seed
        return Crops(part_of(self._corpus, validation), seed, self.frames)


def whole_cells(crop_s: float) -> int:
    """Frames of a crop of `crop_s` seconds, which has to be whole latent cells of 0.08 s, two at least."""
    frames = round(crop_s * RATE_HZ)
    if frames % (8 * mel.HOP) or frames < 16 * mel.HOP:
        raise UsageError(f"crop_s = {crop_s}: not a multiple of 0.08 s, or below 0.16 s", "crop_s")
    return frames

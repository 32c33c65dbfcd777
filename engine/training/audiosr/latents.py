"""Latents of a corpus, computed once: of its pieces as they are and of band-limited copies of them.

A diffusion learns from the encoder's output, mean and deviation, and the encoder does not change: running it
at every step would cost more than the step. The file grows piece by piece; a run that is killed while the
file is made goes on with the next piece.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from engine.models.audiosr import mel
from engine.models.audiosr.autoencoder import Encoder
from engine.training.audiosr.crops import PEAK_RANGE_DB, lowpassed
from engine.training.data import Clip, Corpus
from engine.training.processes import leave_signals
from render.generate import MODEL_PEAK

PIECE_CELLS = 192
"""Longest piece of a clip that is encoded at once, latent cells: 15.4 s."""

REPORT_S = 30.0
"""How often the progress of encoding is printed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a clip and where its latents lie.

    Attributes:
        clip: of the pack.
        start: first frame in the clip.
        cells: length, latent cells.
        offset: where its latents begin, in cells of the file.
    """

    clip: Clip
    start: int
    cells: int
    offset: int


class Latents:
    """The file of latents of a corpus.

    Args:
        path: of the file; made or continued by `encode`.
        corpora: the parts of the corpus, whose clips are encoded in order.
        seed: of levels and filters.
        crop_cells: shortest piece, cells; shorter clips are followed by silence.
        copies: band-limited copies of each piece.
        encoder: of the autoencoder, frozen.
        stride: mel frames to a cell.
    """

    def __init__(
        self,
        path: Path,
        corpora: Sequence[Corpus],
        seed: int,
        crop_cells: int,
        copies: int,
        encoder: Encoder,
        stride: int,
    ) -> None:
        self.path, self.seed, self.copies, self.encoder = path, seed, copies, encoder
        self.corpora = corpora
        self.cell_frames = stride * mel.HOP
        channels = encoder.quant_conv.out_channels // 2
        self.cell_shape = (1 + copies, 2, channels, mel.BANDS // stride)
        """Of one cell: full band and copies; mean and deviation; channels; bands."""
        self.pieces: list[Piece] = []
        offset = 0
        for corpus in corpora:
            for clip in (clip for domain in corpus.domains for clip in corpus.clips[domain]):
                for start in range(0, clip.frames, PIECE_CELLS * self.cell_frames):
                    cells = min(-(-(clip.frames - start) // self.cell_frames), PIECE_CELLS)
                    self.pieces.append(Piece(clip, start, max(cells, crop_cells), offset))
                    offset += self.pieces[-1].cells
        self.cell_bytes = 2 * int(np.prod(self.cell_shape))

    @torch.no_grad()
    def encode(self, workers: int = 0) -> None:
        """Encodes what is not in the file yet, and prints how long that takes.

        Args:
            workers: processes that make the band-limited copies; 0 makes them here.
        """
        have = self.path.stat().st_size // self.cell_bytes if self.path.exists() else 0
        left = [index for index, piece in enumerate(self.pieces) if piece.offset + piece.cells > have]
        if not left:
            return
        began_s = told_s = time.monotonic()
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            file.seek(self.pieces[left[0]].offset * self.cell_bytes)
            file.truncate()
            versions = DataLoader(
                Versions(self),
                batch_size=None,
                sampler=left,
                num_workers=workers,
                worker_init_fn=leave_signals,
            )
            for done, waves in enumerate(versions):
                file.write(self._encoded(waves).tobytes())
                now_s = time.monotonic()
                if now_s - told_s > REPORT_S:
                    rest_h = (now_s - began_s) / (done + 1) * (len(left) - done - 1) / 3600
                    print(f"latents: {done + 1} of {len(left)} pieces, {rest_h:.1f} h to go", file=sys.stderr)
                    told_s = now_s

    def _encoded(self, waves: Tensor) -> NDArray[np.float16]:
        posterior = self.encoder(
            mel.log_mel(mel.magnitude(waves.to(next(self.encoder.parameters()).device)))[:, None]
        )
        both = torch.stack([posterior.mean, posterior.std], dim=1)  # version, moment, channel, cell, band
        cells = both.permute(3, 0, 1, 2, 4).cpu().numpy().astype(np.float16)
        return np.ascontiguousarray(cells)

    def read(self, piece: Piece, first: int, cells: int, versions: Sequence[int]) -> Tensor:
        """(versions, 2, C, cells, bands) float32 of a piece, from its cell `first` on; version 0 is
        full-band."""
        offset = (piece.offset + first) * self.cell_bytes
        flat = np.fromfile(self.path, np.float16, cells * self.cell_bytes // 2, offset=offset)
        asked = flat.reshape(cells, *self.cell_shape)[:, list(versions)]
        return torch.from_numpy(asked).permute(1, 2, 3, 0, 4).float()


class Versions(Dataset[Tensor]):
    """The versions of each piece that are encoded: (1 + copies, frames) float32, as it is and band-limited.

    Args:
        latents: whose pieces they are.
    """

    def __init__(self, latents: Latents) -> None:
        self.corpus, self.pieces = latents.corpora[0], latents.pieces
        self.seed, self.copies, self.cell_frames = latents.seed, latents.copies, latents.cell_frames

    def __getitem__(self, index: int) -> Tensor:
        """Those of piece `index`: a function of the seed and the index."""
        piece = self.pieces[index]
        rng = np.random.default_rng([self.seed, index])
        count = min(piece.cells * self.cell_frames, piece.clip.frames - piece.start)
        samples = np.zeros(piece.cells * self.cell_frames, np.float32)
        samples[:count] = self.corpus.read(piece.clip, piece.start, count)
        peak = float(np.abs(samples).max())
        if peak > 0:
            samples *= np.float32(MODEL_PEAK / peak * 10 ** (rng.uniform(*PEAK_RANGE_DB) / 20))
        copies = [lowpassed(rng, samples)[0] for _ in range(self.copies)]
        return torch.from_numpy(np.stack([samples, *copies]))


class LatentCrops(Dataset[dict[str, Tensor]]):
    """Crop k of a run: a function of the seed and k.

    Items hold `target` and `condition`, (2, C, cells, bands): mean and deviation, unscaled.

    Args:
        latents: all of a corpus.
        part: which of its parts, an index into `Latents.corpora`.
        seed: of the run.
        cells: length of a crop.
    """

    def __init__(self, latents: Latents, part: int, seed: int, cells: int) -> None:
        self.latents, self.seed, self.cells = latents, seed, cells
        corpus = latents.corpora[part]
        self.domains, self.shares = corpus.domains, corpus.shares
        clips = {domain: set(corpus.clips[domain]) for domain in corpus.domains}
        self.pieces = {
            domain: [piece for piece in latents.pieces if piece.clip in clips[domain]]
            for domain in self.domains
        }
        self.ends = {
            domain: np.cumsum([piece.cells for piece in pieces]) for domain, pieces in self.pieces.items()
        }

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Crop `index`."""
        rng = np.random.default_rng([self.seed, index])
        domain = self.domains[int(rng.choice(len(self.domains), p=self.shares))]
        ends = self.ends[domain]
        piece = self.pieces[domain][int(np.searchsorted(ends, rng.integers(ends[-1]), side="right"))]
        first = int(rng.integers(piece.cells - self.cells + 1))
        copy = 1 + int(rng.integers(self.latents.copies))
        target, condition = self.latents.read(piece, first, self.cells, (0, copy))
        return {"target": target, "condition": condition}

"""Joins the latents of any number of windows into one that a sampler steps through."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class JointLatent:
    """Latents one after another along time; those of one voice share the cells they both cover.

    Averaging the model's prediction where rows overlap makes one sampling of all of them (MultiDiffusion,
    Bar-Tal et al. 2023). Rows of different voices never meet.

    Args:
        extents: first cell and number of cells of each row, in the clip.
        voices: the voice that each row is a part of.

    Attributes:
        stretches: voice, and (first cell, cells), of each connected part of a voice, in order.
    """

    def __init__(self, extents: Sequence[tuple[int, int]], voices: Sequence[tuple[int, int]]) -> None:
        self.stretches: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self._spans = [slice(0)] * len(extents)
        self.cells = 0
        for index in sorted(range(len(extents)), key=lambda index: (voices[index], extents[index])):
            voice, (first, cells) = voices[index], extents[index]
            if self.stretches and self.stretches[-1][0] == voice and first <= sum(self.stretches[-1][1]):
                start, length = self.stretches.pop()[1]
                self.cells -= length
                length = max(length, first + cells - start)
            else:
                start, length = first, cells
            self.stretches.append((voice, (start, length)))
            offset = self.cells + first - start
            self._spans[index] = slice(offset, offset + cells)
            self.cells += length

    def rows_of(self, latent: Tensor) -> list[Tensor]:
        """(1, C, cells, F) -> each row's (1, C, its cells, F)."""
        return [latent[:, :, span] for span in self._spans]

    def average(self, rows: Sequence[Tensor]) -> Tensor:
        """The inverse of `rows_of`: where several rows cover a cell, their mean."""
        _, channels, _, bands = rows[0].shape
        total = rows[0].new_zeros(1, channels, self.cells, bands)
        count = rows[0].new_zeros(1, 1, self.cells, 1)
        for span, row in zip(self._spans, rows, strict=True):
            total[:, :, span] += row
            count[:, :, span] += 1
        return total / count

"""Where decoded samples go: a file of interleaved little-endian float32, checked as it is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets.errors import InputError, OutputError
from render.limits import check_samples, check_shape


@dataclass(frozen=True, slots=True)
class Head:
    """Rate in Hz, number of channels, and the mask of their speakers (see `render.channels`)."""

    rate: int
    channels: int
    mask: int


class PcmFile:
    """Decoded samples on their way to disk.

    Args:
        path: a new file.
        name: of the source, for messages.
        layout: mask, and where channel n of the WAV order stands in what is written; None where the decoder
            knows it.
    """

    def __init__(self, path: Path, name: str, layout: tuple[int, list[int]] | None = None) -> None:
        self.path = path
        self.head: Head | None = None
        self.frames = 0
        self._name = name
        self._layout = layout
        self._file = path.open("wb")

    def begin(self, head: Head) -> None:
        """Called before the samples of each link.

        Raises:
            InputError: a rate or number of channels outside the limits, or other than the link before had.
        """
        check_shape(head.rate, head.channels, 1, self._name)
        first = self.head or head
        if (head.rate, head.channels) != (first.rate, first.channels):
            raise InputError(
                f"{self._name} is joined from {first.rate} Hz, {first.channels} channels, and "
                f"{head.rate} Hz, {head.channels} channels after frame {self.frames}; split it there",
                "source",
            )
        if self._layout is not None and len(self._layout[1]) == head.channels:
            first = Head(first.rate, first.channels, self._layout[0])
        self.head = first

    def write(self, block: NDArray[np.floating[Any]]) -> None:
        """Appends (frames, channels).

        Raises:
            InputError: a sample that is not finite or beyond +-16.
            OutputError: no room.
        """
        check_samples(block, self.frames, self._name)
        if self._layout is not None and len(self._layout[1]) == block.shape[1]:
            block = block[:, self._layout[1]]
        with self._room_named():
            self._file.write(np.ascontiguousarray(block, "<f4").data)
        self.frames += len(block)

    def cut(self, frames: int) -> None:
        """Forgets what comes after the first `frames`."""
        if self.head is not None:
            with self._room_named():
                self._file.flush()
                self._file.seek(4 * self.head.channels * frames)
                self._file.truncate()
        self.frames = frames
        if not frames:
            self.head = None

    def close(self) -> None:
        """Called after the last samples.

        Raises:
            OutputError: no room for the last of them.
        """
        with self._room_named():
            self._file.close()

    @contextmanager
    def _room_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.path.parent}: {self._name} cannot be decoded here: {error.strerror}; "
                "decoding takes 4 bytes a sample: make room there",
                "source",
            ) from None

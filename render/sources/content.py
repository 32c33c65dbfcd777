"""Reads the bytes of a file a piece at a time: a memory map would end the process when the file is cut
short."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

from presets.errors import InputError

PIECE_BYTES = 1 << 18
OVERLAP_BYTES = 64
"""Pieces that are searched overlap by this: no pattern matches more bytes."""


class Content:
    """What a file held when it was opened.

    Args:
        file: open for reading.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._size = os.fstat(self._descriptor).st_size
        self._at, self._piece = 0, b""

    def __len__(self) -> int:
        return self._size

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from `at` on, fewer at the end of the file.

        Raises:
            InputError: the file is shorter than when it was opened.
        """
        size = max(0, min(size, self._size - at))
        if size > PIECE_BYTES:
            return self._fetch(at, size)
        if not self._at <= at <= at + size <= self._end:
            self._load(at)
        return self._piece[at - self._at :][:size]

    def search(self, pattern: re.Pattern[bytes], at: int, end: int | None = None) -> int:
        """Where a pattern of at most OVERLAP_BYTES is first found, -1 where it is not.

        Args:
            at, end: where to begin, and where a match must have ended; the file's end when None.

        Raises:
            InputError: as `read`.
        """
        end = self._size if end is None else min(end, self._size)
        while at < end:
            if not self._at <= at <= at + OVERLAP_BYTES <= self._end:
                self._load(at)
            if found := pattern.search(self._piece, at - self._at, end - self._at):
                return self._at + found.start()
            if self._end >= end:
                break
            at = self._end - OVERLAP_BYTES + 1
        return -1

    @property
    def _end(self) -> int:
        return self._at + len(self._piece)

    def _load(self, at: int) -> None:
        self._at, self._piece = at, self._fetch(at, max(0, min(PIECE_BYTES, self._size - at)))

    def _fetch(self, at: int, size: int) -> bytes:
        content = os.pread(self._descriptor, size, at)
        while 0 < len(content) < size and (
            more := os.pread(self._descriptor, size - len(content), at + len(content))
        ):
            content += more
        if len(content) < size:
            raise InputError(
                f"became shorter while it was read: {self._size} bytes when it was opened", "source"
            )
        return content

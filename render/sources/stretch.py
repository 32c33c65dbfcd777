"""A stretch of a file as a file of its own, so that libsndfile reads only those bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

OnBytes = Callable[[int, memoryview], None]
"""Called with bytes as they are read: where in the file they begin, and the bytes, valid during the call."""


class Stretch(io.RawIOBase):
    """Bytes [start, end) of an open file; it keeps a position of its own and never closes that file.

    Args:
        descriptor: of the open file.
        start, end: in bytes.
        on_bytes: see `OnBytes`.
    """

    def __init__(self, descriptor: int, start: int, end: int, on_bytes: OnBytes | None = None) -> None:
        super().__init__()
        self._descriptor, self._on_bytes = descriptor, on_bytes
        self._start, self._end = start, end
        self._at = start

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position, from the stretch's own start."""
        return self._at - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        origin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(self._start, origin + offset)
        return self.tell()

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        wanted = memoryview(buffer).cast("B")[: max(0, self._end - self._at)]
        got = os.preadv(self._descriptor, [wanted], self._at) if len(wanted) else 0
        if self._on_bytes is not None:
            self._on_bytes(self._at, wanted[:got])
        self._at += got
        return got
